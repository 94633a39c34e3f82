"""File attributes of NFS 4 (RFC 8881 section 5): which are asked for, and how they look on the wire."""

from __future__ import annotations

import pwd
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .xdr import Garbled, Reader, bitmap, opaque, u32, u64

TYPE, CHANGE, SIZE, FSID, READDIR_ERROR, FILEID = 1, 3, 4, 8, 11, 20
FILES_AVAILABLE, FILES_FREE, FILES_TOTAL = 21, 22, 23
MOST_READ, MOST_WRITE = 30, 31
MODE, LINKS, OWNER, GROUP, DEVICE = 33, 35, 36, 37, 41
SPACE_AVAILABLE, SPACE_FREE, SPACE_TOTAL, SPACE_USED = 42, 43, 44, 45
ACCESSED, SET_ACCESSED, CHANGED, MODIFIED, SET_MODIFIED = 47, 48, 52, 53, 54

NOBODY = 65534
"""Who owns files of owners that have no number here."""

REGULAR, DIRECTORY, BLOCK, CHARACTER, LINK, SOCKET, FIFO = 1, 2, 3, 4, 5, 6, 7
FILE_TYPES = {
    REGULAR: 0o100000,
    DIRECTORY: 0o040000,
    BLOCK: 0o060000,
    CHARACTER: 0o020000,
    LINK: 0o120000,
    SOCKET: 0o140000,
    FIFO: 0o010000,
}
"""NFS's types, and the bits of st_mode."""

OF_FILES = (
    TYPE,
    CHANGE,
    SIZE,
    FSID,
    FILEID,
    MODE,
    LINKS,
    OWNER,
    GROUP,
    DEVICE,
    SPACE_USED,
    ACCESSED,
    CHANGED,
    MODIFIED,
)
OF_ENTRIES = (TYPE, READDIR_ERROR, FILEID)
OF_FILE_SYSTEMS = (FILES_AVAILABLE, FILES_FREE, FILES_TOTAL, SPACE_AVAILABLE, SPACE_FREE, SPACE_TOTAL)
OF_LIMITS = (FSID, MOST_READ, MOST_WRITE)

Nanoseconds = int


@dataclass(frozen=True, slots=True)
class Attributes:
    """Of one file, as far as the server told."""

    type: int = REGULAR
    change: int = 0
    """Differs whenever data or metadata have changed."""
    size: int = 0
    fsid: tuple[int, int] = (0, 0)
    fileid: int = 0
    mode: int = 0
    """Permission bits alone."""
    links: int = 1
    uid: int = NOBODY
    gid: int = NOBODY
    device: tuple[int, int] = (0, 0)
    used_bytes: int = 0
    accessed_ns: Nanoseconds = 0
    modified_ns: Nanoseconds = 0
    changed_ns: Nanoseconds = 0
    numbers: Mapping[int, int] = field(default_factory=dict)
    """Attributes that are plain numbers and not of files: sizes of file systems, limits."""


_NAMES = {
    TYPE: "type",
    CHANGE: "change",
    SIZE: "size",
    FSID: "fsid",
    FILEID: "fileid",
    MODE: "mode",
    LINKS: "links",
    OWNER: "uid",
    GROUP: "gid",
    DEVICE: "device",
    SPACE_USED: "used_bytes",
    ACCESSED: "accessed_ns",
    MODIFIED: "modified_ns",
    CHANGED: "changed_ns",
}


def read(reader: Reader) -> Attributes:
    """fattr4. Raises Garbled for an attribute that nobody asked for."""
    bits = reader.bitmap()
    values = Reader(reader.opaque())
    known: dict[str, Any] = {}
    numbers: dict[int, int] = {}
    for bit in bits:
        value = _value(bit, values)
        if bit in _NAMES:
            known[_NAMES[bit]] = value
        else:
            numbers[bit] = value
    return Attributes(**known, numbers=numbers)


def _value(bit: int, values: Reader) -> Any:
    if bit in (TYPE, MODE, LINKS, READDIR_ERROR):
        return values.u32()
    if bit in (OWNER, GROUP):
        return number_of(values.text(), is_group=bit == GROUP)
    if bit in (ACCESSED, CHANGED, MODIFIED):
        return values.i64() * 10**9 + values.u32()
    if bit == FSID:
        return values.u64(), values.u64()
    if bit == DEVICE:
        return values.u32(), values.u32()
    if bit in (CHANGE, SIZE, FILEID, SPACE_USED, MOST_READ, MOST_WRITE, *OF_FILE_SYSTEMS):
        return values.u64()
    raise Garbled(f"attribute {bit} was not asked for")


def number_of(owner: str, *, is_group: bool) -> int:
    """From `1000`, or `name@domain` where this machine knows the name; everybody else is nobody."""
    name = owner.partition("@")[0]
    if name.isascii() and name.isdigit():
        return int(name)
    try:
        if not is_group:
            return pwd.getpwnam(name).pw_uid
        import grp

        return grp.getgrnam(name).gr_gid
    except KeyError:
        return NOBODY


@dataclass(frozen=True, slots=True)
class Wanted:
    """Attributes to be set; None leaves one as it is. Times in nanoseconds, `NOW` for the server's clock."""

    size: int | None = None
    mode: int | None = None
    uid: int | None = None
    gid: int | None = None
    accessed_ns: Nanoseconds | None = None
    modified_ns: Nanoseconds | None = None

    def encode(self) -> bytes:
        values: dict[int, bytes] = {}
        if self.size is not None:
            values[SIZE] = u64(self.size)
        if self.mode is not None:
            values[MODE] = u32(self.mode)
        if self.uid is not None:
            values[OWNER] = opaque(str(self.uid))
        if self.gid is not None:
            values[GROUP] = opaque(str(self.gid))
        if self.accessed_ns is not None:
            values[SET_ACCESSED] = _time(self.accessed_ns)
        if self.modified_ns is not None:
            values[SET_MODIFIED] = _time(self.modified_ns)
        return bitmap(values) + opaque(b"".join(values[bit] for bit in sorted(values)))


NOW: Nanoseconds = -(1 << 62)


def _time(nanoseconds: Nanoseconds) -> bytes:
    if nanoseconds == NOW:
        return u32(0)
    seconds, rest = divmod(nanoseconds, 10**9)
    return u32(1) + u64(seconds) + u32(rest)
