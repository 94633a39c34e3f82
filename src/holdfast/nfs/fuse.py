"""The kernel's FUSE protocol (Linux include/uapi/linux/fuse.h, 7.31 and later): requests read, answers written.

A program that waits for an answer can be ended only if it gets one: where it was killed, EINTR is answered at once
and what it asked for goes on without it. Other signals do not cut an operation short, as on an NFS mount.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from .attributes import FILE_TYPES, Attributes
from .callers import is_ended

log = logging.getLogger(__name__)

LOOKUP, FORGET, GETATTR, SETATTR, READLINK, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR = 1, 2, 3, 4, 5, 6, 8, 9, 10, 11
RENAME, LINK, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC = 12, 13, 14, 15, 16, 17, 18, 20
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR = 25, 26, 27, 28, 29, 30
ACCESS, CREATE, INTERRUPT, DESTROY, BATCH_FORGET, RENAME2 = 34, 35, 36, 38, 42, 45

_MAJOR, _MINOR = 7, 31
_ASYNC_READ, _BIG_WRITES, _AUTO_INVALIDATE, _PARALLEL, _MAX_PAGES = 1 << 0, 1 << 5, 1 << 12, 1 << 18, 1 << 22
_FEATURES = _ASYNC_READ | _BIG_WRITES | _AUTO_INVALIDATE | _PARALLEL | _MAX_PAGES
_INVALIDATE_INODE = 2
KEEP_CACHE = 1 << 1

MOST_DATA_BYTES = 1 << 20
_BUFFER_BYTES = MOST_DATA_BYTES + 65536
_BACKGROUND = 64
_BATCH = 32
_LOOK_AGAIN_S = 0.1

_IN = struct.Struct("=IIQQIIIHH")
_OUT = struct.Struct("=IiQ")
_ATTRIBUTES = struct.Struct("=QQQQQQIIIIIIIIII")


@dataclass(frozen=True, slots=True)
class Request:
    unique: int
    opcode: int
    node: int
    uid: int
    gid: int
    pid: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    data: bytes = b""
    undo: Callable[[], Awaitable[None] | None] | None = None
    """What is to be taken back if the kernel does not want the answer any more."""


Handler = Callable[[Request], Awaitable[Reply]]
Forget = Callable[[int, int], None]


class Kernel:
    """One connection with the kernel: `descriptor` is an open, non-blocking /dev/fuse that is mounted."""

    def __init__(self, descriptor: int, handlers: Mapping[int, Handler], forget: Forget) -> None:
        """`forget` is told of a node and how many of its look-ups the kernel has dropped."""
        self._descriptor = descriptor
        self._handlers = handlers
        self._forget = forget
        self._buffer = bytearray(_BUFFER_BYTES)
        self._answering: dict[int, asyncio.Task[None]] = {}
        self._asking: dict[int, int] = {}
        """The pids of those that wait for an answer, by request."""
        self._interrupted: dict[int, int] = {}
        self._watching: asyncio.Task[None] | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.greeted = asyncio.Event()
        """Set once the kernel has said hello."""

    async def serve(self) -> None:
        """Until the file system is unmounted everywhere. Raises OSError if the connection breaks."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._descriptor, self._readable)
        try:
            await self._ended
        finally:
            loop.remove_reader(self._descriptor)
            if self._watching is not None:
                self._watching.cancel()

    async def settle(self, within_s: float) -> None:
        """Gives what is under way the time to end."""
        if self._answering:
            await asyncio.wait(self._answering.values(), timeout=within_s)

    def invalidate(self, node: int) -> None:
        """The kernel is to ask for the attributes again. Its pages stay: to drop them here could wait for ourselves."""
        payload = struct.pack("=Qqq", node, -1, 0)
        with contextlib.suppress(OSError):  # ENOENT: the kernel does not know it any more
            os.write(self._descriptor, _OUT.pack(16 + len(payload), _INVALIDATE_INODE, 0) + payload)

    def _readable(self) -> None:
        for _ in range(_BATCH):
            try:
                length = os.readv(self._descriptor, [self._buffer])
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EINTR, errno.ENOENT):
                    continue
                self.end(None if error.errno == errno.ENODEV else error)
                return
            if length == 0:
                self.end()
                return
            self._take(length)

    def end(self, error: OSError | None = None) -> None:
        """`serve` returns, or raises `error`."""
        if self._ended.done():
            return
        asyncio.get_running_loop().remove_reader(self._descriptor)
        if error is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(error)

    def _take(self, length: int) -> None:
        _, opcode, unique, node, uid, gid, pid, _, _ = _IN.unpack_from(self._buffer)
        request = Request(unique, opcode, node, uid, gid, pid, bytes(memoryview(self._buffer)[_IN.size : length]))
        if opcode == FORGET:
            self._forget(node, struct.unpack_from("=Q", request.body)[0])
        elif opcode == BATCH_FORGET:
            count = struct.unpack_from("=I", request.body)[0]
            for position in range(count):
                self._forget(*struct.unpack_from("=QQ", request.body, 8 + 16 * position))
        elif opcode == INTERRUPT:
            self._interrupt(struct.unpack_from("=Q", request.body)[0])
        elif opcode == INIT:
            self._init(request)
        elif opcode == DESTROY:
            self._answer(unique, 0, b"")
        else:
            task = asyncio.create_task(self._handle(request))
            self._answering[unique] = task
            self._asking[unique] = pid

    async def _handle(self, request: Request) -> None:
        number, reply = 0, Reply()
        handler = self._handlers.get(request.opcode)
        try:
            if handler is None:
                number = errno.ENOSYS
            else:
                reply = await handler(request)
        except OSError as error:
            number = error.errno or errno.EIO
        except Exception:
            log.exception("a request failed opcode=%s", request.opcode)
            number = errno.EIO
        self._answering.pop(request.unique, None)
        self._interrupted.pop(request.unique, None)
        is_wanted = self._asking.pop(request.unique, None) is not None
        if is_wanted and self._answer(request.unique, number, reply.data):
            return
        if reply.undo is not None and (undoing := reply.undo()) is not None:
            with contextlib.suppress(OSError):
                await undoing

    def _answer(self, unique: int, number: int, data: bytes) -> bool:
        """Whether the kernel took it."""
        body = b"" if number else data
        try:
            os.writev(self._descriptor, [_OUT.pack(_OUT.size + len(body), -number, unique), body])
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                log.warning("an answer was not taken error=%s", error)
            return False
        return True

    # -- signals ----------------------------------------------------------------------------------

    def _interrupt(self, unique: int) -> None:
        if unique not in self._asking:
            return
        self._interrupted[unique] = self._asking[unique]
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        """The kernel tells of the first signal only; whether the program has been killed is seen by looking."""
        while self._interrupted:
            for unique, pid in list(self._interrupted.items()):
                if is_ended(pid):
                    del self._interrupted[unique]
                    self._asking.pop(unique, None)
                    self._answer(unique, errno.EINTR, b"")
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _init(self, request: Request) -> None:
        major, minor, read_ahead, features = struct.unpack_from("=IIII", request.body)
        if (major, minor) < (_MAJOR, 23):
            self._answer(request.unique, errno.EPROTO, b"")
            return
        pages = MOST_DATA_BYTES // os.sysconf("SC_PAGESIZE")
        data = struct.pack(
            "=IIIIHHIIHHI28x",
            *(_MAJOR, _MINOR, read_ahead, features & _FEATURES),
            *(_BACKGROUND, _BACKGROUND * 3 // 4, MOST_DATA_BYTES, 1, pages, 0, 0),
        )
        self._answer(request.unique, 0, data)
        self.greeted.set()


def names(body: bytes, offset: int = 0) -> list[str]:
    """The names, each ended by a zero byte, that a request closes with."""
    return [os.fsdecode(name) for name in body[offset:].split(b"\0")[:-1]]


def inode_number(found: Attributes, root: tuple[int, int]) -> int:
    """Unique in the mount, though the export may hold several of the server's file systems."""
    if found.fsid == root:
        return found.fileid
    return found.fileid ^ hash(found.fsid) & 0xFFFFFFFFFFFFFFFF


def file_attributes(found: Attributes, number: int, size: int | None = None) -> bytes:
    """fuse_attr."""
    major, minor = found.device
    device = minor & 0xFF | major << 8 | (minor & ~0xFF) << 12
    times = (found.accessed_ns, found.modified_ns, found.changed_ns)
    return _ATTRIBUTES.pack(
        number,
        found.size if size is None else size,
        -(-found.used_bytes // 512),
        *(time // 10**9 & 0xFFFFFFFFFFFFFFFF for time in times),
        *(time % 10**9 for time in times),
        FILE_TYPES.get(found.type, stat.S_IFREG) | found.mode,
        found.links,
        found.uid,
        found.gid,
        device & 0xFFFFFFFF,
        4096,
        0,
    )


def _valid(seconds: float) -> tuple[int, int]:
    return int(seconds), int(seconds % 1 * 10**9)


def entry(node: int, attributes: bytes, name_valid_s: float, valid_s: float) -> bytes:
    """fuse_entry_out: name and attributes are good for so many seconds."""
    (name_s, name_ns), (whole_s, rest_ns) = _valid(name_valid_s), _valid(valid_s)
    return struct.pack("=QQQQII", node, 0, name_s, whole_s, name_ns, rest_ns) + attributes


def attributes_reply(attributes: bytes, valid_s: float) -> bytes:
    whole, rest = _valid(valid_s)
    return struct.pack("=QII", whole, rest, 0) + attributes


def opened(handle: int, flags: int = 0) -> bytes:
    return struct.pack("=QIi", handle, flags, 0)


def directory_entry(number: int, offset: int, type: int, name: str) -> bytes:
    raw = name.encode("utf-8", "surrogateescape")
    kind = FILE_TYPES.get(type, 0) >> 12
    return struct.pack("=QQII", number, offset, len(raw), kind) + raw + bytes(-len(raw) % 8)
