"""Chapter 17: from any start the set comes to rest, whatever happens on the way."""

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.controllers.statefulset.views import Pod

from .builders import Cluster, claim, obey, owner, settle, statefulset

IMAGES = ("app:1", "app:2", "app:3")
STATES = ("pending", "running", "ready", "failed", "succeeded", "terminating", "orphan", "relabelled")


@st.composite
def starts(draw):
    """A set of any shape, with any pods, claims and revisions around it."""
    cluster = Cluster(
        statefulset(
            draw(st.integers(0, 4)),
            parallel=draw(st.booleans()),
            claims=("data",) if draw(st.booleans()) else (),
            when_deleted=draw(st.sampled_from(("Retain", "Delete"))),
            when_scaled=draw(st.sampled_from(("Retain", "Delete"))),
            partition=draw(st.sampled_from((None, 0, 0, 1, 3))),
            start=draw(st.sampled_from((None, None, 1))),
            image=draw(st.sampled_from(IMAGES)),
            history_limit=draw(st.sampled_from((0, 1, 10))),
        )
    )
    known = draw(st.lists(st.sampled_from(IMAGES), unique=True, min_size=1))
    for number, image in enumerate(known, 1):
        cluster.with_revision(image, number)
    for ordinal in draw(st.sets(st.integers(0, 5))):
        state = draw(st.sampled_from(STATES))
        pod = cluster.add(ordinal, state if state in STATES[:6] else "ready", draw(st.sampled_from(known)))
        if state == "orphan":
            del pod["metadata"]["ownerReferences"]
        if state == "relabelled":
            del pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
        if draw(st.booleans()) and cluster.statefulset.claim_templates:
            owners = draw(st.sampled_from(((), (owner("StatefulSet", "web", "set-uid"),))))
            name = f"data-web-{ordinal}"
            cluster.claims[name] = claim(name, *owners)
    return cluster


def heal(cluster):
    """Healthy pods, and a human who removes broken surplus pods, which an ordered set may not get past (S44)."""
    obey(cluster)
    for pod in [Pod(manifest) for manifest in cluster.pods.values()]:
        if pod.phase == "Running" and not pod.is_ready:
            cluster.move(pod.ordinal, "ready")
        elif pod.has_ended and pod.ordinal not in cluster.statefulset.slots:
            cluster.gone(pod.ordinal)


def disturb(cluster, draw):
    """Something that happens to a set."""
    ordinal = draw(st.integers(0, 5))
    name = f"web-{ordinal}"
    match draw(st.sampled_from(("fail", "delete", "unready", "scale", "image", "partition", "policy", "nothing"))):
        case "fail" if name in cluster.pods:
            cluster.move(ordinal, "failed")
        case "delete" if name in cluster.pods:
            cluster.move(ordinal, "terminating")
        case "unready" if name in cluster.pods:
            cluster.move(ordinal, "pending")
        case "scale":
            cluster.change(replicas=draw(st.integers(0, 4)))
        case "image":
            cluster.change_image(draw(st.sampled_from(IMAGES)))
        case "partition":
            rolling = {"rollingUpdate": {"partition": draw(st.integers(0, 4))}}
            cluster.change(updateStrategy={"type": "RollingUpdate", **rolling})
        case "policy":
            when = draw(st.sampled_from(("Retain", "Delete")))
            cluster.change(persistentVolumeClaimRetentionPolicy={"whenDeleted": when, "whenScaled": "Retain"})


def assert_at_rest(cluster):
    """S203, S206, S50, S202."""
    the_set = cluster.statefulset
    status = cluster.set["status"]
    wanted = {f"web-{ordinal}" for ordinal in the_set.slots}
    ours = {name for name, pod in cluster.pods.items() if pod["metadata"].get("ownerReferences")}
    assert ours == wanted
    assert status["replicas"] == status.get("readyReplicas", 0) == the_set.replicas
    assert {status["currentRevision"], status["updateRevision"]} <= set(cluster.revisions)
    numbers = [revision["revision"] for revision in cluster.revisions.values()]
    assert len(numbers) == len(set(numbers))
    for ordinal in the_set.slots:
        pod = Pod(cluster.pods[f"web-{ordinal}"])
        assert pod.is_ready
        assert pod.labels["statefulset.kubernetes.io/pod-name"] == pod.name
        if ordinal - the_set.start >= the_set.partition:
            assert pod.revision == status["updateRevision"]
        assert pod.revision in cluster.revisions
    assert_claims_are_owned(cluster)
    cluster.writes.clear()
    cluster.events.clear()
    cluster.step()
    assert (cluster.writes, cluster.events) == ([], [])


