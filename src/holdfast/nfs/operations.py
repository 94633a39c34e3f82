"""The operations of NFS 4.1 that a file system needs (RFC 8881 section 18), as they look on the wire."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from . import attributes
from .attributes import Wanted
from .session import Operation
from .xdr import Garbled, Reader, bitmap, opaque, u32, u64

ANONYMOUS = bytes(16)
"""The state of a file nobody has opened: reading and writing ask for the caller's permission each time."""
_CURRENT = u32(1) + bytes(12)
_SHARE_WRITE_UNDELEGATED = 2 | 0x400

UNSTABLE, FILE_SYNC = 0, 2
MAY_READ, MAY_LOOKUP, MAY_MODIFY, MAY_EXTEND, MAY_DELETE, MAY_EXECUTE = 1, 2, 4, 8, 16, 32


@dataclass(frozen=True, slots=True)
class Entry:
    """One name in a directory."""

    cookie: int
    name: str
    fileid: int
    type: int


@dataclass(frozen=True, slots=True)
class Written:
    count: int
    is_stable: bool
    verifier: bytes
    """Changes when the server may have lost what it had not yet committed."""


def _nothing(reader: Reader) -> None:
    return None


def _changed(reader: Reader) -> None:
    reader.u32()
    reader.u64()
    reader.u64()


def put_root() -> Operation:
    return Operation(24, b"", _nothing)


def put(handle: bytes) -> Operation:
    return Operation(22, opaque(handle), _nothing)


def save() -> Operation:
    return Operation(32, b"", _nothing)


def get_handle() -> Operation:
    return Operation(10, b"", Reader.opaque)


def lookup(name: str) -> Operation:
    return Operation(15, opaque(name), _nothing)


def get_attributes(bits: Sequence[int] = attributes.OF_FILES) -> Operation:
    return Operation(9, bitmap(bits), attributes.read)


def access(wanted: int) -> Operation:
    def parse(reader: Reader) -> int:
        reader.u32()
        return reader.u32()

    return Operation(3, u32(wanted), parse)


def set_attributes(wanted: Wanted) -> Operation:
    return Operation(34, ANONYMOUS + wanted.encode(), Reader.bitmap)


def read(offset: int, count: int) -> Operation:
    """Whether that was the end of the file, and the data."""

    def parse(reader: Reader) -> tuple[bool, bytes]:
        return bool(reader.u32()), reader.opaque()

    return Operation(25, ANONYMOUS + u64(offset) + u32(count), parse)


def write(offset: int, data: bytes, stable: int) -> Operation:
    def parse(reader: Reader) -> Written:
        return Written(reader.u32(), reader.u32() == FILE_SYNC, reader.fixed(8))

    return Operation(38, ANONYMOUS + u64(offset) + u32(stable) + opaque(data), parse)


def commit() -> Operation:
    return Operation(5, u64(0) + u32(0), lambda reader: reader.fixed(8))


def read_link() -> Operation:
    return Operation(27, b"", Reader.opaque)


def read_directory(cookie: int, verifier: bytes, most_bytes: int) -> Operation:
    def parse(reader: Reader) -> tuple[bytes, list[Entry], bool]:
        verifier, entries = reader.fixed(8), []
        while reader.u32():
            cookie, name, found = reader.u64(), reader.text(), attributes.read(reader)
            entries.append(Entry(cookie, name, found.fileid, found.type))
        return verifier, entries, bool(reader.u32())

    arguments = u64(cookie) + verifier + u32(most_bytes) + u32(most_bytes) + bitmap(attributes.OF_ENTRIES)
    return Operation(26, arguments, parse)


def open_to_create(name: str, wanted: Wanted, *, exclusive: bool) -> Operation:
    """Makes a regular file, or finds it unless `exclusive`; closed again by `close_current` in the same compound."""
    owner = u64(0) + opaque(os.urandom(8))
    how = u32(1) + u32(1 if exclusive else 0) + wanted.encode()
    claim = u32(0) + opaque(name)
    return Operation(18, u32(0) + u32(_SHARE_WRITE_UNDELEGATED) + u32(0) + owner + how + claim, _opened)


def _opened(reader: Reader) -> None:
    reader.fixed(16)
    _changed(reader)
    reader.u32()
    reader.bitmap()
    delegation = reader.u32()
    if delegation == 3 and reader.u32() in (1, 2):  # none, and why not
        reader.u32()
    elif delegation in (1, 2):
        raise Garbled("a delegation that was not wanted")


def close_current() -> Operation:
    """Of the file that the compound has opened."""
    return Operation(4, u32(0) + _CURRENT, lambda reader: reader.fixed(16))


def create(name: str, type: int, wanted: Wanted, *, target: str = "", device: tuple[int, int] = (0, 0)) -> Operation:
    """Anything but a regular file."""
    kind = u32(type)
    if type == attributes.LINK:
        kind += opaque(target)
    elif type in (attributes.BLOCK, attributes.CHARACTER):
        kind += u32(device[0]) + u32(device[1])

    def parse(reader: Reader) -> None:
        _changed(reader)
        reader.bitmap()

    return Operation(6, kind + opaque(name) + wanted.encode(), parse)


def remove(name: str) -> Operation:
    return Operation(28, opaque(name), _changed)


def rename(old: str, new: str) -> Operation:
    """From the saved directory to the current one."""

    def parse(reader: Reader) -> None:
        _changed(reader)
        _changed(reader)

    return Operation(29, opaque(old) + opaque(new), parse)


def link(name: str) -> Operation:
    """The saved file under a name in the current directory."""
    return Operation(11, opaque(name), _changed)


def attributes_of(handle: bytes) -> tuple[Operation, Operation]:
    return put(handle), get_attributes()
