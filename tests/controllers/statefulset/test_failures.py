"""Chapter 11: which errors have a sync tried again, and which make none."""

from __future__ import annotations

import pytest

from holdfast.api.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from holdfast.client.informer import Informers
from holdfast.controllers.runner import Failed, Runner
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.world import real_world

from .builders import Cluster, claim, owner, plan, running, statefulset


class Refusing:
    """A client that says no to some calls, named like `create pod`, and takes note of all."""

    def __init__(self, errors, uid="set-uid"):
        self._errors = errors
        self._uid = uid
        self.calls = []

    def _answer(self, call, name):
        self.calls.append(f"{call} {name}")
        if call in self._errors:
            raise self._errors[call]
        return {"metadata": {"name": name, "uid": self._uid, "resourceVersion": "0"}}

    async def create(self, resource, manifest):
        return self._answer(f"create {resource.singular}", manifest["metadata"]["name"])

    async def update(self, resource, manifest, *, subresource=""):
        return self._answer(f"update {resource.singular} {subresource}".strip(), manifest["metadata"]["name"])

    async def patch(self, resource, name, patch, namespace, **options):
        return self._answer(f"patch {resource.singular}", name)

    async def delete(self, resource, name, namespace, **options):
        return self._answer(f"delete {resource.singular}", name)

    async def get(self, resource, name, namespace):
        return self._answer(f"get {resource.singular}", name)


async def carry_out(cluster, errors, **options):
    """The calls, and whether the sync comes again with back-off."""
    client = Refusing(errors, **options)
    world = real_world()
    runner = Runner(StatefulSetController(world), client, Informers(client, world), world)
    try:
        await runner.carry_out("default/web", plan(cluster.observed()))
    except Failed:
        return client.calls, True
    return client.calls, False


def fresh(**options):
    return Cluster(statefulset(1, claims=("data",), **options)).with_revision()


def changed(what):
    """A set at rest, but for one thing."""
    cluster = running(2, claims=("data",))
    pod = cluster.pods["web-1"]
    match what:
        case "label":
            del pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
        case "orphan":
            del pod["metadata"]["ownerReferences"]
        case "stranger":
            pod["metadata"]["labels"] = {}
        case "surplus":
            cluster.change(replicas=1)
        case "image":
            cluster.change_image("app:2")
    return cluster


@pytest.mark.parametrize(
    ("cluster", "refused", "error"),
    [
        pytest.param(fresh(), "create persistentvolumeclaim", Forbidden("no"), id="a claim"),
        pytest.param(fresh(), "create pod", Forbidden("no"), id="a pod"),
        pytest.param(fresh(), "create pod", AlreadyExists("there"), id="a pod whose name is taken"),
        pytest.param(fresh(), "update statefulset status", Forbidden("no"), id="the status"),
        pytest.param(changed("label"), "update pod", Forbidden("no"), id="a repair"),
        pytest.param(changed("label"), "update pod", Conflict("changed"), id="a repair that was overtaken"),
        pytest.param(changed("surplus"), "delete pod", Forbidden("no"), id="a deletion"),
        pytest.param(changed("image"), "create controllerrevision", Forbidden("no"), id="a revision"),
        pytest.param(changed("orphan"), "patch pod", Forbidden("no"), id="an adoption"),
        pytest.param(changed("orphan"), "patch pod", Invalid("no"), id="an adoption that is invalid"),
        pytest.param(changed("orphan"), "get statefulset", NotFound("gone"), id="the live check"),
        pytest.param(changed("stranger"), "patch pod", Forbidden("no"), id="a release"),
    ],
)
async def test_s158_what_failed_is_tried_again(cluster, refused, error):
    calls, comes_again = await carry_out(cluster, {refused: error})
    assert any(call.startswith(refused) for call in calls)
    assert comes_again


@pytest.mark.parametrize(
    ("cluster", "refused", "error"),
    [
        pytest.param(changed("surplus"), "delete pod", NotFound("gone"), id="deleted already"),
        pytest.param(changed("orphan"), "patch pod", NotFound("gone"), id="gone before it was adopted"),
        pytest.param(changed("stranger"), "patch pod", Invalid("no"), id="a release that is invalid"),
    ],
)
async def test_s112_s158_what_is_no_error_is_not(cluster, refused, error):
    calls, comes_again = await carry_out(cluster, {refused: error})
    assert any(call.startswith(refused) for call in calls)
    assert not comes_again


async def test_s109_if_another_set_has_the_name_by_now_nothing_is_adopted_or_done():
    cluster = changed("orphan")
    cluster.change(replicas=5)
    calls, comes_again = await carry_out(cluster, {}, uid="another")
    assert (calls, comes_again) == (["get statefulset web"], True)


async def test_s158_waiting_is_no_error():
    waiting = running(2)
    waiting.move(0, "running")
    surplus = running(2)
    surplus.change(replicas=1)
    surplus.move(1, "terminating")
    slot = fresh(when_scaled="Delete")
    slot.claims["data-web-0"] = claim("data-web-0", owner("Pod", "web-0", "earlier"))
    for cluster in (waiting, surplus, slot):
        calls, comes_again = await carry_out(cluster, {})
        assert (calls, comes_again) == (["update statefulset status web"], False)


async def test_s12_s159_after_errors_of_parallel_work_the_status_is_written_still():
    cluster = Cluster(statefulset(3, parallel=True)).with_revision()
    calls, comes_again = await carry_out(cluster, {"create pod": Forbidden("no")})
    assert calls == ["create pod web-0", "update statefulset status web"]
    assert comes_again
