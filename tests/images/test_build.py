"""Packages become one layer, the same bytes each time, without root (R110)."""

import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path

import build
import packages
import pytest
from recipes import RECIPES, Recipe


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", mode: int = 0o644) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


def deb(path: Path, files: dict[str, bytes]) -> Path:
    """A package as dpkg-deb writes it, with nothing but data."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        archive.addfile(entry("./", tarfile.DIRTYPE, mode=0o755))
        for name, content in files.items():
            info = entry(name)
            info.size, info.mtime, info.uname = len(content), 1234567890, "builder"
            archive.addfile(info, io.BytesIO(content))

    def member(name: str, content: bytes) -> bytes:
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode()
        return header + content + b"\n" * (len(content) % 2)

    path.write_bytes(b"!<arch>\n" + member("debian-binary", b"2.0") + member("data.tar.xz", data.getvalue()))
    return path


def names(layer: build.Layer) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(layer.tar())) as archive:
        return {info.name: info for info in archive}


RECIPE = Recipe(names=("docker.io/library/x:latest",), packages=("x",), command=("x",), stop_signal="SIGQUIT")


def test_a_package_is_read_without_dpkg(tmp_path: Path) -> None:
    path = deb(tmp_path / "x.deb", {"./usr/bin/x": b"program"})
    found = {info.name: data for info, data in packages.members(path)}
    assert found["./usr/bin/x"] == b"program"


def test_something_else_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"PK\x03\x04")
    with pytest.raises(packages.BuildFailed, match="no Debian package"):
        list(packages.members(tmp_path / "x.deb"))


def test_files_of_bin_and_lib_move_below_usr_and_the_links_stay() -> None:
    layer = build.Layer()
    layer.add(entry("./bin/", tarfile.DIRTYPE))
    layer.add(entry("./bin/sh"))
    layer.add(entry("./lib/x86_64-linux-gnu/libc.so.6"))
    found = names(layer)
    assert "usr/bin/sh" in found
    assert "usr/lib/x86_64-linux-gnu/libc.so.6" in found
    assert found["bin"].linkname == "usr/bin"
    assert found["lib64"].linkname == "usr/lib64"


def test_documentation_is_left_out() -> None:
    layer = build.Layer()
    layer.add(entry("./usr/share/doc/x/copyright"))
    layer.add(entry("./usr/share/doc/", tarfile.DIRTYPE))
    layer.add(entry("./usr/share/x/data"))
    found = names(layer)
    assert not any(name.startswith("usr/share/doc") for name in found)
    assert "usr/share/x/data" in found


def test_hidden_files_keep_their_dot() -> None:
    layer = build.Layer()
    layer.add(entry("./.profile"))
    assert ".profile" in names(layer)


def test_hard_links_come_after_what_they_name() -> None:
    layer = build.Layer()
    layer.add(entry("./bin/a", tarfile.LNKTYPE, link="./bin/z"))
    layer.add(entry("./bin/z"))
    order = list(names(layer))
    assert order.index("usr/bin/a") > order.index("usr/bin/z")


def test_files_of_the_image_itself_win_over_packages(tmp_path: Path) -> None:
    package = deb(tmp_path / "x.deb", {"./etc/x.conf": b"package's"})
    recipe = Recipe(names=(), packages=(), command=("x",), files={"/etc/x.conf": "image's", "/srv/x/": ""})
    with tarfile.open(fileobj=io.BytesIO(build.make_layer(recipe, [package]))) as archive:
        file = archive.extractfile("etc/x.conf")
        assert file is not None
        assert file.read() == b"image's"
        assert archive.getmember("srv/x").isdir()


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        build.make_layer(RECIPE, [deb(tmp_path / f"{number}.deb", {"./usr/bin/x": b"1", "./usr/bin/y": b"2"})])
        for number in (1, 2)
    )
    assert first == second


def test_the_archive_is_read_as_oci_and_as_docker(tmp_path: Path) -> None:
    layer = build.make_layer(RECIPE, [])
    target = tmp_path / "x.tar"
    build.write_archive(target, ["docker.io/library/x:1", "docker.io/library/x:2"], RECIPE, layer)
    with tarfile.open(target) as archive:
        files = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    index, (saved,) = json.loads(files["index.json"]), json.loads(files["manifest.json"])
    assert [item["annotations"]["io.containerd.image.name"] for item in index["manifests"]] == saved["RepoTags"]
    digest = index["manifests"][0]["digest"]
    manifest = json.loads(files[f"blobs/{digest.replace(':', '/')}"])
    config = json.loads(files[saved["Config"]])
    assert config["config"]["StopSignal"] == "SIGQUIT"
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert gzip.decompress(files[saved["Layers"][0]]) == layer
    for blob in (manifest["config"], *manifest["layers"], index["manifests"][0]):
        data = files[f"blobs/{blob['digest'].replace(':', '/')}"]
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (blob["digest"].partition(":")[2], blob["size"])


def test_only_new_packages_make_a_new_image() -> None:
    one, two = packages.Package("x", "1:1.0", "amd64"), packages.Package("x", "1:1.1", "amd64")
    assert build._key(RECIPE, [one], []) == build._key(RECIPE, [one], [])
    assert build._key(RECIPE, [one], []) != build._key(RECIPE, [two], [])
    assert one.file_name == "x_1%3a1.0_amd64.deb"


def test_an_unknown_image_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(packages.BuildFailed, match=r"no recipe for mysql: there are busybox, httpd, nginx, redis"):
        build.build("mysql", [], tmp_path)


@pytest.mark.parametrize("name", RECIPES)
def test_every_name_is_fully_spelt(name: str) -> None:
    for reference in RECIPES[name].names:
        registry, _, rest = reference.partition("/")
        assert "." in registry
        assert ":" in rest
