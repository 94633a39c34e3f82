"""What checkers see: one change after another, and what they may know beside it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from holdfast.api.resource import Manifest

from .past import Past

USER = "user"
"""Who makes the scenario's own calls."""


class InvariantBroken(AssertionError):
    """A guarantee of holdfast did not hold."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One change: the object before and after; None where there is none."""

    at_s: float
    old: Manifest | None
    new: Manifest | None
    by: str = ""
    """Whose doing it is: a controller's name, `user`, an agent's or the server's own task."""
    revision: int = 0

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

    @property
    def starts_to_go(self) -> bool:
        """Whether the object was asked to go by this change, or went at once."""
        was_going = self.old is None or "deletionTimestamp" in self.old["metadata"]
        return not was_going and (self.new is None or "deletionTimestamp" in self.new["metadata"])


@dataclass(slots=True)
class Facts:
    """What checkers may know beside the changes."""

    running: Callable[[str], Iterable[str]]
    """Uids of the pods of one identity, `namespace/name`, that run on any machine, by the machines' own word."""
    oldest: Callable[[str], int] = lambda kind: 0
    """The oldest revision at which whoever decided on the present change may have seen the objects of a kind."""
    acting_s: float = 0.0
    """The longest between a decision and what it leads to."""
    past: Past = field(default_factory=Past)
    """The world as it was before the present change."""
    by_user: set[str] = field(default_factory=set)
    """Uids of objects that the scenario itself deleted."""
    by_force: set[str] = field(default_factory=set)
    """Those of them that were deleted without waiting for their containers to end, at the user's risk (S117)."""
