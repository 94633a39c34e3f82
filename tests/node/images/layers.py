"""Layers and archives, made in memory."""

import gzip
import hashlib
import io
import json
import os
import tarfile
from pathlib import Path


def tar(*entries: tuple[str, bytes | str | None, dict]) -> bytes:
    """Entries are (name, contents, attributes of the TarInfo); contents None is a directory."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, contents, attributes in entries:
            info = tarfile.TarInfo(name)
            info.uid, info.gid = os.getuid(), os.getgid()
            data = contents.encode() if isinstance(contents, str) else contents or b""
            info.type = tarfile.REGTYPE if contents is not None else tarfile.DIRTYPE
            info.mode = 0o644 if contents is not None else 0o755
            for key, value in attributes.items():
                setattr(info, key, value)
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def file(name: str, contents: bytes | str = "", **attributes: object):
    return name, contents, attributes


def directory(name: str, **attributes: object):
    return name, None, attributes


def link(name: str, target: str, *, hard: bool = False):
    return name, "", {"type": tarfile.LNKTYPE if hard else tarfile.SYMTYPE, "linkname": target}


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def docker_archive(
    path: Path,
    layers: list[bytes],
    names: list[str],
    compress: bool = False,
    diff_ids: list[str] | None = None,
    **config,
) -> Path:
    """As `docker save` writes it."""
    configuration = {
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": diff_ids or [digest(layer) for layer in layers]},
    }
    members = {"config.json": json.dumps(configuration).encode()}
    for number, layer in enumerate(layers):
        members[f"{number}/layer.tar"] = gzip.compress(layer) if compress else layer
    entry = {"Config": "config.json", "RepoTags": names, "Layers": [f"{n}/layer.tar" for n in range(len(layers))]}
    members["manifest.json"] = json.dumps([entry]).encode()
    path.write_bytes(tar(*(file(name, data) for name, data in members.items())))
    return path


def oci_archive(path: Path, layer: bytes, name: str, platforms: list[dict | None]) -> Path:
    """An OCI layout in a tar file, with an index of the same image for several platforms."""
    blobs = {}

    def keep(data: bytes, **fields: object) -> dict:
        blobs[digest(data)] = data
        return {"digest": digest(data), "size": len(data), **fields}

    config = keep(json.dumps({"config": {"Cmd": ["x"]}, "rootfs": {"diff_ids": [digest(layer)]}}).encode())
    manifest = json.dumps({"config": config, "layers": [keep(gzip.compress(layer))]}).encode()
    described = [keep(manifest, **({"platform": platform} if platform else {})) for platform in platforms]
    inner = keep(json.dumps({"manifests": described}).encode(), annotations={"io.containerd.image.name": name})
    members = {f"blobs/{key.replace(':', '/')}": data for key, data in blobs.items()}
    members["index.json"] = json.dumps({"manifests": [inner]}).encode()
    path.write_bytes(gzip.compress(tar(*(file(key, data) for key, data in members.items()))))
    return path
