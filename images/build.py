#!/usr/bin/env python3
"""Builds container images from Debian packages, for tests, demonstrations and machines without a registry.

    python images/build.py nginx httpd busybox --output DIR

Writes one archive per image, in OCI layout and readable by docker too, with every name that tutorials use
for it. Needs apt-get and no root. The same packages give the same bytes; what was built is kept in a cache.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import hashlib
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from packages import BuildFailed, Package, download, members, resolve
from recipes import GROUP, NOT_NEEDED, NSSWITCH, PASSWD, RECIPES, Recipe

VERSION = 1
"""Of this builder: part of the cache's key."""
CREATED = "2024-01-01T00:00:00Z"
MODIFIED = 1704067200
MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Links into /usr, as on today's Debian."""
DROPPED = (
    "etc/default/",
    "etc/init.d/",
    "etc/logrotate.d/",
    "usr/lib/systemd/",
    "usr/share/bash-completion/",
    "usr/share/bug/",
    "usr/share/doc/",
    "usr/share/doc-base/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/perl/",
    "usr/share/perl5/",
)
DIRECTORIES = {"dev": 0o755, "etc": 0o755, "home": 0o755, "mnt": 0o755, "opt": 0o755, "proc": 0o555, "root": 0o700}
DIRECTORIES |= {"run": 0o755, "srv": 0o755, "sys": 0o555, "tmp": 0o1777, "usr": 0o755, "var": 0o755, "var/tmp": 0o1777}
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class Layer:
    """A root filesystem on its way into one tar file: path to entry, the last one given wins."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[tarfile.TarInfo, bytes]] = {}
        for name, mode in DIRECTORIES.items():
            self.add_directory(name, mode)
        for name in MERGED:
            self.add_link(name, f"usr/{name}")
            self.add_directory(f"usr/{name}", 0o755)
        self.add_link("var/run", "/run")

    def add(self, entry: tarfile.TarInfo, data: bytes = b"") -> None:
        entry.name = _placed(entry.name)
        is_merged = entry.isdir() and entry.name in MERGED
        if not entry.name or is_merged or f"{entry.name}/".startswith(DROPPED):
            return
        if entry.islnk():
            entry.linkname = _placed(entry.linkname)
        if entry.isdir() and entry.name in self._entries:
            return
        entry.mtime, entry.uname, entry.gname, entry.size = MODIFIED, "", "", len(data)
        entry.pax_headers = {}
        self._entries[entry.name] = (entry, data)

    def add_directory(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        parent = os.path.dirname(name.strip("/"))
        if parent and _placed(parent) not in self._entries:
            self.add_directory(parent)
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, mode, owner, owner
        self.add(entry)

    def add_link(self, name: str, target: str) -> None:
        if parent := os.path.dirname(name.strip("/")):
            self.add_directory(parent)
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
        self.add(entry)

    def add_file(self, name: str, text: str) -> None:
        if parent := os.path.dirname(name.strip("/")):
            self.add_directory(parent)
        entry = tarfile.TarInfo(name)
        entry.mode = 0o755 if text.startswith("#!") else 0o644
        self.add(entry, text.encode())

    def data(self, name: str) -> bytes:
        return self._entries[name][1]

    def tar(self) -> bytes:
        """Sorted, so that directories come before what is in them; hard links last, after what they name."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for _, (entry, data) in sorted(self._entries.items(), key=lambda item: (item[1][0].islnk(), item[0])):
                archive.addfile(entry, io.BytesIO(data) if entry.isreg() else None)
        return buffer.getvalue()


def _placed(name: str) -> str:
    """Where a file of a package belongs: relative, and below usr/ if its directory is merged."""
    path = os.path.normpath(f"/{name}").lstrip("/")
    first, slash, _ = path.partition("/")
    return f"usr/{path}" if slash and first in MERGED else path


def make_layer(recipe: Recipe, files: Sequence[Path]) -> bytes:
    layer = Layer()
    for file in files:
        for entry, data in members(file):
            layer.add(entry, data)
    if recipe.has_busybox:
        for applet in _applets(layer.data("usr/bin/busybox")):
            layer.add_link(f"usr/bin/{applet}", "busybox")
    layer.add_file("etc/passwd", PASSWD)
    layer.add_file("etc/group", GROUP)
    layer.add_file("etc/nsswitch.conf", NSSWITCH)
    for name, text in recipe.files.items():
        if name.endswith("/"):
            layer.add_directory(name, owner=recipe.owners.get(name, 0))
        else:
            layer.add_file(name, text)
    for name, target in recipe.links.items():
        layer.add_link(name, target)
    return layer.tar()


