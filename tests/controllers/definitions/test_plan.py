"""Which names a definition gets, and what becomes of it when it goes (A199-A201)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from holdfast.api.custom.definition import resources_of
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Delete, Each, Plan, Update
from holdfast.controllers.definitions.plan import Observed, plan

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GEARS = {"plural": "gears", "singular": "gear", "kind": "Gear", "listKind": "GearList", "shortNames": ["gr"]}


def definition(names: Manifest = GEARS, accepted: Manifest | None = None, **status: Any) -> Manifest:
    return {
        "metadata": {"name": f"{names['plural']}.example.com", "uid": "u"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": names,
            "versions": [{"name": "v1", "served": True, "storage": True}],
        },
        "status": {"acceptedNames": accepted or {"kind": "", "plural": ""}, "storedVersions": ["v1"], **status},
    }


def established(names: Manifest = GEARS) -> Manifest:
    status = plan(Observed(definition(names), [], NOW)).status
    assert status is not None
    return status.manifest


def conditions(step: Plan) -> dict[str, tuple[str, str, str]]:
    assert step.status is not None
    found = step.status.manifest["status"]["conditions"]
    return {one["type"]: (one["status"], one["reason"], one["message"]) for one in found}


def test_a199_first_the_names_are_accepted_then_the_definition_is_established() -> None:
    step = plan(Observed(definition(), [], NOW))
    assert list(conditions(step).items()) == [
        ("NamesAccepted", ("True", "NoConflicts", "no conflicts found")),
        ("Established", ("True", "InitialNamesAccepted", "the initial names have been accepted")),
    ]
    assert step.status is not None
    assert step.status.manifest["status"]["acceptedNames"] == GEARS


def test_what_is_said_already_is_not_said_again() -> None:
    assert plan(Observed(established(), [], NOW)).status is None


def test_a199_a_name_that_another_has_is_refused() -> None:
    other = {**GEARS, "plural": "wheels", "singular": "wheel", "kind": "Wheel", "shortNames": ["wl"]}
    step = plan(Observed(definition(other), [established()], NOW))
    assert conditions(step) == {
        "NamesAccepted": ("False", "ListKindConflict", '"GearList" is already in use'),
        "Established": ("False", "NotAccepted", "not all names are accepted"),
    }
    other = {**GEARS, "plural": "wheels", "singular": "wheel", "kind": "Wheel", "listKind": "WheelList"}
    refused = conditions(plan(Observed(definition(other), [established()], NOW)))
    assert refused["NamesAccepted"] == ("False", "ShortNamesConflict", '"gr" is already in use')


def test_a_name_that_has_become_free_is_given() -> None:
    other = {**GEARS, "plural": "wheels", "singular": "wheel", "kind": "Wheel", "listKind": "WheelList"}
    refused = plan(Observed(definition(other), [established()], NOW)).status
    assert refused is not None
    assert conditions(plan(Observed(refused.manifest, [], NOW)))["Established"][0] == "True"


def test_an_established_definition_stays_so_when_a_new_name_conflicts() -> None:
    wheels = established({**GEARS, "plural": "wheels", "singular": "wheel", "kind": "Wheel", "listKind": "WheelList",
                          "shortNames": ["wl"]})  # fmt: skip
    renamed = {**wheels, "spec": {**wheels["spec"], "names": {**wheels["spec"]["names"], "shortNames": ["gr"]}}}
    step = plan(Observed(renamed, [established()], NOW))
    assert conditions(step)["NamesAccepted"][1] == "ShortNamesConflict"
    assert conditions(step)["Established"][0] == "True"
    assert step.status is not None
    assert step.status.manifest["status"]["acceptedNames"]["shortNames"] == ["wl"]


def test_a200_kubernetes_own_groups_tell_who_approved_of_them() -> None:
    protected = definition()
    protected["spec"]["group"] = "x-k8s.k8s.io"
    protected["metadata"]["annotations"] = {"api-approved.kubernetes.io": "https://example.com/1"}
    said = conditions(plan(Observed(protected, [], NOW)))["KubernetesAPIApprovalPolicyConformant"]
    assert said == ("True", "ApprovedAnnotation", "approved in https://example.com/1")


# -- the end


def going(*finalizers: str) -> Manifest:
    manifest = established()
    metadata = {**manifest["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": list(finalizers)}
    return {**manifest, "metadata": metadata}


CLEANUP = "customresourcecleanup.apiextensions.k8s.io"


def test_a201_objects_are_deleted_first_and_what_is_on_its_way_is_waited_for() -> None:
    resource = resources_of(established())[0]
    one = {"metadata": {"name": "a", "namespace": "ns", "uid": "1"}}
    two = {"metadata": {"name": "b", "namespace": "ns", "uid": "2", "deletionTimestamp": "2026-01-01T00:00:00Z"}}
    step = plan(Observed(going(CLEANUP), [], NOW, {resource: [one, two]}))
    assert step.actions == (Each((Delete(resource, "ns", "a", "1", propagation="Background"),)),)
    assert conditions(step)["Terminating"][:2] == ("True", "InstanceDeletionInProgress")
    waiting = plan(Observed(going(CLEANUP), [], NOW, {resource: [two]}))
    assert waiting.actions == ()
    assert waiting.again_after_s


def test_a201_with_the_last_object_the_finalizer_goes() -> None:
    told = plan(Observed(going(CLEANUP, "example.com/mine"), [], NOW, {}))
    assert conditions(told)["Terminating"][:2] == ("False", "InstanceDeletionCompleted")
    assert told.status is not None
    released = plan(Observed(told.status.manifest, [], NOW, {})).actions
    assert isinstance(released[0], Update)
    assert released[0].manifest["metadata"]["finalizers"] == ["example.com/mine"]


def test_others_finalizers_are_none_of_its_business() -> None:
    assert plan(Observed(going("example.com/mine"), [], NOW, {})).actions == ()
