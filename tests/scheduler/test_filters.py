"""Where a pod may go, and the words for nowhere: N220 to N225."""

import random

import pytest

from holdfast.scheduler.plan import Unschedulable, decide
from holdfast.scheduler.requests import requests_of

from .builders import cluster, node, pod, storage, where

NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


def refused(reason, note):
    return f"0/1 nodes are available: 1 {reason}. preemption: 0/1 nodes are available: 1 {note}."


def term(key="kubernetes.io/hostname", **labels):
    return {"topologyKey": key, "labelSelector": {"matchLabels": labels}}


def near(*terms):
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def apart(*terms):
    return {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": list(terms)}}


def on_nodes(operator, *values, key="kubernetes.io/hostname"):
    terms = [{"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


TAINT = {"key": "k", "value": "v", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("wanted", "view", "expected"),
    [
        pytest.param(pod(), cluster(), "no nodes available to schedule pods", id="no nodes"),
        pytest.param(pod(), cluster(node()), "n1", id="one node"),
        pytest.param(
            pod(),
            cluster(node(unschedulable=True)),
            refused("node(s) were unschedulable", NOT_HELPFUL),
            id="cordoned",
        ),
        pytest.param(
            pod(), cluster(node(ready=False)), refused("node(s) had untolerated taint(s)", NOT_HELPFUL), id="not ready"
        ),
        pytest.param(
            pod(), cluster(node(taints=[TAINT])), refused("node(s) had untolerated taint(s)", NOT_HELPFUL), id="tainted"
        ),
        pytest.param(
            pod(tolerations=[{"key": "k", "operator": "Equal", "value": "v", "effect": "NoSchedule"}]),
            cluster(node(taints=[TAINT])),
            "n1",
            id="tolerated",
        ),
        pytest.param(
            pod(tolerations=[{"operator": "Exists"}]), cluster(node(taints=[TAINT])), "n1", id="all tolerated"
        ),
        pytest.param(
            pod(tolerations=[{"key": "k", "operator": "Exists", "effect": "NoExecute"}]),
            cluster(node(taints=[TAINT])),
            refused("node(s) had untolerated taint(s)", NOT_HELPFUL),
            id="another effect tolerated",
        ),
        pytest.param(
            pod(nodeSelector={"disk": "ssd"}),
            cluster(node()),
            refused("node(s) didn't match Pod's node affinity/selector", NOT_HELPFUL),
            id="selector",
        ),
        pytest.param(pod(affinity=on_nodes("NotIn", "n1")), cluster(node("n1"), node("n2")), "n2", id="node affinity"),
        pytest.param(pod(affinity=on_nodes("Gt", "5", key="g")), cluster(node(labels={"g": "6"})), "n1", id="Gt"),
        pytest.param(
            pod(ports=[{"containerPort": 1, "hostPort": 80}]),
            cluster(node(), pods=(pod("other", on="n1", ports=[{"containerPort": 1, "hostPort": 80}]),)),
            refused("node(s) didn't have free ports for the requested pod ports", NO_VICTIMS),
            id="host port",
        ),
        pytest.param(
            pod(ports=[{"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.2"}]),
            cluster(
                node(),
                pods=(pod("o", on="n1", ports=[{"containerPort": 1, "hostPort": 80, "hostIP": "10.0.0.1"}]),),
            ),
            "n1",
            id="host port of another address",
        ),
        pytest.param(
            pod(requests={"cpu": "3"}),
            cluster(node(), pods=(pod("other", on="n1", requests={"cpu": "1500m"}),)),
            refused("Insufficient cpu", NO_VICTIMS),
            id="cpu",
        ),
        pytest.param(
            pod(requests={"memory": "9Gi"}), cluster(node()), refused("Insufficient memory", NOT_HELPFUL), id="memory"
        ),
        pytest.param(
            pod(requests={"cpu": "3"}),
            cluster(node(), pods=(pod("other", on="n1", requests={"cpu": "3"}, phase="Succeeded"),)),
            "n1",
            id="ended pods take nothing",
        ),
        pytest.param(
            pod(),
            cluster(node(allocatable={"pods": "1"}), pods=(pod("other", on="n1"),)),
            refused("Too many pods", NO_VICTIMS),
            id="pods",
        ),
        pytest.param(
            pod(labels={"app": "web"}, affinity=apart(term(app="web"))),
            cluster(node(), pods=(pod("web-1", on="n1", labels={"app": "web"}),)),
            refused("node(s) didn't match pod anti-affinity rules", NO_VICTIMS),
            id="N225: anti-affinity",
        ),
        pytest.param(
            pod(labels={"app": "web"}),
            cluster(node(), pods=(pod("web-1", on="n1", affinity=apart(term(app="web"))),)),
            refused("node(s) didn't satisfy existing pods anti-affinity rules", NO_VICTIMS),
            id="the others' anti-affinity",
        ),
        pytest.param(
            pod(affinity=near(term(app="db"))),
            cluster(node("n1"), node("n2"), pods=(pod("db", on="n2", labels={"app": "db"}),)),
            "n2",
            id="affinity",
        ),
        pytest.param(
            pod(labels={"app": "web"}, affinity=near(term(app="web"))),
            cluster(node()),
            "n1",
            id="the first of its kind",
        ),
        pytest.param(
            pod(affinity=near(term(app="db"))),
            cluster(node(), pods=(pod("db", on="n1", labels={"app": "db"}, namespace="other"),)),
            refused("node(s) didn't match pod affinity rules", NOT_HELPFUL),
            id="affinity looks at its own namespace",
        ),
    ],
)
def test_n220_n221_n222_n224_n225_one_pod(wanted, view, expected):
    assert where(wanted, view) == expected


def spread(skew=1, key="kubernetes.io/hostname"):
    selector = {"matchLabels": {"app": "web"}}
    constraint = {"maxSkew": skew, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule", "labelSelector": selector}
    return [constraint]


def test_n225_spreading_is_satisfied_inside_a_single_domain():
    pods = tuple(pod(f"web-{number}", on="n1", labels={"app": "web"}) for number in range(3))
    wanted = pod("web-9", labels={"app": "web"}, topologySpreadConstraints=spread())
    assert where(wanted, cluster(node("n1"), pods=pods)) == "n1"
    assert where(wanted, cluster(node("n1"), node("n2"), pods=pods)) == "n2"


def test_a_node_without_the_label_is_in_no_domain():
    wanted = pod(labels={"app": "web"}, topologySpreadConstraints=spread(key="zone"))
    text = "node(s) didn't match pod topology spread constraints (missing required label)"
    assert where(wanted, cluster(node())) == refused(text, NOT_HELPFUL)


def test_n221_reasons_are_counted_and_sorted_by_their_text():
    view = cluster(node("n1", taints=[TAINT]), node("n2", taints=[TAINT]), node("n3", allocatable={"cpu": "1"}))
    assert where(pod(requests={"cpu": "2"}), view) == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s)."
        " preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )


@pytest.mark.parametrize(
    ("scope", "reaches"),
    [
        ({}, {"default"}),
        ({"namespaces": ["green"]}, {"green"}),
        ({"namespaceSelector": {}}, {"default", "green", "blue"}),
        ({"namespaceSelector": {"matchLabels": {"colour": "green"}}}, {"green"}),
        ({"namespaceSelector": {"matchLabels": {"colour": "green"}}, "namespaces": ["default"]}, {"default", "green"}),
        ({"namespaceSelector": {"matchLabels": {"colour": "red"}}}, set()),
    ],
)
def test_n225_terms_reach_the_namespaces_that_they_name_and_those_with_the_labels(scope, reaches):
    labels = {"default": {}, "green": {"colour": "green"}, "blue": {"colour": "blue"}}

    def having(selector):
        return frozenset(name for name, of_it in labels.items() if selector.matches(of_it))

    wanted = pod(affinity=apart({**term(app="x"), **scope}))
    refused = set()
    for namespace in labels:
        there = pod("there", on="n1", labels={"app": "x"}, namespace=namespace)
        nodes = cluster(node(), pods=(there,)).nodes
        if isinstance(decide(wanted, nodes, storage(), random.Random(0), namespaces=having), Unschedulable):
            refused.add(namespace)
    assert refused == reaches


def test_n221_a_pod_that_never_preempts_says_so():
    message = where(pod(preemptionPolicy="Never"), cluster(node(unschedulable=True)))
    assert message.endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_n224_terminating_pods_still_take_their_place():
    going = pod("other", on="n1", requests={"cpu": "3"})
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert "Insufficient cpu" in where(pod(requests={"cpu": "2"}), cluster(node(), pods=(going,)))


def test_n101_sidecars_add_up_and_init_containers_only_raise():
    wanted = pod(requests={"cpu": "1"})
    wanted["spec"]["initContainers"] = [
        {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
        {"name": "i", "resources": {"requests": {"cpu": "2500m"}}},
    ]
    assert "Insufficient cpu" in where(wanted, cluster(node(allocatable={"cpu": "3400m"})))
    assert where(wanted, cluster(node(allocatable={"cpu": "3500m"}))) == "n1"


@pytest.mark.parametrize(
    ("pending", "expected"),
    [("", 3000), ("Deferred", 3000), ("Infeasible", 1000)],
)
def test_n148_while_a_resize_is_under_way_the_larger_counts_unless_it_can_never_be(pending, expected):
    conditions = [{"type": "PodResizePending", "status": "True", "reason": pending}] if pending else []
    had = {"name": "a", "allocatedResources": {"cpu": "1"}, "resources": {"requests": {"cpu": "1"}}}
    wanted = {"name": "a", "resources": {"requests": {"cpu": "3"}}}
    status = {"containerStatuses": [had], "conditions": conditions}
    assert requests_of({"spec": {"containers": [wanted]}, "status": status}) == {"cpu": expected}
    shrinking = {"name": "a", "resources": {"requests": {"cpu": "500m"}}}
    assert requests_of({"spec": {"containers": [shrinking]}, "status": status}) == {"cpu": 1000}


def test_an_assumed_pod_counts_until_it_is_forgotten():
    view = cluster(node())
    first, second = pod("a", requests={"cpu": "3"}), pod("b", requests={"cpu": "3"})
    view.assume(first, "n1")
    view.set_pod("uid-a", first)  # a status update from before the binding
    assert "Insufficient cpu" in where(second, view)
    view.forget(first)
    assert where(second, view) == "n1"


def test_pods_of_one_owner_are_spread():
    view = cluster(node("n1"), node("n2"), pods=(pod("web-0", on="n1", owner="set"),))
    assert where(pod("web-1", owner="set"), view) == "n2"


def test_only_those_that_are_there_count():
    others = [pod(f"web-{number}", on="n1", owner="set") for number in range(2)]
    view = cluster(node("n1"), node("n2"), pods=(*others, pod("web-2", on="n2", owner="set")))
    assert where(pod("web-3", owner="set"), view) == "n2"
    for other in others:
        view.set_pod(f"uid-{other['metadata']['name']}", None)
    assert where(pod("web-3", owner="set"), view) == "n1"
    assert view.nodes[0].owners == {}


def test_the_emptier_node_is_preferred():
    view = cluster(node("n1"), node("n2"), pods=(pod("a", on="n2", requests={"cpu": "2", "memory": "4Gi"}),))
    assert where(pod(), view) == "n1"


def test_the_node_chosen_before_is_kept():
    view = cluster(node("n1"), node("n2"), pods=(pod("a", on="n2", requests={"cpu": "2"}),))
    assert where(pod(), view, preferred="n2") == "n2"


def for_node(*terms):
    """Terms that are alternatives, each a list of lists of names."""
    written = [
        {"matchFields": [{"key": "metadata.name", "operator": "In", "values": names} for names in each]}
        for each in terms
    ]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": written}}}


def test_w40_a_pod_for_a_node_by_name_is_refused_by_it_alone():
    tiny = node("n1", allocatable={"cpu": "1"})
    wanted = pod(requests={"cpu": "2"}, affinity=for_node([["n1"]]))
    said = where(wanted, cluster(tiny, node("n2", unschedulable=True), node("n3")))
    assert said == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. "
        f"preemption: 0/3 nodes are available: 3 {NOT_HELPFUL}."
    )
    assert where(pod(affinity=for_node([["n3"]])), cluster(node("n1"), node("n2"), node("n3"))) == "n3"
    assert where(pod(affinity=for_node([["n2"]], [["n3"]])), cluster(node("n1"), node("n2"))) == "n2"


def test_a_pod_for_two_nodes_at_once_fits_none():
    said = where(pod(affinity=for_node([["n1"], ["n2"]])), cluster(node("n1"), node("n2")))
    assert said == (
        f"0/2 nodes are available: pod affinity terms conflict. preemption: 0/2 nodes are available: 2 {NOT_HELPFUL}."
    )
