"""Recycling of NFS volumes, and the default class (V9, V55, V56)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from holdfast.api.storage.storage_class import STORAGE_CLASSES
from holdfast.controllers.volumes.bootstrap import NONE, NoSuchClass, set_default_class
from holdfast.controllers.volumes.effects import ShareWork
from holdfast.controllers.volumes.local import DirectoryRunner
from holdfast.controllers.volumes.reclaim import ObservedRelease, plan_reclaim, recycled_within_s

from .builders import NOW, reference, volume

IS_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def released(**more):
    made = volume("v", phase="Released", policy="Recycle", claim_ref=reference("data"), **more)
    del made["spec"]["hostPath"]
    made["spec"]["nfs"] = {"server": "nas", "path": "/exports/a"}
    return made


def plan(made, users=()):
    return plan_reclaim(ObservedRelease(made, users, NOW))


def test_v55_an_nfs_volume_is_emptied_with_its_mount_options_and_available_again():
    work = plan(released(mountOptions=["soft"])).directory
    assert isinstance(work, ShareWork)
    assert (work.server, work.path, work.options) == ("nas", "/exports/a", ("soft",))
    patch, phase = work.done.actions
    assert patch.patch["spec"] == {"claimRef": None}
    assert (patch.on_success.type, patch.on_success.reason, patch.on_success.message) == (
        "Normal",
        "VolumeRecycled",
        "Volume recycled",
    )
    assert phase.patch["status"]["phase"] == "Available"


@pytest.mark.parametrize(
    ("size", "nfs", "directory"),
    [("1Gi", 300, 60), ("2Gi", 300, 60), ("11Gi", 330, 330), ("100Gi", 3000, 3000), ("1500Mi", 300, 60)],
)
def test_v55_the_deadline_grows_with_the_volume(size, nfs, directory):
    assert recycled_within_s(released(size=size), "nfs") == nfs
    assert recycled_within_s(released(size=size), "hostPath") == directory


def test_v55_a_failure_is_the_phase_failed_with_the_reason_and_is_tried_again():
    outcome = plan(released()).directory.failed("Permission denied")
    (write,) = outcome.actions
    assert write.patch["status"]["phase"] == "Failed"
    assert write.patch["status"]["message"] == "Recycle failed: Permission denied"
    assert (write.on_success.type, write.on_success.reason) == ("Warning", "VolumeFailedRecycle")
    assert outcome.again_after_s == 15


def test_v56_nothing_is_emptied_while_pods_use_it():
    assert plan(released(), users=["default/web-0"]).directory is None


def test_v56_a_volume_without_recycler_fails():
    made = released()
    made["spec"]["csi"] = made["spec"].pop("nfs")
    (write,) = plan(made).before.actions
    assert write.patch["status"]["message"] == "No recycler plugin found for the volume!"


class Shares:
    def __init__(self, error=None):
        self.error = error

    async def on_share(self, work):
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (TimeoutError(), "Recycle failed: Pod was active on the node longer than the specified deadline"),
        (OSError("Connection refused"), "Recycle failed: Connection refused"),
        (None, None),
    ],
)
def test_v55_what_emptying_came_to_decides_what_follows(error, message):
    runner = DirectoryRunner.__new__(DirectoryRunner)
    runner._directories = Shares(error)
    is_done, outcome = asyncio.run(runner._perform(plan(released()).directory))
    assert is_done == (error is None)
    told = outcome.actions[-1].patch["status"]
    assert (told["phase"], told["message"]) == (("Failed", message) if message else ("Available", None))


class Classes:
    """The API, with storage classes in it."""

    def __init__(self, **marks):
        self.marks = {name: dict(given) for name, given in marks.items()}
        self.patched = []

    async def list(self, resource):
        assert resource is STORAGE_CLASSES

        items = [{"metadata": {"name": name, "annotations": marks}} for name, marks in self.marks.items()]
        return SimpleNamespace(items=items)

    async def patch(self, resource, name, patch):
        self.patched.append(name)
        self.marks[name] |= patch["metadata"]["annotations"]


def test_v10_no_class_is_the_default_any_more():
    classes = Classes(standard={IS_DEFAULT: "true"}, other={})
    asyncio.run(set_default_class(classes, NONE))
    assert classes.marks == {"standard": {IS_DEFAULT: "false"}, "other": {}}


def test_v9_one_class_is_the_default_alone():
    old = "storageclass.beta.kubernetes.io/is-default-class"
    classes = Classes(standard={IS_DEFAULT: "true"}, other={}, older={old: "true"})
    asyncio.run(set_default_class(classes, "other"))
    assert classes.marks == {"standard": {IS_DEFAULT: "false"}, "other": {IS_DEFAULT: "true"}, "older": {old: "false"}}
    classes.patched.clear()
    asyncio.run(set_default_class(classes, "other"))
    assert classes.patched == []


def test_a_class_that_does_not_exist_changes_nothing():
    classes = Classes(standard={IS_DEFAULT: "true"})
    with pytest.raises(NoSuchClass):
        asyncio.run(set_default_class(classes, "missing"))
    assert classes.patched == []
