"""One sync of a DaemonSet, rule by rule."""

import pytest

from holdfast.controllers.actions import Confirm, Create, Each, Waves
from holdfast.controllers.daemonset.placement import Fit, fit, tolerant
from holdfast.controllers.daemonset.views import HASH_LABEL

from .builders import (
    NEW,
    OLD,
    counts,
    created,
    daemon_set,
    deleted,
    flat,
    look,
    node,
    pod,
    revision,
    rolling,
    template,
    told,
)

AFFINITY = "requiredDuringSchedulingIgnoredDuringExecution"


def asking(key, *values):
    terms = [{"matchExpressions": [{"key": key, "operator": "In", "values": list(values)}]}]
    return {"nodeAffinity": {AFFINITY: {"nodeSelectorTerms": terms}}}


def taint(name):
    return f"node.kubernetes.io/{name}"


# Nodes


@pytest.mark.parametrize(
    ("pods", "on", "expected"),
    [
        pytest.param({}, node(), Fit.WANTED, id="any node"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, node(), Fit.REFUSED, id="selector"),
        pytest.param({"nodeSelector": {"disk": "ssd"}}, node(disk="ssd"), Fit.WANTED, id="selected"),
        pytest.param({"affinity": asking("disk", "ssd")}, node(disk="hdd"), Fit.REFUSED, id="affinity"),
        pytest.param({"affinity": asking("disk", "ssd")}, node(disk="ssd"), Fit.WANTED, id="affine"),
        pytest.param({"nodeName": "n1"}, node(), Fit.WANTED, id="by name"),
        pytest.param({"nodeName": "n2"}, node(), Fit.REFUSED, id="by another name"),
        pytest.param({}, node("n1", ("k", "NoSchedule")), Fit.KEPT, id="taint"),
        pytest.param({}, node("n1", ("k", "NoExecute")), Fit.REFUSED, id="taint that evicts"),
        pytest.param({}, node("n1", ("k", "PreferNoSchedule")), Fit.WANTED, id="soft taint"),
        pytest.param(
            {"tolerations": [{"key": "k", "operator": "Exists"}]},
            node("n1", ("k", "NoSchedule"), ("k", "NoExecute")),
            Fit.WANTED,
            id="tolerated",
        ),
        pytest.param({}, node("n1", (taint("unschedulable"), "NoSchedule")), Fit.WANTED, id="cordoned"),
        *[
            pytest.param({}, node("n1", (taint(name), "NoSchedule")), Fit.WANTED, id=name)
            for name in ("disk-pressure", "memory-pressure", "pid-pressure")
        ],
        *[
            pytest.param({}, node("n1", (taint(name), "NoExecute")), Fit.WANTED, id=f"{name}, after a while")
            for name in ("not-ready", "unreachable")
        ],
        pytest.param({}, node("n1", (taint("not-ready"), "NoSchedule")), Fit.KEPT, id="not ready"),
        pytest.param({}, node("n1", (taint("network-unavailable"), "NoSchedule")), Fit.KEPT, id="no network"),
        pytest.param(
            {"hostNetwork": True},
            node("n1", (taint("network-unavailable"), "NoSchedule")),
            Fit.WANTED,
            id="host's network",
        ),
    ],
)
def test_w40_a_node_is_wanted_or_kept_or_refused(pods, on, expected):
    assert fit(tolerant(template(**pods)), on) is expected


def test_w40_each_node_that_is_wanted_gets_a_pod_bound_to_it_by_name():
    planned = look(daemon_set(), [node("n1"), node("n2"), node("n3", ("k", "NoSchedule"))], [pod("n2")])
    made = created(planned)
    assert list(made) == ["n1"]
    metadata, spec = made["n1"]["metadata"], made["n1"]["spec"]
    assert metadata["generateName"] == "agent-"
    assert metadata["labels"] == {"app": "agent", HASH_LABEL: NEW, "pod-template-generation": "2"}
    assert metadata["ownerReferences"][0]["controller"]
    assert "nodeName" not in spec
    assert deleted(planned) == []


def test_w40_daemons_tolerate_what_befalls_a_node_without_limit():
    limited = {"key": taint("not-ready"), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}
    own = {"key": "k", "operator": "Exists"}
    spec = created(look(daemon_set(pods={"tolerations": [own, limited]}), [node()]))["n1"]["spec"]
    assert [(one["key"].rpartition("/")[2], one.get("effect")) for one in spec["tolerations"]] == [
        ("k", None),
        ("not-ready", "NoExecute"),
        ("unreachable", "NoExecute"),
        ("disk-pressure", "NoSchedule"),
        ("memory-pressure", "NoSchedule"),
        ("pid-pressure", "NoSchedule"),
        ("unschedulable", "NoSchedule"),
    ]
    assert not any("tolerationSeconds" in one for one in spec["tolerations"])


