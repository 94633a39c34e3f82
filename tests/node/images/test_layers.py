"""Layers, their locks, their compression: whole or not there, whatever crashes."""

import gzip
import io
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from layers import digest, file, tar

from holdfast.node.images.compression import BadCompression, decompressed
from holdfast.node.images.layers import Interrupted, Layers
from holdfast.node.images.locks import locked, locked_if_free
from holdfast.node.images.platforms import best, rank
from holdfast.node.images.unpack import BadLayer

BASE = tar(file("etc/base", "1"))
NOISE = random.Random(1).randbytes(3 << 20)


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    return Layers(tmp_path)


def put(layers: Layers, data: bytes) -> None:
    layers.add(digest(data), io.BytesIO(data))


def test_a_layer_counts_only_when_all_of_it_is_there(layers: Layers, tmp_path: Path) -> None:
    assert layers.size(digest(BASE)) is None
    put(layers, BASE)
    assert layers.size(digest(BASE)) == 1
    (tmp_path / f"{digest(BASE)[7:]}.size").unlink()
    assert layers.size(digest(BASE)) is None
    put(layers, BASE)
    assert layers.size(digest(BASE)) == 1


def test_what_a_crash_left_is_swept_and_whole_layers_are_not(layers: Layers, tmp_path: Path) -> None:
    put(layers, BASE)
    other = "b" * 64
    for name in (f".{other}.new", f".{other}.old", other):
        (tmp_path / name / "below").mkdir(parents=True)
    for name in ("c" * 64 + ".size", f".{other}.size.new-123", f".{other}.lock"):
        (tmp_path / name).touch()
    layers.sweep()
    assert sorted(path.name for path in tmp_path.iterdir()) == [digest(BASE)[7:], f"{digest(BASE)[7:]}.size"]


def test_what_somebody_is_making_is_not_swept(layers: Layers, tmp_path: Path) -> None:
    new = tmp_path / f".{digest(BASE)[7:]}.new"
    new.mkdir()
    with locked(layers.lock(digest(BASE))):
        layers.sweep()
        assert new.is_dir()
    layers.sweep()
    assert not new.exists()


def test_an_unpacking_that_is_called_off_leaves_nothing(layers: Layers, tmp_path: Path) -> None:
    calling_off = threading.Event()
    calling_off.set()
    with pytest.raises(Interrupted):
        layers.add(digest(BASE), io.BytesIO(BASE), calling_off)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [BASE[:700], BASE + b"x" * 512])
def test_another_digest_leaves_nothing(layers: Layers, tmp_path: Path, data: bytes) -> None:
    with pytest.raises(BadLayer):
        layers.add(digest(BASE), io.BytesIO(data))
    assert list(tmp_path.iterdir()) == []


# -- locks

HOLD = """
import sys
from pathlib import Path
from holdfast.node.images.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_against_other_processes_and_goes_with_its_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with locked_if_free(path) as is_free:
            assert not is_free
        holder.kill()
        holder.wait()
    with locked_if_free(path) as is_free:
        assert is_free
    assert list(tmp_path.iterdir()) == []


def test_many_threads_are_in_one_at_a_time(tmp_path: Path) -> None:
    inside, most = [], []

    def enter() -> None:
        for _ in range(20):
            with locked(tmp_path / "lock"):
                inside.append(1)
                most.append(len(inside))
                os.sched_yield()
                inside.pop()

    threads = [threading.Thread(target=enter) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(most) == 100
    assert max(most) == 1


# -- compression


@pytest.mark.parametrize("size", [-1, 1000, 1 << 20])
@pytest.mark.parametrize(
    "data",
    [
        pytest.param(gzip.compress(NOISE), id="gzip"),
        pytest.param(gzip.compress(NOISE[:5]) + gzip.compress(NOISE[5:]), id="two members"),
        pytest.param(gzip.compress(NOISE) + b"\0" * 512, id="padded"),
        pytest.param(NOISE, id="plain"),
    ],
)
def test_what_was_packed_comes_out(data: bytes, size: int) -> None:
    with decompressed(io.BytesIO(data)) as stream:
        assert b"".join(iter(lambda: stream.read(size), b"")) == NOISE


@pytest.mark.parametrize("data", [gzip.compress(NOISE)[:-9], gzip.compress(NOISE)[:1000], b"\x1f\x8b\x08junk"])
def test_damaged_gzip_is_told(data: bytes) -> None:
    with pytest.raises(BadCompression, match="gzip"), decompressed(io.BytesIO(data)) as stream:
        stream.read()


# -- platforms


@pytest.mark.parametrize(
    ("machine", "architecture", "variant", "is_run"),
    [
        ("x86_64", "amd64", "", True),
        ("x86_64", "amd64", "v3", False),
        ("x86_64", "arm64", "", False),
        ("aarch64", "arm64", "v8", True),
        ("aarch64", "arm64", "", True),
        ("armv7l", "arm", "v6", True),
        ("armv6l", "arm", "v7", False),
    ],
)
def test_what_a_machine_runs(machine: str, architecture: str, variant: str, is_run: bool) -> None:
    platform = {"os": "linux", "architecture": architecture, "variant": variant}
    assert (rank(platform, machine) is not None) == is_run


def test_the_newest_variant_that_runs_is_taken() -> None:
    arm = [({"os": "linux", "architecture": "arm", "variant": variant}, variant) for variant in ("v5", "v7", "v6")]
    assert best(arm, "armv7l") == "v7"
    assert best(arm[:1] + arm[2:], "armv7l") == "v6"
    assert best([({"os": "windows", "architecture": "amd64"}, "w"), ({"os": "unknown"}, "u")], "x86_64") is None
