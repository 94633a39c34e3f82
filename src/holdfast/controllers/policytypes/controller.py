"""What the controller of policies' types looks at. Keys are the names of ValidatingAdmissionPolicies."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api.admissionregistration.validating_admission_policy import VALIDATING_ADMISSION_POLICIES
from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan

from .plan import Observed, plan


class PolicyTypes:
    name = "validatingadmissionpolicy-status-controller"
    concurrency = 1

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._policies = informers.of(VALIDATING_ADMISSION_POLICIES)
        self._definitions = informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._policies.subscribe(self._on_policy)

    def _on_policy(self, old: Manifest | None, new: Manifest | None) -> None:
        if new is not None:
            self._queue.add(key_of(new))

    def observe(self, key: str) -> Observed | None:
        policy = self._policies.get(key)
        if policy is None:
            return None
        groups = set(_groups(policy["spec"]))
        return Observed(policy, [one for one in self._definitions.list() if one["spec"]["group"] in groups])

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)


def _groups(spec: Manifest) -> Iterator[str]:
    """Those in which the kinds are that it names."""
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        yield from rule.get("apiGroups") or ()
    yield (spec.get("paramKind") or {}).get("apiVersion", "").rpartition("/")[0]
