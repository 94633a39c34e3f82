"""Manifests, indexes and configurations of images, docker's and OCI's alike: JSON that is not trusted.

Source: OCI image specification; docker's image manifest version 2, schema 2.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import msgspec

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
SIGNED_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+prettyjws"
MEDIA_TYPES = (DOCKER_MANIFEST, DOCKER_LIST, OCI_MANIFEST, OCI_INDEX)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MOST_LAYERS = 500


class BadManifest(Exception):
    """Not a description of an image that can be used here; the message says why."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One content by digest and size."""

    digest: str
    size_bytes: int
    platform: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image for one platform. Layers are in order, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Index:
    """An image for several platforms."""

    manifests: tuple[Descriptor, ...]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an image says of itself."""

    id: str
    document: dict[str, Any]
    diff_ids: tuple[str, ...]
    """Digests of its layers' plain tar archives, lowest first."""


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def read_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """`media_type` is what the sender calls it; the document's own word counts first. Raises BadManifest (N70)."""
    document = _json(data, "the manifest")
    kind = document.get("mediaType") or media_type.partition(";")[0].strip()
    if document.get("schemaVersion") == 1:
        raise BadManifest(
            f'media type "{SIGNED_SCHEMA_1 if "signatures" in document else kind}" is not supported, '
            f'please rebuild the image as "{DOCKER_MANIFEST}" or "{OCI_MANIFEST}"'
        )
    if "manifests" in document and "layers" not in document:
        return Index(tuple(_descriptor(entry) for entry in _list(document, "manifests")))
    if "config" not in document:
        raise BadManifest(f'media type "{kind}" is not an image')
    layers = tuple(_descriptor(entry) for entry in _list(document, "layers"))
    return Manifest(_descriptor(document["config"]), layers)


def read_configuration(data: bytes) -> Configuration:
    """Raises BadManifest."""
    document = _json(data, "the image's configuration")
    roots = document.get("rootfs")
    diff_ids = roots.get("diff_ids") if isinstance(roots, dict) else None
    if not isinstance(diff_ids, list) or len(diff_ids) > MOST_LAYERS:
        raise BadManifest("the image's configuration is damaged: it names no layers (rootfs.diff_ids)")
    for diff_id in diff_ids:
        check_digest(diff_id)
    if not isinstance(document.get("config") or {}, dict):
        raise BadManifest("the image's configuration is damaged: config is no object")
    return Configuration(digest_of(data), document, tuple(diff_ids))


def check_digest(text: Any) -> str:
    """The digest: it becomes part of paths. Raises BadManifest."""
    if not isinstance(text, str) or not _DIGEST.fullmatch(text):
        raise BadManifest(f"invalid checksum digest format: {str(text)[:100]!r}")
    return text


def _descriptor(entry: Any) -> Descriptor:
    size = entry.get("size") if isinstance(entry, dict) else None
    if not isinstance(size, int) or size < 0:
        raise BadManifest("the manifest is damaged: an entry without digest and size")
    platform = entry.get("platform")
    return Descriptor(check_digest(entry.get("digest")), size, platform if isinstance(platform, dict) else None)


def _list(document: dict[str, Any], member: str) -> list[Any]:
    found = document.get(member) or []
    if not isinstance(found, list) or len(found) > MOST_LAYERS:
        raise BadManifest(f"the manifest is damaged: {member} is no list of use")
    return found


def _json(data: bytes, what: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise BadManifest(f"{what} is damaged: {error}") from error
