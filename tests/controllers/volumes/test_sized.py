"""Volumes with a size as the provisioner decides on them, and directories that were abandoned: V40, V44, V135."""

import errno
import os
from dataclasses import replace

import pytest

from holdfast.controllers.actions import Create, Emit
from holdfast.controllers.volumes import directories as real
from holdfast.controllers.volumes import places
from holdfast.controllers.volumes.abandoned import ObservedMark, plan_abandoned
from holdfast.controllers.volumes.directories import LocalDirectories
from holdfast.controllers.volumes.effects import Backing
from holdfast.controllers.volumes.origin import Origin
from holdfast.controllers.volumes.provision import ObservedRequest, plan_provision
from holdfast.controllers.volumes.reclaim import ObservedRelease, plan_reclaim
from holdfast.disks import Disk, images
from holdfast.disks.capability import Sizing
from holdfast.disks.locking import locked

from .builders import NOW, claim, reference, storage_class, volume

PROVISIONER = "volume.kubernetes.io/storage-provisioner"
FINALIZER = "external-provisioner.volume.kubernetes.io/finalizer"
SOURCE = {
    "driver": "local.holdfast.dev",
    "volumeHandle": "pvc-uid-data",
    "fsType": "ext4",
    "volumeAttributes": {"holdfast.dev/backing": "image"},
}


def request(backing, size="3Gi", **more):
    wanted = claim(size=size, storage_class="s", annotations={PROVISIONER: "holdfast.dev/local"}, **more)
    return ObservedRequest(wanted, storage_class("s"), False, "/var/volumes", backing)


def test_a_volume_with_a_size_is_an_image_and_says_so():
    work = plan_provision(request(Backing(is_sized=True)))
    directory = work.directory
    assert (directory.operation, directory.path, directory.arguments) == (
        "create_sized",
        "/var/volumes/pvc-uid-data",
        (3 << 30,),
    )
    (create,) = directory.done.actions
    assert create.manifest["spec"]["csi"] == SOURCE
    assert "hostPath" not in create.manifest["spec"]
    assert directory.settles


def test_a_block_volume_is_an_image_without_a_file_system():
    directory = plan_provision(request(Backing(is_sized=True), volumeMode="Block")).directory
    assert (directory.operation, directory.arguments) == ("create_sized", (3 << 30, True))
    (create,) = directory.done.actions
    assert create.manifest["spec"]["volumeMode"] == "Block"
    assert create.manifest["spec"]["csi"] == {key: value for key, value in SOURCE.items() if key != "fsType"}


@pytest.mark.parametrize(
    ("why_not", "words"),
    [("only 9Mi are free", "only 9Mi are free"), ("", "its nodes attach none")],
)
def test_a_block_volume_is_never_a_directory(why_not, words):
    work = plan_provision(request(Backing(why_not=why_not), volumeMode="Block"))
    assert work.directory is None
    (told,) = work.before.actions
    assert (told.report.type, told.report.reason, told.report.message) == (
        "Warning",
        "ProvisioningFailed",
        f'failed to provision volume with StorageClass "s": no block volumes on this machine: {words}',
    )
    assert work.before.again_after_s


@pytest.mark.parametrize("mode", ["Block", "Filesystem"])
def test_a_copy_is_of_the_mode_that_is_asked_for(mode):
    observed = replace(request(Backing(is_sized=True), volumeMode=mode), origin=Origin("/var/volumes/pvc-other"))
    directory = plan_provision(observed).directory
    of_device = (True,) if mode == "Block" else ()
    assert (directory.operation, directory.arguments) == ("fill", ("/var/volumes/pvc-other", 3 << 30, *of_device))


async def test_the_directories_of_block_volumes_are_made_grown_copied_and_removed(tmp_path):
    directories = LocalDirectories([str(tmp_path)], may_size=True)
    one, two, tree = (tmp_path / name for name in ("pvc-1", "pvc-2", "pvc-3"))
    images.make_device(Disk(one), 2 << 20)
    await directories.create_sized(str(one), 2 << 20, True)
    assert await directories.is_image(str(one))
    assert await directories.grow(str(one), 3 << 20)
    await directories.fill(str(two), str(one), 4 << 20, True)
    assert Disk(two).is_device
    assert Disk(two).image.stat().st_size == 4 << 20
    assert (await directories.cut(str(tmp_path / ".snapshots" / "s"), str(two), True)).size_bytes == 4 << 20
    await directories.create(str(tree))
    with pytest.raises(OSError, match="make no block volume"):
        await directories.fill(str(tmp_path / "pvc-4"), str(tree), 1 << 20, True)
    await directories.discard(str(one))  # nobody has ever used it
    assert not one.exists()
    Disk(two).used.touch()
    await directories.discard(str(two))
    assert two.exists()
    await directories.remove(str(two))
    assert not two.exists()


def test_a_plain_directory_says_once_why_its_size_means_nothing():
    directory = plan_provision(request(Backing(why_not="volumes with a size need root"))).directory
    create, told = directory.done.actions
    assert isinstance(create, Create)
    assert create.manifest["spec"]["hostPath"] == {"path": "/var/volumes/pvc-uid-data", "type": "Directory"}
    assert isinstance(told, Emit)
    assert (told.report.type, told.report.reason, told.report.message) == (
        "Normal",
        "SizeNotEnforced",
        "Volume pvc-uid-data is a plain directory, as large as the disk it is on: volumes with a size need root",
    )


