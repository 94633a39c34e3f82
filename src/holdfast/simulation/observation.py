"""What checkers see: one change after another, and a few facts beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from holdfast.api.resource import Manifest


class InvariantBroken(AssertionError):
    """A guarantee of holdfast did not hold."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One change: the object before and after; None where there is none."""

    at_s: float
    old: Manifest | None
    new: Manifest | None

    @property
    def manifest(self) -> Manifest:
        manifest = self.new or self.old
        assert manifest is not None
        return manifest

    @property
    def kind(self) -> str:
        return str(self.manifest["kind"])

    @property
    def key(self) -> str:
        metadata = self.manifest["metadata"]
        return f"{metadata.get('namespace', '')}/{metadata['name']}"


@dataclass(slots=True)
class Facts:
    """What checkers may know beside the changes."""

    lag_s: float
    """How old the view may be that a part acts on."""
    running: Callable[[str], Iterable[str]]
    """Uids of the pods of one identity, `namespace/name`, that run on any machine, by the machines' own word."""
    by_user: set[str] = field(default_factory=set)
    """Uids of objects that the scenario itself deleted."""
