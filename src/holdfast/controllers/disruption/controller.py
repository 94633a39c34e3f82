"""What the disruption controllers look at, and what wakes a budget."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from holdfast.api import conditions
from holdfast.api.core.pod import PODS
from holdfast.api.policy.pod_disruption_budget import POD_DISRUPTION_BUDGETS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import LabelSelector, selector_from_manifest
from holdfast.client.informer import Informer, Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.controllers.owners import BY_CONTROLLER, controller_uid, of_controller
from holdfast.world import Clock

from .expected import SCALED, Uncountable, scale_of
from .plan import Observed, ObservedMark, is_marked, plan, plan_mark


class DisruptionController:
    """Keys are budgets."""

    name = "controllermanager"
    concurrency = 2

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selectors: dict[str, dict[str, LabelSelector]] = {}
        """By namespace and budget."""

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._queue = queue
        self._budgets = informers.of(POD_DISRUPTION_BUDGETS)
        self._pods = informers.of(PODS)
        self._pods.add_index(BY_CONTROLLER, of_controller)
        self._owners: dict[str, Informer] = {each.qualified: informers.of(each) for each in SCALED}
        self._budgets.subscribe(self._on_budget)
        self._pods.subscribe(self._on_pod)
        for informer in self._owners.values():
            informer.subscribe(partial(self._on_owner, informer.resource))
        self._defined = informers.follow_defined(partial(self._came, informers), self._went)

    def _came(self, informers: Informers, resource: Resource) -> None:
        """A kind was defined: if it scales, budgets go by what its objects want."""
        if resource.custom is not None and resource.custom.scale is not None:
            informer = self._owners[resource.qualified] = informers.of(resource)
            informer.subscribe(partial(self._on_owner, resource))

    def _went(self, resource: Resource) -> None:
        self._owners.pop(resource.qualified, None)

    def observe(self, key: str) -> Observed | None:
        budget = self._budgets.get(key)
        if budget is None:
            return None
        namespace = budget["metadata"]["namespace"]
        selector = selector_from_manifest(budget["spec"].get("selector"))
        pods = [pod for pod in self._pods.list(namespace) if selector.matches(pod["metadata"].get("labels"))]
        return Observed(budget, pods, self._owner, self._clock.now(), self._defined.by_group_kind)

    def _owner(self, resource: Resource, key: str) -> Manifest | None:
        informer = self._owners.get(resource.qualified)
        return informer.get(key) if informer is not None else None

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)

    def _on_budget(self, old: Manifest | None, new: Manifest | None) -> None:
        budget = new or old
        assert budget is not None
        here = self._selectors.setdefault(budget["metadata"]["namespace"], {})
        if new is None:
            here.pop(key_of(budget), None)
            return
        here[key_of(new)] = selector_from_manifest(new["spec"].get("selector"))
        self._queue.add(key_of(new))

    def _on_pod(self, old: Manifest | None, new: Manifest | None) -> None:
        """The budgets that select it, or did, if what they see of it has changed."""
        if old is None or new is None or _counted(old) != _counted(new):
            self._wake(pod for pod in (old, new) if pod is not None)

    def _on_owner(self, resource: Resource, old: Manifest | None, new: Manifest | None) -> None:
        """Another scale is another number of pods to expect; what becomes of a Deployment shows in its sets."""
        if new is not None and (old is None or _scale(resource, old) != _scale(resource, new)):
            self._wake(self._pods.by_index(BY_CONTROLLER, new["metadata"]["uid"]))

    def _wake(self, pods: Iterable[Manifest]) -> None:
        for pod in pods:
            for key, selector in self._selectors.get(pod["metadata"]["namespace"], {}).items():
                if selector.matches(pod["metadata"].get("labels")):
                    self._queue.add(key)


def _counted(pod: Manifest) -> tuple[Any, ...]:
    """What budgets see of a pod."""
    labels = pod["metadata"].get("labels")
    return labels, controller_uid(pod), conditions.is_ready(pod), conditions.is_terminating(pod)


def _scale(resource: Resource, owner: Manifest) -> int | None:
    try:
        return scale_of(resource, owner)
    except Uncountable:
        return None


class DisruptionMarks:
    """Takes back marks of disruptions that did not come. Keys are pods."""

    name = "controllermanager"
    concurrency = 2

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._pods = informers.of(PODS)

        def on_pod(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None and is_marked(new):
                queue.add(key_of(new))

        self._pods.subscribe(on_pod)

    def observe(self, key: str) -> ObservedMark | None:
        pod = self._pods.get(key)
        return ObservedMark(pod, self._clock.now()) if pod is not None and is_marked(pod) else None

    def plan(self, observed: ObservedMark) -> Plan:
        return plan_mark(observed)
