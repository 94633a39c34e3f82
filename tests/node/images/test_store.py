"""The image store: archives in, names and layers out, shared between processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from layers import digest, docker_archive, file, oci_archive, tar

from holdfast.node.images.archive import ARCHITECTURES, BadArchive
from holdfast.node.images.store import ImageStore
from holdfast.node.runtime import ImageMissing

BASE, TOP = tar(file("etc/base", "1")), tar(file("etc/top", "2"))
HERE = ARCHITECTURES.get(os.uname().machine, os.uname().machine)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def test_a_docker_archive_is_found_by_every_spelling(store: ImageStore, tmp_path: Path) -> None:
    path = docker_archive(
        tmp_path / "a.tar", [BASE, TOP], ["nginx:1.25"], Entrypoint=["/e"], Cmd=["c"], StopSignal="SIGQUIT", User="web"
    )
    (loaded,) = store.load(path)
    assert loaded.references == ("docker.io/library/nginx:1.25",)
    for name in ("nginx:1.25", "docker.io/library/nginx:1.25", loaded.id):
        assert store.find(name) == loaded
    assert store.find("nginx") is None
    assert (loaded.entrypoint, loaded.cmd, loaded.stop_signal, loaded.user) == (("/e",), ("c",), "SIGQUIT", "web")
    assert loaded.size_bytes == 2


def test_layers_are_directories_topmost_first(store: ImageStore, tmp_path: Path) -> None:
    (loaded,) = store.load(docker_archive(tmp_path / "a.tar", [BASE, TOP], ["x"], compress=True))
    top, base = (Path(layer) for layer in store.layers(loaded.id))
    assert (base / "etc" / "base").read_text() == "1"
    assert (top / "etc" / "top").read_text() == "2"


def test_the_platform_of_this_machine_is_taken_from_an_index(store: ImageStore, tmp_path: Path) -> None:
    platforms = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": HERE}]
    (loaded,) = store.load(oci_archive(tmp_path / "o.tar", BASE, "docker.io/library/o:1", platforms))
    assert loaded.references == ("docker.io/library/o:1",)
    assert loaded.digests[0].startswith("docker.io/library/o@sha256:")


def test_an_image_for_another_machine_only_is_refused(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="architecture"):
        store.load(oci_archive(tmp_path / "o.tar", BASE, "o", [{"os": "linux", "architecture": "s390x"}]))


def test_a_shared_layer_is_unpacked_once(store: ImageStore, tmp_path: Path) -> None:
    (one,) = store.load(docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    inode = os.stat(store.layers(one.id)[0]).st_ino
    (two,) = store.load(docker_archive(tmp_path / "2.tar", [BASE, TOP], ["two"]))
    assert store.layers(two.id)[1] == store.layers(one.id)[0]
    assert os.stat(store.layers(one.id)[0]).st_ino == inode


def test_a_name_moves_to_the_image_loaded_last(store: ImageStore, tmp_path: Path) -> None:
    (old,) = store.load(docker_archive(tmp_path / "1.tar", [BASE], ["x"]))
    (new,) = store.load(docker_archive(tmp_path / "2.tar", [TOP], ["x"]))
    assert store.find("x") == new
    assert old.id != new.id


def test_removing_the_last_name_removes_what_nobody_else_has(store: ImageStore, tmp_path: Path) -> None:
    (one,) = store.load(docker_archive(tmp_path / "1.tar", [BASE], ["one", "alias"]))
    (two,) = store.load(docker_archive(tmp_path / "2.tar", [BASE, TOP], ["two"]))
    top, base = store.layers(two.id)
    store.remove("two")
    assert store.find("two") is None
    assert (os.path.exists(top), os.path.exists(base)) == (False, True)
    store.remove("one")
    assert store.find("alias").id == one.id
    store.remove("alias")
    assert not os.path.exists(base)
    with pytest.raises(KeyError):
        store.remove("alias")


def test_what_a_container_stands_on_stays_until_it_is_gone(store: ImageStore, tmp_path: Path) -> None:
    (one,) = store.load(docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    store.load(docker_archive(tmp_path / "2.tar", [TOP], ["two"]))
    container = tmp_path / "container"
    container.mkdir()
    (layer,) = store.hold(one.id, container)
    store.remove("one")
    assert store.find("one") is None
    assert os.path.exists(layer)
    container.rmdir()
    store.remove("two")
    assert not os.path.exists(layer)


def test_an_image_that_is_gone_cannot_be_held(store: ImageStore, tmp_path: Path) -> None:
    (one,) = store.load(docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    shutil.rmtree(store.layers(one.id)[0])
    with pytest.raises(ImageMissing):
        store.hold(one.id, tmp_path)


def test_the_host_image_is_always_there(store: ImageStore, tmp_path: Path) -> None:
    host = store.find("host")
    assert host is not None
    assert (store.layers(host.id), store.hold(host.id, tmp_path)) == ([], [])
    assert [record.id for record in store.records()] == [host.id]
    with pytest.raises(KeyError):
        store.remove("host")


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"no tar", "not a tar archive"),
        (tar(file("x", "y")), "neither a docker nor an OCI archive"),
        (tar(file("manifest.json", "{")), "is not JSON"),
        (tar(file("manifest.json", '[{"RepoTags": ["x"]}]')), "manifest.json is damaged"),
        (tar(file("manifest.json", '[{"RepoTags": ["x"], "Config": "c", "Layers": []}]')), "c is missing"),
        (tar(file("manifest.json", '[{"Config": "c", "Layers": []}]'), file("c", "[]")), "no name"),
    ],
)
def test_a_bad_archive_says_what_is_wrong(store: ImageStore, tmp_path: Path, broken: bytes, words: str) -> None:
    path = tmp_path / "bad.tar"
    path.write_bytes(broken)
    with pytest.raises(BadArchive, match=words):
        store.load(path)


def test_a_layer_that_is_not_what_the_image_says_is_refused_and_nothing_stays(
    store: ImageStore, tmp_path: Path
) -> None:
    path = docker_archive(tmp_path / "a.tar", [BASE], ["x"], diff_ids=[digest(TOP)])
    with pytest.raises(BadArchive, match="damaged"):
        store.load(path)
    assert store.find("x") is None
    assert list((tmp_path / "images" / "layers").iterdir()) == []


def test_pulling_says_how_to_load_instead(store: ImageStore) -> None:
    with pytest.raises(ImageMissing, match="holdfast image load"):
        store.pull("nginx")


LOAD = """
import sys
from pathlib import Path
from holdfast.node.images.store import ImageStore
ImageStore(Path(sys.argv[1])).load(Path(sys.argv[2]))
"""


def test_several_processes_may_load_at_once(store: ImageStore, tmp_path: Path) -> None:
    archives = [docker_archive(tmp_path / f"{n}.tar", [BASE, TOP], [f"image-{n}"], Cmd=[str(n)]) for n in range(4)]
    loading = [
        subprocess.Popen([sys.executable, "-c", LOAD, str(tmp_path / "images"), str(archive)]) for archive in archives
    ]
    assert [process.wait(30) for process in loading] == [0] * 4
    assert all(store.find(f"image-{number}") for number in range(4))
