"""What becomes of an object because of its owners or its dependents: W85, W86, A251 to A253."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.controllers.actions import Delete, Emit, Patch
from holdfast.controllers.garbage.plan import Object, ObservedObject, Owner, plan_garbage


def reference(name: str, **more: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": f"uid-{name}", **more}


def made(name: str = "child", *owners: dict[str, Any], going: bool = False, finalizers: tuple[str, ...] = ()) -> Object:
    metadata: dict[str, Any] = {"name": name, "namespace": "gc", "uid": f"uid-{name}", "resourceVersion": "5"}
    if owners:
        metadata["ownerReferences"] = list(owners)
    if going:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    if finalizers:
        metadata["finalizers"] = list(finalizers)
    return Object(CONFIG_MAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})


def planned(of: Object, *states: Owner, dependents: tuple[Object, ...] = ()):
    references = of.metadata.get("ownerReferences", [])
    return plan_garbage(ObservedObject(of, list(zip(references, states, strict=True)), dependents)).actions


def test_an_object_all_of_whose_owners_are_gone_is_deleted_as_the_version_that_was_looked_at():
    (delete,) = planned(made("child", reference("a"), reference("b")), Owner.ABSENT, Owner.ABSENT)
    assert isinstance(delete, Delete)
    assert (delete.uid, delete.resource_version, delete.propagation) == ("uid-child", "5", "Background")


def test_an_owned_object_is_left_alone():
    assert planned(made("child", reference("a")), Owner.ALIVE) == ()
    assert planned(made("child")) == ()


@pytest.mark.parametrize("gone", [Owner.ABSENT, Owner.WAITING, Owner.ELSEWHERE])
def test_s125_while_one_owner_lives_only_the_dead_references_go(gone):
    *_, patch = planned(made("child", reference("a"), reference("b")), gone, Owner.ALIVE)
    assert isinstance(patch, Patch)
    assert [each["name"] for each in patch.patch["metadata"]["ownerReferences"]] == ["b"]
    assert patch.patch["metadata"]["resourceVersion"] == "5"


def test_an_owner_in_another_namespace_counts_as_gone_and_is_told():
    told, delete = planned(made("child", reference("a")), Owner.ELSEWHERE)
    assert isinstance(told, Emit)
    assert (told.report.type, told.report.reason, told.report.message) == (
        "Warning",
        "OwnerRefInvalidNamespace",
        'ownerRef [v1/ConfigMap, namespace: gc, name: a, uid: uid-a] does not exist in namespace "gc"',
    )
    assert isinstance(delete, Delete)


def test_an_owner_that_cannot_be_looked_up_keeps_its_dependent():
    (told,) = planned(made("child", reference("a")), Owner.UNRESOLVABLE)
    assert isinstance(told, Emit)
    actions = planned(made("child", reference("a"), reference("b")), Owner.UNRESOLVABLE, Owner.ABSENT)
    assert [type(action) for action in actions] == [Emit, Patch]


@pytest.mark.parametrize(
    ("dependents", "propagation"), [((), "Background"), ((made("grandchild", reference("child")),), "Foreground")]
)
def test_a_dependent_that_is_waited_for_waits_for_its_own(dependents, propagation):
    (delete,) = planned(made("child", reference("a")), Owner.WAITING, dependents=dependents)
    assert delete.propagation == propagation


def test_what_is_going_is_not_deleted_again():
    assert planned(made("child", reference("a"), going=True), Owner.ABSENT) == ()


def waiting_owner() -> Object:
    return made("owner", going=True, finalizers=("a.b/c", "foregroundDeletion"))


def test_a_foreground_owner_stays_while_a_blocking_dependent_is_left():
    blocking = made("child", reference("owner", blockOwnerDeletion=True), going=True)
    assert planned(waiting_owner(), dependents=(blocking,)) == ()


@pytest.mark.parametrize("dependents", [(), (made("child", reference("owner")),)])
def test_a_foreground_owner_goes_when_no_dependent_blocks_it(dependents):
    (patch,) = planned(waiting_owner(), dependents=dependents)
    assert patch.patch["metadata"]["finalizers"] == ["a.b/c"]


def test_orphaning_strips_the_references_before_the_owner_goes():
    owner = made("owner", going=True, finalizers=("orphan",))
    child = made("child", reference("owner"), reference("other"))
    strips, release = planned(owner, dependents=(child,))
    (strip,) = strips.actions
    assert [each["name"] for each in strip.patch["metadata"]["ownerReferences"]] == ["other"]
    assert release.patch["metadata"]["finalizers"] is None


def test_an_objects_own_finalizer_decides_how_it_is_deleted():
    assert planned(made("c", reference("a"), finalizers=("orphan",)), Owner.ABSENT)[0].propagation == "Orphan"
    foreground = planned(made("c", reference("a"), finalizers=("foregroundDeletion",)), Owner.ABSENT)
    assert foreground[0].propagation == "Foreground"
