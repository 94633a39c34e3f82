"""What a budget's status says (W75, W76): counted, expected, allowed."""

from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.replication_controller import REPLICATION_CONTROLLERS
from holdfast.api.custom.definition import resources_of
from holdfast.api.times import format_time
from holdfast.controllers.actions import Emit, Patch
from holdfast.controllers.disruption.plan import Observed, ObservedMark, plan, plan_mark

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def ago(seconds):
    return format_time(NOW - timedelta(seconds=seconds))


def owner(resource, name="web", replicas=3, above=None):
    metadata = {"name": name, "namespace": "default", "uid": f"{name}-{resource.kind}"}
    if above is not None:
        metadata["ownerReferences"] = [reference(*above)]
    return resource, {"metadata": metadata, "spec": {"replicas": replicas}}


def reference(resource, manifest):
    metadata = manifest["metadata"]
    return {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
    }


def pod(name, by=None, *, ready=True, **metadata):
    references = [reference(*by)] if by else []
    metadata = {"name": name, "namespace": "default", "uid": name, "ownerReferences": references, **metadata}
    conditions = [{"type": "Ready", "status": str(ready)}]
    return {"metadata": metadata, "spec": {}, "status": {"phase": "Running", "conditions": conditions}}


def leaving(name, by=None):
    return pod(name, by, deletionTimestamp=ago(0))


def look(spec, pods, owners=(), status=None, generation=1, defined=()):
    there = {(resource.kind, one["metadata"]["name"]): one for resource, one in owners}
    budget = {
        "metadata": {"name": "b", "namespace": "default", "generation": generation},
        "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec},
        "status": status or {},
    }
    kinds = {(kind.group, kind.kind): kind for kind in defined}
    return plan(
        Observed(
            budget,
            pods,
            lambda kind, key: there.get((kind.kind, key.split("/")[1])),
            NOW,
            lambda group, kind: kinds.get((group, kind)),
        )
    )


def counts(planned):
    status = planned.status.manifest["status"]
    return tuple(status[name] for name in ("currentHealthy", "desiredHealthy", "expectedPods", "disruptionsAllowed"))


def events(planned):
    reports = [action.report for action in planned.actions if isinstance(action, Emit)]
    return [(report.type, report.reason, report.message) for report in reports]


SET = owner(STATEFUL_SETS)
THREE = [pod("web-0", SET), pod("web-1", SET), pod("web-2", SET)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 2}, (3, 2, 3, 1)),
        ({"minAvailable": 5}, (3, 5, 3, 0)),
        ({"minAvailable": "50%"}, (3, 2, 3, 1)),
        ({"minAvailable": "34%"}, (3, 2, 3, 1)),
        ({"minAvailable": "100%"}, (3, 3, 3, 0)),
        ({"maxUnavailable": 1}, (3, 2, 3, 1)),
        ({"maxUnavailable": 5}, (3, 0, 3, 3)),
        ({"maxUnavailable": "1%"}, (3, 2, 3, 1)),
        ({"maxUnavailable": "50%"}, (3, 1, 3, 2)),
        ({}, (3, 0, 0, 0)),
    ],
)
def test_w75_numbers_and_percentages_are_rounded_up(spec, expected):
    assert counts(look(spec, THREE, [SET])) == expected


def test_w75_expected_are_those_that_the_controller_wants_not_those_that_there_are():
    five = owner(STATEFUL_SETS, replicas=5)
    assert counts(look({"maxUnavailable": 1}, [pod("web-0", five)], [five])) == (1, 4, 5, 0)


def test_w75_a_number_to_be_available_expects_the_pods_that_match():
    assert counts(look({"minAvailable": 1}, THREE[:2], [])) == (2, 1, 2, 1)


@pytest.mark.parametrize("kind", [STATEFUL_SETS, REPLICA_SETS, REPLICATION_CONTROLLERS])
def test_each_kind_that_scales_is_asked(kind):
    one = owner(kind, replicas=4)
    assert counts(look({"maxUnavailable": 1}, [pod("a", one)], [one])) == (1, 3, 4, 0)


def test_a_set_of_a_deployment_counts_as_the_deployment_once():
    deployment = owner(DEPLOYMENTS, replicas=4)
    new = owner(REPLICA_SETS, "web-new", 3, deployment)
    old = owner(REPLICA_SETS, "web-old", 2, deployment)
    pods = [pod("a", new), pod("b", old)]
    assert counts(look({"maxUnavailable": 1}, pods, [deployment, new, old])) == (2, 3, 4, 0)


