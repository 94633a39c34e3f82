"""Image archives, of docker (`docker save`) and OCI layout alike, as one thing: configuration, layers, names."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import msgspec

from .compression import BadCompression, Source, decompressed
from .platforms import rank

REFERENCE_ANNOTATIONS = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


class BadArchive(Exception):
    """Not an image archive, or one that cannot be used here; the message says why."""


@dataclass(frozen=True, slots=True)
class ArchivedImage:
    """One image of an archive. Layers are member names, lowest first."""

    references: tuple[str, ...]
    config: bytes
    layers: tuple[str, ...]
    manifest_digest: str = ""


class Archive:
    """A tar file with images in it, itself compressed or not. A context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Archive:
        try:
            self._tar = tarfile.open(self._path)
        except (tarfile.TarError, OSError) as error:
            raise BadArchive(f"{self._path}: {_why(error)}") from error
        self._members = {member.name.removeprefix("./"): member for member in self._tar}
        return self

    def __exit__(self, *exception: object) -> None:
        self._tar.close()

    def images(self) -> list[ArchivedImage]:
        """Every image for this machine's architecture. Raises BadArchive."""
        if "manifest.json" in self._members:
            return [self._docker(entry) for entry in self._json("manifest.json")]
        if "index.json" in self._members:
            try:
                return list(self._from_index(self._json("index.json"), ()))
            except (KeyError, TypeError, AttributeError) as error:
                raise BadArchive(f"{self._path}: index.json is damaged: {error}") from error
        raise BadArchive(f"{self._path}: neither a docker nor an OCI archive (no manifest.json, no index.json)")

    def _docker(self, entry: Any) -> ArchivedImage:
        try:
            return ArchivedImage(tuple(entry.get("RepoTags") or ()), self.read(entry["Config"]), tuple(entry["Layers"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise BadArchive(f"{self._path}: manifest.json is damaged: {error}") from error

    def _from_index(self, index: Any, inherited: tuple[str, ...]) -> Iterator[ArchivedImage]:
        for descriptor in index.get("manifests", []):
            if rank(descriptor.get("platform")) is None:
                continue
            annotations = descriptor.get("annotations") or {}
            names = tuple(filter(None, (annotations.get(name) for name in REFERENCE_ANNOTATIONS)))[:1] or inherited
            document = self._json(_blob(descriptor["digest"]))
            if "manifests" in document:
                yield from self._from_index(document, names)
                continue
            layers = tuple(_blob(layer["digest"]) for layer in document["layers"])
            yield ArchivedImage(names, self.read(_blob(document["config"]["digest"])), layers, descriptor["digest"])

    def _json(self, name: str) -> Any:
        try:
            return msgspec.json.decode(self.read(name))
        except msgspec.DecodeError as error:
            raise BadArchive(f"{self._path}: {name} is not JSON: {error}") from error

    def read(self, name: str) -> bytes:
        with self._open(name) as file:
            return file.read()

    def _open(self, name: str) -> IO[bytes]:
        member = self._members.get(name.removeprefix("./"))
        if member is not None and member.issym():
            target = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
            member = self._members.get(target)
        file = None if member is None else self._tar.extractfile(member)
        if file is None:
            raise BadArchive(f"{self._path}: {name} is missing")
        return file

    @contextmanager
    def layer(self, name: str) -> Iterator[Source]:
        """The layer's tar stream, whatever it is compressed with. Reading raises BadCompression."""
        with self._open(name) as file:
            try:
                with decompressed(file) as stream:
                    yield stream
            except (tarfile.TarError, EOFError) as error:
                raise BadCompression(f"{name} is cut short") from error


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/', 1)}"


def _why(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "not a tar archive"
