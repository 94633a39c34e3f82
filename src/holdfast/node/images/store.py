"""The local image store: content-addressed, layers unpacked once, shared by every process of the cluster.

    layers/                  the layers, see `layers.py`
    images/<image id>.json   an image: its configuration and layers
    references.json          names to image ids
    used/                    a mark per container that stands on an image
    claims/                  a mark per load or pull under way, with the layers it is about to need
    downloads/               what has arrived of layers that are not whole yet, see `registry/blobs.py`

Everything appears by rename. Who changes `references.json` holds the lock file; readers look at what is
there, so a running agent sees what `holdfast image load` brought.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from holdfast.node.runtime import ImageMissing, ImageRecord

from .layers import Layers, write
from .manifests import Configuration
from .references import HOST, InvalidReference, normalise, repository_of

HOST_ID = f"sha256:{hashlib.sha256(b'holdfast host image').hexdigest()}"
SHELL_OR_WAIT = """\
if [ -t 0 ] || [ ! -c /dev/stdin ]; then exec /bin/sh; fi
trap 'exit 0' TERM INT
while :; do sleep 86400 & wait $!; done
"""
"""What `host` runs when told nothing: a shell for who brings an input, else nothing until SIGTERM."""
HOST_RECORD = ImageRecord(
    id=HOST_ID, references=(HOST,), digests=(), size_bytes=0, is_local=True, cmd=("/bin/sh", "-c", SHELL_OR_WAIT)
)

DOWNLOADS_KEPT_S = 86400.0
"""How long a part of a layer waits for the rest."""


class _Image(msgspec.Struct):
    """An image as it is kept."""

    config: dict[str, Any]
    layers: list[str]
    """Diff ids, lowest first."""
    size_bytes: int = 0
    is_loaded: bool = False
    """From an archive, not from a registry."""


class ImageInUse(Exception):
    """A container stands on it."""


class ImageStore:
    """The store in one directory; made when first written to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.layers = Layers(directory / "layers")
        self.downloads = directory / "downloads"
        self._images = directory / "images"
        self._references = directory / "references.json"
        self._used = directory / "used"
        self._claims = directory / "claims"
        self._cached: tuple[int, dict[str, str]] = (0, {})

    def make(self) -> None:
        """The directories, where they are not there yet."""
        for name in ("layers", "images", "claims", "downloads"):
            (self._directory / name).mkdir(mode=0o700, parents=True, exist_ok=True)

    # -- reading

    def find(self, reference: str) -> ImageRecord | None:
        """The image of that name, digest or id; None if it is not here."""
        if reference in (HOST, HOST_ID):
            return HOST_RECORD
        if reference.startswith("sha256:"):
            return self._record(reference)
        try:
            identifier = self._names().get(normalise(reference))
        except InvalidReference:
            return None
        return self._record(identifier) if identifier else None

    def layer_paths(self, image_id: str) -> list[str]:
        """The directories of its layers, topmost first; none for the image `host`."""
        image = None if image_id == HOST_ID else self._load(image_id)
        return [] if image is None else [str(self.layers.path(layer)) for layer in reversed(image.layers)]

    def records(self) -> Sequence[ImageRecord]:
        """Every image, `host` included."""
        found = [self._record(identifier) for identifier in sorted(set(self._names().values()))]
        return [HOST_RECORD, *(record for record in found if record is not None)]

    def _record(self, identifier: str) -> ImageRecord | None:
        image = self._load(identifier)
        if image is None:
            return None
        config = image.config.get("config") or {}
        names = sorted(name for name, other in self._names().items() if other == identifier)
        return ImageRecord(
            id=identifier,
            references=tuple(name for name in names if "@" not in name),
            digests=tuple(name for name in names if "@" in name),
            size_bytes=image.size_bytes,
            is_local=image.is_loaded,
            entrypoint=tuple(config.get("Entrypoint") or ()),
            cmd=tuple(config.get("Cmd") or ()),
            env=tuple(config.get("Env") or ()),
            working_dir=config.get("WorkingDir") or "",
            user=config.get("User") or "",
            stop_signal=config.get("StopSignal") or "",
            volumes=tuple(config.get("Volumes") or ()),
        )

    def _load(self, identifier: str) -> _Image | None:
        try:
            data = (self._images / f"{identifier.removeprefix('sha256:')}.json").read_bytes()
        except OSError:
            return None
        return msgspec.json.decode(data, type=_Image)

    def _names(self) -> dict[str, str]:
        """Reference to image id, read again only when the file has changed."""
        try:
            changed = self._references.stat().st_mtime_ns
        except FileNotFoundError:
            return {}
        if self._cached[0] != changed:
            self._cached = (changed, msgspec.json.decode(self._references.read_bytes(), type=dict[str, str]))
        return self._cached[1]

    def hold(self, image_id: str, directory: Path) -> list[str]:
        """`layer_paths`, which then stay as long as `directory` is there, whatever is removed. Raises ImageMissing."""
        if image_id == HOST_ID:
            return []
        if not self._images.is_dir():
            raise _missing(image_id)
        with self._locked():  # against who removes images at this moment
            layers = self.layer_paths(image_id)
            if not layers or not all(os.path.isdir(layer) for layer in layers):
                raise _missing(image_id)
            self._used.mkdir(exist_ok=True)
            mark = self._used / hashlib.sha256(bytes(directory)).hexdigest()[:32]
            write(mark, msgspec.json.encode([image_id, str(directory)]), durable=False)
        return layers

    def _held(self) -> set[str]:
        """Ids of images that containers stand on; marks of containers that are gone are removed."""
        found = set()
        for mark in self._used.glob("[!.]*"):
            with contextlib.suppress(msgspec.DecodeError):  # of before a power failure
                identifier, directory = msgspec.json.decode(mark.read_bytes(), type=tuple[str, str])
                if os.path.isdir(directory):
                    found.add(identifier)
                    continue
            mark.unlink()
        return found

    # -- writing

    @contextlib.contextmanager
    def claim(self, diff_ids: Collection[str]) -> Iterator[None]:
        """These layers are not removed meanwhile, though no image has them yet. A crash gives the claim up."""
        with self._locked():
            mark = self._claims / f"{os.getpid()}-{id(diff_ids):x}"
            descriptor = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            os.write(descriptor, msgspec.json.encode(sorted(set(diff_ids))))
        try:
            yield
        finally:
            mark.unlink(missing_ok=True)
            os.close(descriptor)

    def keep(self, configuration: Configuration, names: Collection[str], *, is_loaded: bool = False) -> ImageRecord:
        """The image, from now on here under these names in full; its layers are, and are claimed.

        What has lost its last name by that is removed.
        """
        size = sum(self.layers.size(diff_id) or 0 for diff_id in set(configuration.diff_ids))
        stored = _Image(configuration.document, list(configuration.diff_ids), size, is_loaded)
        with self._locked():
            write(self._images / f"{configuration.id.removeprefix('sha256:')}.json", msgspec.json.encode(stored))
            named = {**self._names(), **dict.fromkeys(names, configuration.id)}
            self._write_names(named)
            self._collect(named)
        record = self._record(configuration.id)
        assert record is not None
        return record

    def rename(self, known: str, names: Collection[str]) -> str:
        """Gives the image called `known` further names, if it is here whole: its id, else nothing."""
        if not self._images.is_dir():
            return ""
        with self._locked():
            identifier = self._names().get(known, "")
            image = self._load(identifier) if identifier else None
            if image is None or any(self.layers.size(diff_id) is None for diff_id in image.layers):
                return ""
            if not all(self._names().get(name) == identifier for name in names):
                self._write_names({**self._names(), **dict.fromkeys(names, identifier)})
            return identifier

    def remove(self, reference: str) -> None:
        """Forgets the name; without a name and a container left, the image; without an image left, its layers.

        With the last tag of a repository its digests go too; by its id an image loses all its names.
        Raises KeyError, InvalidReference, and for an id ImageInUse.
        """
        if not self._images.is_dir():
            raise KeyError(reference)
        with self._locked():
            names = self._names()
            if reference.startswith("sha256:"):
                if reference in self._held():
                    raise ImageInUse(reference)
                left = {name: identifier for name, identifier in names.items() if identifier != reference}
                if len(left) == len(names) and self._load(reference) is None:
                    raise KeyError(reference)
            else:
                left = _without(names, normalise(reference))
            self._write_names(left)
            self._collect(left)

    def prune(self, *, with_loaded: bool = False) -> list[ImageRecord]:
        """Removes the images that no container stands on, those from archives only if asked to; what they were."""
        removed = []
        for record in self.records():
            if record.id != HOST_ID and (with_loaded or not record.is_local):
                with contextlib.suppress(KeyError, ImageInUse):
                    self.remove(record.id)
                    removed.append(record)
        return removed

    def sweep(self, now: datetime) -> None:
        """Removes what crashes have left, what nobody has a name for or stands on, and forgotten downloads."""
        if self._images.is_dir():
            with self._locked():
                self.layers.sweep()
                self._collect(self._names())
            for path in self.downloads.glob("*"):
                if now.timestamp() - path.stat().st_mtime > DOWNLOADS_KEPT_S:
                    path.unlink()

    def _collect(self, names: dict[str, str]) -> None:
        """Removes images without a name and a container, and layers that no image has and nobody claims."""
        needed = {*names.values(), *self._held()}
        kept = self._claimed()
        for path in self._images.glob("*.json"):
            if f"sha256:{path.stem}" in needed:
                kept.update(msgspec.json.decode(path.read_bytes(), type=_Image).layers)
            else:
                path.unlink()
        self.layers.remove_all_but(kept)

    def _claimed(self) -> set[str]:
        """Layers that somebody is about to need; claims of who is gone are removed."""
        found: set[str] = set()
        for mark in self._claims.iterdir() if self._claims.is_dir() else ():
            with contextlib.suppress(FileNotFoundError), mark.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.update(msgspec.json.decode(file.read(), type=list[str]))
                else:
                    mark.unlink()
        return found

    def _write_names(self, names: dict[str, str]) -> None:
        write(self._references, msgspec.json.encode(names))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _missing(image_id: str) -> ImageMissing:
    return ImageMissing("ErrImagePull", f"image {image_id} is not present on this machine")


def _without(names: dict[str, str], name: str) -> dict[str, str]:
    """The names but this one, and but its repository's digests if it was the last tag there. Raises KeyError."""
    left = dict(names)
    identifier, repository = left.pop(name), repository_of(name)
    same = [other for other, image in left.items() if image == identifier and repository_of(other) == repository]
    if all("@" in other for other in same):
        for other in same:
            del left[other]
    return left
