"""What provisioning and reclaiming do beyond the API: work on a volume's directory, as data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Plan


@dataclass(frozen=True, slots=True)
class DirectoryWork:
    """One operation on a directory, and what follows."""

    operation: Literal["create", "remove", "empty"]
    path: str
    done: Plan
    failed: Callable[[str], Plan]
    """From the error's text to what follows then."""


@dataclass(frozen=True, slots=True)
class ShareWork:
    """An NFS server's export to be emptied (V55), and what follows."""

    server: str
    path: str
    options: tuple[str, ...]
    """Of mount."""
    deadline_s: float
    done: Plan
    failed: Callable[[str], Plan]


@dataclass(frozen=True, slots=True)
class Work:
    """API calls first, then the directory, then what its outcome asks for; all about `subject`."""

    subject: Manifest
    before: Plan
    directory: DirectoryWork | ShareWork | None = None


class VolumeDirectories(Protocol):
    """Directories of local volumes. Every call is idempotent and raises OSError with the reason."""

    async def create(self, path: str) -> None:
        """Makes the directory, writable for everyone (V44)."""

    async def remove(self, path: str) -> None:
        """Removes the directory and what is in it; its absence counts as success.

        Never follows a symbolic link, never descends into a mount: it refuses instead (N201, V136).
        """

    async def empty(self, path: str) -> None:
        """Removes what is in the directory and keeps the directory itself, its mode and owner (V141)."""

    async def empty_share(self, work: ShareWork) -> None:
        """Removes what is in the export and keeps its root (V55, V57). TimeoutError if the deadline passes."""
