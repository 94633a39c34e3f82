"""Rolling updates step by step (W42), and from any start to rest within their bounds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.controllers.actions import Create, Delete, Patch
from holdfast.controllers.daemonset.views import HASH_LABEL, DaemonSet

from .builders import NEW, OLD, created, daemon_set, deleted, flat, look, node, node_named, pod, revision, rolling


def step(strategy, pods, nodes=3, **spec):
    """Nodes that get a pod, and pods that go, of a set whose template is new; nodes n1, n2, ..."""
    planned = look(
        daemon_set(updateStrategy=strategy, **spec),
        [node(f"n{number + 1}") for number in range(nodes)],
        pods,
        [revision("old", 1), revision("new", 2)],
    )
    return list(created(planned)), deleted(planned)


def old(on, **more):
    return pod(on, hash=OLD, **more)


@pytest.mark.parametrize(
    ("unavailable", "pods", "goes"),
    [
        pytest.param(1, [old("n1"), old("n2"), old("n3")], ["agent-n1"], id="one at a time"),
        pytest.param(2, [old("n1"), old("n2"), old("n3")], ["agent-n1", "agent-n2"], id="as many as may be missing"),
        pytest.param("50%", [old("n1"), old("n2"), old("n3")], ["agent-n1", "agent-n2"], id="a share, rounded up"),
        pytest.param(1, [old("n1", leaving=True), old("n2"), old("n3")], [], id="one is on its way"),
        pytest.param(1, [pod("n1", ready=False), old("n2"), old("n3")], [], id="a new one is not ready"),
        pytest.param(1, [pod("n1"), old("n2"), old("n3")], ["agent-n2"], id="a new one is available"),
        pytest.param(1, [old("n1"), old("n2", ready=False), old("n3")], ["agent-n2"], id="the broken go first"),
        pytest.param(
            1,
            [old("n1", ready=False), old("n2", ready=False), old("n3")],
            ["agent-n1", "agent-n2"],
            id="all broken ones",
        ),
        pytest.param(1, [pod("n1"), pod("n2"), pod("n3")], [], id="done"),
        pytest.param(0, [old("n1"), old("n2"), old("n3")], ["agent-n1"], id="no bounds mean one"),
    ],
)
def test_w42_without_surge_pods_go_as_far_as_they_can_be_missed(unavailable, pods, goes):
    assert step(rolling(unavailable=unavailable), pods) == ([], goes)


def test_w42_a_new_pod_counts_once_it_has_been_ready_for_long_enough():
    pods = [pod("n1", since=5), old("n2", since=60)]
    assert step(rolling(unavailable=1), pods, nodes=2, minReadySeconds=10) == ([], [])
    assert step(rolling(unavailable=1), pods, nodes=2, minReadySeconds=5) == ([], ["agent-n2"])


def test_w42_nothing_is_updated_while_a_node_has_no_pod():
    assert step(rolling(unavailable=2), [old("n1"), old("n2")]) == (["n3"], [])


def test_w42_on_delete_only_what_is_missing_is_made_and_of_the_new_template():
    strategy = {"type": "OnDelete"}
    assert step(strategy, [old("n1"), old("n2", ready=False), old("n3")]) == ([], [])
    assert step(strategy, [old("n1"), old("n2")]) == (["n3"], [])


def pair(on, new_ready, old_ready=True):
    return [old(on, name=f"{on}-old", ready=old_ready, age=200), pod(on, name=f"{on}-new", ready=new_ready, age=50)]


@pytest.mark.parametrize(
    ("surge", "pods", "made", "goes"),
    [
        pytest.param(1, [old("n1"), old("n2"), old("n3")], ["n1"], [], id="one at a time"),
        pytest.param("34%", [old("n1"), old("n2"), old("n3")], ["n1", "n2"], [], id="a share, rounded up"),
        pytest.param(1, [*pair("n1", False), old("n2"), old("n3")], [], [], id="a new one is not ready"),
        pytest.param(1, [*pair("n1", True), old("n2"), old("n3")], [], ["n1-old"], id="the new one takes over"),
        pytest.param(1, [*pair("n1", False, False), old("n2"), old("n3")], [], ["n1-old"], id="neither is ready"),
        pytest.param(1, [old("n1"), old("n2", ready=False), old("n3")], ["n2", "n1"], [], id="the broken do not count"),
        pytest.param(1, [pod("n1"), pod("n2")], ["n3"], [], id="one is missing"),
        pytest.param(1, [pod("n1"), pod("n2"), old("n3", leaving=True)], ["n3"], [], id="nobody waits for the old"),
        pytest.param(
            1,
            [pod("n1"), pod("n2"), *pair("n3", False), pod("n3", name="more", age=1)],
            [],
            ["more"],
            id="two at most",
        ),
    ],
)
def test_w42_with_surge_a_new_pod_comes_up_beside_the_old_one(surge, pods, made, goes):
    assert step(rolling(surge=surge), pods) == (made, goes)


def test_w42_where_none_is_to_be_any_more_a_pod_stays_until_enough_are_available_elsewhere():
    nodes = [node("n1", ("k", "NoSchedule")), node("n2")]
    one, kept = daemon_set(updateStrategy=rolling(surge=1)), [revision("old", 1), revision("new", 2)]
    assert deleted(look(one, nodes, [old("n1"), pod("n2", ready=False)], kept)) == []
    assert deleted(look(one, nodes, [old("n1"), pod("n2")], kept)) == ["agent-n1"]
    assert deleted(look(one, nodes, [old("n1", ready=False), pod("n2", ready=False)], kept)) == ["agent-n1"]


# From any start to rest


class Machines:
    """Nodes in miniature: carries plans out, and lets time do to pods what it does."""

    def __init__(self, manifest, nodes, pods, chance):
        self.manifest, self.nodes, self.chance = manifest, nodes, chance
        self.pods = {one["metadata"]["name"]: one for one in pods}
        self.revisions = {}
        self.made = 0

    def step(self):
        planned = look(DaemonSet(self.manifest), self.nodes, self.pods.values(), self.revisions.values())
        actions = list(flat([*planned.before, *planned.actions]))
        for action in actions:
            self._perform(action)
        if planned.status:
            self.manifest = {**self.manifest, "status": planned.status.manifest["status"]}
        return actions or planned.status

    def _perform(self, action):
        match action:
            case Create(resource, manifest) if resource.kind == "Pod":
                self.made += 1
                name = f"made-{self.made}"
                labels = manifest["metadata"]["labels"]
                on = node_named(manifest)
                self.pods[name] = pod(on, name=name, hash=labels[HASH_LABEL], ready=False, age=-self.made)
            case Create(_, manifest):
                self.revisions[manifest["metadata"]["name"]] = manifest
            case Patch(_, _, name, patch):
                self.revisions[name] = {**self.revisions[name], "revision": patch["revision"]}
            case Delete(resource, _, name):
                known = self.pods if resource.kind == "Pod" else self.revisions
                del known[name]

    def pass_time(self):
        """One pod that was not ready turns ready."""
        waiting = [name for name, one in self.pods.items() if not one["status"]["conditions"]]
        if waiting:
            name = self.chance.choice(waiting)
            self.pods[name] = {**self.pods[name], "status": pod()["status"]}

    def available(self):
        return {one["spec"]["nodeName"] for one in self.pods.values() if one["status"]["conditions"]}


@settings(max_examples=60, deadline=None)
@given(
    st.randoms(use_true_random=False),
    st.integers(1, 6),
    st.one_of(st.builds(rolling, st.integers(1, 3), st.just(0)), st.builds(rolling, st.just(0), st.integers(1, 3))),
)
def test_any_update_comes_to_rest_and_never_takes_more_than_it_may(chance, nodes, strategy):
    names = [f"n{number}" for number in range(nodes)]
    pods = [pod(name, hash=chance.choice([OLD, NEW])) for name in names]
    machines = Machines(daemon_set(updateStrategy=strategy).manifest, [node(name) for name in names], pods, chance)
    bounds = strategy["rollingUpdate"]
    for _ in range(200):
        worked = machines.step()
        assert len(names) - len(machines.available()) <= bounds["maxUnavailable"]
        assert len(machines.pods) <= len(names) + bounds["maxSurge"]
        if not worked and len(machines.available()) == len(names):
            break
        machines.pass_time()
    assert sorted(one["spec"]["nodeName"] for one in machines.pods.values()) == names
    assert {one["metadata"]["labels"][HASH_LABEL] for one in machines.pods.values()} == {NEW}
    assert machines.manifest["status"]["updatedNumberScheduled"] == nodes
