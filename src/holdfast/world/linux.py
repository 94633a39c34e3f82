"""The few Linux system calls that Python 3.11 has no function for: namespaces, mounts, confined opening.

Nothing here decides anything. Every function raises OSError as `os` would. Importing it is cheap and
works on any operating system; calling it needs Linux.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

Result = TypeVar("Result")

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MNT_FORCE = 1
MNT_DETACH = 2

_SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT, _SYS_OPENAT2 = 430, 431, 432, 437
_SET_FLAG, _SET_STRING, _CREATE, _CLOEXEC, _NOATIME = 0, 1, 6, 1, 0x10
_PR_SET_PDEATHSIG = 1
_KEEP_SIZE = 1
_RESOLVE_IN_ROOT = 0x10
_AT_FDCWD = -100
_NSFS_MAGIC = 0x6E736673

_libc: Any = None


def _call(name: str, *arguments: object) -> int:
    global _libc
    if _libc is None:
        _libc = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def unshare(flags: int) -> None:
    """The calling thread leaves the namespaces named by `flags` for new ones of its own."""
    _call("unshare", ctypes.c_int(flags))


def setns(descriptor: int, kind: int) -> None:
    """The calling thread joins the namespace behind `descriptor`."""
    _call("setns", ctypes.c_int(descriptor), ctypes.c_int(kind))


def die_with_parent() -> None:
    """The calling process is killed when the thread that started it ends; at once if it has ended already."""
    _call("prctl", ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal.SIGKILL))
    if os.getppid() == 1:
        os.kill(os.getpid(), signal.SIGKILL)


def sethostname(name: str) -> None:
    """Names the UTS namespace of the calling thread."""
    encoded = name.encode()
    _call("sethostname", encoded, ctypes.c_size_t(len(encoded)))


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    try:
        _call(
            "mount",
            source.encode(),
            os.fsencode(target),
            kind.encode() or None,
            ctypes.c_ulong(flags),
            options.encode() or None,
        )
    except OSError as error:
        raise OSError(error.errno, f"mount {kind or source} on {target}: {error.strerror}") from None


def unmount(target: str, flags: int = 0) -> None:
    try:
        _call("umount2", os.fsencode(target), ctypes.c_int(flags))
    except OSError as error:
        raise OSError(error.errno, f"unmount {target}: {error.strerror}") from None


def open_unmounted(source: str, kind: str, options: Sequence[str] = ()) -> int:
    """The root directory of a file system, without a place in anybody's namespace: it is let go of with the descriptor.

    Of one that is mounted already, it is the very same, with the options that it has. Linux 5.2.
    """
    context = _call("syscall", ctypes.c_long(_SYS_FSOPEN), kind.encode(), ctypes.c_uint(_CLOEXEC))
    try:
        flags = [(_SET_FLAG, option.encode(), None) for option in options]
        for command, key, value in ((_SET_STRING, b"source", os.fsencode(source)), *flags, (_CREATE, None, None)):
            numbers = (ctypes.c_long(_SYS_FSCONFIG), ctypes.c_int(context), ctypes.c_uint(command))
            _call("syscall", *numbers, key, value, ctypes.c_int(0))
        mounted = _call(
            "syscall",
            ctypes.c_long(_SYS_FSMOUNT),
            ctypes.c_int(context),
            ctypes.c_uint(_CLOEXEC),
            ctypes.c_uint(_NOATIME),
        )
    finally:
        os.close(context)
    try:
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=mounted)
    finally:
        os.close(mounted)


def is_at_least(major: int, minor: int) -> bool:
    """Whether the kernel is of that version or of a later one."""
    numbers = [int(number) for number in re.findall(r"\d+", os.uname().release)[:2]]
    return numbers >= [major, minor]


def filesystem_magic(path: str) -> int:
    """The `f_type` of statfs(2): which filesystem `path` is on."""
    buffer = ctypes.create_string_buffer(256)
    _call("statfs", os.fsencode(path), buffer)
    kind: int = struct.unpack_from("@l", buffer)[0]
    return kind


def syncfs(path: str) -> None:
    """Returns when all that was written to the filesystem of `path` so far is on disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _call("syncfs", ctypes.c_int(descriptor))
    finally:
        os.close(descriptor)


def reserve(descriptor: int, start: int, size: int) -> None:
    """Room on the disk for bytes that a file may have later; its size stays. What is reserved already is no matter."""
    _call("fallocate", ctypes.c_int(descriptor), ctypes.c_int(_KEEP_SIZE), ctypes.c_long(start), ctypes.c_long(size))


def is_pinned_namespace(path: str) -> bool:
    """Whether a namespace is mounted on `path`, keeping it alive without any process."""
    try:
        return filesystem_magic(path) == _NSFS_MAGIC
    except OSError:
        return False


def open_inside(root: str, path: str, flags: int = os.O_RDONLY) -> int:
    """A descriptor of `path` as a process whose root is `root` would find it; no link leads outside."""
    descriptor = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        how = struct.pack("=QQQ", flags | os.O_CLOEXEC, 0, _RESOLVE_IN_ROOT)
        return _call(
            "syscall",
            ctypes.c_long(_SYS_OPENAT2),
            ctypes.c_int(descriptor),
            os.fsencode(path),
            how,
            ctypes.c_size_t(len(how)),
        )
    finally:
        os.close(descriptor)


def in_new_thread(function: Callable[[], Result]) -> Result:
    """What `function` returns or raises, run in a thread that ends afterwards.

    For functions that change the thread's namespaces: such a thread must never return to a pool.
    """
    outcome: list[Result] = []
    failure: list[BaseException] = []

    def run() -> None:
        try:
            outcome.append(function())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="in-namespace")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


def in_network_namespace(path: str, function: Callable[[], Result]) -> Result:
    """What `function` returns, run inside the network namespace pinned at `path`."""

    def run() -> Result:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(descriptor, CLONE_NEWNET)
        finally:
            os.close(descriptor)
        return function()

    return in_new_thread(run)
