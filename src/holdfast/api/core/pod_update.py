"""What may change in a pod once it is there (A80, N6, N8)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.field_rules import ip_address, label_key
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest

from .pod_structure import pod_spec_difference
from .restarts import may_restart_all, should_restart

_REFUSAL = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    now, then = new.get("spec", {}), old.get("spec", {})
    for members in ("containers", "initContainers"):
        if len(now.get(members, ())) != len(then.get(members, ())):
            return [forbidden(f"spec.{members}", "pod updates may not add or remove containers")]
    if errors := [*_deadline(now.get("activeDeadlineSeconds"), then.get("activeDeadlineSeconds"))]:
        return errors
    errors = [*_tolerations(now.get("tolerations", []), then.get("tolerations", [])), *_gates(now, then)]
    kept = _with_what_may_change(now, then)
    if kept != then and not same(kept, then):
        errors.append(forbidden("spec", f"{_REFUSAL}\n{pod_spec_difference(then, kept)}"))
    return errors


def validate_status_update(new: Manifest, old: Manifest) -> list[FieldError]:
    status, spec = new.get("status", {}), old.get("spec", {})
    errors: list[FieldError] = []
    if new.get("spec", {}).get("nodeName") != spec.get("nodeName"):
        errors.append(forbidden("status.nodeName", "may not be changed directly"))
    for kind in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        before = {c.get("name"): c for c in old.get("status", {}).get(kind, ())}
        errors += _transitions(f"status.{kind}", status.get(kind, []), before, spec)
    for i, condition in enumerate(status.get("conditions", ())):
        errors += label_key(f"status.conditions[{i}].Type", condition.get("type", ""))
    for i, address in enumerate(status.get("podIPs", ())):
        errors += ip_address(f"status.podIPs[{i}]", address.get("ip", ""))
    return errors


def _deadline(new: int | None, old: int | None) -> Iterator[FieldError]:
    field = "spec.activeDeadlineSeconds"
    if new is not None and not 0 <= new <= 2**31 - 1:
        yield invalid(field, new, "must be between 0 and 2147483647, inclusive")
    elif new is not None and old is not None and new > old:
        yield invalid(field, new, "must be less than or equal to previous value")
    elif new is None and old is not None:
        yield invalid(field, None, "must not update from a positive integer to nil value")


def _tolerations(new: list[Manifest], old: list[Manifest]) -> Iterator[FieldError]:
    """What was tolerated stays tolerated; only for how long may change."""
    rules = [_without(toleration, "tolerationSeconds") for toleration in new]
    if any(_without(toleration, "tolerationSeconds") not in rules for toleration in old):
        yield forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds")


def _without(toleration: Manifest, member: str) -> Manifest:
    return {name: value for name, value in toleration.items() if name != member}


def _gates(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    known = {gate.get("name") for gate in old.get("schedulingGates", ())}
    for gate in new.get("schedulingGates", ()):
        if gate.get("name") not in known:
            found = f"only deletion is allowed, but found new scheduling gate '{gate.get('name', '')}'"
            yield forbidden("spec.schedulingGates", found)


def _with_what_may_change(new: Manifest, old: Manifest) -> Manifest:
    """The new spec with those of its fields as they were that an update may change."""
    kept: dict[str, Any] = {**new}
    for members in ("containers", "initContainers"):
        if members in new:
            kept[members] = [
                {**container, "image": before.get("image", "")}
                for container, before in zip(new[members], old.get(members, ()), strict=True)
            ]
    restored = ["activeDeadlineSeconds", "tolerations", "schedulingGates"]
    if old.get("terminationGracePeriodSeconds", 0) < 0 and new.get("terminationGracePeriodSeconds") == 1:
        restored.append("terminationGracePeriodSeconds")
    if old.get("schedulingGates") and _narrows(new.get("nodeSelector", {}), old.get("nodeSelector", {})):
        restored.append("nodeSelector")
    if old.get("schedulingGates") and not old.get("affinity", {}).get("nodeAffinity"):
        restored.append("affinity")
    for name in restored:
        kept.pop(name, None)
        if name in old:
            kept[name] = old[name]
    return kept


def _narrows(new: dict[str, str], old: dict[str, str]) -> bool:
    return all(new.get(key) == value for key, value in old.items())


def _transitions(
    field: str, statuses: list[Manifest], before: dict[str, Manifest], spec: Manifest
) -> Iterator[FieldError]:
    """A container that ended and must not restart stays ended."""
    if may_restart_all(spec):
        return
    containers = {c.get("name"): c for c in (*spec.get("initContainers", ()), *spec.get("containers", ()))}
    for i, status in enumerate(statuses):
        container = containers.get(status.get("name"))
        ended = before.get(status.get("name", ""), {}).get("state", {}).get("terminated")
        if ended is None or "terminated" in status.get("state", {}):
            continue
        if container is None or not should_restart(container, spec, ended.get("exitCode", 0)):
            yield forbidden(f"{field}[{i}].state", "may not be transitioned to non-terminated state")
