"""What a StatefulSet's annotations may ask for beyond upstream (docs/beyond.md). Without them nothing is different.

A value that cannot be understood is refused at the door: nobody but holdfast has a use for these names. One that is
stored already holds nothing up and counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.api import quantity
from holdfast.api.errors import FieldError, forbidden, invalid
from holdfast.api.resource import Manifest

from .stateful_set_marks import MARKS

PREFIX = "holdfast.dev/"
UNSTICK = f"{PREFIX}unstick-rollout"
PAUSED = f"{PREFIX}paused"
RESERVE_ORDINALS = f"{PREFIX}reserve-ordinals"
CLAIM_UPDATE_POLICY = f"{PREFIX}volume-claim-update-policy"
CONDITIONS = f"{PREFIX}conditions"
PROGRESS_DEADLINE = f"{PREFIX}progress-deadline-seconds"
PAUSED_REVISIONS = f"{PREFIX}paused-revisions"
"""Written by the controller: the revisions that pods had when the set was paused."""

IN_PLACE, ON_CLAIM_DELETE = "InPlace", "OnClaimDelete"

MOST_RESERVED = 1000
LARGEST_INT = 2**31 - 1
_RESERVED = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Beyond:
    """What one set asks for."""

    unsticks: bool = False
    """A pod of an outdated revision that is not ready is replaced, and not waited for."""
    is_paused: bool = False
    reserved: tuple[int, ...] = ()
    """Ordinals that get no pod, lowest first."""
    claim_update_policy: str = ""
    """`InPlace`, `OnClaimDelete`, or empty: the size in a claim template is fixed."""
    has_conditions: bool = False
    progress_deadline_s: int | None = None

    @property
    def grows_claims(self) -> bool:
        return self.claim_update_policy == IN_PLACE


def read(stateful_set: Manifest) -> Beyond:
    """What the set asks for; what cannot be understood counts as absent."""
    annotations = _annotations(stateful_set)
    asked = {}
    for name, (member, parse) in _READERS.items():
        if name in annotations:
            try:
                asked[member] = parse(annotations[name])
            except ValueError:
                continue
    if asked.get("progress_deadline_s") is not None:
        asked["has_conditions"] = True
    return Beyond(**asked)


def validate(stateful_set: Manifest, before: Manifest | None = None) -> Iterator[FieldError]:
    """What is wrong with the values; those that were so `before` are let be."""
    annotations, kept = _annotations(stateful_set), _annotations(before or {})
    for name, (_, parse) in _READERS.items():
        if name in annotations and annotations[name] != kept.get(name):
            try:
                parse(annotations[name])
            except ValueError as error:
                yield invalid(f"metadata.annotations[{name}]", annotations[name], str(error))


def warnings(stateful_set: Manifest) -> list[str]:
    """Of names below our prefix that mean nothing: they are misspelt, or from another version."""
    known = {*_READERS, PAUSED_REVISIONS, *MARKS}
    unknown = [name for name in _annotations(stateful_set) if name.startswith(PREFIX) and name not in known]
    return [f"metadata.annotations[{name}]: unknown, has no effect" for name in unknown]


def validate_claim_growth(new: Manifest, old: Manifest) -> Iterator[FieldError]:
    """What is wrong with the sizes of a set that may change them: they only grow."""
    for number, (now, then) in enumerate(_claim_pairs(new, old)):
        if _size(now) and _size(then) and quantity.compare(_size(now), _size(then)) < 0:
            field = f"spec.volumeClaimTemplates[{number}].spec.resources.requests.storage"
            yield forbidden(field, "field can not be less than previous value")


def with_sizes_of(old: Manifest, new: Manifest) -> Manifest:
    """The spec of `new` with the sizes that the claim templates of `old` have: to see what else is different."""
    claims = [_with_size(now, _size(then)) for now, then in _claim_pairs(new, old)]
    return {**new["spec"], "volumeClaimTemplates": claims} if claims else new["spec"]


def _claim_pairs(new: Manifest, old: Manifest) -> list[tuple[Manifest, Manifest]]:
    """The templates, new and old; none if there are not as many."""
    now, then = (one["spec"].get("volumeClaimTemplates") or () for one in (new, old))
    return [*zip(now, then, strict=True)] if len(now) == len(then) else []


def _size(claim: Manifest) -> str:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return str(requests.get("storage") or "")


def _with_size(claim: Manifest, size: str) -> Manifest:
    if not size or not _size(claim):
        return claim
    spec = claim["spec"]
    requests = {**spec["resources"]["requests"], "storage": size}
    return {**claim, "spec": {**spec, "resources": {**spec["resources"], "requests": requests}}}


def _annotations(stateful_set: Manifest) -> Mapping[str, str]:
    return (stateful_set.get("metadata") or {}).get("annotations") or {}


def _flag(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("must be 'true' or 'false'")
    return text == "true"


def _policy(text: str) -> str:
    if text not in (IN_PLACE, ON_CLAIM_DELETE):
        raise ValueError(f"must be '{IN_PLACE}' or '{ON_CLAIM_DELETE}'")
    return text


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= LARGEST_INT):
        raise ValueError("must be a number of seconds greater than 0")
    return int(text)


def _ordinals(text: str) -> tuple[int, ...]:
    """`1,3-5` as 1, 3, 4, 5."""
    ordinals: set[int] = set()
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = _RESERVED.fullmatch(part)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if not first <= last <= LARGEST_INT:
            raise ValueError("must be ordinals and ranges of them, such as '1,3-5'")
        if len(ordinals) + last - first >= MOST_RESERVED:
            raise ValueError(f"must name at most {MOST_RESERVED} ordinals")
        ordinals.update(range(first, last + 1))
    return tuple(sorted(ordinals))


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    UNSTICK: ("unsticks", _flag),
    PAUSED: ("is_paused", _flag),
    RESERVE_ORDINALS: ("reserved", _ordinals),
    CLAIM_UPDATE_POLICY: ("claim_update_policy", _policy),
    CONDITIONS: ("has_conditions", _flag),
    PROGRESS_DEADLINE: ("progress_deadline_s", _seconds),
}
"""Annotation to the member of `Beyond` and the reader of its value, which raises ValueError with what is wrong."""
