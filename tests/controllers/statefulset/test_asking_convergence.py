"""Sets that ask for more than upstream gives, whatever happens: they come to rest, and lose no pod needlessly."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api import feature_gates
from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.controllers.statefulset.replicas import Ordinals, Replicas
from holdfast.controllers.statefulset.views import Pod

from .builders import Cluster, claim, flat, obey, plan, settle, statefulset

IMAGES = ("app:1", "app:2", "app:3")
STATES = ("pending", "running", "ready", "failed", "terminating")
SIZES = ("512Mi", "1Gi", "2Gi")


@st.composite
def asked_for(draw):
    """Any mixture of what may be asked for."""
    values = {
        beyond.UNSTICK: ("true", "false"),
        beyond.RESERVE_ORDINALS: ("0", "1", "1-2", "0,3", ""),
        beyond.CLAIM_UPDATE_POLICY: ("InPlace", "OnClaimDelete"),
        beyond.CONDITIONS: ("true",),
        beyond.PROGRESS_DEADLINE: ("10", "1000"),
        beyond.PAUSED: ("true", "false"),
    }
    names = draw(st.sets(st.sampled_from(sorted(values))))
    return {name: draw(st.sampled_from(values[name])) for name in sorted(names)}


@st.composite
def starts(draw):
    """A set of any shape, with any pods and claims around it."""
    strategy = draw(st.sampled_from(("RollingUpdate", "RollingUpdate", "OnDelete", "Recreate")))
    cluster = Cluster(
        statefulset(
            draw(st.integers(0, 4)),
            parallel=draw(st.booleans()),
            claims=("data",),
            partition=draw(st.sampled_from((None, 0, 0, 1, 3))),
            strategy=strategy,
            start=draw(st.sampled_from((None, None, 1))),
            image=draw(st.sampled_from(IMAGES)),
            history_limit=draw(st.sampled_from((0, 10))),
            annotations=draw(asked_for()),
        )
    )
    cluster.gates = frozenset(draw(st.sets(st.sampled_from(sorted(feature_gates.KNOWN)))))
    most = draw(st.sampled_from((1, 2, "50%")))
    if strategy == "RollingUpdate" and "rollingUpdate" in cluster.set["spec"]["updateStrategy"]:
        cluster.set["spec"]["updateStrategy"]["rollingUpdate"]["maxUnavailable"] = most
    known = draw(st.lists(st.sampled_from(IMAGES), unique=True, min_size=1))
    for number, image in enumerate(known, 1):
        cluster.with_revision(image, number)
    for ordinal in draw(st.sets(st.integers(0, 5))):
        cluster.add(ordinal, draw(st.sampled_from(STATES)), draw(st.sampled_from(known)))
    for ordinal in draw(st.sets(st.integers(0, 5))):
        put_claim(cluster, ordinal, draw(st.sampled_from(SIZES)))
    return cluster


def put_claim(cluster, ordinal, size, has=None):
    name = f"data-web-{ordinal}"
    status = {"phase": "Bound", "capacity": {"storage": has or size}}
    cluster.claims[name] = {**claim(name), "spec": {"resources": {"requests": {"storage": size}}}, "status": status}


def heal(cluster):
    """Healthy pods, claims that are bound and grow, and a human who removes broken surplus pods (S44)."""
    obey(cluster)
    for pod in [Pod(manifest) for manifest in cluster.pods.values()]:
        if pod.phase == "Running" and not pod.is_ready:
            cluster.move(pod.ordinal, "ready")
        elif pod.has_ended and pod.ordinal not in cluster.statefulset.slots:
            cluster.gone(pod.ordinal)
    for name, one in cluster.claims.items():
        size = one["spec"]["resources"]["requests"]["storage"]
        cluster.claims[name] = {**one, "status": {"phase": "Bound", "capacity": {"storage": size}}}


def disturb(cluster, draw):
    ordinal = draw(st.integers(0, 5))
    name = f"web-{ordinal}"
    match draw(st.sampled_from(("fail", "delete", "unready", "scale", "image", "ask", "time"))):
        case "fail" if name in cluster.pods:
            cluster.move(ordinal, "failed")
        case "delete" if name in cluster.pods:
            cluster.move(ordinal, "terminating")
        case "unready" if name in cluster.pods:
            cluster.move(ordinal, draw(st.sampled_from(("pending", "running"))))
        case "scale":
            cluster.change(replicas=draw(st.integers(0, 4)))
        case "image":
            cluster.change_image(draw(st.sampled_from(IMAGES)))
        case "ask":
            cluster.set = {**cluster.set, "metadata": {**cluster.set["metadata"], "annotations": draw(asked_for())}}
        case "time":
            cluster.advance(draw(st.sampled_from((1, 10, 10_000))))


def assert_at_rest(cluster):
    the_set, status = cluster.statefulset, cluster.set["status"]
    slots = [*the_set.slots]
    assert {Pod(pod).ordinal for pod in cluster.pods.values()} == set(slots)
    assert len(slots) == the_set.replicas == status["replicas"] == status.get("readyReplicas", 0)
    assert not set(slots) & set(the_set.beyond.reserved)
    is_rolling = not the_set.is_updated_by_deletion and not the_set.beyond.is_paused
    for ordinal in slots[the_set.partition :] if is_rolling else ():
        assert Pod(cluster.pods[f"web-{ordinal}"]).revision == status["updateRevision"]
        if the_set.beyond.grows_claims and f"data-web-{ordinal}" in cluster.claims:
            asked = cluster.claims[f"data-web-{ordinal}"]["spec"]["resources"]["requests"]["storage"]
            assert asked in ("1Gi", "2Gi")
    types = [one["type"] for one in status.get("conditions", ())]
    assert types == (["Available", "Progressing"] if the_set.beyond.has_conditions else [])
    assert (beyond.PAUSED_REVISIONS in cluster.set["metadata"].get("annotations", {})) == the_set.beyond.is_paused
    cluster.writes.clear()
    cluster.events.clear()
    cluster.advance(100_000)
    cluster.step()
    assert (cluster.writes, cluster.events) == ([], [])


@settings(max_examples=150, deadline=None)
@given(starts())
def test_any_start_comes_to_rest(cluster):
    settle(cluster, environment=heal)
    assert_at_rest(cluster)


@settings(max_examples=100, deadline=None)
@given(starts(), st.data())
def test_also_when_it_is_disturbed_and_the_controller_dies_between_any_two_writes(cluster, data):
    for _ in range(data.draw(st.integers(1, 8))):
        cluster.step(stop_after=data.draw(st.sampled_from((None, 0, 1, 2))))
        if data.draw(st.booleans()):
            heal(cluster)
        disturb(cluster, data.draw)
    settle(cluster, environment=heal)
    assert_at_rest(cluster)


@settings(max_examples=150, deadline=None)
@given(starts(), st.data())
def test_of_two_pods_that_are_wanted_never_both_go_for_an_update(cluster, data):
    """Unless several may, nobody who asks not to be stuck loses a pod while another is away, or one that is well while
    another is broken."""
    cluster.gates = frozenset()
    for _ in range(15):
        annotations = {**cluster.set["metadata"].get("annotations", {}), beyond.UNSTICK: "true"}
        cluster.set = {**cluster.set, "metadata": {**cluster.set["metadata"], "annotations": annotations}}
        slots, revision = cluster.statefulset.slots, cluster.set["status"].get("updateRevision")
        before = {pod.ordinal: pod for pod in map(Pod, cluster.pods.values()) if pod.ordinal in slots}
        cluster.writes.clear()
        cluster.step()
        if revision != cluster.set["status"].get("updateRevision"):
            continue
        names = [text.removeprefix("delete pod web-") for text in cluster.writes if text.startswith("delete pod")]
        gone = [before[int(name)] for name in names if int(name) in before and not before[int(name)].has_ended]
        assert len(gone) <= 1
        for pod in gone:
            assert pod.revision != revision
            others = [other for other in before.values() if other is not pod and not other.has_ended]
            away = [other for other in others if other.is_terminating or not other.is_ready]
            broken = [other for other in away if not other.is_terminating and other.revision != revision]
            index = cluster.statefulset.slots.index
            broken = [other for other in broken if index(other.ordinal) >= cluster.statefulset.partition]
            assert len(away) == len(broken)
            assert not (broken and pod.is_ready)
        if data.draw(st.booleans()):
            obey(cluster)
        disturb(cluster, data.draw)


@settings(max_examples=60, deadline=None)
@given(starts(), st.data())
def test_whatever_happens_what_is_kept_is_what_a_full_count_finds(cluster, data):
    draw = data.draw
    kept = Replicas(cluster.statefulset, cluster.claims.get, cluster.now, map(Pod, cluster.pods.values()))
    for _ in range(draw(st.integers(1, 25))):
        ordinal = draw(st.integers(0, 6))
        name = f"web-{ordinal}"
        match draw(st.sampled_from(("add", "move", "remove", "claim"))):
            case "add":
                cluster.add(ordinal, draw(st.sampled_from(STATES)), draw(st.sampled_from(IMAGES)))
                kept.put(Pod(cluster.pods[name]))
            case "move" if name in cluster.pods:
                cluster.move(ordinal, draw(st.sampled_from(STATES)))
                kept.put(Pod(cluster.pods[name]))
            case "remove" if name in cluster.pods:
                del cluster.pods[name]
                kept.remove(ordinal)
            case "claim":
                put_claim(cluster, ordinal, draw(st.sampled_from(SIZES)), draw(st.sampled_from(SIZES)))
                kept.recheck(ordinal)
        counted = Replicas(cluster.statefulset, cluster.claims.get, cluster.now, map(Pod, cluster.pods.values()))
        assert kept.summary() == counted.summary()
        for image in draw(st.permutations(IMAGES)):
            assert answers(kept, cluster.revision(image)) == answers(counted, cluster.revision(image))


def answers(replicas, revision):
    """To all questions that the update step asks."""
    outdated, stuck = replicas.outdated(revision), replicas.stuck(revision)
    return (
        [*outdated],
        [*stuck],
        (len(outdated), len(stuck), len(replicas.unfit)),
        outdated.few(2),
        replicas.on_their_way(revision),
        replicas.highest_not_updated(revision),
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=200), st.booleans(), st.sets(st.integers(2, 6)))
def test_ordinals_know_how_many_they_are_and_the_first_few(changes, highest, left_out):
    ordinals = Ordinals(highest=highest, untouched=range(2, 7), left_out=left_out)
    expected = set(range(2, 7)) - left_out
    put, few = set[int](), Ordinals(highest=highest)
    for ordinal, is_member in changes:
        for members in (ordinals, few):
            members.put(ordinal, is_member)
        for expectation in (expected, put):
            (expectation.add if is_member else expectation.discard)(ordinal)
        assert len(ordinals) == len(expected)
        assert ordinals.first == (max if highest else min)(expected, default=None)
        assert few.few(3) == sorted(put, reverse=highest)[:3]


@pytest.mark.parametrize("parallel", [False, True])
def test_one_event_costs_the_same_in_a_large_set_whatever_is_asked_for(parallel):
    """Counted in calls of functions, which is the same on every machine."""
    costs = [cost_of_an_event(replicas, parallel) for replicas in (30, 3000)]
    assert costs[1] <= 1.02 * costs[0]


def cost_of_an_event(replicas, parallel):
    asked = {
        beyond.UNSTICK: "true",
        beyond.RESERVE_ORDINALS: "3,5-7",
        beyond.CLAIM_UPDATE_POLICY: "InPlace",
        beyond.PROGRESS_DEADLINE: "600",
    }
    cluster = Cluster(statefulset(replicas, parallel=parallel, claims=("data",), annotations=asked))
    cluster.gates = frozenset(feature_gates.KNOWN)
    for number, image in enumerate(IMAGES[:2], 1):
        cluster.with_revision(image, number)
    cluster.change_image(IMAGES[1])
    for ordinal in cluster.statefulset.slots:
        cluster.add(ordinal)
        put_claim(cluster, ordinal, "1Gi")
    observed = cluster.observed()
    plan(observed)
    highest = max(cluster.statefulset.slots)
    cluster.move(highest, "running")
    moved = Pod(cluster.pods[f"web-{highest}"])
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        observed.replicas.put(moved)
        made = plan(observed)
    finally:
        sys.setprofile(None)
    assert [*flat(made.actions)]
    return calls
