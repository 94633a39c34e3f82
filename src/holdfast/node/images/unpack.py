"""One layer's tar stream into a directory that overlayfs can use as a lower layer (R117, R118).

The archive is not trusted: nothing is written, linked or followed outside the directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tarfile
from pathlib import Path

from holdfast.world import user_namespace

from .compression import CHUNK_BYTES, Source

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
BOOKKEEPING = ".wh..wh."
"""Other names that begin so are notes of the file system that made the layer."""
OPAQUE_ATTRIBUTE, OPAQUE_ATTRIBUTE_OF_USERS = "trusted.overlay.opaque", "user.overlay.opaque"
"""The second where overlays are mounted inside a user namespace."""
_XATTR = "SCHILY.xattr."
_NOT_FOR_IMAGES = ("trusted.overlay.", "user.overlay.")
"""Attributes by which overlayfs is told what to hide and where to look: ours to write."""


class BadLayer(Exception):
    """The layer is damaged, or would write outside its directory."""


def unpack(stream: Source, target: Path) -> int:
    """Unpacks an uncompressed tar stream into `target`; the size in bytes of its files. Raises BadLayer, OSError."""
    layer = _Layer(target)
    try:
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK_BYTES) as archive:  # type: ignore[call-overload]
            for member in archive:
                layer.add(archive, member)
    except (tarfile.TarError, EOFError) as error:
        raise BadLayer(f"the layer is not a whole tar archive: {error}") from error
    layer.finish()
    return layer.size_bytes


class _Layer:
    """A directory being filled."""

    def __init__(self, target: Path) -> None:
        self._target = target
        is_inside = user_namespace.is_inside()
        self._opaque_attribute = OPAQUE_ATTRIBUTE_OF_USERS if is_inside else OPAQUE_ATTRIBUTE
        self._checked: set[Path] = {target}
        self._directory_times: list[tuple[Path, float]] = []
        self.size_bytes = 0

    def add(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._inside(member.name)
        if path == self._target:
            self._set_attributes(path, member)
            return
        self._make_parents(path.parent)
        if path.name == OPAQUE:
            os.setxattr(path.parent, self._opaque_attribute, b"y")
            return
        if path.name.startswith(BOOKKEEPING):
            return
        if path.name.startswith(WHITEOUT):
            hidden = path.name.removeprefix(WHITEOUT)
            if hidden in ("", ".", ".."):
                raise BadLayer(f"{member.name}: outside the layer")
            self._replace(path.parent / hidden)
            os.mknod(path.parent / hidden, stat.S_IFCHR, os.makedev(0, 0))
            return
        self._make(archive, member, path)

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.isdir():
            if path.is_symlink() or not path.is_dir():
                self._replace(path)
                path.mkdir()
            self._checked.add(path)
        else:
            self._replace(path)
            self._make_file(archive, member, path)
        if not member.islnk() and os.path.lexists(path):
            self._set_attributes(path, member)

    def _make_file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        if member.isreg():
            source = archive.extractfile(member)
            assert source is not None
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                shutil.copyfileobj(source, file, 1 << 20)
            self.size_bytes += member.size
        elif member.issym():
            path.symlink_to(member.linkname)
        elif member.islnk():
            source_path = self._inside(member.linkname)
            self._check_parents(source_path.parent)
            os.link(source_path, path, follow_symlinks=False)
        elif member.ischr() or member.isblk():
            self._make_device(member, path)
        elif member.isfifo():
            os.mkfifo(path)
        else:
            raise BadLayer(f"{member.name}: an entry of unknown type {member.type!r}")

    def _make_device(self, member: tarfile.TarInfo, path: Path) -> None:
        """Left out where devices may not be made: containers get their own /dev anyway."""
        kind = stat.S_IFCHR if member.ischr() else stat.S_IFBLK
        with contextlib.suppress(PermissionError):
            os.mknod(path, kind | 0o600, os.makedev(member.devmajor, member.devminor))

    def _set_attributes(self, path: Path, member: tarfile.TarInfo) -> None:
        """Owner first: changing it clears set-uid bits and capabilities."""
        user_namespace.give(path, member.uid, member.gid)
        if not member.issym():
            os.chmod(path, stat.S_IMODE(member.mode))
        for name, value in member.pax_headers.items():
            attribute = name.removeprefix(_XATTR)
            if attribute != name and not attribute.startswith(_NOT_FOR_IMAGES):
                with contextlib.suppress(OSError):  # attributes that this file system does not know
                    data = value.encode("utf-8", "surrogateescape")
                    os.setxattr(path, attribute, data, follow_symlinks=False)
        if member.isdir():
            self._directory_times.append((path, member.mtime))
        else:
            os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)

    def finish(self) -> None:
        """Times of directories last: everything written into one changes them."""
        for path, mtime in reversed(self._directory_times):
            with contextlib.suppress(FileNotFoundError):
                os.utime(path, (mtime, mtime), follow_symlinks=False)

    def _inside(self, name: str) -> Path:
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise BadLayer(f"{name}: outside the layer")
        return self._target.joinpath(*parts)

    def _make_parents(self, directory: Path) -> None:
        """Every parent is a real directory of ours; one that the archive left out is made."""
        if directory in self._checked:
            return
        self._make_parents(directory.parent)
        if directory.is_symlink():
            raise BadLayer(f"{directory.relative_to(self._target)}: a file below a symbolic link")
        if not directory.is_dir():
            self._replace(directory)
            directory.mkdir(mode=0o755)
        self._checked.add(directory)

    def _check_parents(self, directory: Path) -> None:
        while directory != self._target:
            if directory.is_symlink():
                raise BadLayer(f"{directory.relative_to(self._target)}: a link through a symbolic link")
            directory = directory.parent

    def _replace(self, path: Path) -> None:
        """A later entry of the same name wins."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
            self._checked = {known for known in self._checked if known != path and path not in known.parents}
        else:
            path.unlink(missing_ok=True)
