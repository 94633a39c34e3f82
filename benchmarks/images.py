"""Pulling an image of this machine's own files from a registry on its loopback: seconds, megabytes a second."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from holdfast.node.images.puller import Puller
from holdfast.node.images.store import ImageStore

SOURCES = ("/usr/lib", "/usr/share", "/usr/bin")
LAYERS = 4
UNPACKED_MB = 80
LARGEST_FILE_MB = 4
RUNS = 3


def measure() -> dict[str, Any]:
    """By compression: what is sent and unpacked, the median time of a whole pull and of one that changes nothing."""
    layers = [tar_of(files) for files in dealt(UNPACKED_MB * 1_000_000)]
    kinds: dict[str, Callable[[bytes], bytes]] = {"gzip": partial(gzip.compress, compresslevel=6, mtime=0)}
    if shutil.which("zstd"):
        kinds["zstd"] = zstd
    return {kind: _pulls(layers, [compress(layer) for layer in layers]) for kind, compress in kinds.items()}


def _pulls(layers: list[bytes], blobs: list[bytes]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as top, served(Path(top) / "registry", layers, blobs) as port:
        whole, again, cpu = [], [], []
        for run in range(RUNS):
            directory = Path(top) / f"images-{run}"
            puller = Puller(ImageStore(directory), directory, Path(top) / "registries.toml")
            for seconds in (whole, again):
                began, used = time.perf_counter(), _cpu_s()
                record = asyncio.run(puller.pull(f"127.0.0.1:{port}/app:1"))
                seconds.append(time.perf_counter() - began)
                cpu.append(_cpu_s() - used)
        sent_mb, unpacked_mb = sum(map(len, blobs)) / 1e6, record.size_bytes / 1e6
        seconds_s = sorted(whole)[RUNS // 2]
        return {
            "layers": len(layers),
            "files": sum(map(_count, layers)),
            "sent_mb": round(sent_mb, 1),
            "unpacked_mb": round(unpacked_mb, 1),
            "pull_s": round(seconds_s, 3),
            "pull_cpu_s": round(sorted(cpu[::2])[RUNS // 2], 3),
            "sent_mb_per_s": round(sent_mb / seconds_s, 1),
            "unpacked_mb_per_s": round(unpacked_mb / seconds_s, 1),
            "unchanged_s": round(sorted(again)[RUNS // 2], 3),
            "unchanged_cpu_s": round(sorted(cpu[1::2])[RUNS // 2], 3),
        }


def _cpu_s() -> float:
    """Of the pulls' processes so far, whatever else the machine was busy with."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _count(layer: bytes) -> int:
    with tarfile.open(fileobj=io.BytesIO(layer)) as archive:
        return sum(1 for _ in archive)


def dealt(most_bytes: int) -> list[list[Path]]:
    """Files of this machine, `most_bytes` of them, in as many heaps as there are layers."""
    heaps: list[list[Path]] = [[] for _ in range(LAYERS)]
    total = number = 0
    for source in SOURCES:
        for directory, _, names in sorted(os.walk(source)):
            for name in sorted(names):
                path = Path(directory, name)
                if path.is_symlink() or not path.is_file() or (size := path.stat().st_size) > LARGEST_FILE_MB * 1e6:
                    continue
                total, number = total + size, number + 1
                if total > most_bytes:
                    return heaps
                heaps[number % LAYERS].append(path)
    return heaps


def tar_of(files: list[Path]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in files:
            archive.add(path, recursive=False)
    return buffer.getvalue()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, stdout=subprocess.PIPE, check=True).stdout


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None: ...


@contextlib.contextmanager
def served(directory: Path, layers: list[bytes], blobs: list[bytes]) -> Iterator[int]:
    """The port of a registry that has the image `app:1`: a registry's answers are files, where nobody asks who."""

    def write(kind: str, data: bytes, name: str = "") -> dict[str, Any]:
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        path = directory / "v2/app" / kind
        path.mkdir(parents=True, exist_ok=True)
        for file in filter(None, (digest, name)):
            (path / file).write_bytes(data)
        return {"digest": digest, "size": len(data)}

    diff_ids = [f"sha256:{hashlib.sha256(layer).hexdigest()}" for layer in layers]
    config = write("blobs", json.dumps({"rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode())
    manifest = {"schemaVersion": 2, "config": config, "layers": [write("blobs", blob) for blob in blobs]}
    write("manifests", json.dumps(manifest).encode(), "1")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
