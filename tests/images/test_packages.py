"""What apt says and brings, read without dpkg; apt itself is a script here."""

from pathlib import Path

import packages
import pytest
from debs import deb
from packages import BuildFailed, ListsWereOutdated, Package, Packages

APT = """#!/usr/bin/env python3
import pathlib, sys
options, arguments = [a for a in sys.argv[1:] if a.startswith("-")], [a for a in sys.argv[1:] if a[0] != "-"]
pathlib.Path({log!r}).open("a").write(" ".join(arguments) + "\\n")
lists = next(o for o in options if o.startswith("--option=Dir::State::lists=")).split("=")[2]
newest = pathlib.Path(lists, "new_Packages")
if arguments[0] == "update":
    newest.touch()
elif arguments[0] == "install":
    version = "1:2.0-1" if newest.exists() else "1:1.0-1"
    if arguments[1] == "unknown":
        sys.exit("E: Unable to locate package unknown")
    print("Inst libx (3.1 Debian:12 [all])\\nInst x (" + version + " Debian:12 [amd64])\\nConf x ignored")
else:
    for package in arguments[1:]:
        if package == "x=1:1.0-1":
            sys.exit("E: 404 Not Found")
        name, version = package.split("=")
        pathlib.Path(f"{{name}}_{{version.replace(':', '%3a')}}_amd64.deb").touch()
"""


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """What apt was asked for so far. It knows x 1.0, which is gone, and 2.0 after an update."""
    log = tmp_path / "log"
    program = tmp_path / "bin" / "apt-get"
    program.parent.mkdir()
    program.write_text(APT.format(log=str(log)))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    monkeypatch.setattr(packages, "_LISTS", tmp_path / "machine")
    (tmp_path / "machine").mkdir()
    return lambda: log.read_text().splitlines()


def test_apt_names_the_packages_with_their_versions(asked, tmp_path: Path) -> None:
    found = Packages(tmp_path / "cache").resolve(["x"])
    assert found == [Package("libx", "3.1", "all"), Package("x", "1:1.0-1", "amd64")]


def test_apt_is_asked_once_as_long_as_its_lists_stay(asked, tmp_path: Path) -> None:
    first = Packages(tmp_path / "cache").resolve(["x"])
    assert Packages(tmp_path / "cache").resolve(["x"]) == first
    assert len(asked()) == 1
    (tmp_path / "machine" / "other_Packages").touch()
    Packages(tmp_path / "cache").resolve(["x"])
    assert len(asked()) == 2


def test_lists_of_our_own_are_fetched_where_the_machines_do_not_help(asked, tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="Unable to locate package unknown"):
        Packages(tmp_path / "cache").resolve(["unknown"])
    assert asked() == ["install unknown", "update", "install unknown"]


def test_what_is_gone_since_is_resolved_again_with_new_lists(asked, tmp_path: Path) -> None:
    known = Packages(tmp_path / "cache")
    with pytest.raises(ListsWereOutdated):
        known.download([Package("x", "1:1.0-1", "amd64")])
    (package,) = (package for package in known.resolve(["x"]) if package.name == "x")
    known.download([package])
    assert known.file(package).name == "x_1%3a2.0-1_amd64.deb"
    assert known.file(package).exists()


def test_only_what_is_missing_is_downloaded_and_in_one_go(asked, tmp_path: Path) -> None:
    known = Packages(tmp_path / "cache")
    known.file(Package("here", "1", "amd64")).touch()
    known.download([Package(name, "1", "amd64") for name in ("here", "b", "a")])
    assert asked() == ["download a=1 b=1"]


def test_where_there_is_no_apt_the_build_says_so(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildFailed, match="apt-get is not here"):
        Packages(tmp_path / "cache").resolve(["x"])


def test_a_package_is_read_without_dpkg(tmp_path: Path) -> None:
    path = deb(tmp_path / "x.deb", {"./usr/bin/x": b"program"})
    found = {info.name: data for info, data in packages.members(path)}
    assert found["./usr/bin/x"] == b"program"


def test_something_else_is_no_package(tmp_path: Path) -> None:
    (tmp_path / "x.deb").write_bytes(b"PK\x03\x04")
    with pytest.raises(packages.BuildFailed, match="no Debian package"):
        list(packages.members(tmp_path / "x.deb"))


@pytest.mark.parametrize(
    ("version", "upstream"), [("1.22.1-9+deb12u1", "1.22.1"), ("1:10.11.19-0+deb12u1", "10.11.19"), ("15+248", "15")]
)
def test_the_upstream_version_is_without_debians_own(version: str, upstream: str) -> None:
    assert Package("x", version, "amd64").upstream_version == upstream