def assert_claims_are_owned(cluster):
    the_set = cluster.statefulset
    for ordinal in the_set.slots:
        for template in the_set.claim_templates:
            one = cluster.claims.get(f"{template['metadata']['name']}-web-{ordinal}")
            if one is not None:
                kinds = [reference["kind"] for reference in one["metadata"].get("ownerReferences") or ()]
                assert kinds == (["StatefulSet"] if the_set.deletes_claims_when_deleted else [])


@settings(max_examples=80, deadline=None)
@given(starts())
def test_s206_any_start_comes_to_rest(cluster):
    settle(cluster, environment=heal)
    assert_at_rest(cluster)


@settings(max_examples=60, deadline=None)
@given(starts(), st.data())
def test_s206_also_when_it_is_disturbed_and_the_controller_dies_between_any_two_writes(cluster, data):
    for _ in range(data.draw(st.integers(1, 8))):
        cluster.step(stop_after=data.draw(st.sampled_from((None, 0, 1, 2))))
        if data.draw(st.booleans()):
            obey(cluster)
        disturb(cluster, data.draw)
    settle(cluster, environment=heal)
    assert_at_rest(cluster)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 4), st.data())
def test_s201_an_ordered_set_makes_a_pod_only_on_available_ones_and_takes_pods_from_the_top(replicas, data):
    cluster = Cluster(statefulset(replicas))
    for _ in range(30):
        before = {name: Pod(pod) for name, pod in cluster.pods.items()}
        cluster.writes.clear()
        cluster.step()
        created = [text.rpartition("-")[2] for text in cluster.writes if text.startswith("create pod")]
        deleted = [text.rpartition("-")[2] for text in cluster.writes if text.startswith("delete pod")]
        assert len(created) + len(deleted) <= 1
        for ordinal in created:
            for below in range(int(ordinal)):
                pod = before[f"web-{below}"]
                assert pod.is_ready
                assert not pod.is_terminating
        for ordinal in deleted:
            pod = before[f"web-{ordinal}"]
            above = [name for name in before if int(name.removeprefix("web-")) > int(ordinal)]
            assert pod.has_ended or pod.revision != cluster.set["status"]["updateRevision"] or not above
        if data.draw(st.booleans()):
            obey(cluster)
        if data.draw(st.booleans()):
            disturb(cluster, data.draw)


@settings(max_examples=60, deadline=None)
@given(starts(), st.data())
def test_s203_revisions_that_pods_and_status_name_are_there_at_every_moment(cluster, data):
    for _ in range(12):
        cluster.step()
        status = cluster.set["status"]
        named = {status["currentRevision"], status["updateRevision"]}
        ours = [Pod(pod) for pod in cluster.pods.values() if pod["metadata"].get("ownerReferences")]
        assert named | {pod.revision for pod in ours} <= cluster.revisions.keys()
        numbers = [revision["revision"] for revision in cluster.revisions.values()]
        assert len(numbers) == len(set(numbers))
        if data.draw(st.booleans()):
            obey(cluster)
        disturb(cluster, data.draw)


@settings(max_examples=60, deadline=None)
@given(starts(), st.data())
def test_s204_no_claim_of_a_slot_is_lost_while_the_set_lives(cluster, data):
    settle(cluster, environment=heal)
    slots = {f"data-web-{ordinal}" for ordinal in cluster.statefulset.slots} & set(cluster.claims)
    uids = {name: cluster.claims[name]["metadata"]["uid"] for name in slots}
    for _ in range(6):
        ordinal = data.draw(st.sampled_from(list(cluster.statefulset.slots) or [9]))
        if f"web-{ordinal}" in cluster.pods:
            cluster.move(ordinal, data.draw(st.sampled_from(("failed", "terminating", "running"))))
        cluster.change_image(data.draw(st.sampled_from(IMAGES)))
        cluster.step()
        obey(cluster)
    assert {name: cluster.claims[name]["metadata"]["uid"] for name in slots} == uids
