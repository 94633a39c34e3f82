"""What the kernel knows of the file system: nodes with their handles on the server, and what is open."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from .attributes import Attributes
from .operations import Entry
from .rpc import Credentials

ROOT = 1


@dataclass(slots=True)
class Unwritten:
    """Data the server has, perhaps in memory only."""

    offset: int
    data: bytes
    verifier: bytes


@dataclass(slots=True)
class Node:
    number: int
    handle: bytes
    attributes: Attributes
    lookups: int = 0
    opens: int = 0
    cached_change: int | None = None
    """The file's change attribute when the kernel last began to cache its pages."""
    unwritten: list[Unwritten] = field(default_factory=list)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    committing: asyncio.Lock = field(default_factory=asyncio.Lock)
    hidden: tuple[bytes, str, Credentials] | None = None
    """Removed while open: directory and name it was put under, to be removed at the last close, by whom."""


@dataclass(slots=True)
class Opened:
    """An open file."""

    node: Node
    credentials: Credentials


@dataclass(slots=True)
class OpenedDirectory:
    node: Node
    credentials: Credentials
    verifier: bytes = bytes(8)
    read: deque[Entry] = field(default_factory=deque)
    """Read from the server, not yet given to the kernel."""
    position: int = 0
    """The cookie before the first of these."""
    is_end: bool = False


class Nodes:
    """Numbers are never used twice in a mount's life."""

    def __init__(self) -> None:
        self._by_number: dict[int, Node] = {}
        self._by_handle: dict[bytes, Node] = {}
        self._last = ROOT - 1

    def __getitem__(self, number: int) -> Node:
        return self._by_number[number]

    def __iter__(self) -> Iterator[Node]:
        return iter(list(self._by_number.values()))

    def add(self, handle: bytes, attributes: Attributes) -> Node:
        """The node of a file the kernel is about to be told of."""
        node = self._by_handle.get(handle)
        if node is None:
            self._last += 1
            node = Node(self._last, handle, attributes)
            self._by_number[node.number] = self._by_handle[handle] = node
        node.attributes = attributes
        node.lookups += 1
        return node

    def of(self, handle: bytes) -> Node | None:
        return self._by_handle.get(handle)

    def forget(self, number: int, lookups: int) -> None:
        node = self._by_number.get(number)
        if node is None or number == ROOT:
            return
        node.lookups -= lookups
        if node.lookups <= 0 and not node.opens and not node.unwritten:
            del self._by_number[number]
            self._by_handle.pop(node.handle, None)