def test_w40_the_name_takes_the_place_of_required_affinity_and_of_nothing_else():
    preferred = [{"weight": 1, "preference": {}}]
    affinity = asking("disk", "ssd")
    affinity["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] = preferred
    affinity["podAntiAffinity"] = {"kept": True}
    made = created(look(daemon_set(pods={"affinity": affinity}), [node(disk="ssd")]))["n1"]["spec"]["affinity"]
    named = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}
    assert made == {
        "nodeAffinity": {
            AFFINITY: {"nodeSelectorTerms": [named]},
            "preferredDuringSchedulingIgnoredDuringExecution": preferred,
        },
        "podAntiAffinity": {"kept": True},
    }


def test_w40_where_none_is_to_be_every_pod_goes_but_a_mere_taint_takes_none_away():
    nodes = [node("n1", ("k", "NoExecute")), node("n2", ("k", "NoSchedule")), node("n3", disk="hdd")]
    pods = [pod("n1"), pod("n2"), pod("n3"), pod("n3", name="leaves", leaving=True)]
    planned = look(daemon_set(), nodes, pods)
    assert deleted(planned) == ["agent-n1"]
    planned = look(daemon_set(pods={"nodeSelector": {"disk": "ssd"}}), nodes, pods, [])
    assert deleted(planned) == ["agent-n1", "agent-n2", "agent-n3"]


def test_w40_of_several_pods_the_bound_then_the_oldest_then_the_first_by_name_stays():
    pods = [
        pod(name="d", age=9, bound=False),
        pod(name="c", age=5),
        pod(name="b", age=5),
        pod(name="a", age=1),
        pod(name="e", age=9, leaving=True),
    ]
    assert deleted(look(daemon_set(), [node()], pods)) == ["c", "a", "d"]


def test_w40_a_pod_on_its_way_out_is_waited_for_unless_it_has_ended():
    assert not created(look(daemon_set(), [node()], [pod(leaving=True)]))
    assert list(created(look(daemon_set(), [node()], [pod(leaving=True, phase="Failed")]))) == ["n1"]


def test_w40_what_was_never_bound_goes_with_its_node_and_the_rest_is_left_to_others():
    pods = [pod("gone", name="waits", bound=False), pod("gone", name="ran"), pod("gone", name="leaves", leaving=True)]
    assert deleted(look(daemon_set(), [], pods)) == ["waits"]


def test_w40_a_pod_made_for_no_node_is_left_alone():
    stray = pod(name="stray", bound=False)
    stray["spec"] = {}
    planned = look(daemon_set(), [node()], [stray, pod()])
    assert (created(planned), deleted(planned)) == ({}, [])


# Pods that ended


def test_w41_failed_and_succeeded_pods_are_told_of_and_deleted():
    planned = look(daemon_set(), [node("n1"), node("n2")], [pod("n1", phase="Failed"), pod("n2", phase="Succeeded")])
    assert deleted(planned) == ["agent-n1", "agent-n2"]
    assert created(planned) == {}
    assert [(one.type, one.reason, one.message) for one in told(planned)] == [
        ("Warning", "FailedDaemonPod", "Found failed daemon pod default/agent-n1 on node n1, will try to kill it"),
        (
            "Normal",
            "SucceededDaemonPod",
            "Found succeeded daemon pod default/agent-n2 on node n2, will try to delete it",
        ),
    ]


@pytest.mark.parametrize("strategy", [rolling(unavailable=1), rolling(surge=1)])
def test_w41_a_failed_pod_keeps_its_place_while_its_node_has_to_wait(strategy):
    one = daemon_set(updateStrategy=strategy)
    planned = look(one, [node()], [pod(phase="Failed")], waits_s={"n1": 7.0})
    assert (created(planned), deleted(planned), told(planned)) == ({}, [], [])
    assert planned.again_after_s == 7.0


def test_w41_a_pod_that_runs_beside_a_failed_one_stays():
    assert deleted(look(daemon_set(), [node()], [pod(name="bad", phase="Failed"), pod(name="good")])) == ["bad"]


# What the runner does


def test_creations_come_in_waves_and_deletions_whether_or_not_they_succeed():
    planned = look(daemon_set(), [node("n1"), node("n2"), node("n3")], [pod("n3", phase="Succeeded")])
    (group,) = planned.actions
    assert isinstance(group, Each)
    assert isinstance(group.actions[0], Waves)
    assert len(group.actions[0].lists) == 2


