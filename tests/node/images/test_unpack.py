"""Layers become directories; nothing gets out of them (R117, R118)."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from layers import directory, file, link, tar

from holdfast.node.capabilities import attempt
from holdfast.node.images.unpack import BadLayer, unpack
from holdfast.world import user_namespace

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="device nodes and trusted attributes need root")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Something worth protecting is beside it."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("data")
    (tmp_path / "layer").mkdir()
    return tmp_path / "layer"


def put(target: Path, *entries: object) -> int:
    return unpack(io.BytesIO(tar(*entries)), target)


def test_files_directories_links_modes_and_times(target: Path) -> None:
    size = put(
        target,
        directory("usr", mode=0o750, mtime=1000),
        file("usr/program", "code", mode=0o4755, mtime=2000),
        link("usr/alias", "program"),
        link("usr/same", "usr/program", hard=True),
        file("deep/without/parents", "x"),
    )
    assert size == 5
    program = (target / "usr" / "program").stat()
    assert (stat.S_IMODE(program.st_mode), program.st_mtime, program.st_nlink) == (0o4755, 2000, 2)
    assert os.readlink(target / "usr" / "alias") == "program"
    assert (stat.S_IMODE((target / "usr").stat().st_mode), (target / "usr").stat().st_mtime) == (0o750, 1000)
    assert (target / "deep" / "without" / "parents").read_text() == "x"


def test_a_later_entry_of_a_name_wins(target: Path) -> None:
    put(target, file("a", "1"), file("a", "2"), directory("b"), file("b/c", "3"), file("b", "4"))
    assert (target / "a").read_text() == "2"
    assert (target / "b").read_text() == "4"


@as_root
def test_a_removal_becomes_a_whiteout_and_an_opaque_directory_an_attribute(target: Path) -> None:
    put(target, file("etc/.wh.gone"), directory("var"), file("var/.wh..wh..opq"), file(".wh..wh.plnk", "notes"))
    gone = (target / "etc" / "gone").lstat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert os.getxattr(target / "var", "trusted.overlay.opaque") == b"y"
    assert sorted(path.name for path in target.iterdir()) == ["etc", "var"]


@as_root
def test_attributes_survive_the_change_of_owner(target: Path) -> None:
    capability = b"\x01\x00\x00\x02" + bytes([0, 4, 0, 0]) + bytes(12)
    value = capability.decode("utf-8", "surrogateescape")
    put(
        target,
        file("ping", "code", uid=12, gid=34, mode=0o2755, pax_headers={"SCHILY.xattr.security.capability": value}),
    )
    status = (target / "ping").stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (12, 34, 0o2755)
    assert os.getxattr(target / "ping", "security.capability") == capability


@as_root
def test_an_image_does_not_write_overlayfs_own_attributes(target: Path) -> None:
    headers = {f"SCHILY.xattr.{kind}.overlay.redirect": "/elsewhere" for kind in ("trusted", "user")}
    put(target, directory("d", pax_headers={**headers, "SCHILY.xattr.user.mine": "kept"}))
    assert os.listxattr(target / "d") == ["user.mine"]


def test_a_device_that_may_not_be_made_is_left_out(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "mknod", refused)
    put(target, ("dev/null", "", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 3}), file("etc/after", "x"))
    assert (os.path.lexists(target / "dev" / "null"), (target / "etc" / "after").read_text()) == (False, "x")


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([file("../precious/file", "evil")], id="a name with dots"),
        pytest.param([file("a/../../precious/file", "evil")], id="dots in the middle"),
        pytest.param([link("out", "../precious"), file("out/file", "evil")], id="a file below a link"),
        pytest.param([link("out", "/"), directory("out/tmp/x")], id="a directory below a link"),
        pytest.param(
            [directory("d"), file("d/x"), link("d", "../precious"), file("d/file", "evil")],
            id="a directory turned link",
        ),
        pytest.param([link("hard", "../precious/file", hard=True)], id="a hard link to outside"),
        pytest.param(
            [link("out", "../precious"), link("hard", "out/file", hard=True)], id="a hard link through a link"
        ),
        pytest.param([file("a/.wh..."), file("x")], id="a whiteout of the parent"),
        pytest.param([file(".wh...")], id="a whiteout of what is around"),
        pytest.param([file("a/.wh.")], id="a whiteout of nothing"),
        pytest.param([link("out", "../precious"), file("out/.wh.file")], id="a whiteout below a link"),
        pytest.param([link("out", "../precious"), file("out/.wh..wh..opq")], id="an opaque mark below a link"),
    ],
)
def test_nothing_outside_is_touched(target: Path, entries: list) -> None:
    with pytest.raises(BadLayer):
        put(target, *entries)
    assert (target.parent / "precious" / "file").read_text() == "data"
    assert sorted(path.name for path in target.parent.iterdir()) == ["layer", "precious"]
    assert (target.parent / "precious" / "file").stat().st_nlink == 1


def test_names_from_the_root_stay_inside(target: Path) -> None:
    put(target, file("/etc/absolute", "x"), file("./etc/dotted", "y"))
    assert sorted(path.name for path in (target / "etc").iterdir()) == ["absolute", "dotted"]


def test_writing_over_a_link_replaces_the_link(target: Path) -> None:
    put(target, link("file", "../precious/file"), file("file", "new"))
    assert (target / "file").read_text() == "new"
    assert (target.parent / "precious" / "file").read_text() == "data"


@pytest.mark.parametrize("data", [b"", b"no tar at all" * 100, tar(file("a", "x" * 5000))[:3000]])
def test_a_broken_archive_is_refused(target: Path, data: bytes) -> None:
    with pytest.raises(BadLayer):
        unpack(io.BytesIO(data), target)


def test_an_unknown_kind_of_entry_is_refused(target: Path) -> None:
    with pytest.raises(BadLayer, match="unknown type"):
        put(target, ("x", "", {"type": b"Z"}))


def test_r117_inside_a_user_namespace_the_marks_are_those_that_users_may_make_and_strangers_own_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_namespace, "everyone", lambda text: [(0, os.geteuid(), 1)])  # whom root hands on

    def unpack_inside() -> None:
        user_namespace.enter()
        put(
            target,
            directory("var"),
            file("var/.wh..wh..opq"),
            file(".wh.gone"),
            file("strangers", uid=999, gid=998),
        )

    if attempt(user_namespace.enter):
        pytest.skip("no user namespaces here")
    assert attempt(unpack_inside) == ""
    assert os.getxattr(target / "var", "user.overlay.opaque") == b"y"
    gone = (target / "gone").stat()
    assert stat.S_ISCHR(gone.st_mode)
    assert gone.st_rdev == 0
    assert (target / "strangers").stat().st_uid == os.geteuid()
