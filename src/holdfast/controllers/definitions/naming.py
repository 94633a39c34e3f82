"""Which of the names that a definition asks for it gets (A199).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/controller/status/naming_controller.go and
pkg/controller/apiapproval.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from holdfast.api.resource import Manifest

APPROVED = "api-approved.kubernetes.io"
PROTECTED = (".k8s.io", ".kubernetes.io")

Condition = dict[str, str]


@dataclass(frozen=True, slots=True)
class Taken:
    """The names that other definitions of the group have."""

    resources: frozenset[str]
    kinds: frozenset[str]


def taken_by(others: Iterable[Manifest]) -> Taken:
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural") or "", names.get("singular") or "", *(names.get("shortNames") or ())}
        kinds |= {names.get("kind") or "", names.get("listKind") or ""}
    return Taken(frozenset(resources - {""}), frozenset(kinds - {""}))


def accepted(definition: Manifest, taken: Taken) -> tuple[Manifest, Condition]:
    """The names it has now, and the condition that says whether these are all it asked for."""
    wanted = definition["spec"]["names"]
    names = dict((definition.get("status") or {}).get("acceptedNames") or {})
    refusals: list[tuple[str, str]] = []
    for member, used in _USED_IN.items():
        given = wanted.get(member) or ""
        if given != (names.get(member) or "") and given in getattr(taken, used):
            refusals.append((f"{member[0].upper()}{member[1:]}Conflict", f'"{given}" is already in use'))
        else:
            names[member] = given
    if conflicts := _short_conflicts(wanted, names, taken):
        refusals.insert(2, ("ShortNamesConflict", conflicts))
    else:
        _put(names, "shortNames", wanted.get("shortNames"))
    _put(names, "categories", wanted.get("categories"))
    if not refusals:
        return names, _condition("True", "NoConflicts", "no conflicts found")
    return names, _condition("False", *refusals[-1])


_USED_IN = {"plural": "resources", "singular": "resources", "kind": "kinds", "listKind": "kinds"}


def _short_conflicts(wanted: Manifest, names: Manifest, taken: Taken) -> str:
    mine: Sequence[str] = names.get("shortNames") or ()
    used = [f'"{name}" is already in use' for name in wanted.get("shortNames") or () if name not in mine
            and name in taken.resources]  # fmt: skip
    return used[0] if len(used) == 1 else f"[{', '.join(used)}]" if used else ""


def _put(names: Manifest, member: str, value: Sequence[str] | None) -> None:
    if value:
        names[member] = value
    else:
        names.pop(member, None)


def _condition(status: str, reason: str, message: str) -> Condition:
    return {"type": "NamesAccepted", "status": status, "reason": reason, "message": message}


def approval(definition: Manifest) -> Condition | None:
    """What is said of a definition in one of Kubernetes' own groups."""
    if not definition["spec"]["group"].endswith(PROTECTED):
        return None
    text = (definition["metadata"].get("annotations") or {}).get(APPROVED, "")
    kind = "KubernetesAPIApprovalPolicyConformant"
    if text.startswith("unapproved"):
        reason, message = "UnapprovedAnnotation", f'not approved: "{text}"'
        return {"type": kind, "status": "False", "reason": reason, "message": message}
    return {"type": kind, "status": "True", "reason": "ApprovedAnnotation", "message": f"approved in {text}"}