def test_several_controllers_add_up():
    other = owner(STATEFUL_SETS, "db", 2)
    assert counts(look({"maxUnavailable": 1}, [*THREE, pod("db-0", other)], [SET, other])) == (4, 4, 5, 0)


def test_w76_pods_that_are_not_ready_leaving_or_about_to_be_evicted_are_not_healthy():
    pods = [pod("web-0", SET), pod("web-1", SET, ready=False), leaving("web-2", SET), pod("web-3", SET)]
    planned = look({"minAvailable": 1}, pods, [SET], {"disruptedPods": {"web-3": ago(10)}})
    assert counts(planned) == (1, 1, 4, 0)
    assert planned.status.manifest["status"]["disruptedPods"] == {"web-3": ago(10)}
    assert planned.again_after_s == pytest.approx(110, abs=1)


def test_w76_an_eviction_that_did_not_come_within_two_minutes_is_reported_and_forgotten():
    pods = [pod("web-0", SET), pod("web-1", SET)]
    planned = look({"minAvailable": 1}, pods, [SET], {"disruptedPods": {"web-0": ago(121), "gone": ago(1)}})
    assert "disruptedPods" not in planned.status.manifest["status"]
    assert counts(planned) == (2, 1, 2, 1)
    message = "Pod was expected by PDB default/b to be deleted but it wasn't"
    assert events(planned) == [("Warning", "NotDeleted", message)]
    assert planned.actions[0].report.subject is pods[0]
    assert planned.again_after_s is None


def test_w76_the_condition_says_whether_anything_is_allowed():
    allowed = look({"minAvailable": 2}, THREE, [SET], generation=7).status.manifest["status"]
    assert allowed["observedGeneration"] == 7
    assert allowed["conditions"] == [
        {
            "type": "DisruptionAllowed",
            "status": "True",
            "observedGeneration": 7,
            "lastTransitionTime": ago(0),
            "reason": "SufficientPods",
            "message": "",
        }
    ]
    allowed["conditions"][0]["lastTransitionTime"] = ago(50)
    spent = look({"minAvailable": 3}, THREE, [SET], allowed).status.manifest["status"]
    (condition,) = spent["conditions"]
    assert (condition["status"], condition["reason"], condition["lastTransitionTime"]) == (
        "False",
        "InsufficientPods",
        ago(0),
    )
    again = look({"minAvailable": 2}, THREE[:3], [SET], allowed, generation=8).status.manifest["status"]
    assert again["conditions"][0]["lastTransitionTime"] == ago(50)


def test_nothing_is_written_if_nothing_has_changed():
    status = look({"minAvailable": 2}, THREE, [SET]).status.manifest["status"]
    assert look({"minAvailable": 2}, THREE, [SET], status).status is None


def test_a_status_is_written_only_onto_what_was_seen():
    """W123: an eviction that was granted meanwhile is not to be given back."""
    assert not look({"minAvailable": 2}, THREE, [SET]).status.insists


def test_no_pods_are_an_event_and_nothing_is_allowed():
    planned = look({"maxUnavailable": 1}, [])
    assert counts(planned) == (0, 0, 0, 0)
    assert events(planned) == [("Normal", "NoPods", "No matching pods found")]


def test_pods_that_nobody_controls_count_for_nothing_but_an_event():
    planned = look({"maxUnavailable": 1}, [*THREE, pod("alone")], [SET])
    assert counts(planned) == (4, 2, 3, 2)
    ((type, reason, message),) = events(planned)
    assert (type, reason) == ("Warning", "UnmanagedPods")
    assert message.startswith(
        "Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,},"
        "MatchExpressions:[]LabelSelectorRequirement{},}) were found to be unmanaged. As a result, the status of the "
    )
    assert events(look({"minAvailable": 1}, [pod("alone")])) == []


