"""Chapter 11: which changes wake which set, and what a set is shown of its surroundings."""

from __future__ import annotations

from itertools import count

import pytest

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.client import WatchEvent
from holdfast.client.informer import Informers
from holdfast.client.queue import WorkQueue
from holdfast.controllers.statefulset.controller import CONCURRENCY, StatefulSetController
from holdfast.world import real_world

from .builders import claim, owner, statefulset

RESOURCES = {
    "StatefulSet": STATEFUL_SETS,
    "Pod": PODS,
    "PersistentVolumeClaim": PERSISTENT_VOLUME_CLAIMS,
    "ControllerRevision": CONTROLLER_REVISIONS,
}


class Surroundings:
    """A controller on informers that are told what happens, and the keys that it puts in its queue."""

    def __init__(self):
        world = real_world()
        self.informers = Informers(None, world)
        self.queue = WorkQueue(world)
        self.controller = StatefulSetController(world)
        self.controller.start(self.informers, self.queue)
        self._versions = count(1)

    def happens(self, type, manifest, *, again=False):
        """The event as a watch would bring it; `again` brings the last version of the object once more."""
        version = manifest["metadata"]["resourceVersion"] if again else str(next(self._versions))
        stamped = {**manifest, "metadata": {**manifest["metadata"], "resourceVersion": version}}
        self.informers.of(RESOURCES[manifest["kind"]])._apply(WatchEvent(type, stamped))
        return stamped

    def woken(self):
        """Keys that came since the last call."""
        keys = sorted(self.queue._ready)
        self.queue._ready.clear()
        return keys


@pytest.fixture
def around():
    """With the sets web and db, whose selectors overlap, both at rest."""
    made = Surroundings()
    for name in ("web", "db"):
        made.happens("ADDED", statefulset(name=name, uid=f"uid of {name}", claims=("data",)))
    made.woken()
    return made


def a_pod(name="web-0", owned_by="", labels=None, **metadata):
    metadata |= {"name": name, "namespace": "default", "uid": f"uid of {name}"}
    if owned_by:
        metadata["ownerReferences"] = [owner("StatefulSet", owned_by, f"uid of {owned_by}")]
    metadata["labels"] = {"app": "web"} if labels is None else labels
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": "Running"}}


def a_revision(name, owned_by="", labels=None, namespace="default", number=1):
    metadata = {"name": name, "namespace": namespace, "uid": f"uid of {name}"}
    if owned_by:
        metadata["ownerReferences"] = [owner("StatefulSet", owned_by, f"uid of {owned_by}")]
    metadata["labels"] = {"app": "web"} if labels is None else labels
    return {"kind": "ControllerRevision", "metadata": metadata, "data": {}, "revision": number}


async def test_s2_a_set_that_is_gone_shows_nothing(around):
    around.happens("DELETED", statefulset(uid="uid of web"))
    assert around.controller.observe("default/web") is None
    assert around.controller.observe("default/never-was") is None


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(statefulset(5, uid="uid of web", generation=2), id="its spec"),
        pytest.param(statefulset(uid="uid of web", status={"replicas": 3}), id="its own status"),
        pytest.param(statefulset(uid="uid of web", annotations={"a": "b"}), id="its metadata"),
    ],
)
async def test_s150_a_set_is_woken_by_any_change_of_its_own(changed):
    around = Surroundings()
    around.happens("ADDED", statefulset(uid="uid of web"))
    assert around.woken() == ["default/web"]
    around.happens("MODIFIED", changed)
    assert around.woken() == ["default/web"]
    around.happens("DELETED", changed)
    assert around.woken() == ["default/web"]


async def test_s151_a_pod_wakes_the_set_that_controls_it_when_it_comes_changes_and_goes(around):
    for type in ("ADDED", "MODIFIED", "DELETED"):
        around.happens(type, a_pod(owned_by="web", labels={}))
        assert around.woken() == ["default/web"]


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param(owner("StatefulSet", "web", "another uid"), id="an earlier set of the name"),
        pytest.param(owner("StatefulSet", "other", "uid of web"), id="another name"),
        pytest.param(owner("ReplicaSet", "web", "uid of web"), id="another kind"),
    ],
)
async def test_s151_name_uid_and_kind_have_to_be_right(around, reference):
    around.happens("ADDED", a_pod(ownerReferences=[reference]))
    assert around.woken() == []


