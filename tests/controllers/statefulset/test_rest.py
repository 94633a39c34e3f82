"""Chapter 17, counted: from any reachable state a set is at rest after so many rounds, and the same end is reached
when the controller dies after any of its writes.

A round is a sync and then what the world does until the next: pods become ready, or leave; claims that are being
deleted, or whose owners are gone, go; time passes until what is ready is available; a human removes broken surplus
pods, which an ordered set may wait for without end (S44).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from holdfast.controllers.statefulset import claims, identity
from holdfast.controllers.statefulset.views import Pod

from .builders import Cluster, claim, owner, plan, statefulset

IMAGES = ("app:1", "app:2", "app:3")
PODS = ("pending", "running", "ready", "failed", "succeeded", "terminating", "orphan", "relabelled", "unrevised")
CLAIMS = ("none", "free", "the set's", "an earlier pod's", "being deleted")
ORDINALS = range(6)
POLICY = ("Retain", "Delete")


@dataclass(frozen=True)
class Start:
    """How to make a cluster, as often as it is wanted."""

    options: dict[str, Any]
    known: list[str]
    """Images that there are revisions of, oldest first."""
    pods: dict[int, tuple[str, str]]
    """State and image by ordinal."""
    claims: dict[int, str]
    history: list[tuple[str, int, Any, int | None]] = field(default_factory=list)
    """What happened since, and after how many writes the controller died each time."""

    def make(self) -> Cluster:
        cluster = Cluster(statefulset(**self.options))
        for number, image in enumerate(self.known, 1):
            cluster.with_revision(image, number)
        for ordinal, (state, image) in self.pods.items():
            _add_pod(cluster, ordinal, state, image)
        for ordinal, state in self.claims.items():
            _add_claim(cluster, ordinal, state)
        for what, ordinal, value, stop_after in self.history:
            _happen(cluster, what, ordinal, value)
            cluster.step(stop_after=stop_after)
        return cluster


def _add_pod(cluster: Cluster, ordinal: int, state: str, image: str) -> None:
    made = cluster.add(ordinal, state if state in PODS[:6] else "ready", image)
    match state:
        case "orphan":
            del made["metadata"]["ownerReferences"]
        case "relabelled":
            del made["metadata"]["labels"][identity.POD_NAME_LABEL]
        case "unrevised":
            del made["metadata"]["labels"]["controller-revision-hash"]


def _add_claim(cluster: Cluster, ordinal: int, state: str) -> None:
    name = f"data-web-{ordinal}"
    owners = {"the set's": [owner("StatefulSet", "web", "set-uid")]}
    owners["an earlier pod's"] = [owner("Pod", f"web-{ordinal}", "long gone")]
    if state != "none":
        cluster.claims[name] = claim(name, *owners.get(state, ()))
    if state == "being deleted":
        cluster.claims[name]["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"


def _happen(cluster: Cluster, what: str, ordinal: int, value: Any) -> None:
    name = f"web-{ordinal}"
    match what:
        case "pod" if name in cluster.pods:
            cluster.move(ordinal, value)
        case "gone" if name in cluster.pods:
            cluster.gone(ordinal)
        case "image":
            cluster.change_image(value)
        case "spec":
            cluster.change(**value)
        case "world":
            turn(cluster)


OPTIONS = st.fixed_dictionaries(
    {
        "replicas": st.integers(0, 3),
        "parallel": st.booleans(),
        "claims": st.sampled_from(((), ("data",))),
        "when_deleted": st.sampled_from(POLICY),
        "when_scaled": st.sampled_from(POLICY),
        "strategy": st.sampled_from(("RollingUpdate", "RollingUpdate", "OnDelete")),
        "partition": st.sampled_from((None, 0, 0, 1, 3)),
        "min_ready_s": st.sampled_from((0, 0, 30)),
        "start": st.sampled_from((None, None, 1)),
        "image": st.sampled_from(IMAGES),
        "history_limit": st.sampled_from((0, 1, 10)),
    }
)
CHANGES = st.one_of(
    st.tuples(st.just("pod"), st.sampled_from(ORDINALS), st.sampled_from(("pending", "failed", "terminating"))),
    st.tuples(st.just("gone"), st.sampled_from(ORDINALS), st.none()),
    st.tuples(st.just("image"), st.just(0), st.sampled_from(IMAGES)),
    st.tuples(st.just("spec"), st.just(0), st.builds(dict, replicas=st.integers(0, 3))),
    st.tuples(st.just("world"), st.just(0), st.none()),
)


@st.composite
def starts(draw):
    """Any set, any pods, claims and revisions around it, and then a few things that happen."""
    known = draw(st.lists(st.sampled_from(IMAGES), unique=True, min_size=1))
    pods = st.tuples(st.sampled_from(PODS), st.sampled_from(known))
    history = st.lists(st.tuples(CHANGES, st.sampled_from((None, None, 0, 1, 2))), max_size=4)
    return Start(
        draw(OPTIONS),
        known,
        draw(st.dictionaries(st.sampled_from(ORDINALS), pods, max_size=4)),
        draw(st.dictionaries(st.sampled_from(ORDINALS), st.sampled_from(CLAIMS), max_size=3)),
        [(*change, stop_after) for change, stop_after in draw(history)],
    )


def turn(cluster: Cluster) -> None:
    """What the world does between two syncs."""
    for name, one in list(cluster.claims.items()):
        if "deletionTimestamp" in one["metadata"] and name.removeprefix("data-") not in cluster.pods:
            del cluster.claims[name]
    cluster.collect_garbage()
    for one in [Pod(manifest) for manifest in cluster.pods.values()]:
        if one.ordinal is None:
            continue
        can_start = one.is_pending and _has_claims(cluster, one.ordinal)
        if one.is_terminating or (
            one.ordinal not in cluster.statefulset.slots and one.phase != "Running" and not can_start
        ):
            cluster.gone(one.ordinal)
        elif one.phase == "Running" or can_start:
            cluster.move(one.ordinal, "ready", since=one.ready_since)
    cluster.advance(cluster.statefulset.min_ready_s)


def _has_claims(cluster: Cluster, ordinal: int) -> bool:
    """Without them no pod starts."""
    return all(name in cluster.claims for name in claims.claim_names(cluster.statefulset, ordinal))


def most_rounds(cluster: Cluster) -> int:
    """How long it may take.

    Five rounds are for the set as a whole: one in which it adopts, makes its revision, and the world ends what was
    under way; one more for claims that go only when their pods have gone; then completion (S133), trimming (S84),
    which looks at what was live before it, and the last, in which nothing is written.

    A slot takes four at most: its pod has ended and is deleted; is made, by S94 perhaps in its old version; is
    outdated and deleted; is made. An ordered set does one of these per round, and deletes one surplus pod per round.
    A parallel set does all first and all second steps at once, and so with surplus pods; only updates are one by one.
    """
    slots = len(cluster.statefulset.slots)
    surplus = sum(Pod(each).ordinal not in cluster.statefulset.slots for each in cluster.pods.values())
    return 5 + (4 * slots + surplus if cluster.statefulset.is_ordered else 2 + 1 + 2 * slots)


def run(cluster: Cluster, rounds: int, *, stop_after: int | None = None) -> int:
    """Rounds until nothing is written, nothing else happens, and time changes nothing.

    With `stop_after` the controller dies after so many writes, once.
    """
    for number in range(1, rounds + 1):
        before = (cluster.set, dict(cluster.pods), dict(cluster.claims), dict(cluster.revisions))
        written = len(cluster.writes)
        made = cluster.step(stop_after=stop_after)
        if stop_after is not None:
            stop_after -= len(cluster.writes) - written
            stop_after = stop_after or None
        turn(cluster)
        after = (cluster.set, cluster.pods, cluster.claims, cluster.revisions)
        if len(cluster.writes) == written and before == after and made.again_after_s is None:
            return number
    raise AssertionError(f"not at rest after {rounds} rounds; last writes: {cluster.writes[-10:]}")


def end(cluster: Cluster) -> dict[str, Any]:
    """All that there is, but for what names the moment at which something was made."""
    uids = {"set-uid": "set"} | {each["metadata"]["uid"]: name for name, each in cluster.pods.items()}

    def owners(manifest: dict[str, Any]) -> list[tuple[str, str]]:
        references = manifest["metadata"].get("ownerReferences") or ()
        return [(each["kind"], uids.get(each["uid"], "nobody")) for each in references]

    return {
        "pods": {
            name: (each["metadata"]["labels"], each["spec"], each["status"]["phase"], owners(each))
            for name, each in cluster.pods.items()
        },
        "claims": {name: (each["metadata"].get("labels"), owners(each)) for name, each in cluster.claims.items()},
        "revisions": {name: (each["revision"], owners(each)) for name, each in cluster.revisions.items()},
        "status": cluster.set["status"],
    }


def assert_is_as_wanted(cluster: Cluster) -> None:
    """S206, with S50, S89 and S99."""
    the_set, status = cluster.statefulset, cluster.set["status"]
    assert set(cluster.pods) == {f"web-{ordinal}" for ordinal in the_set.slots}
    counts = (status["replicas"], status.get("readyReplicas", 0), status["availableReplicas"])
    assert counts == (the_set.replicas,) * 3
    for ordinal in the_set.slots:
        pod = Pod(cluster.pods[f"web-{ordinal}"])
        assert identity.is_identity_right(the_set, ordinal, pod)
        if not the_set.is_updated_by_deletion and ordinal - the_set.start >= the_set.partition:
            assert pod.revision == status["updateRevision"] in cluster.revisions
        for name in (f"{template['metadata']['name']}-web-{ordinal}" for template in the_set.claim_templates):
            wanted = [("StatefulSet", "set")] if the_set.deletes_claims_when_deleted else []
            if name in cluster.claims:
                assert end(cluster)["claims"][name][1] == wanted
    made = plan(cluster.observed())
    assert (made.before, made.status, made.cleanup) == ((), None, [])


@settings(max_examples=150, deadline=None)
@given(starts())
def test_s206_any_reachable_state_comes_to_rest_within_a_number_of_rounds_that_its_size_gives(start):
    note(repr(start))
    cluster = start.make()
    run(cluster, most_rounds(cluster))
    assert_is_as_wanted(cluster)


@settings(max_examples=60, deadline=None)
@given(starts())
def test_s206_the_end_is_the_same_whenever_the_controller_died_on_the_way(start):
    """It costs the round it died in; and by S94, if a pod was deleted and the status not written, a pod made twice."""
    note(repr(start))
    cluster = start.make()
    already, rounds = len(cluster.writes), most_rounds(cluster)
    run(cluster, rounds)
    for stop_after in range(1, len(cluster.writes) - already):
        again = start.make()
        run(again, rounds + 3, stop_after=stop_after)
        assert end(again) == end(cluster), f"after {again.writes[already + stop_after - 1]}"
