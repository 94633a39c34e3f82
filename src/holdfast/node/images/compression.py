"""Layers as they come: plain, gzip or zstd, told apart by their first bytes.

What media types claim is not always so (R112).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Protocol

GZIP, ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
CHUNK_BYTES = 1 << 20
_GZIP_ONLY = 16 + zlib.MAX_WBITS


class BadCompression(Exception):
    """The data is damaged, or nothing here can read it; the message says why."""


class Source(Protocol):
    """What layers are read from."""

    def read(self, size: int = -1, /) -> bytes: ...


@contextmanager
def decompressed(file: IO[bytes]) -> Iterator[Source]:
    """The plain bytes of `file`, which can seek. Reading raises BadCompression."""
    start = file.read(4)
    file.seek(0)
    if start.startswith(GZIP):
        yield Gunzip(file)
    elif start == ZSTD:
        with _unzstd(file) as stream:
            yield stream
    else:
        yield file


class Gunzip:
    """One or several gzip members, one behind the other. Twice as fast as the standard library's file object."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._inflate = zlib.decompressobj(_GZIP_ONLY)
        self._waiting = b""
        self._is_begun = False

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end only."""
        if size < 0:
            return b"".join(iter(lambda: self.read(CHUNK_BYTES), b""))
        while True:
            data = self._inflate.unconsumed_tail or self._waiting or self._source.read(CHUNK_BYTES)
            self._waiting = b""
            if not data:
                if self._is_begun:
                    raise BadCompression("unexpected end of gzip data")
                return b""
            self._is_begun = True
            try:
                plain = self._inflate.decompress(data, size)
            except zlib.error as error:
                raise BadCompression(f"damaged gzip data: {error}") from error
            if self._inflate.eof:
                self._is_begun = False
                self._waiting = self._inflate.unused_data.lstrip(b"\0")  # padding, as gzip(1) allows
                self._inflate = zlib.decompressobj(_GZIP_ONLY)
            if plain:
                return plain


@contextmanager
def _unzstd(file: IO[bytes]) -> Iterator[Source]:
    program = shutil.which("zstd")
    if program is None:
        raise BadCompression("a layer is compressed with zstd: apt-get install zstd")
    own = _descriptor(file)
    pipe = subprocess.PIPE
    stdin = pipe if own is None else own
    with subprocess.Popen([program, "-dcq"], stdin=stdin, stdout=pipe, stderr=pipe) as process:
        feeding = None
        if process.stdin is not None:
            feeding = threading.Thread(target=_feed, args=(file, process.stdin), name="zstd")
            feeding.start()
        try:
            yield _Unzstd(process)
        finally:
            process.kill()  # where everything was read it has ended already
            if feeding is not None:
                feeding.join()


def _descriptor(file: IO[bytes]) -> int | None:
    """What another program can read `file` by, from its start; None if it is not a file of the system's."""
    try:
        descriptor = file.fileno()
        os.lseek(descriptor, 0, os.SEEK_SET)
    except (OSError, AttributeError):
        return None
    return descriptor


class _Unzstd:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def read(self, size: int = -1, /) -> bytes:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        data = self._process.stdout.read(size)
        if len(data) < size and self._process.wait() != 0:
            words = self._process.stderr.read().decode(errors="replace").strip()
            raise BadCompression(f"damaged zstd data: {words}")
        return data


def _feed(source: IO[bytes], sink: IO[bytes]) -> None:
    with suppress(BrokenPipeError):
        shutil.copyfileobj(source, sink, CHUNK_BYTES)
    with suppress(BrokenPipeError):
        sink.close()
