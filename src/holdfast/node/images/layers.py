"""Layers on disk: each unpacked once, whole or not there, shared by all images that have it.

    layers/<diff id>/      the layer's files
    layers/<diff id>.size  their bytes; written last: without it the layer does not count
    layers/.<diff id>.new  being unpacked
    layers/.<diff id>.old  being removed
    layers/.<diff id>.lock held by who does either

Everything is on disk before it gets its name, so that neither a crash nor a power failure leaves half a layer.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Collection, Iterator
from pathlib import Path

from holdfast.world import linux

from .compression import CHUNK_BYTES, BadCompression, Source
from .locks import locked_if_free
from .unpack import BadLayer, unpack

_NEW, _OLD, _SIZE, _LOCK = ".new", ".old", ".size", ".lock"


class Interrupted(Exception):
    """The unpacking was called off."""


class Layers:
    """The layers in one directory, which is there."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def path(self, diff_id: str) -> Path:
        return self._directory / _hex(diff_id)

    def lock(self, diff_id: str) -> Path:
        """The file to hold for whoever makes that layer."""
        return self._directory / f".{_hex(diff_id)}{_LOCK}"

    def size(self, diff_id: str) -> int | None:
        """The bytes of the layer's files; None if the layer is not here."""
        path = self.path(diff_id)
        try:
            size = int(path.with_suffix(_SIZE).read_text())
        except (OSError, ValueError):
            return None
        return size if path.is_dir() else None

    def add(self, diff_id: str, stream: Source, calling_off: threading.Event | None = None) -> int:
        """Unpacks the plain tar `stream`, the layer's lock being held; its size. Raises BadLayer, Interrupted, OSError.

        Blocks; `calling_off` may be set by another thread.
        """
        target, new = self.path(diff_id), self._directory / f".{_hex(diff_id)}{_NEW}"
        _remove(new)
        _remove(target)
        new.mkdir()
        new.chmod(0o755)
        hashing = _Hashing(stream, calling_off)
        try:
            size = unpack(hashing, new)
            hashing.drain()
            if hashing.digest != diff_id:
                raise BadLayer(f"the digest of its contents is {hashing.digest}, not {diff_id}")
            linux.syncfs(str(new))
            os.replace(new, target)
        except BadCompression as error:
            raise BadLayer(str(error)) from error
        finally:
            _remove(new)
        write(target.with_suffix(_SIZE), str(size).encode())
        return size

    def remove_all_but(self, kept: Collection[str]) -> None:
        """Removes every whole layer whose diff id is not among `kept`."""
        names = {_hex(diff_id) for diff_id in kept}
        for path in self._whole():
            if path.name not in names:
                path.with_suffix(_SIZE).unlink(missing_ok=True)
                old = self._directory / f".{path.name}{_OLD}"
                _remove(old)
                os.replace(path, old)
                _remove(old)

    def _whole(self) -> Iterator[Path]:
        for path in sorted(self._directory.iterdir()):
            if path.is_dir() and not path.name.startswith("."):
                yield path

    def sweep(self) -> None:
        """Removes what crashes have left half-made or half-removed, unless somebody is at it."""
        for path in sorted(self._directory.iterdir()):
            name = path.name.removeprefix(".").partition(".")[0]
            if self._is_leftover(path, name):
                with locked_if_free(self.lock(name)) as is_free:
                    if is_free and self._is_leftover(path, name):
                        _remove(path)

    def _is_leftover(self, path: Path, name: str) -> bool:
        return path.name.startswith(".") or self.size(name) is None


class _Hashing:
    """A stream that remembers the digest of what was read from it."""

    def __init__(self, stream: Source, calling_off: threading.Event | None) -> None:
        self._stream = stream
        self._calling_off = calling_off
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        if self._calling_off is not None and self._calling_off.is_set():
            raise Interrupted
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        """Padding behind the archive's end is part of the digest."""
        while self.read(CHUNK_BYTES):
            pass

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def write(path: Path, data: bytes, *, durable: bool = True) -> None:
    """By rename, and on disk before it has its name unless that may be lost with the machine's power."""
    temporary = path.with_name(f".{path.name}.new-{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(temporary, path)


def _hex(diff_id: str) -> str:
    return diff_id.removeprefix("sha256:")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
