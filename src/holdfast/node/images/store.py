"""The local image store: content-addressed, layers unpacked once, shared by every process of the cluster.

    layers/<diff id>/        a layer's files
    images/<image id>.json   an image: its configuration and layers
    references.json          names to image ids
    used/                    directories of containers, each with the image it stands on

Everything appears by rename. Who changes `references.json` holds the lock file; readers look at what is
there, so a running agent sees what `holdfast image load` brought.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import msgspec

from holdfast.node.runtime import ImageMissing, ImageRecord

from .archive import Archive, ArchivedImage, BadArchive
from .references import HOST, InvalidReference, normalise
from .unpack import BadLayer, unpack

HOST_ID = f"sha256:{hashlib.sha256(b'holdfast host image').hexdigest()}"
SHELL_OR_WAIT = """\
if [ -t 0 ] || [ ! -c /dev/stdin ]; then exec /bin/sh; fi
trap 'exit 0' TERM INT
while :; do sleep 86400 & wait $!; done
"""
"""What `host` runs when told nothing: a shell for who brings an input, else nothing until SIGTERM."""
HOST_RECORD = ImageRecord(
    id=HOST_ID, references=(HOST,), digests=(), size_bytes=0, cmd=("/bin/sh", "-c", SHELL_OR_WAIT)
)


class _Image(msgspec.Struct):
    """An image as it is kept."""

    config: dict[str, Any]
    layers: list[str]
    """Diff ids, lowest first."""
    digest: str = ""
    size_bytes: int = 0


class ImageStore:
    """The store in one directory; made when first written to."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._layers = directory / "layers"
        self._images = directory / "images"
        self._references = directory / "references.json"
        self._used = directory / "used"
        self._cached: tuple[int, dict[str, str]] = (0, {})

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

    def layers(self, image_id: str) -> list[str]:
        """The directories of its layers, topmost first; none for the image `host`."""
        image = None if image_id == HOST_ID else self._load(image_id)
        return [] if image is None else [str(self._layer(layer)) for layer in reversed(image.layers)]

    def records(self) -> Sequence[ImageRecord]:
        """Every image, `host` included."""
        found = [self._record(identifier) for identifier in sorted(set(self._names().values()))]
        return [HOST_RECORD, *(record for record in found if record is not None)]

    def _record(self, identifier: str) -> ImageRecord | None:
        image = self._load(identifier)
        if image is None:
            return None
        config = image.config.get("config") or {}
        names = tuple(sorted(name for name, other in self._names().items() if other == identifier))
        repositories = sorted({name.rpartition("@")[0] or name.rpartition(":")[0] for name in names})
        return ImageRecord(
            id=identifier,
            references=names,
            digests=tuple(f"{name}@{image.digest}" for name in repositories) if image.digest else (),
            size_bytes=image.size_bytes,
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

    def _layer(self, diff_id: str) -> Path:
        return self._layers / diff_id.removeprefix("sha256:")

    def hold(self, image_id: str, directory: Path) -> list[str]:
        """`layers`, which then stay as long as `directory` is there, whatever is removed. Raises ImageMissing."""
        layers = self.layers(image_id)
        if layers:
            self._used.mkdir(exist_ok=True)
            mark = self._used / hashlib.sha256(bytes(directory)).hexdigest()[:32]
            _write(mark, msgspec.json.encode([image_id, str(directory)]))
        if image_id != HOST_ID and not (layers and all(os.path.isdir(layer) for layer in layers)):
            raise ImageMissing("ErrImagePull", f"image {image_id} is not present on this machine")
        return layers

    def _held(self) -> set[str]:
        """Ids of images that containers stand on; marks of containers that are gone are removed."""
        found = set()
        for mark in self._used.iterdir() if self._used.is_dir() else ():
            identifier, directory = msgspec.json.decode(mark.read_bytes(), type=tuple[str, str])
            if os.path.isdir(directory):
                found.add(identifier)
            else:
                mark.unlink()
        return found

    # -- writing

    def load(self, path: Path, names: Sequence[str] = ()) -> list[ImageRecord]:
        """The images of an archive, under their own names and `names`. Raises BadArchive; then nothing is added."""
        for directory in (self._layers, self._images):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with Archive(path) as archive, self._locked():
            loaded = []
            for image in archive.images():
                try:
                    wanted = [normalise(name) for name in (*image.references, *names)]
                except InvalidReference as error:
                    raise BadArchive(str(error)) from error
                if not wanted:
                    raise BadArchive(f"{path}: the image has no name, give it one with --name")
                loaded.append((self._add(archive, image), wanted))
            if not loaded:
                raise BadArchive(f"{path}: no image for this machine's architecture")
            self._rename({name: identifier for identifier, wanted in loaded for name in wanted})
            return [record for identifier, _ in loaded if (record := self._record(identifier)) is not None]

    def _add(self, archive: Archive, image: ArchivedImage) -> str:
        """Unpacks what is not here yet; the image's id."""
        identifier = f"sha256:{hashlib.sha256(image.config).hexdigest()}"
        try:
            config = msgspec.json.decode(image.config, type=dict[str, Any])
            diff_ids: list[str] = list(config["rootfs"]["diff_ids"])
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, TypeError) as error:
            raise BadArchive(f"the image's configuration is damaged: {error}") from error
        if len(diff_ids) != len(image.layers):
            raise BadArchive("the image's configuration and its layers do not belong together")
        size = sum(
            self._add_layer(archive, name, diff_id) for name, diff_id in zip(image.layers, diff_ids, strict=True)
        )
        stored = _Image(config=config, layers=diff_ids, digest=image.manifest_digest, size_bytes=size)
        _write(self._images / f"{identifier.removeprefix('sha256:')}.json", msgspec.json.encode(stored))
        return identifier

    def _add_layer(self, archive: Archive, name: str, diff_id: str) -> int:
        """The size of the layer's files; unpacked only if no image has brought it before."""
        target = self._layer(diff_id)
        size_file = target.with_suffix(".size")
        if target.is_dir() and size_file.exists():
            return int(size_file.read_text())
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=self._layers))
        try:
            fresh.chmod(0o755)
            with archive.layer(name) as stream:
                hashing = _Hashing(stream)
                size = unpack(hashing, fresh)  # type: ignore[arg-type]
                hashing.drain()
            if hashing.digest != diff_id:
                raise BadArchive(f"layer {name} is damaged: its digest is {hashing.digest}, not {diff_id}")
            shutil.rmtree(target, ignore_errors=True)
            os.replace(fresh, target)
        except (BadLayer, OSError, EOFError) as error:
            raise BadArchive(f"layer {name} cannot be unpacked: {error}") from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        _write(size_file, str(size).encode())
        return size

    def pull(self, reference: str) -> ImageRecord:
        """The image if it is here; there is no registry to fetch it from. Raises ImageMissing."""
        if found := self.find(reference):
            return found
        message = (
            f'failed to pull image "{reference}": no registry is configured on this node; '
            "load the image from an archive: holdfast image load FILE"
        )
        raise ImageMissing("ErrImagePull", message)

    def remove(self, reference: str) -> None:
        """Forgets the name; without a name and a container left, the image; without an image left, its layers.

        Raises KeyError.
        """
        wanted = normalise(reference)
        if wanted not in self._names():
            raise KeyError(reference)
        with self._locked():
            names = dict(self._names())
            names.pop(wanted, None)
            _write(self._references, msgspec.json.encode(names))
            self._collect({*names.values(), *self._held()})

    def _collect(self, needed: set[str]) -> None:
        """Removes images that are not among `needed`, and layers that no image has."""
        for path in self._images.glob("*.json"):
            if f"sha256:{path.stem}" not in needed:
                path.unlink()
        kept = {
            layer.removeprefix("sha256:")
            for path in self._images.glob("*.json")
            for layer in msgspec.json.decode(path.read_bytes(), type=_Image).layers
        }
        for path in self._layers.iterdir():
            if path.stem not in kept:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _rename(self, names: dict[str, str]) -> None:
        _write(self._references, msgspec.json.encode({**self._names(), **names}))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class _Hashing:
    """A stream that remembers the digest of what was read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self._stream.read(size)
        self._hash.update(data)
        return data

    def drain(self) -> None:
        """Padding behind the archive's end is part of the digest."""
        while self.read(1 << 20):
            pass

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(data)
    os.replace(temporary, path)
