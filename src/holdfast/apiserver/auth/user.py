"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass

MASTERS = "system:masters"
NODES, NODE = "system:nodes", "system:node:"
AUTHENTICATED, UNAUTHENTICATED = "system:authenticated", "system:unauthenticated"


@dataclass(frozen=True, slots=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """What else is known of the user, by key."""

    @property
    def is_master(self) -> bool:
        """Allowed everything, before any rule is looked at (A225)."""
        return MASTERS in self.groups

    @property
    def node_name(self) -> str:
        """The node whose agent this is; empty for anybody else."""
        return self.name.removeprefix(NODE) if NODES in self.groups and self.name.startswith(NODE) else ""


ANONYMOUS = User("system:anonymous", (UNAUTHENTICATED,))


def component(name: str) -> User:
    """A part of the control plane, calling from within the process."""
    return User(f"system:{name}", (MASTERS, AUTHENTICATED))
