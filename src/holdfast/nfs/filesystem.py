"""The file system: what the kernel asks, done on the server as the program that asks. The server decides who may.

Locks are the kernel's own, so they hold between the programs of this machine.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Mapping

from . import attributes, fuse, operations, writing
from .attributes import NOW, Attributes, Wanted
from .callers import Callers
from .client import Client, File
from .errors import NfsError
from .fuse import Handler, Kernel, Reply, Request
from .nodes import Node, Nodes, Opened, OpenedDirectory
from .rpc import Credentials

_SIZE_IS_SET, _MODE_IS_SET, _UID_IS_SET, _GID_IS_SET = 8, 1, 2, 4
_ACCESSED_IS_SET, _MODIFIED_IS_SET, _ACCESSED_NOW, _MODIFIED_NOW = 16, 32, 128, 256
_SETATTR = struct.Struct("=IIQQQQQQIIIIIIII")
_BLOCK_BYTES = 4096
_TYPES = {bits: kind for kind, bits in attributes.FILE_TYPES.items()}


class FileSystem:
    """`attach` it to the kernel, whose requests `handlers` answer."""

    def __init__(self, client: Client, root: File, most_read: int, most_written: int, valid_s: float) -> None:
        """`valid_s` is how long names and attributes are believed before the server is asked again."""
        self._client = client
        self._most_read, self._most_written = most_read, most_written
        self._valid_s = valid_s
        self._callers = Callers()
        self._nodes = Nodes()
        self._nodes.add(root.handle, root.attributes)
        self._fsid = root.attributes.fsid
        self._files: dict[int, Opened] = {}
        self._directories: dict[int, OpenedDirectory] = {}
        self._last_handle = 0
        self._kernel: Kernel | None = None

    def attach(self, kernel: Kernel) -> None:
        self._kernel = kernel

    @property
    def handlers(self) -> Mapping[int, Handler]:
        return {
            fuse.LOOKUP: self._lookup,
            fuse.GETATTR: self._get_attributes,
            fuse.SETATTR: self._set_attributes,
            fuse.READLINK: self._read_link,
            fuse.SYMLINK: self._make_link,
            fuse.MKNOD: self._make_special,
            fuse.MKDIR: self._make_directory,
            fuse.UNLINK: self._remove_file,
            fuse.RMDIR: self._remove_directory,
            fuse.RENAME: self._rename,
            fuse.RENAME2: self._rename_with_flags,
            fuse.LINK: self._link,
            fuse.OPEN: self._open,
            fuse.READ: self._read,
            fuse.WRITE: self._write,
            fuse.STATFS: self._space,
            fuse.RELEASE: self._release,
            fuse.FLUSH: self._commit,
            fuse.FSYNC: self._commit,
            fuse.OPENDIR: self._open_directory,
            fuse.READDIR: self._read_directory,
            fuse.RELEASEDIR: self._release_directory,
            fuse.FSYNCDIR: self._nothing,
            fuse.ACCESS: self._access,
            fuse.CREATE: self._create,
        }

    def forget(self, node: int, lookups: int) -> None:
        self._nodes.forget(node, lookups)

    async def commit_all(self, credentials: Credentials) -> None:
        """Before the process ends. Raises OSError."""
        for node in self._nodes:
            await writing.commit(self._client, node, credentials)

    # -- names ------------------------------------------------------------------------------------

    async def _lookup(self, request: Request) -> Reply:
        directory = self._nodes[request.node]
        (name,) = fuse.names(request.body)
        return self._entry(await self._client.lookup(directory.handle, name, self._who(request)), directory)

    async def _make_directory(self, request: Request) -> Reply:
        (mode,) = struct.unpack_from("=I", request.body)
        return await self._make(request, 8, attributes.DIRECTORY, Wanted(mode=mode & 0o7777))

    async def _make_special(self, request: Request) -> Reply:
        mode, device = struct.unpack_from("=II", request.body)
        kind = _TYPES.get(stat.S_IFMT(mode) or stat.S_IFREG)
        if kind == attributes.REGULAR:
            (name,) = fuse.names(request.body, 16)
            directory = self._nodes[request.node]
            who = self._who(request)
            made = await self._client.create_file(directory.handle, name, mode & 0o7777, who, exclusive=True)
            return self._entry(made, directory)
        if kind is None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        numbers = (device >> 8 & 0xFFF, device & 0xFF | device >> 12 & 0xFFF00)
        return await self._make(request, 16, kind, Wanted(mode=mode & 0o7777), device=numbers)

    async def _make_link(self, request: Request) -> Reply:
        name, target = fuse.names(request.body)
        made = await self._client.create(
            self._nodes[request.node].handle,
            name,
            attributes.LINK,
            Wanted(mode=0o777),
            self._who(request),
            target=target,
        )
        return self._entry(made, self._nodes[request.node])

    async def _make(
        self, request: Request, offset: int, kind: int, wanted: Wanted, device: tuple[int, int] = (0, 0)
    ) -> Reply:
        (name,) = fuse.names(request.body, offset)
        directory = self._nodes[request.node]
        made = await self._client.create(directory.handle, name, kind, wanted, self._who(request), device=device)
        return self._entry(made, directory)

    async def _link(self, request: Request) -> Reply:
        (number,) = struct.unpack_from("=Q", request.body)
        (name,) = fuse.names(request.body, 8)
        node, directory = self._nodes[number], self._nodes[request.node]
        found = await self._client.link(node.handle, directory.handle, name, self._who(request))
        return self._entry(File(node.handle, found), directory)

    async def _remove_file(self, request: Request) -> Reply:
        (name,) = fuse.names(request.body)
        directory, who = self._nodes[request.node], self._who(request)
        if not await self._hide_if_open(directory.handle, name, who):
            await self._client.remove(directory.handle, name, who)
        return Reply()

    async def _remove_directory(self, request: Request) -> Reply:
        (name,) = fuse.names(request.body)
        await self._client.remove(self._nodes[request.node].handle, name, self._who(request))
        return Reply()

    async def _rename(self, request: Request) -> Reply:
        return await self._move(request, 8)

    async def _rename_with_flags(self, request: Request) -> Reply:
        if struct.unpack_from("=I", request.body, 8)[0]:  # RENAME_NOREPLACE, RENAME_EXCHANGE: NFS has no such thing
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return await self._move(request, 16)

    async def _move(self, request: Request, offset: int) -> Reply:
        (number,) = struct.unpack_from("=Q", request.body)
        old, new = fuse.names(request.body, offset)
        source, target, who = self._nodes[request.node], self._nodes[number], self._who(request)
        if self._files:
            await self._hide_if_open(target.handle, new, who, unless=(source.handle, old))
        await self._client.rename(source.handle, old, target.handle, new, who)
        return Reply()

    async def _hide_if_open(
        self, directory: bytes, name: str, who: Credentials, unless: tuple[bytes, str] | None = None
    ) -> bool:
        """A file that is removed while open stays readable: under a name of its own until it is closed.

        `unless` is the name of what is to take its place: if that is the same file, nothing is to be done.
        """
        if not self._files:
            return False
        try:
            found = await self._client.lookup(directory, name, who)
        except NfsError as error:
            if error.errno == errno.ENOENT:
                return False
            raise
        node = self._nodes.of(found.handle)
        if node is None or not node.opens or node.hidden or found.attributes.links > 1:
            return False
        if unless is not None and (await self._client.lookup(*unless, who)).handle == found.handle:
            return False
        hidden = f".nfs{found.attributes.fileid:016x}{os.urandom(4).hex()}"
        await self._client.rename(directory, name, directory, hidden, who)
        node.hidden = directory, hidden, who
        return True

    # -- attributes -------------------------------------------------------------------------------

    async def _get_attributes(self, request: Request) -> Reply:
        node = self._nodes[request.node]
        return self._attributes(node, await self._client.attributes(node.handle, self._who(request)))

    async def _set_attributes(self, request: Request) -> Reply:
        (valid, _, handle, size, _, accessed, modified, _, accessed_ns, modified_ns, _, mode, _, uid, gid, _) = (
            _SETATTR.unpack_from(request.body)
        )
        node, who = self._nodes[request.node], self._who(request)
        if valid & _SIZE_IS_SET:
            if valid & 64 and handle in self._files:  # FATTR_FH: truncated through an open file, as its opener
                who = self._files[handle].credentials
            await writing.commit(self._client, node, who)  # what is written again must not grow it again
        wanted = Wanted(
            size=size if valid & _SIZE_IS_SET else None,
            mode=mode & 0o7777 if valid & _MODE_IS_SET else None,
            uid=uid if valid & _UID_IS_SET else None,
            gid=gid if valid & _GID_IS_SET else None,
            accessed_ns=_time(valid & _ACCESSED_IS_SET, valid & _ACCESSED_NOW, accessed, accessed_ns),
            modified_ns=_time(valid & _MODIFIED_IS_SET, valid & _MODIFIED_NOW, modified, modified_ns),
        )
        return self._attributes(node, await self._client.set_attributes(node.handle, wanted, who))

    async def _access(self, request: Request) -> Reply:
        (mask,) = struct.unpack_from("=I", request.body)
        node = self._nodes[request.node]
        is_directory = node.attributes.type == attributes.DIRECTORY
        wanted = 0
        if mask & os.R_OK:
            wanted |= operations.MAY_READ
        if mask & os.W_OK:
            wanted |= operations.MAY_MODIFY | operations.MAY_EXTEND
        if mask & os.X_OK:
            wanted |= operations.MAY_LOOKUP if is_directory else operations.MAY_EXECUTE
        if wanted:
            await self._require(node, wanted, self._who(request))
        return Reply()

    async def _require(self, node: Node, wanted: int, who: Credentials) -> Attributes:
        allowed, found = await self._client.access(node.handle, wanted, who)
        if wanted & ~allowed:
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        return found

    async def _space(self, request: Request) -> Reply:
        numbers = (await self._client.space(self._nodes[request.node].handle, self._who(request))).numbers
        blocks = (
            numbers.get(bit, 0) // _BLOCK_BYTES
            for bit in (attributes.SPACE_TOTAL, attributes.SPACE_FREE, attributes.SPACE_AVAILABLE)
        )
        files = (numbers.get(bit, 0) for bit in (attributes.FILES_TOTAL, attributes.FILES_FREE))
        return Reply(struct.pack("=QQQQQIII28x", *blocks, *files, _BLOCK_BYTES, 255, _BLOCK_BYTES))

    async def _read_link(self, request: Request) -> Reply:
        return Reply(await self._client.read_link(self._nodes[request.node].handle, self._who(request)))

    # -- files ------------------------------------------------------------------------------------

    async def _open(self, request: Request) -> Reply:
        (flags,) = struct.unpack_from("=I", request.body)
        wanted = {
            os.O_RDONLY: operations.MAY_READ,
            os.O_WRONLY: operations.MAY_MODIFY | operations.MAY_EXTEND,
        }.get(flags & os.O_ACCMODE, operations.MAY_READ | operations.MAY_MODIFY | operations.MAY_EXTEND)
        node, who = self._nodes[request.node], self._who(request)
        found = await self._require(node, wanted, who)
        if found.change != node.attributes.change and self._kernel is not None:
            self._kernel.invalidate(node.number)  # what others wrote before this open is seen after it (V96)
        keep = fuse.KEEP_CACHE if found.change == node.cached_change else 0
        node.attributes, node.cached_change = found, found.change
        handle = self._file(node, who)
        return Reply(fuse.opened(handle, keep), lambda: self._close(handle))

    async def _create(self, request: Request) -> Reply:
        flags, mode = struct.unpack_from("=II", request.body)
        (name,) = fuse.names(request.body, 16)
        who, directory = self._who(request), self._nodes[request.node]
        made = await self._client.create_file(
            directory.handle, name, mode & 0o7777, who, exclusive=bool(flags & os.O_EXCL)
        )
        reply = self._entry(made, directory)
        node = self._nodes.of(made.handle)
        assert node is not None
        handle = self._file(node, who)

        async def undo() -> None:
            await self._close(handle)
            self._nodes.forget(node.number, 1)

        return Reply(reply.data + fuse.opened(handle), undo)

    async def _read(self, request: Request) -> Reply:
        handle, offset, size = struct.unpack_from("=QQI", request.body)
        opened = self._files[handle]
        data = b""
        while len(data) < size:
            count = min(size - len(data), self._most_read)
            piece = await self._client.read(opened.node.handle, offset + len(data), count, opened.credentials)
            data += piece
            if len(piece) < count:
                break
        return Reply(data)

    async def _write(self, request: Request) -> Reply:
        handle, offset, size = struct.unpack_from("=QQI", request.body)
        opened = self._files[handle]
        data = request.body[40 : 40 + size]
        await writing.write(self._client, opened.node, offset, data, self._most_written, opened.credentials)
        return Reply(struct.pack("=II", len(data), 0))

    async def _commit(self, request: Request) -> Reply:
        """At fsync, and at close: then an error can still be told."""
        (handle,) = struct.unpack_from("=Q", request.body)
        opened = self._files[handle]
        await writing.commit(self._client, opened.node, opened.credentials)
        return Reply()

    async def _release(self, request: Request) -> Reply:
        (handle,) = struct.unpack_from("=Q", request.body)
        await self._close(handle)
        return Reply()

    def _file(self, node: Node, who: Credentials) -> int:
        self._last_handle += 1
        self._files[self._last_handle] = Opened(node, who)
        node.opens += 1
        return self._last_handle

    async def _close(self, handle: int) -> None:
        opened = self._files.pop(handle)
        node = opened.node
        try:
            await writing.commit(self._client, node, opened.credentials)
        finally:
            node.opens -= 1
            if not node.opens and node.hidden is not None:
                directory, name, who = node.hidden
                node.hidden = None
                await self._client.remove(directory, name, who)
            self._nodes.forget(node.number, 0)

    # -- directories ------------------------------------------------------------------------------

    async def _open_directory(self, request: Request) -> Reply:
        node, who = self._nodes[request.node], self._who(request)
        await self._require(node, operations.MAY_READ, who)
        self._last_handle += 1
        handle = self._last_handle
        self._directories[handle] = OpenedDirectory(node, who)

        def undo() -> None:
            self._directories.pop(handle, None)

        return Reply(fuse.opened(handle), undo)

    async def _read_directory(self, request: Request) -> Reply:
        """The server never uses the cookies 1 and 2: here they stand for the directory itself and its parent."""
        handle, offset, size = struct.unpack_from("=QQI", request.body)
        opened = self._directories[handle]
        data = b""
        number = fuse.inode_number(opened.node.attributes, self._fsid)
        for position, name in ((1, "."), (2, "..")):
            if offset < position:
                data += fuse.directory_entry(number, position, attributes.DIRECTORY, name)
        cookie = 0 if offset <= 2 else offset
        if cookie != opened.position or (cookie == 0 and offset == 0):
            opened.read.clear()
            opened.position, opened.is_end = cookie, False
            if cookie == 0:
                opened.verifier = bytes(8)
        while True:
            if not opened.read:
                if opened.is_end:
                    break
                opened.verifier, entries, opened.is_end = await self._client.read_directory(
                    opened.node.handle, opened.position, opened.verifier, opened.credentials
                )
                opened.read.extend(entries)
                if not entries:
                    break
            entry = opened.read[0]
            encoded = fuse.directory_entry(entry.fileid, entry.cookie, entry.type, entry.name)
            if len(data) + len(encoded) > size:
                break
            opened.read.popleft()
            opened.position = entry.cookie
            data += encoded
        return Reply(data)

    async def _release_directory(self, request: Request) -> Reply:
        self._directories.pop(struct.unpack_from("=Q", request.body)[0], None)
        return Reply()

    # -- all of them ------------------------------------------------------------------------------

    async def _nothing(self, request: Request) -> Reply:
        return Reply()

    def _who(self, request: Request) -> Credentials:
        return self._callers.credentials(request.uid, request.gid, request.pid)

    def _entry(self, file: File, directory: Node) -> Reply:
        # Where not everybody may search, the server is asked for each program anew: the kernel would take the name
        # that one may look up for known to all.
        valid_s = self._valid_s if directory.attributes.mode & stat.S_IXOTH else 0.0
        node = self._nodes.add(file.handle, file.attributes)
        encoded = fuse.file_attributes(file.attributes, fuse.inode_number(file.attributes, self._fsid))

        def undo() -> None:
            self._nodes.forget(node.number, 1)

        return Reply(fuse.entry(node.number, encoded, valid_s, self._valid_s), undo)

    def _attributes(self, node: Node, found: Attributes) -> Reply:
        node.attributes = found
        encoded = fuse.file_attributes(found, fuse.inode_number(found, self._fsid))
        return Reply(fuse.attributes_reply(encoded, self._valid_s))


def _time(is_set: int, is_now: int, seconds: int, nanoseconds: int) -> int | None:
    if is_now:
        return NOW
    if not is_set:
        return None
    return (seconds - (1 << 64) if seconds >> 63 else seconds) * 10**9 + nanoseconds
