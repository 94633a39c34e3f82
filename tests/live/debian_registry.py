"""A real registry on this machine's loopback: Debian's `docker-registry`, with its files where tests can spoil them."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.error
import urllib.request
from pathlib import Path

USER, PASSWORD = "ali baba", "open sesame"
HTPASSWD = "ali baba:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"
KIND = "application/vnd.docker"
MANIFEST = f"{KIND}.distribution.manifest.v2+json"
PROGRAMS = ("sh", "cat", "sleep", "ls", "id")
READY_WITHIN_S = 90


class DebianRegistry:
    """`host` is what references begin with."""

    def __init__(self, program: Path, directory: Path, *, protected: bool = False) -> None:
        self.directory = directory
        self.is_protected = protected
        directory.mkdir(parents=True)
        self._log = (directory / "log").open("w")
        deadline = time.monotonic() + READY_WITHIN_S
        self._start(program)
        while not self._answers():
            assert time.monotonic() < deadline, (directory / "log").read_text()
            time.sleep(0.05)
            if self._process.poll() is not None:  # somebody else was given its port meanwhile
                self._start(program)

    def _start(self, program: Path) -> None:
        """At a port that was free a moment ago."""
        directory = self.directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        (directory / "htpasswd").write_text(HTPASSWD)
        auth = f"auth: {{htpasswd: {{realm: cave, path: {directory}/htpasswd}}}}\n" if self.is_protected else ""
        (directory / "config.yml").write_text(
            "version: 0.1\nlog: {level: error}\n"
            f"storage: {{filesystem: {{rootdirectory: {directory}/storage}}, delete: {{enabled: true}}}}\n"
            f"http: {{addr: '{self.host}'}}\n{auth}"
        )
        command = [program, "serve", directory / "config.yml"]
        environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
        self._process = subprocess.Popen(command, env=environment, stdout=self._log, stderr=self._log)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()

    def _answers(self) -> bool:
        if self._process.poll() is not None:
            return False
        with contextlib.suppress(OSError):
            return self._ask("GET", "/v2/").status == 200
        return False

    # -- pushing

    def push(self, name: str, *layers: bytes, **config: object) -> list[str]:
        """An image of plain tar `layers` as `repository:tag`; the digests of what the registry keeps of them."""
        repository, _, tag = name.partition(":")
        document = {
            "architecture": "amd64",
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]},
        }
        blobs = [gzip.compress(layer, 1, mtime=0) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self._blob(
                repository, json.dumps(document).encode(), "application/vnd.docker.container.image.v1+json"
            ),
            "layers": [self._blob(repository, blob, f"{KIND}.image.rootfs.diff.tar.gzip") for blob in blobs],
        }
        self._ask("PUT", f"/v2/{repository}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST)
        return [digest(blob) for blob in blobs]

    def _blob(self, repository: str, data: bytes, media_type: str) -> dict[str, object]:
        begun = self._ask("POST", f"/v2/{repository}/blobs/uploads/", b"")
        where = begun.headers["Location"].partition(self.host)[2]
        self._ask("PUT", f"{where}&digest={digest(data)}", data, "application/octet-stream")
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    def _ask(self, method: str, target: str, data: bytes | None = None, media_type: str = ""):
        request = urllib.request.Request(f"http://{self.host}{target}", data=data, method=method)
        if media_type:
            request.add_header("Content-Type", media_type)
        if self.is_protected:
            pair = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            request.add_header("Authorization", f"Basic {pair}")
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=30) as answer:
            answer.read()
            return answer

    # -- spoiling

    def file(self, blob: str) -> Path:
        """Where the registry's disk has the contents of that digest."""
        kind, _, text = blob.partition(":")
        return self.directory / "storage/docker/registry/v2/blobs" / kind / text[:2] / text / "data"


def digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(files: dict[str, bytes | Path | None], links: dict[str, str] | None = None) -> bytes:
    """A tar archive: contents, or a file of this machine to copy; None is a directory; `links` are hard ones."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, contents in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if contents is None:
                info.type = tarfile.DIRTYPE
                archive.addfile(info)
                continue
            data = contents.read_bytes() if isinstance(contents, Path) else contents
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            archive.addfile(info)
    return buffer.getvalue()


def shell_layer() -> bytes:
    """Enough of this machine to run a script: a shell, a few programs, the libraries they need."""
    files: dict[str, bytes | Path | None] = {"proc": None, "dev": None, "sys": None, "tmp": None, "etc": None}
    for name in PROGRAMS:
        program = Path(shutil.which(name) or "").resolve()
        files[f"bin/{name}"] = program
        for word in subprocess.run(["ldd", program], capture_output=True, text=True).stdout.split():
            if word.startswith("/"):
                files[word.lstrip("/")] = Path(word).resolve()
    return layer(files)


def program(cache: Path) -> Path:
    """Debian's docker-registry, unpacked beside whatever the machine has: nothing is installed. Raises OSError."""
    found = cache / "registry-debian" / "usr" / "bin" / "docker-registry"
    found.parents[2].mkdir(parents=True, exist_ok=True)
    if not found.exists():
        fetch = "apt-get update -qq && apt-get download -qq docker-registry && dpkg-deb -x docker-registry*.deb ."
        done = subprocess.run(fetch, shell=True, cwd=found.parents[2], capture_output=True, text=True)
        if not found.exists():
            raise OSError(f"Debian's docker-registry cannot be had: {done.stderr[-200:]}")
    return found
