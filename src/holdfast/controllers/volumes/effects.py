"""What provisioning and reclaiming do beyond the API: work on a volume's directory, as data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Plan

Operation = Literal[
    "create", "create_sized", "fill", "discard", "settle", "grow", "remove", "empty", "cut", "cut_together", "look"
]


@dataclass(frozen=True, slots=True)
class DirectoryWork:
    """One operation on a directory, and what follows."""

    operation: Operation
    path: str
    done: Plan
    failed: Callable[[str], Plan]
    """From the error's text to what follows then."""
    arguments: tuple[Any, ...] = ()
    """What the operation wants to know beside the path."""
    done_by: Callable[[Any], Plan] | None = None
    """What follows where that depends on what the operation returns; in place of `done`."""
    settles: bool = False
    """Whether the API knows of the directory once `done` is done."""


@dataclass(frozen=True, slots=True)
class ShareWork:
    """One operation on an NFS server's export, and what follows."""

    server: str
    path: str
    options: tuple[str, ...]
    """Of mount."""
    deadline_s: float
    done: Plan
    failed: Callable[[str], Plan]
    operation: str = "empty"
    """That, or one of `holdfast.nfs.share`."""
    arguments: tuple[str, ...] = ()
    done_by: Callable[[Any], Plan] | None = None
    """What follows where that depends on what the operation returns; in place of `done`."""
    settles: str = ""
    """What the API knows of once `done` is done: the volume's path, if it were a directory of this machine."""
    remains: str = ""
    """What is written down until then, for whoever has to take away what nobody wants."""


@dataclass(frozen=True, slots=True)
class Work:
    """API calls first, then the directory, then what its outcome asks for; all about `subject`."""

    subject: Manifest
    before: Plan
    directory: DirectoryWork | ShareWork | None = None


@dataclass(frozen=True, slots=True)
class Backing:
    """What a new volume is made of."""

    is_sized: bool = False
    """An image of the volume's size; else a plain directory, as large as the disk."""
    why_not: str = ""
    """What keeps this machine from the former, where that has to be told."""
    refusal: str = ""
    """Why there can be no volume at all now."""


DIRECTORY = Backing()


@dataclass(frozen=True, slots=True)
class Cut:
    """A snapshot that is there."""

    size_bytes: int
    """The least a volume that is restored from it must have; 0 of a directory."""
    created_ns: int
    """When, since 1970."""


class VolumeDirectories(Protocol):
    """Directories of local volumes. Every call is idempotent and raises OSError with the reason.

    A directory is unsettled from before it is made until `settle`: were everything to end in between, nobody else
    would know of it.
    """

    async def backing(self, size_bytes: int) -> Backing:
        """What a new volume of that size is to be made of here. Raises nothing."""

    async def create(self, path: str) -> None:
        """Makes the directory, writable for everyone (V44)."""

    async def create_sized(self, path: str, size_bytes: int, is_device: bool = False) -> None:
        """Makes the directory and in it an image of a volume of that size, with a file system or for pods' devices."""

    async def is_image(self, path: str) -> bool:
        """Whether the volume or snapshot there is an image."""

    async def fill(self, path: str, source: str, size_bytes: int, is_device: bool = False) -> None:
        """Makes the directory as `create` or `create_sized` do, with what a volume or a snapshot holds (V121, V122)."""

    async def cut(self, path: str, source: str, of_image: bool) -> Cut:
        """Takes a snapshot of a volume; one that is there is told of (V124)."""

    async def cut_together(self, path: str, group: str, members: Sequence[tuple[str, str]]) -> Cut:
        """Takes snapshots of several volumes at one moment, all or none, and tells of the one at `path`.

        Members are (handle, volume's directory). Volumes must have a size.
        """

    async def look(self, path: str) -> Cut:
        """Tells of a snapshot that is there."""

    async def grow(self, path: str, size_bytes: int) -> bool:
        """Makes an image larger; whether its file system is, too. If not, its node makes it grow (V66)."""

    async def discard(self, path: str) -> None:
        """Removes what was made and never used; what has been used stays (V134)."""

    async def settle(self, path: str) -> None:
        """The API knows of the directory now, or it is gone again."""

    def is_unsettled(self, path: str) -> bool:
        """Whether it may be that only we know of the directory. Never waits."""

    def remains(self, path: str) -> str:
        """What was written down of an unsettled one that is not of this machine. Never waits."""

    def unsettled(self, root: str) -> list[str]:
        """The names below `root` of which only we may know. Never waits."""

    async def remove(self, path: str) -> None:
        """Removes the directory and what is in it; its absence counts as success.

        Never follows a symbolic link, never descends into a mount: it refuses instead (N201, V136).
        """

    async def empty(self, path: str, deadline_s: float) -> None:
        """Removes what is in the directory and keeps the directory itself, its mode and owner (V141).

        TimeoutError if the deadline passes; nothing is removed any more then.
        """

    async def on_share(self, work: ShareWork) -> Any:
        """Does work on an export: to empty it keeps its root (V55, V57). TimeoutError if the deadline passes."""