def _applets(program: bytes) -> list[str]:
    """The program lists them itself."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "busybox")
        path.write_bytes(program)
        path.chmod(stat.S_IRWXU)
        listed = subprocess.run([path, "--list"], capture_output=True, text=True, check=True).stdout.split()
    return [name for name in listed if name != "busybox"]


def configuration(recipe: Recipe, diff_id: str) -> dict[str, Any]:
    """The image's configuration, as OCI has it."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **recipe.environment}
    config: dict[str, Any] = {
        "Env": [f"{name}={value}" for name, value in environment.items()],
        "Cmd": list(recipe.command),
    }
    optional = {
        "Entrypoint": list(recipe.entrypoint),
        "WorkingDir": recipe.working_dir,
        "StopSignal": recipe.stop_signal,
        "ExposedPorts": {port: {} for port in recipe.ports},
    }
    config |= {name: value for name, value in optional.items() if value}
    machine = os.uname().machine
    return {
        "architecture": ARCHITECTURES.get(machine, machine),
        "os": "linux",
        "created": CREATED,
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": CREATED, "created_by": "images/build.py"}],
    }


def write_archive(target: Path, names: Sequence[str], recipe: Recipe, layer: bytes) -> None:
    """One file that is an OCI layout and what `docker save` writes at once."""
    compressed = gzip.compress(layer, 5, mtime=0)
    blobs: dict[str, bytes] = {}

    def keep(data: bytes) -> dict[str, Any]:
        digest = _digest(data)
        blobs[digest] = data
        return {"digest": digest, "size": len(data)}

    layer_blob = keep(compressed)
    config_blob = keep(_json(configuration(recipe, _digest(layer))))
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config_blob},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **layer_blob}],
    }
    descriptor = {"mediaType": manifest["mediaType"], **keep(_json(manifest))}
    index = {
        "schemaVersion": 2,
        "manifests": [{**descriptor, "annotations": {"io.containerd.image.name": name}} for name in names],
    }
    paths = {digest: f"blobs/{digest.replace(':', '/')}" for digest in blobs}
    saved = [{"Config": paths[config_blob["digest"]], "RepoTags": list(names), "Layers": [paths[layer_blob["digest"]]]}]
    files = {"oci-layout": _json({"imageLayoutVersion": "1.0.0"}), "index.json": _json(index)}
    files |= {"manifest.json": _json(saved), **{paths[digest]: data for digest, data in blobs.items()}}
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    with tarfile.open(temporary, "w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(data), MODIFIED, 0o644
            archive.addfile(entry, io.BytesIO(data))
    os.replace(temporary, target)


def _json(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _key(recipe: Recipe, packages: Sequence[Package], names: Sequence[str]) -> str:
    facts = [VERSION, asdict(recipe), [asdict(package) for package in packages], list(names)]
    return hashlib.sha256(_json(facts)).hexdigest()[:16]


def build(name: str, more_names: Sequence[str], cache: Path) -> Path:
    """The archive of one image, from the cache if the same was built before. Raises BuildFailed."""
    recipe = RECIPES.get(name)
    if recipe is None:
        raise BuildFailed(f"no recipe for {name}: there are {', '.join(sorted(RECIPES))}")
    packages = resolve(recipe.packages, (*NOT_NEEDED, *recipe.without), cache / "packages")
    names = list(dict.fromkeys((*recipe.names, *more_names)))
    target = cache / f"{name}-{_key(recipe, packages, names)}.tar"
    if not target.exists():
        layer = make_layer(recipe, download(packages, cache / "packages"))
        write_archive(target, names, recipe, layer)
    return target


def default_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "holdfast", "images")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Builds container images from Debian packages.")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help=f"one of {', '.join(sorted(RECIPES))}")
    parser.add_argument("--output", type=Path, required=True, help="directory for the archives, IMAGE.tar each")
    parser.add_argument("--cache", type=Path, default=default_cache(), help="directory for packages and built images")
    parser.add_argument("--name", action="append", default=[], help="a further name for the image; repeatable")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for name in options.images:
        try:
            built = build(name, options.name, options.cache.absolute())
        except BuildFailed as failure:
            print(f"{name}: {failure}", file=sys.stderr)
            return 1
        target = options.output / f"{name}.tar"
        with contextlib.suppress(FileNotFoundError):
            target.unlink()
        try:
            os.link(built, target)
        except OSError:
            target.write_bytes(built.read_bytes())
        print(target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
