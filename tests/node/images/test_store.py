"""The image store: archives in, names and layers out, shared between processes."""

import io
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from layers import digest, docker_archive, file, oci_archive, tar

from holdfast.node.images.archive import BadArchive
from holdfast.node.images.loading import load
from holdfast.node.images.platforms import machine_platform
from holdfast.node.images.store import ImageInUse, ImageStore
from holdfast.node.runtime import ImageMissing

BASE, TOP = tar(file("etc/base", "1")), tar(file("etc/top", "2"))
HERE = machine_platform()[0]
NOW = datetime.now(UTC)


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


def test_a_docker_archive_is_found_by_every_spelling(store: ImageStore, tmp_path: Path) -> None:
    path = docker_archive(
        tmp_path / "a.tar", [BASE, TOP], ["nginx:1.25"], Entrypoint=["/e"], Cmd=["c"], StopSignal="SIGQUIT", User="web"
    )
    (loaded,) = load(store, path)
    assert loaded.references == ("docker.io/library/nginx:1.25",)
    for name in ("nginx:1.25", "docker.io/library/nginx:1.25", loaded.id):
        assert store.find(name) == loaded
    assert store.find("nginx") is None
    assert (loaded.entrypoint, loaded.cmd, loaded.stop_signal, loaded.user) == (("/e",), ("c",), "SIGQUIT", "web")
    assert loaded.size_bytes == 2


def test_layers_are_directories_topmost_first(store: ImageStore, tmp_path: Path) -> None:
    (loaded,) = load(store, docker_archive(tmp_path / "a.tar", [BASE, TOP], ["x"], compress=True))
    top, base = (Path(layer) for layer in store.layer_paths(loaded.id))
    assert (base / "etc" / "base").read_text() == "1"
    assert (top / "etc" / "top").read_text() == "2"


def test_the_platform_of_this_machine_is_taken_from_an_index(store: ImageStore, tmp_path: Path) -> None:
    platforms = [{"os": "linux", "architecture": "s390x"}, {"os": "linux", "architecture": HERE}]
    (loaded,) = load(store, oci_archive(tmp_path / "o.tar", BASE, "docker.io/library/o:1", platforms))
    assert loaded.references == ("docker.io/library/o:1",)
    assert loaded.digests[0].startswith("docker.io/library/o@sha256:")


def test_an_image_for_another_machine_only_is_refused(store: ImageStore, tmp_path: Path) -> None:
    with pytest.raises(BadArchive, match="architecture"):
        load(store, oci_archive(tmp_path / "o.tar", BASE, "o", [{"os": "linux", "architecture": "s390x"}]))


def test_a_shared_layer_is_unpacked_once(store: ImageStore, tmp_path: Path) -> None:
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    inode = os.stat(store.layer_paths(one.id)[0]).st_ino
    (two,) = load(store, docker_archive(tmp_path / "2.tar", [BASE, TOP], ["two"]))
    assert store.layer_paths(two.id)[1] == store.layer_paths(one.id)[0]
    assert os.stat(store.layer_paths(one.id)[0]).st_ino == inode


def test_a_name_moves_to_the_image_loaded_last(store: ImageStore, tmp_path: Path) -> None:
    (old,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["x"]))
    (new,) = load(store, docker_archive(tmp_path / "2.tar", [TOP], ["x"]))
    assert store.find("x") == new
    assert old.id != new.id


def test_removing_the_last_name_removes_what_nobody_else_has(store: ImageStore, tmp_path: Path) -> None:
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one", "alias"]))
    (two,) = load(store, docker_archive(tmp_path / "2.tar", [BASE, TOP], ["two"]))
    top, base = store.layer_paths(two.id)
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
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    load(store, docker_archive(tmp_path / "2.tar", [TOP], ["two"]))
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
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    shutil.rmtree(store.layer_paths(one.id)[0])
    with pytest.raises(ImageMissing):
        store.hold(one.id, tmp_path)


def test_the_host_image_is_always_there(store: ImageStore, tmp_path: Path) -> None:
    host = store.find("host")
    assert host is not None
    assert (store.layer_paths(host.id), store.hold(host.id, tmp_path)) == ([], [])
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
        load(store, path)


def test_a_layer_that_is_not_what_the_image_says_is_refused_and_nothing_stays(
    store: ImageStore, tmp_path: Path
) -> None:
    path = docker_archive(tmp_path / "a.tar", [BASE], ["x"], diff_ids=[digest(TOP)])
    with pytest.raises(BadArchive, match="damaged"):
        load(store, path)
    assert store.find("x") is None
    assert list((tmp_path / "images" / "layers").iterdir()) == []


