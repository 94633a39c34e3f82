"""Volumes of several machines: made where the pod is, kept there, reclaimed there, and said where they are."""

from __future__ import annotations

from dataclasses import replace

import pytest

from holdfast.api.core.node_affinity import volume_allows
from holdfast.controllers.actions import Emit, Patch
from holdfast.controllers.volumes.expander import VolumeExpander
from holdfast.controllers.volumes.local import LocalProvisioner, Reclaimer, ShareProvisioner
from holdfast.controllers.volumes.origin import LocalSources
from holdfast.controllers.volumes.pinning import ObservedPlace, VolumePins, plan_pinning
from holdfast.controllers.volumes.provision import ObservedRequest, plan_provision
from holdfast.controllers.volumes.reclaim import plan_reclaim

from .builders import claim, reference, storage_class, volume
from .test_provision import SELECTED, released, wanted

MACHINE = "holdfast.dev/machine"
OURS = {"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}


def node(name, machine=""):
    labels = {"kubernetes.io/hostname": name, **({MACHINE: machine} if machine else {})}
    return {"metadata": {"name": name, "labels": labels}}


NEAR, SECOND, FAR = node("vm"), node("vm-2"), node("far", "far")


class View:
    """Informers and queue at once, of objects that are given."""

    def __init__(self, *objects):
        self.objects = {each["metadata"].get("namespace", "") + each["metadata"]["name"]: each for each in objects}
        self.added = []

    def of(self, resource, **selectors):
        return self

    def add_index(self, name, keys):
        pass

    def subscribe(self, handler):
        pass

    def by_index(self, name, key):
        return []

    def get(self, key):
        return self.objects.get(key.replace("/", ""))

    def list(self):
        return list(self.objects.values())

    def add(self, key):
        self.added.append(key)


def observed(controller, key, *objects):
    view = View(*objects)
    controller.start(view, view)
    return controller.observe(key)


@pytest.mark.parametrize(
    ("chosen", "machine"), [("vm", ""), ("vm-2", ""), ("far", "far"), ("", ""), ("gone", "")], ids=repr
)
def test_exactly_one_machine_provisions_a_claim(chosen, machine):
    made = wanted(marks={SELECTED: chosen} if chosen else {})
    for each in ("", "far", "farther"):
        found = observed(LocalProvisioner("/volumes", None, each), "default/data", made, NEAR, SECOND, FAR)
        assert (found is not None) == (each == machine), each
        assert found is None or found.machine == machine


def test_a_share_is_reached_from_everywhere_and_made_by_the_first_machine():
    made = wanted(marks={SELECTED: "far"})
    assert observed(ShareProvisioner("/volumes", None), "default/data", made, FAR) is not None


def made_on(machine):
    request = ObservedRequest(wanted(), storage_class("s"), False, "/there", machine=machine)
    (create, *_) = plan_provision(request).directory.done.actions
    return create.manifest


def test_a_volume_of_a_machine_that_has_joined_is_for_its_node_only():
    made = made_on("far")
    assert made["spec"]["hostPath"]["path"].startswith("/there/")
    assert made["metadata"]["annotations"][MACHINE] == "far"
    assert [volume_allows(made, each) for each in (NEAR, SECOND, FAR)] == [False, False, True]


def test_the_first_machines_volumes_are_for_all_of_its_nodes_and_for_no_others():
    made = made_on("")
    assert all(volume_allows(made, each) for each in (NEAR, SECOND, FAR))
    (patch,) = plan_pinning(ObservedPlace(made | {"metadata": {**made["metadata"], "uid": "u"}}, "/there")).actions
    assert isinstance(patch, Patch)
    pinned = {**made, "spec": {**made["spec"], **patch.patch["spec"]}}
    assert [volume_allows(pinned, each) for each in (NEAR, SECOND, FAR)] == [True, True, False]
    assert plan_pinning(ObservedPlace(pinned, "/there")).actions == ()


@pytest.mark.parametrize("made", [made_on("far"), volume("by-hand"), volume("nfs", nfs={"server": "s", "path": "/"})])
def test_nobody_elses_volumes_are_pinned(made):
    assert plan_pinning(ObservedPlace(made, "/there")).actions == ()


def test_volumes_are_pinned_from_when_the_first_machine_joins_until_the_last_leaves():
    made = volume("v", annotations=OURS)
    view, handlers = View(made), []
    view.subscribe = handlers.append
    pins = VolumePins("/volumes")
    pins.start(view, view)
    on_node, on_volume = handlers
    on_node(None, NEAR)
    on_volume(None, made)
    assert (view.added, pins.observe("v")) == ([], None), "alone, a machine pins nothing"
    on_node(None, FAR)
    assert view.added == ["v"], "one that is older"
    assert pins.observe("v") is not None
    on_node(None, node("third", "third"))
    on_node(FAR, None)
    on_volume(None, made)
    assert view.added == ["v", "v"]
    on_node(node("third", "third"), None)
    assert pins.observe("v") is None


def there(machine):
    return volume(
        "v",
        annotations={**OURS, **({MACHINE: machine} if machine else {})},
        phase="Released",
        policy="Delete",
        claim_ref=reference("data"),
    )


class Clock:
    def now(self):
        return None


@pytest.mark.parametrize("machine", ["", "far"])
def test_exactly_one_machine_reclaims_a_volume(machine):
    for each in ("", "far", "farther"):
        found = observed(Reclaimer(Clock(), "/volumes", each), "v", there(machine), NEAR, FAR)
        assert (found is not None) == (each == machine), each


def test_data_on_a_machine_that_has_left_is_not_taken_for_deleted():
    assert observed(Reclaimer(Clock(), "/volumes", "farther"), "v", there("far"), NEAR) is None
    found = observed(Reclaimer(Clock(), "/volumes"), "v", there("far"), NEAR)
    work = plan_reclaim(found)
    (told,) = work.before.actions
    assert isinstance(told, Emit)
    assert work.directory is None
    assert (told.report.type, told.report.reason) == ("Warning", "VolumeFailedDelete")
    assert told.report.message.startswith("its directory is on the machine far, which has left the cluster")
    assert plan_reclaim(replace(released(), has_left="")).directory is not None


@pytest.mark.parametrize("machine", ["", "far"])
def test_exactly_one_machine_makes_a_volume_grow(machine):
    made = claim(volume="v", phase="Bound")
    for each in ("", "far", "farther"):
        found = observed(VolumeExpander(Clock(), "/volumes", each), "default/data", made, there(machine))
        assert (found is not None) == (each == machine), each


def test_copies_are_made_where_the_source_is():
    far, near = there("far"), there("")
    assert LocalSources().of_volume(near, "/volumes").refusal == ""
    assert LocalSources("far").of_volume(far, "/volumes").refusal == ""
    assert "is on another machine, far" in LocalSources().of_volume(far, "/volumes").refusal
    assert "is on another machine, that of the API server" in LocalSources("far").of_volume(near, "/volumes").refusal
    content = {"spec": {"driver": "local.holdfast.dev"}, "status": {"snapshotHandle": "s"}}
    assert "the snapshot is on another machine" in LocalSources("far").of_content(content, "/volumes").refusal
