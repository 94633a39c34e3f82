"""What this machine can do is found by doing, in children that take their traces with them (R70)."""

import os
import sys
from pathlib import Path

import pytest

from holdfast.node import capabilities
from holdfast.node.capabilities import Capabilities, Capability
from holdfast.node.volumes.nfs import kernel
from holdfast.world import user_namespace

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux only")


def test_an_attempt_that_goes_well_says_nothing() -> None:
    assert capabilities.attempt(lambda: None) == ""


def test_an_attempt_that_fails_gives_the_system_words() -> None:
    def refused() -> None:
        raise PermissionError(1, "Operation not permitted")

    assert capabilities.attempt(refused) == "Operation not permitted"


def test_an_attempt_that_dies_without_a_word_is_a_failure() -> None:
    assert capabilities.attempt(lambda: os._exit(9)) == "the attempt ended with 9"


def test_an_attempt_changes_nothing_here() -> None:
    before = os.getcwd()
    capabilities.attempt(lambda: os.chdir("/proc"))
    assert os.getcwd() == before


def test_each_failure_comes_with_a_cure() -> None:
    for item in capabilities.probe().items:
        assert item.ok or item.cure, item


@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK) or os.geteuid() != 0, reason="no FUSE here")
def test_nfs_volumes_need_no_more_than_fuse() -> None:
    found = capabilities.probe()["nfs"]
    assert found.ok
    assert found.serves.startswith("NFS volumes")


def test_without_fuse_nor_a_helper_it_is_told_how_to_get_nfs(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(capabilities, "SEARCH_PATH", "/nonexistent")
    monkeypatch.setattr(capabilities, "_mount_fuse", refused)
    found = capabilities._nfs(lambda attempt: attempt, is_rootless=False)
    assert (found.ok, found.detail) == (False, "No such file or directory")
    assert "apt install nfs-common" in found.cure


def test_probing_leaves_no_mount_and_no_link_behind() -> None:
    def seen() -> tuple[str, list[str]]:
        with open("/proc/self/mountinfo") as mounts:
            # Other tests, and clusters, mount things below their own directories meanwhile.
            own = "".join(line for line in mounts if not line.split()[4].startswith(("/tmp/", "/var/lib/")))
            return own, sorted(os.listdir("/sys/class/net"))

    before = seen()
    capabilities.probe()
    assert seen()[0] == before[0]
    assert [name for name in seen()[1] if name.startswith("veth")] == [
        name for name in before[1] if name.startswith("veth")
    ]


@pytest.mark.parametrize(("crun_ok", "runtime"), [(True, "oci"), (False, "process")])
def test_real_containers_are_chosen_where_everything_they_need_is_there(crun_ok: bool, runtime: str) -> None:
    found = Capabilities(
        (
            Capability("crun", crun_ok, "containers", cure="apt install crun", required=True),
            Capability("proot", False, "something else", cure="apt install proot"),
        )
    )
    assert found.runtime == runtime


def test_without_any_right_the_reasons_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "SEARCH_PATH", "/nonexistent")
    found = capabilities.probe_containers()
    missing = {item.name: item.cure for item in found.missing_for_containers}
    assert missing["crun"] == "apt install crun"
    assert missing["conmon"] == "apt install conmon"


def test_where_the_machine_refuses_and_a_user_namespace_does_not_containers_run_inside_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unshare_all() -> None:
        if not user_namespace.is_inside():
            raise PermissionError(1, "Operation not permitted")

    def veth() -> None:
        if not user_namespace.is_inside():
            raise PermissionError(1, "Operation not permitted")

    if capabilities.attempt(user_namespace.enter):
        pytest.skip("no user namespaces here")
    monkeypatch.setattr(capabilities, "_unshare_all", unshare_all)
    monkeypatch.setattr(capabilities, "_make_veth", veth)
    found = capabilities.probe_containers()
    assert found.is_rootless
    assert found["namespaces"].ok
    assert found["veth"].ok


def test_where_both_are_refused_it_is_the_machine_that_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(capabilities, "_unshare_all", refused)
    found = capabilities.probe_containers()
    assert not found.is_rootless
    assert found.runtime == "process"
    assert found["namespaces"].detail == "Operation not permitted"
    assert "user.max_user_namespaces" in found["namespaces"].cure


def test_r70_without_root_nfs_is_not_mounted_by_the_kernel_even_if_that_could(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(capabilities.shutil, "which", lambda program, path=None: f"/sbin/{program}")
    monkeypatch.setattr(Path, "read_text", lambda path, **how: "nodev\tnfs4\n")
    monkeypatch.setattr(capabilities, "_mount_fuse", refused)
    assert capabilities._nfs(lambda attempt: attempt, is_rootless=False).ok
    assert not capabilities._nfs(lambda attempt: attempt, is_rootless=True).ok


async def test_r70_nor_is_it_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "helper", lambda: "/sbin/mount.nfs")
    monkeypatch.setattr(kernel, "knows_nfs", lambda: True)
    assert await kernel.can_mount() is not user_namespace.is_inside()
    monkeypatch.setattr(user_namespace, "is_inside", lambda: True)
    assert not await kernel.can_mount()