def test_at_most_250_pods_are_made_at_once():
    nodes = [node(f"n{number}") for number in range(300)]
    assert len(created(look(daemon_set(), nodes))) == 250
    surplus = [pod(f"n{number}", phase="Succeeded") for number in range(300)]
    assert len(deleted(look(daemon_set(), nodes, surplus))) == 250


def test_nothing_is_made_in_a_namespace_that_is_going():
    planned = look(daemon_set(), [node("n1"), node("n2")], [pod("n2", phase="Failed")], is_namespace_terminating=True)
    assert (created(planned), deleted(planned)) == ({}, ["agent-n2"])


def test_a_set_that_is_being_deleted_is_left_as_it_is():
    planned = look(daemon_set(deleted=True), [node()], [pod(phase="Failed")], [])
    assert (planned.before, planned.actions, planned.status) == ((), (), None)


def test_w2_pods_are_adopted_and_released_by_their_labels():
    loner, stranger = pod("n1", name="loner"), pod("n2", name="stranger", labels={"app": "other"})
    del loner["metadata"]["ownerReferences"]
    planned = look(daemon_set(), [node("n1"), node("n2")], [loner, stranger])
    confirm, changes = planned.before
    assert isinstance(confirm, Confirm)
    assert [(one.name, one.patch["metadata"]["ownerReferences"][0].get("$patch")) for one in changes.actions] == [
        ("loner", None),
        ("stranger", "delete"),
    ]
    assert list(created(planned)) == ["n2"]


# Status


def test_w43_every_count_of_the_status():
    nodes = [node(f"n{number}") for number in range(1, 6)] + [node("n6", ("k", "NoSchedule"))]
    pods = [
        pod("n1", since=60),
        pod("n2", since=5),
        pod("n3", hash=OLD, ready=False),
        pod("n4", hash=OLD, leaving=True),
        pod("n6"),
    ]
    planned = look(daemon_set(minReadySeconds=30), nodes, pods)
    assert counts(planned) == {
        "desiredNumberScheduled": 5,
        "currentNumberScheduled": 4,
        "numberMisscheduled": 1,
        "numberReady": 3,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
        "numberUnavailable": 3,
        "observedGeneration": 3,
    }
    assert planned.again_after_s == 25.0


def test_w43_counts_that_are_nothing_are_left_out_but_for_four():
    assert counts(look(daemon_set())) == {
        "desiredNumberScheduled": 0,
        "currentNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
        "observedGeneration": 3,
    }


def test_w43_a_status_that_is_right_is_not_written_again_and_keeps_what_others_wrote():
    planned = look(daemon_set(status={"conditions": [{"type": "X", "status": "True"}]}), [node()], [pod()])
    written = counts(planned)
    assert written["conditions"] == [{"type": "X", "status": "True"}]
    assert look(daemon_set(status=written), [node()], [pod()]).status is None


def test_w43_of_two_pods_on_a_node_the_older_is_counted():
    one = daemon_set(updateStrategy=rolling(surge=1))
    planned = look(one, [node()], [pod(name="a", hash=OLD, age=50), pod(name="b", ready=False, age=5)])
    assert (counts(planned)["numberAvailable"], counts(planned).get("updatedNumberScheduled", 0)) == (1, 0)


def test_a_ready_pod_of_unknown_age_is_looked_at_again():
    one = pod()
    del one["status"]["conditions"][0]["lastTransitionTime"]
    planned = look(daemon_set(minReadySeconds=30), [node()], [one])
    assert planned.again_after_s == 30.0
    assert "numberAvailable" not in counts(planned)


def test_a_set_at_rest_does_nothing():
    rest = counts(look(daemon_set(), [node()], [pod()]))
    planned = look(daemon_set(status=rest), [node()], [pod()], [revision()])
    assert (planned.reason, list(planned.before), list(planned.actions)) == ("all as wanted", [], [])
    assert (planned.status, planned.again_after_s) == (None, None)


def test_the_generation_label_is_left_out_if_the_set_does_not_say():
    one = daemon_set()
    one.manifest["metadata"]["annotations"] = {}
    assert created(look(one, [node()]))["n1"]["metadata"]["labels"] == {"app": "agent", HASH_LABEL: NEW}


def test_the_plan_changes_nothing_that_it_was_given():
    one = daemon_set(pods={"tolerations": [{"key": "k", "operator": "Exists"}], "affinity": asking("disk", "ssd")})
    before = repr(one.manifest)
    made = [step for step in flat(look(one, [node(disk="ssd")]).actions) if isinstance(step, Create)]
    assert made
    assert repr(one.manifest) == before
