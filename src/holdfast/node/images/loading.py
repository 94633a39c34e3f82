"""Images out of archives into the store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from holdfast.node.runtime import ImageRecord

from .archive import Archive, ArchivedImage, BadArchive
from .compression import BadCompression
from .locks import locked
from .manifests import BadManifest, Configuration, read_configuration
from .references import InvalidReference, Reference, parse
from .store import ImageStore
from .unpack import BadLayer


def load(store: ImageStore, path: Path, names: Sequence[str] = ()) -> list[ImageRecord]:
    """The images of an archive, under their own names and `names`.

    Raises BadArchive; then no image is added, and only whole layers stay until something is removed.
    """
    store.make()
    with Archive(path) as archive:
        found = [(image, *_described(path, image, names)) for image in archive.images()]
        if not found:
            raise BadArchive(f"{path}: no image for this machine's architecture")
        with store.claim([diff_id for _, configuration, _ in found for diff_id in configuration.diff_ids]):
            for image, configuration, _ in found:
                for name, diff_id in zip(image.layers, configuration.diff_ids, strict=True):
                    _add_layer(store, archive, name, diff_id)
            for image, configuration, references in found:
                digests = [Reference(r.registry, r.repository, digest=image.manifest_digest) for r in references]
                spellings = [*references, *(digests if image.manifest_digest else ())]
                store.keep(configuration, [str(spelling) for spelling in spellings], is_loaded=True)
    records = (store.find(configuration.id) for _, configuration, _ in found)
    return [record for record in records if record is not None]


def _described(path: Path, image: ArchivedImage, names: Sequence[str]) -> tuple[Configuration, list[Reference]]:
    """What the image is and is called. Raises BadArchive."""
    try:
        references = [parse(name) for name in (*image.references, *names)]
        if not references:
            raise BadArchive(f"{path}: the image has no name, give it one with --name")
        configuration = read_configuration(image.config)
    except (InvalidReference, BadManifest) as error:
        raise BadArchive(f"{path}: {error}") from error
    if len(configuration.diff_ids) != len(image.layers):
        raise BadArchive(f"{path}: the image's configuration and its layers do not belong together")
    return configuration, references


def _add_layer(store: ImageStore, archive: Archive, name: str, diff_id: str) -> None:
    with locked(store.layers.lock(diff_id)):
        if store.layers.size(diff_id) is not None:
            return
        try:
            with archive.layer(name) as stream:
                store.layers.add(diff_id, stream)
        except (BadLayer, BadCompression) as error:
            raise BadArchive(f"layer {name} is damaged: {error}") from error
        except OSError as error:
            raise BadArchive(f"layer {name} cannot be unpacked: {error}") from error
