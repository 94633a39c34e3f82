"""What is kept pod by pod is what a full count finds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.controllers.statefulset.replicas import Ordinals, Replicas
from holdfast.controllers.statefulset.views import Pod

from .builders import Cluster, claim, doing, owner, plan, statefulset

IMAGES = ("app:1", "app:2")


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_whatever_happens_what_is_kept_is_what_a_full_count_finds(data):
    draw = data.draw
    cluster = Cluster(
        statefulset(
            draw(st.integers(0, 4)),
            claims=("data",),
            when_deleted=draw(st.sampled_from(("Retain", "Delete"))),
            when_scaled=draw(st.sampled_from(("Retain", "Delete"))),
            min_ready_s=draw(st.sampled_from((0, 20))),
            start=draw(st.sampled_from((0, 1))),
        )
    ).with_revision()
    kept = Replicas(cluster.statefulset, cluster.claims.get, cluster.now)
    for _ in range(draw(st.integers(1, 25))):
        ordinal = draw(st.integers(0, 5))
        name, claim_name = f"web-{ordinal}", f"data-web-{ordinal}"
        match draw(st.sampled_from(("add", "move", "remove", "claim", "time"))):
            case "add":
                cluster.add(
                    ordinal, draw(st.sampled_from(("pending", "ready", "failed"))), draw(st.sampled_from(IMAGES))
                )
                kept.put(Pod(cluster.pods[name]))
            case "move" if name in cluster.pods:
                state = draw(st.sampled_from(("pending", "running", "ready", "failed", "terminating")))
                cluster.move(ordinal, state)
                kept.put(Pod(cluster.pods[name]))
            case "remove" if name in cluster.pods:
                del cluster.pods[name]
                kept.remove(ordinal)
            case "claim":
                owners = draw(st.sampled_from(((), (owner("StatefulSet", "web", "set-uid"),), None)))
                if owners is None:
                    cluster.claims.pop(claim_name, None)
                else:
                    cluster.claims[claim_name] = claim(claim_name, *owners)
                kept.recheck(ordinal)
            case "time":
                cluster.advance(draw(st.sampled_from((1, 10, 20, 100))))
                kept.advance(cluster.now)
        pods = [Pod(pod) for pod in cluster.pods.values()]
        counted = Replicas(cluster.statefulset, cluster.claims.get, cluster.now, pods)
        assert kept.summary() == counted.summary()
        for image in IMAGES:
            revision = cluster.revision(image)
            assert kept.highest_not_updated(revision) == counted.highest_not_updated(revision)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=300), st.booleans(), st.integers(0, 9))
def test_ordinals_know_their_first_one(changes, highest, start):
    untouched = range(start, 7)
    ordinals, expected = Ordinals(highest=highest, untouched=untouched), set(untouched)
    for ordinal, is_member in changes:
        ordinals.put(ordinal, is_member)
        (expected.add if is_member else expected.discard)(ordinal)
        assert ordinals.first == (max if highest else min)(expected, default=None)
        assert (ordinal in ordinals) == is_member
    assert list(ordinals) == sorted(expected, reverse=highest)
    assert bool(ordinals) == bool(expected)


def test_ordinals_that_come_and_go_behind_another_leave_nothing_behind():
    ordinals = Ordinals()
    ordinals.put(0, True)
    for _ in range(10_000):
        ordinals.put(7, True)
        ordinals.put(7, False)
    assert len(ordinals._heap) < 100


@pytest.mark.parametrize("parallel", [False, True])
def test_a_set_of_two_billion_is_no_burden(parallel):
    cluster = Cluster(statefulset(2**31 - 1, parallel=parallel)).with_revision()
    cluster.add(0)
    cluster.add(1_000_000)
    created = doing(plan(cluster.observed()))
    assert created[:2] == (["create pod web-1", "create pod web-2"] if parallel else ["create pod web-1"])
    assert len(created) <= 5000
    cluster.change_image("app:2")
    cluster.change(replicas=2)
    assert doing(plan(cluster.observed()))[-1] == ("delete pod web-1000000" if parallel else "create pod web-1")