@pytest.mark.parametrize(
    ("by", "owners", "error"),
    [
        (SET, [], 'found no controllers for pod "a"'),
        (SET, [(STATEFUL_SETS, {"metadata": {"name": "web", "uid": "another"}})], 'found no controllers for pod "a"'),
    ],
)
def test_a_controller_that_is_not_there_makes_the_sync_fail(by, owners, error):
    before = {"disruptionsAllowed": 2, "expectedPods": 3, "observedGeneration": 1}
    planned = look({"maxUnavailable": 1}, [pod("a", by)], owners, before)
    failed = f"Failed to calculate the number of expected pods: {error}"
    assert events(planned) == [("Warning", "CalculateExpectedPodCountFailed", failed)]
    status = planned.status.manifest["status"]
    assert (status["disruptionsAllowed"], status["expectedPods"]) == (0, 3)
    (condition,) = status["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "SyncFailed", error)
    assert look({"maxUnavailable": 1}, [pod("a", by)], owners, status).status is None


def test_a_controller_that_does_not_scale_or_is_unknown_makes_the_sync_fail():
    def error(api_version, kind):
        one = pod("a", SET)
        one["metadata"]["ownerReferences"][0] |= {"apiVersion": api_version, "kind": kind}
        return look({"maxUnavailable": 1}, [one]).status.manifest["status"]["conditions"][0]["message"]

    assert error("v1", "Node") == "nodes does not implement the scale subresource"
    assert error("example.com/v1", "Thing") == 'no matches for kind "Thing" in version "example.com/v1"'


def test_w75_a_kind_that_an_operator_defines_is_asked_where_its_definition_says_how_it_scales():
    def expected(scale, spec):
        kind = things(scale)
        by = kind, {"metadata": {"name": "web", "namespace": "default", "uid": "web-Thing"}, "spec": spec}
        pods = [pod(name, by) for name in "ab"]
        status = look({"maxUnavailable": "50%"}, pods, [by], defined=[kind]).status.manifest["status"]
        return status.get("expectedPods"), status["disruptionsAllowed"], status["conditions"][0]["message"]

    scale = {"specReplicasPath": ".spec.members", "statusReplicasPath": ".status.members"}
    assert expected(scale, {"members": 4}) == (4, 0, "")
    assert expected(scale, {"members": 2}) == (2, 1, "")
    lacking = 'Internal error occurred: the spec replicas field ".spec.members" does not exist'
    assert expected(scale, {}) == (None, 0, lacking)
    refused = "things.example.com does not implement the scale subresource"
    assert expected(None, {"members": 4}) == (None, 0, refused)


def things(scale):
    names = {"plural": "things", "kind": "Thing", "singular": "thing", "listKind": "ThingList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    version |= {"subresources": {"scale": scale}} if scale else {}
    spec = {"group": "example.com", "names": names, "scope": "Namespaced", "versions": [version]}
    status = {"acceptedNames": names}
    (kind,) = resources_of({"metadata": {"name": "things.example.com"}, "spec": spec, "status": status})
    return kind


# -- marks


def marked(seconds, reason="EvictionByEvictionAPI", phase="Running", **metadata):
    one = pod("a", resourceVersion="7", **metadata)
    mark = {"type": "DisruptionTarget", "status": "True", "reason": reason, "lastTransitionTime": ago(seconds)}
    one["status"] = {"phase": phase, "conditions": [mark]}
    return one


def test_a_mark_is_taken_back_after_two_minutes():
    waiting = plan_mark(ObservedMark(marked(100), NOW))
    assert (waiting.actions, waiting.again_after_s) == ((), 20)
    (write,) = plan_mark(ObservedMark(marked(120), NOW)).actions
    assert isinstance(write, Patch)
    assert (write.subresource, write.patch["metadata"]) == ("status", {"uid": "a", "resourceVersion": "7"})
    assert write.patch["status"]["conditions"][0]["status"] == "False"


@pytest.mark.parametrize(
    "one",
    [
        marked(500, "TerminationByKubelet"),
        marked(500, phase="Failed"),
        marked(500, deletionTimestamp=ago(1)),
        pod("b"),
    ],
)
def test_other_marks_stay(one):
    planned = plan_mark(ObservedMark(one, NOW))
    assert (planned.actions, planned.again_after_s) == ((), None)


def test_a_mark_or_an_eviction_without_a_time_is_one_of_long_ago():
    one = marked(0)
    one["status"]["conditions"][0]["lastTransitionTime"] = None
    assert plan_mark(ObservedMark(one, NOW)).actions
    assert counts(look({"minAvailable": 2}, THREE, [SET], {"disruptedPods": {"web-0": None}})) == (3, 2, 3, 1)