async def test_s151_a_change_of_controller_wakes_both(around):
    around.happens("ADDED", a_pod(owned_by="web"))
    around.woken()
    around.happens("MODIFIED", a_pod(owned_by="db"))
    assert around.woken() == ["default/db", "default/web"]


async def test_s28_s152_a_new_orphan_wakes_every_set_that_selects_it(around):
    around.happens("ADDED", a_pod())
    assert around.woken() == ["default/db", "default/web"]
    around.happens("ADDED", a_pod("other-0", labels={"app": "other"}))
    assert around.woken() == []


async def test_s152_one_that_changes_only_if_labels_or_controller_did_and_one_that_goes_nobody(around):
    around.happens("ADDED", a_pod(labels={"app": "other"}))
    around.happens("MODIFIED", a_pod(labels={"app": "other"}, annotations={"a": "b"}))
    assert around.woken() == []
    around.happens("MODIFIED", a_pod())
    assert around.woken() == ["default/db", "default/web"]
    around.happens("MODIFIED", a_pod(annotations={"a": "b"}))
    assert around.woken() == []
    around.happens("MODIFIED", a_pod(owned_by="web"))
    around.woken()
    around.happens("MODIFIED", a_pod())
    assert around.woken() == ["default/db", "default/web"]
    around.happens("DELETED", a_pod())
    assert around.woken() == []


async def test_s153_a_pod_that_appears_terminating_counts_as_deleted(around):
    going = "2026-01-01T12:00:00Z"
    around.happens("ADDED", a_pod(deletionTimestamp=going))
    assert around.woken() == [], "an orphan's end wakes nobody"
    around.happens("ADDED", a_pod("web-1", owned_by="web", deletionTimestamp=going))
    assert around.woken() == ["default/web"]


async def test_s153_the_same_version_again_is_nothing(around):
    pod = around.happens("ADDED", a_pod(owned_by="web"))
    around.woken()
    around.happens("MODIFIED", {**pod, "status": {"phase": "Failed"}}, again=True)
    assert around.woken() == []


async def test_s40_what_becomes_of_a_claim_wakes_nobody_but_its_end_does(around):
    around.happens("ADDED", claim("data-web-0"))
    bound = {**claim("data-web-0"), "spec": {"volumeName": "pv-1", "resources": {"requests": {"storage": "2Gi"}}}}
    around.happens("MODIFIED", bound)
    assert around.woken() == []
    around.happens("DELETED", bound)
    assert around.woken() == ["default/web"], "S58 allows this"


async def test_s155_revisions_wake_nobody_and_nothing_else_is_looked_at(around):
    for type in ("ADDED", "MODIFIED", "DELETED"):
        around.happens(type, a_revision("web-1", owned_by="web"))
    assert around.woken() == []
    looked_at = {resource.kind for resource, *_ in around.informers._informers}
    assert looked_at == RESOURCES.keys()


async def test_s156_five_sets_at_a_time(around):
    assert around.controller.concurrency == CONCURRENCY == 5


async def test_s70_revisions_are_those_of_the_selector_that_the_set_controls_or_nobody(around):
    for one in (
        a_revision("ours", "web", number=3),
        a_revision("orphan", number=2),
        a_revision("anothers", "db"),
        a_revision("ours by owner only", "web", labels={"app": "other"}),
        a_revision("orphan of other labels", labels={"app": "other"}),
        a_revision("elsewhere", namespace="other"),
    ):
        around.happens("ADDED", one)
    seen = around.controller.observe("default/web").revisions
    assert [one["metadata"]["name"] for one in seen] == ["orphan", "ours"]


async def test_s108_candidates_are_pods_of_the_namespace_that_the_set_controls_or_nobody(around):
    for one in (
        a_pod("web-0", "web"),
        a_pod("web-1"),
        a_pod("web-2", "db"),
        a_pod("web-3", "web", labels={}),
        a_pod("stray", "web"),
        a_pod("web-4", labels={}),
    ):
        around.happens("ADDED", one)
    elsewhere = a_pod("web-5")
    around.happens("ADDED", {**elsewhere, "metadata": {**elsewhere["metadata"], "namespace": "other"}})
    seen = around.controller.observe("default/web")
    assert seen.replicas.get(0).name == "web-0"
    assert sorted(pod.name for pod in seen.others) == ["stray", "web-1", "web-3"]
