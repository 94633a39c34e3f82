"""Files of an NFS server by their handles, a compound for each thing a file system is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import attributes, operations
from .attributes import Attributes, Wanted
from .operations import Entry, Written
from .rpc import Credentials
from .session import Operation, Session

_MOST_DIRECTORY_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class File:
    handle: bytes
    attributes: Attributes


class Client:
    """Every call raises NfsError, an OSError with what a program is to see."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def root(self, path: str, credentials: Credentials) -> File:
        """The file at an absolute path of the server."""
        names = [name for name in path.split("/") if name not in ("", ".")]
        steps = (operations.put_root(), *map(operations.lookup, names))
        *_, handle, found = await self._call(credentials, *steps, *_WHICH)
        return File(handle, found)

    async def limits(self, handle: bytes, credentials: Credentials) -> tuple[int, int]:
        """The most bytes of one read and one write."""
        step = operations.get_attributes(attributes.OF_LIMITS)
        numbers = (await self._on(handle, credentials, step)).numbers
        most_read = min(numbers.get(attributes.MOST_READ) or 1 << 20, self._session.most_received_bytes)
        most_written = min(numbers.get(attributes.MOST_WRITE) or 1 << 20, self._session.most_sent_bytes)
        return most_read, most_written

    async def lookup(self, directory: bytes, name: str, credentials: Credentials) -> File:
        *_, handle, found = await self._call(credentials, operations.put(directory), operations.lookup(name), *_WHICH)
        return File(handle, found)

    async def attributes(self, handle: bytes, credentials: Credentials) -> Attributes:
        found: Attributes = await self._on(handle, credentials, operations.get_attributes())
        return found

    async def access(self, handle: bytes, wanted: int, credentials: Credentials) -> tuple[int, Attributes]:
        """Which of the wanted rights the caller has; a mask of `operations.MAY_...`."""
        _, allowed, found = await self._call(
            credentials, operations.put(handle), operations.access(wanted), operations.get_attributes()
        )
        return int(allowed), found

    async def set_attributes(self, handle: bytes, wanted: Wanted, credentials: Credentials) -> Attributes:
        _, _, found = await self._call(
            credentials,
            operations.put(handle),
            operations.set_attributes(wanted),
            operations.get_attributes(),
        )
        return found  # type: ignore[no-any-return]

    async def read(self, handle: bytes, offset: int, count: int, credentials: Credentials) -> bytes:
        """Fewer bytes only at the end of the file."""
        is_end, data = await self._on(handle, credentials, operations.read(offset, count))
        while data and not is_end and len(data) < count:
            step = operations.read(offset + len(data), count - len(data))
            is_end, more = await self._on(handle, credentials, step)
            if not more:
                break
            data += more
        return data  # type: ignore[no-any-return]

    async def write(
        self, handle: bytes, offset: int, data: bytes, credentials: Credentials, *, stable: bool = False
    ) -> Written:
        how = operations.FILE_SYNC if stable else operations.UNSTABLE
        written: Written = await self._on(handle, credentials, operations.write(offset, data, how))
        return written

    async def commit(self, handle: bytes, credentials: Credentials) -> bytes:
        """What was written is on the server's disk; the verifier under which."""
        verifier: bytes = await self._on(handle, credentials, operations.commit())
        return verifier

    async def read_link(self, handle: bytes, credentials: Credentials) -> bytes:
        target: bytes = await self._on(handle, credentials, operations.read_link())
        return target

    async def read_directory(
        self, handle: bytes, cookie: int, verifier: bytes, credentials: Credentials
    ) -> tuple[bytes, Sequence[Entry], bool]:
        """The entries behind the cookie (0: from the start), the verifier for the next call, whether that was all."""
        most = min(_MOST_DIRECTORY_BYTES, self._session.most_received_bytes)
        found: tuple[bytes, Sequence[Entry], bool] = await self._on(
            handle, credentials, operations.read_directory(cookie, verifier, most)
        )
        return found

    async def create_file(
        self, directory: bytes, name: str, mode: int, credentials: Credentials, *, exclusive: bool
    ) -> File:
        step = operations.open_to_create(name, Wanted(mode=mode), exclusive=exclusive)
        _, _, handle, found, _ = await self._call(
            credentials, operations.put(directory), step, *_WHICH, operations.close_current(), once=True
        )
        return File(handle, found)

    async def create(
        self,
        directory: bytes,
        name: str,
        type: int,
        wanted: Wanted,
        credentials: Credentials,
        *,
        target: str = "",
        device: tuple[int, int] = (0, 0),
    ) -> File:
        """A directory, symbolic link or special file."""
        step = operations.create(name, type, wanted, target=target, device=device)
        _, _, handle, found = await self._call(credentials, operations.put(directory), step, *_WHICH, once=True)
        return File(handle, found)

    async def remove(self, directory: bytes, name: str, credentials: Credentials) -> None:
        await self._call(credentials, operations.put(directory), operations.remove(name), once=True)

    async def rename(self, old: bytes, old_name: str, new: bytes, new_name: str, credentials: Credentials) -> None:
        await self._call(
            credentials,
            operations.put(old),
            operations.save(),
            operations.put(new),
            operations.rename(old_name, new_name),
            once=True,
        )

    async def link(self, handle: bytes, directory: bytes, name: str, credentials: Credentials) -> Attributes:
        *_, found = await self._call(
            credentials,
            operations.put(handle),
            operations.save(),
            operations.put(directory),
            operations.link(name),
            *operations.attributes_of(handle),
            once=True,
        )
        return found  # type: ignore[no-any-return]

    async def space(self, handle: bytes, credentials: Credentials) -> Attributes:
        """`numbers` tells of the file system."""
        found: Attributes = await self._on(handle, credentials, operations.get_attributes(attributes.OF_FILE_SYSTEMS))
        return found

    async def _on(self, handle: bytes, credentials: Credentials, step: Operation) -> Any:
        _, result = await self._call(credentials, operations.put(handle), step)
        return result

    async def _call(self, credentials: Credentials, *steps: Operation, once: bool = False) -> list[Any]:
        return await self._session.call(steps, credentials, once=once)


_WHICH = (operations.get_handle(), operations.get_attributes())