def released(**spec):
    marks = {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}
    made = volume("v", phase="Released", policy="Delete", claim_ref=reference("data"), annotations=marks)
    del made["spec"]["hostPath"]
    made["spec"].update(spec)
    return ObservedRelease(made, [], NOW, "/var/volumes")


def test_the_image_of_a_released_volume_is_removed_by_its_handle():
    work = plan_reclaim(released(csi=SOURCE))
    assert (work.directory.operation, work.directory.path) == ("remove", "/var/volumes/pvc-uid-data")


@pytest.mark.parametrize("handle", ["", "..", "../x", "a/b", ".making", "/etc"])
def test_v136_a_handle_that_is_no_name_removes_nothing(handle):
    assert plan_reclaim(released(csi={**SOURCE, "volumeHandle": handle})).directory is None


def test_volumes_of_other_drivers_are_left_to_them():
    assert plan_reclaim(released(csi={"driver": "csi.example.com", "volumeHandle": "x"})).directory is None


def test_volumes_are_told_apart_by_what_they_say():
    assert places.is_sized(released(csi=SOURCE).volume)
    assert not places.is_sized(volume("v"))
    assert places.path_of(volume("v", path="/x"), "/var/volumes") == "/x"


@pytest.mark.parametrize(
    ("wanted", "known", "operation"),
    [(False, False, "discard"), (True, False, None), (False, True, "settle"), (True, True, "settle")],
)
def test_v40_what_was_begun_is_finished_or_undone(wanted, known, operation):
    work = plan_abandoned(ObservedMark("/var/volumes/pvc-1", wanted, known))
    assert (work.directory and work.directory.operation) == operation


@pytest.fixture
def root(tmp_path):
    made = tmp_path / "volumes"
    made.mkdir()
    return made


async def test_a_directory_is_marked_from_before_it_is_made_until_it_is_settled(root):
    directories, path = LocalDirectories([str(root)]), str(root / "pvc-1")
    await directories.create(path)
    assert directories.is_unsettled(path)
    assert directories.unsettled(str(root)) == ["pvc-1"]
    await directories.settle(path)
    assert directories.unsettled(str(root)) == []
    assert os.path.isdir(path)


async def test_v134_only_what_was_never_used_is_discarded(root):
    directories = LocalDirectories([str(root)])
    for name in ("pvc-1", "pvc-2"):
        await directories.create(str(root / name))
    (root / "pvc-2" / "file").write_text("data")
    for name in ("pvc-1", "pvc-2", "pvc-3"):
        await directories.discard(str(root / name))
    assert not (root / "pvc-1").exists()
    assert (root / "pvc-2" / "file").read_text() == "data"


async def test_where_nothing_can_have_a_size_the_reason_is_given(root, monkeypatch):
    monkeypatch.setattr(real, "find_out", lambda directory: Sizing("loop devices", grows_mounted=False))
    directories = LocalDirectories([str(root)], may_size=True)
    assert await directories.backing(1) == Backing(False, "volumes with a size need loop devices")


@pytest.mark.parametrize(
    ("obstacle", "why"), [("", ""), ("real containers", "volumes with a size need real containers")]
)
async def test_nodes_that_cannot_mount_get_directories(root, obstacle, why):
    assert await LocalDirectories([str(root)], obstacle=obstacle).backing(1) == Backing(False, why)


async def test_what_the_disk_could_never_hold_is_a_directory(root, monkeypatch):
    monkeypatch.setattr(real, "find_out", lambda directory: Sizing("", grows_mounted=True))
    directories = LocalDirectories([str(root)], may_size=True)
    assert await directories.backing(1 << 20) == Backing(is_sized=True)
    backing = await directories.backing(1 << 60)
    assert not backing.is_sized
    assert backing.why_not.startswith("only ")


async def test_on_a_disk_that_is_full_there_is_no_new_volume_of_any_sort(root, monkeypatch):
    """R126: images have promised what is left."""
    directories = LocalDirectories([str(root)])
    monkeypatch.setattr(real, "KEPT_BYTES", 1 << 60)
    monkeypatch.setattr(real, "KEPT_SHARE", 1)
    backing = await directories.backing(1)
    assert backing.refusal.startswith("rpc error: code = ResourceExhausted desc = only ")
    work = plan_provision(request(backing))
    assert work.directory is None
    (told,) = work.before.actions
    prefix = 'failed to provision volume with StorageClass "s": rpc error: code = ResourceExhausted desc = only '
    assert (told.report.reason, told.report.message.startswith(prefix)) == ("ProvisioningFailed", True)
    assert work.before.again_after_s


async def test_a_volume_that_is_being_worked_on_is_not_removed(root, monkeypatch):
    directories, path = LocalDirectories([str(root)]), root / "pvc-1"
    await directories.create(str(path))
    monkeypatch.setattr(real, "locked", lambda directory: locked(directory, patience_s=0.05))
    with locked(path), pytest.raises(OSError, match="something else is being done") as refused:
        await directories.remove(str(path))
    assert refused.value.errno == errno.EBUSY
    assert path.exists()
    await directories.remove(str(path))
    assert not path.exists()


def test_old_volumes_stay_what_they_are():
    """The kind is in the volume: a machine that has learned to make images does not take directories for such."""
    old = replace(released(), volume={**released().volume})
    old.volume["spec"]["hostPath"] = {"path": "/var/volumes/v", "type": "Directory"}
    work = plan_reclaim(old)
    assert (work.directory.operation, work.directory.path) == ("remove", "/var/volumes/v")
