"""Image archives: a recipe's configuration and its layers as one file that is an OCI layout and docker's at once."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from layer import MODIFIED
from packages import Package
from recipes import Recipe

CREATED = "2024-01-01T00:00:00Z"
"""The same moment as `layer.MODIFIED`."""
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class BuiltLayer:
    """A layer as archives carry it: gzip, and the digest of what was compressed."""

    diff_id: str
    blob: bytes


def configuration(recipe: Recipe, packages: Sequence[Package], diff_ids: Sequence[str]) -> dict[str, Any]:
    """The image's configuration, as OCI has it."""
    environment = {"PATH": PATH, **recipe.environment, **_versions(recipe, packages)}
    config: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Cmd": list(recipe.command),
        "Labels": {"org.opencontainers.image.vendor": "holdfast, from Debian packages"},
    }
    optional = {
        "Entrypoint": list(recipe.entrypoint),
        "WorkingDir": recipe.working_dir,
        "StopSignal": recipe.stop_signal,
        "ExposedPorts": {port: {} for port in recipe.ports},
        "Volumes": {path: {} for path in recipe.volumes},
    }
    config |= {name: value for name, value in optional.items() if value}
    machine = os.uname().machine
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [{"created": CREATED, "created_by": "images/build.py"} for _ in diff_ids],
    }


def _versions(recipe: Recipe, packages: Sequence[Package]) -> dict[str, str]:
    return {
        variable: next(package.upstream_version for package in packages if fnmatchcase(package.name, pattern))
        for variable, pattern in recipe.versions.items()
    }


def write_archive(target: Path, names: Sequence[str], config: dict[str, Any], layers: Sequence[BuiltLayer]) -> None:
    """Appears at `target` complete. Layers are given lowest first."""
    blobs: dict[str, bytes] = {}

    def keep(data: bytes) -> dict[str, Any]:
        digest = digest_of(data)
        blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    layer_blobs = [keep(layer.blob) for layer in layers]
    config_blob = keep(_json(config))
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config_blob},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **blob} for blob in layer_blobs],
    }
    descriptor = {"mediaType": manifest["mediaType"], **keep(_json(manifest))}
    index = {
        "schemaVersion": 2,
        "manifests": [{**descriptor, "annotations": {"io.containerd.image.name": name}} for name in names],
    }
    paths = {digest: f"blobs/{digest.replace(':', '/')}" for digest in blobs}
    saved = {
        "Config": paths[config_blob["digest"]],
        "RepoTags": list(names),
        "Layers": [paths[blob["digest"]] for blob in layer_blobs],
    }
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index)}
    files |= {"manifest.json": _json([saved]), **{paths[digest]: data for digest, data in blobs.items()}}
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(temporary, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), MODIFIED, 0o644
            archive.addfile(entry, io.BytesIO(data))
    os.replace(temporary, target)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
