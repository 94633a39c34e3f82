"""Packages become a layer, the same bytes each time, without root (R110)."""

import io
import tarfile
from pathlib import Path

import layer as making
import pytest
from debs import deb, entry
from layer import Layer, make_layer
from recipes import BASE, RECIPES, Contents


def read(tar: bytes) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        return {info.name: info for info in archive}


def text(tar: bytes, name: str) -> str:
    with tarfile.open(fileobj=io.BytesIO(tar)) as archive:
        file = archive.extractfile(name)
        assert file is not None
        return file.read().decode()


@pytest.fixture
def own_files(monkeypatch, tmp_path):
    """A folder in which a recipe's files can be laid out."""
    folder = tmp_path / "own"
    folder.mkdir()
    monkeypatch.setattr(making, "FILES", folder)
    return folder


def test_files_of_bin_and_lib_move_below_usr_and_the_links_stay() -> None:
    layer = Layer()
    layer.add_skeleton()
    layer.add(entry("./bin/", tarfile.DIRTYPE))
    layer.add(entry("./bin/sh"))
    layer.add(entry("./lib/x86_64-linux-gnu/libc.so.6"))
    found = read(layer.tar())
    assert "usr/bin/sh" in found
    assert "usr/lib/x86_64-linux-gnu/libc.so.6" in found
    assert found["bin"].linkname == "usr/bin"
    assert found["lib64"].linkname == "usr/lib64"


def test_an_upper_layer_leaves_the_lower_layers_links_alone() -> None:
    layer = Layer()
    layer.add(entry("./bin/x"))
    layer.add(entry("./var/run/x/", tarfile.DIRTYPE))
    assert list(read(layer.tar())) == ["run", "run/x", "usr", "usr/bin", "usr/bin/x"]


def test_a_directory_that_packages_only_imply_is_what_every_image_has_there() -> None:
    layer = Layer()
    layer.add(entry("./root/.profile"))
    assert read(layer.tar())["root"].mode == 0o700


def test_documentation_is_left_out() -> None:
    layer = Layer()
    layer.add(entry("./usr/share/doc/x/copyright"))
    layer.add(entry("./usr/share/doc/", tarfile.DIRTYPE))
    layer.add(entry("./usr/share/x/data"))
    assert list(read(layer.tar())) == ["usr", "usr/share", "usr/share/x", "usr/share/x/data"]


def test_hidden_files_keep_their_dot() -> None:
    layer = Layer()
    layer.add(entry("./.profile"))
    assert ".profile" in read(layer.tar())


def test_hard_links_come_after_what_they_name() -> None:
    layer = Layer()
    layer.add(entry("./bin/a", tarfile.LNKTYPE, link="./bin/z"))
    layer.add(entry("./bin/z"))
    order = list(read(layer.tar()))
    assert order.index("usr/bin/a") > order.index("usr/bin/z")


def test_files_of_the_image_itself_win_over_packages(tmp_path: Path, own_files: Path) -> None:
    (own_files / "x" / "etc").mkdir(parents=True)
    (own_files / "x" / "etc" / "x.conf").write_text("image's")
    (own_files / "x" / "etc" / "start").write_text("#!/bin/sh\n")
    package = deb(tmp_path / "x.deb", {"./etc/x.conf": b"package's"})
    layer = make_layer(Contents(files="x"), [package], is_lowest=False)
    assert text(layer, "etc/x.conf") == "image's"
    assert [info.mode for info in read(layer).values() if info.isreg()] == [0o755, 0o644]


def test_a_directory_belongs_to_whom_the_recipe_says(tmp_path: Path) -> None:
    package = deb(tmp_path / "x.deb", {"./var/lib/x/state": b""})
    contents = Contents(directories={"/var/lib/x": (999, 0o1777)})
    made = read(make_layer(contents, [package], is_lowest=False))["var/lib/x"]
    assert (made.uid, made.gid, made.mode) == (999, 999, 0o1777)


def test_users_of_an_image_come_after_those_of_every_image() -> None:
    layer = make_layer(Contents(users={"postgres": 999}), [], is_lowest=False)
    assert text(layer, "etc/passwd").startswith(making.PASSWD.decode())
    assert "postgres:x:999:999:" in text(layer, "etc/passwd")
    assert "postgres:x:999:\n" in text(layer, "etc/group")


def test_programs_in_a_folder_with_a_version_are_found_on_the_path(tmp_path: Path) -> None:
    package = deb(tmp_path / "x.deb", {"./usr/lib/x/15/bin/x": b"", "./usr/lib/x/15/lib/jit.so": b""})
    contents = Contents(programs="usr/lib/x/*/bin/*", drop=("usr/lib/x/*/lib/jit*",))
    found = read(make_layer(contents, [package], is_lowest=False))
    assert found["usr/local/bin/x"].linkname == "/usr/lib/x/15/bin/x"
    assert "usr/lib/x/15/lib/jit.so" not in found


def test_two_builds_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = (
        make_layer(BASE, [deb(tmp_path / f"{number}.deb", {"./usr/bin/x": b"1", "./usr/bin/y": b"2"})], is_lowest=True)
        for number in (1, 2)
    )
    assert first == second


@pytest.mark.parametrize("name", RECIPES)
def test_entry_points_are_programs(name: str) -> None:
    recipe = RECIPES[name]
    own = making.files_of(recipe.contents)
    for program in recipe.entrypoint:
        assert own[f"usr/local/bin/{program}"].startswith(b"#!/bin/")