LOAD = """
import sys
from pathlib import Path
from holdfast.node.images.loading import load
from holdfast.node.images.store import ImageStore
load(ImageStore(Path(sys.argv[1])), Path(sys.argv[2]))
"""


def test_several_processes_may_load_at_once(store: ImageStore, tmp_path: Path) -> None:
    archives = [docker_archive(tmp_path / f"{n}.tar", [BASE, TOP], [f"image-{n}"], Cmd=[str(n)]) for n in range(4)]
    loading = [
        subprocess.Popen([sys.executable, "-c", LOAD, str(tmp_path / "images"), str(archive)]) for archive in archives
    ]
    assert [process.wait(120) for process in loading] == [0] * 4
    assert all(store.find(f"image-{number}") for number in range(4))


def test_an_image_in_use_cannot_be_removed_by_its_id_and_is_not_pruned(store: ImageStore, tmp_path: Path) -> None:
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one", "alias"]))
    container = tmp_path / "container"
    container.mkdir()
    store.hold(one.id, container)
    with pytest.raises(ImageInUse):
        store.remove(one.id)
    assert store.prune(with_loaded=True) == []
    container.rmdir()
    store.remove(one.id)
    assert (store.find("one"), store.find("alias"), store.find(one.id)) == (None, None, None)
    with pytest.raises(KeyError):
        store.remove(one.id)


def test_images_from_archives_are_pruned_only_when_asked(store: ImageStore, tmp_path: Path) -> None:
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    assert one.is_local
    assert store.prune() == []
    assert store.prune(with_loaded=True) == [one]
    assert [record.id for record in store.records()] == [store.find("host").id]


def test_an_image_that_lost_its_last_name_to_another_is_gone(store: ImageStore, tmp_path: Path) -> None:
    (old,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["x"]))
    load(store, docker_archive(tmp_path / "2.tar", [TOP], ["x"]))
    assert store.find(old.id) is None
    assert store.layers.size(digest(BASE)) is None


def test_removing_the_last_tag_removes_the_digest_too(store: ImageStore, tmp_path: Path) -> None:
    platforms = [{"os": "linux", "architecture": HERE}]
    (one,) = load(store, oci_archive(tmp_path / "o.tar", BASE, "docker.io/library/o:1", platforms), ["o:2"])
    assert store.find(one.digests[0]) == one
    store.remove("o:1")
    assert store.find(one.digests[0]) is not None
    store.remove("o:2")
    assert store.find(one.digests[0]) is None
    assert store.layers.size(digest(BASE)) is None


def test_layers_that_are_claimed_stay_until_the_claim_ends(store: ImageStore, tmp_path: Path) -> None:
    store.make()
    with store.claim([digest(TOP)]):
        store.layers.add(digest(TOP), io.BytesIO(TOP))
        store.sweep(NOW)
        assert store.layers.size(digest(TOP)) is not None
    store.sweep(NOW)
    assert store.layers.size(digest(TOP)) is None


CLAIM = """
import sys
from pathlib import Path
from holdfast.node.images.store import ImageStore
with ImageStore(Path(sys.argv[1])).claim([sys.argv[2]]):
    print("claimed", flush=True)
    sys.stdin.read()
"""


def test_the_claim_of_a_process_that_was_killed_counts_no_more(store: ImageStore, tmp_path: Path) -> None:
    store.make()
    store.layers.add(digest(TOP), io.BytesIO(TOP))
    command = [sys.executable, "-c", CLAIM, str(tmp_path / "images"), digest(TOP)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "claimed\n"
        store.sweep(NOW)
        assert store.layers.size(digest(TOP)) is not None
        process.kill()
        process.wait()
    store.sweep(NOW)
    assert store.layers.size(digest(TOP)) is None
    assert list((tmp_path / "images" / "claims").iterdir()) == []


def test_parts_of_layers_wait_for_a_day(store: ImageStore) -> None:
    store.make()
    part = store.downloads / "part"
    part.touch()
    os.utime(part, (NOW.timestamp(), NOW.timestamp()))
    store.sweep(NOW)
    assert part.exists()
    store.sweep(NOW + timedelta(days=1, minutes=1))
    assert not part.exists()


def test_a_store_that_is_not_there_yet_is_swept_and_emptied_without_a_word(store: ImageStore) -> None:
    store.sweep(NOW)
    assert store.prune() == []
    with pytest.raises(KeyError):
        store.remove("x")


def test_a_mark_of_before_a_power_failure_holds_nothing(store: ImageStore, tmp_path: Path) -> None:
    (one,) = load(store, docker_archive(tmp_path / "1.tar", [BASE], ["one"]))
    store.hold(one.id, tmp_path)
    (mark,) = (tmp_path / "images" / "used").iterdir()
    mark.write_bytes(b"")
    store.remove(one.id)
    assert not mark.exists()
