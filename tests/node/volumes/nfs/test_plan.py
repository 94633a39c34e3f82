"""What an nfs volume means, and the mount table (V90, V91, V95)."""

import os
import stat

import pytest

from holdfast.api.storage.mount_options import mount_options
from holdfast.node.volumes.nfs import kernel, names, table
from holdfast.node.volumes.nfs.plan import Export, export_of, failure


def volume(*options, annotation=None, **nfs):
    annotations = {} if annotation is None else {"volume.beta.kubernetes.io/mount-options": annotation}
    return {
        "metadata": {"name": "v", "annotations": annotations},
        "spec": {"mountOptions": list(options), "nfs": {"server": "nas", "path": "/a", **nfs}},
    }


def of(manifest, *, is_read_only=False):
    return export_of(manifest["spec"]["nfs"], manifest, is_read_only=is_read_only)


def test_v90_the_source_is_server_and_path_an_ipv6_address_in_brackets():
    assert export_of({"server": "nas", "path": "/a/b"}, None, is_read_only=False).source == "nas:/a/b"
    assert export_of({"server": "fd00::1", "path": "/a"}, None, is_read_only=False).source == "[fd00::1]:/a"


def test_v90_options_are_sorted_without_doubles_and_ro_is_one_of_them():
    export = of(volume("soft", "nolock", "soft"), is_read_only=True)
    assert export.all_options == ["nolock", "ro", "soft"]
    assert export.options == ("nolock", "soft")


def test_v90_the_old_annotation_is_stronger_than_the_field():
    assert mount_options(volume("hard", annotation="soft, timeo=5,")) == ("soft", "timeo=5")
    assert mount_options(volume("hard", annotation="")) == ()


def test_v91_the_volumes_own_read_only_is_not_consulted_the_references_is():
    assert not of(volume(readOnly=True)).is_read_only
    assert of(volume(), is_read_only=True).is_read_only
    assert of(volume("ro")).is_read_only


def test_v144_readers_and_writers_of_one_export_share_a_mount_other_options_do_not():
    assert of(volume("soft")).key == of(volume("soft"), is_read_only=True).key
    assert of(volume("soft")).key != of(volume("hard")).key


def test_v80_a_failure_is_told_in_kubelets_words():
    export = Export("nas", "/a", ("soft",), True)
    assert failure(export, "/point", "exit status 32", "mount.nfs: Connection refused\n") == (
        "mount failed: exit status 32\nMounting command: mount\nMounting arguments: -t nfs -o ro,soft nas:/a /point\n"
        "Output: mount.nfs: Connection refused\n"
    )
    assert "Mounting arguments: -t nfs nas:/a /point\n" in failure(Export("nas", "/a", ()), "/point", "x", "y")


TABLE = """\
22 27 0:21 / /proc rw,relatime - proc proc rw
52 27 0:40 / /h/nodes/0/nfs/k/mnt rw,relatime - fuse.nfs4 nas:/with\\040blank rw,user_id=0
53 27 0:40 / /h/nodes/0/pods/u/volumes/data ro,relatime shared:3 - fuse.nfs4 nas:/with\\040blank rw,user_id=0
54 27 0:41 / /elsewhere rw - nfs4 nas:/a rw,vers=4.2
"""


def test_the_mount_table_is_read_without_touching_a_mount(tmp_path):
    path = tmp_path / "mountinfo"
    path.write_text(TABLE)
    first, second, third = table.mounts(path)
    assert (first.point, first.source, first.is_read_only) == ("/h/nodes/0/nfs/k/mnt", "nas:/with blank", False)
    assert (second.device, second.is_read_only) == (first.device, True)
    assert (third.kind, third.point) == ("nfs4", "/elsewhere")


@pytest.mark.parametrize(
    ("text", "is_known"),
    [("nodev\tnfs4\n", True), ("nodev\tnfs\n\text4\n", True), ("nodev\tnfsd\n\text4\n", False), ("", False)],
)
def test_r138_whether_the_kernel_knows_nfs(tmp_path, text, is_known):
    (tmp_path / "filesystems").write_text(text)
    assert kernel.knows_nfs(tmp_path / "filesystems") == is_known


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Makes programs that stand in for the machine's."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)

    def make(name, script):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return make


async def test_v80_the_kernels_mount_is_asked_with_all_options_and_its_words_are_told(programs, tmp_path):
    programs("mount", f'echo "$@" > {tmp_path}/asked; echo mount.nfs: access denied by server; exit 32')
    export = Export("nas.default.svc", "/a", ("soft",), True)
    with pytest.raises(kernel.CannotMount) as caught:
        await kernel.mount(export, tmp_path, "10.96.0.9")
    assert (tmp_path / "asked").read_text() == f"-t nfs -o ro,soft,retry=0 10.96.0.9:/a {tmp_path}\n"
    assert str(caught.value) == failure(export, str(tmp_path), "exit status 32", "mount.nfs: access denied by server")


async def test_a_mount_that_hangs_is_given_up(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "MOUNTED_WITHIN_S", 0.2)
    programs("mount", "exec sleep 30")
    with pytest.raises(kernel.CannotMount, match="Connection timed out"):
        await kernel.mount(Export("nas", "/a", ()), tmp_path / "hangs", "")


async def test_v94_unmounting_is_tried_gently_then_by_force_then_by_letting_go(programs, tmp_path, monkeypatch):
    monkeypatch.setattr(kernel, "UNMOUNTED_WITHIN_S", 0.5)
    script = (
        f'echo "$@" >> {tmp_path}/asked; case "$*" in *-l*) exit 0;; *-f*) echo busy; exit 32;; esac; exec sleep 30'
    )
    programs("umount", script)
    await kernel.unmount(tmp_path / "point")
    asked = [line.removesuffix(f" {tmp_path / 'point'}") for line in (tmp_path / "asked").read_text().splitlines()]
    assert asked == [str(tmp_path / "point"), "-f", "-f -l"]


@pytest.mark.parametrize("name", ["nas", "10.0.0.9", "fd00::1", "nas.example.org"])
async def test_v95_names_outside_the_cluster_are_the_machines_business(name):
    assert await names.address_of(name, ["127.0.0.1"], "cluster.local") == ""


async def test_v95_without_a_nameserver_nothing_is_asked():
    assert await names.address_of("nas.default.svc.cluster.local", [], "cluster.local") == ""
