"""No pod is counted twice and none is lost, wherever the controller dies (W52)."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.controllers.job import indexes

from .builders import World, indexed, job


def counts(world, phase):
    """Uids noted and number counted, of pods that ended so."""
    name = phase.lower()
    noted = world.status.get("uncountedTerminatedPods", {}).get(name, [])
    counted = world.status.get(name, 0)
    return noted, counted


def check(world):
    """At any moment: nothing is counted that was not so, nothing noted twice, nothing forgotten."""
    tracked = {world.pods[name]["metadata"]["uid"] for name in world.tracked()}
    for phase, truth in world.truth.items():
        if phase == "Succeeded" and world.job["spec"]["completionMode"] == "Indexed":
            continue
        noted, counted = counts(world, phase)
        assert len(set(noted)) == len(noted)
        assert set(noted) <= truth
        assert counted + len(noted) <= len(truth), "counted twice"
        unseen = (truth & tracked) - set(noted)
        assert counted + len(noted) + len(unseen) == len(truth), "lost"


def rest(world, crash_at):
    """Syncs until there is nothing to do."""
    before = crashes = -1
    while (before, crashes) != (len(world.writes), world.crashes):
        before, crashes = len(world.writes), world.crashes
        world.step(stop_after=None if crash_at is None or world.crashes else crash_at - len(world.writes))
        check(world)


def life(world, crash_at=None):
    """Three successes with failures between them. The controller dies after that many of its writes."""
    ends = iter(["Failed", "Succeeded", "Failed", "Failed", "Succeeded", *["Succeeded"] * 20])
    for _ in range(100):
        rest(world, crash_at)
        if any(kind in ("Complete", "Failed") for kind, _, _ in world.conditions()):
            return world
        if world.active():
            world.end(world.active()[0], next(ends))
            check(world)
        for name in world.terminating():
            world.gone(name)
        world.wait(700)
    raise AssertionError("it never came to an end")


MODES = {
    "any three": lambda: job(parallelism=2, completions=3),
    "by index": lambda: indexed(3, parallelism=2),
    "by index with limits": lambda: indexed(3, parallelism=2, backoffLimitPerIndex=5),
    "only the failed are replaced": lambda: job(parallelism=2, completions=3, podReplacementPolicy="Failed"),
    "until one succeeds": lambda: job(parallelism=2, completions=None),
    "failing": lambda: job(parallelism=2, completions=3, backoffLimit=1),
}


@pytest.mark.parametrize("mode", MODES)
def test_w52_a_crash_after_any_write_changes_no_count(mode):
    calm = life(World(MODES[mode]()))
    wanted = [calm.status.get(name) for name in ("succeeded", "failed", "completedIndexes")], calm.conditions()
    for crash_at in count():
        world = life(World(MODES[mode]()), crash_at)
        found = [world.status.get(name) for name in ("succeeded", "failed", "completedIndexes")], world.conditions()
        assert found == wanted, crash_at
        if crash_at > len(world.writes):
            assert crash_at > 10, "the controller did nothing that could have been interrupted"
            return


CHANGES = ("succeed", "fail", "delete", "leave", "suspend", "resume", "more", "fewer", "nothing")


def disturb(world, change, pick):
    """Something that happens to a job or its pods."""
    names = world.active()
    name = names[pick % len(names)] if names else ""
    match change:
        case "succeed" if name:
            world.end(name)
        case "fail" if name:
            world.end(name, "Failed")
        case "delete" if name:
            world.going(name)
        case "leave" if world.terminating():
            world.gone(world.terminating()[0])
        case "suspend" | "resume":
            world.spec(suspend=change == "suspend")
        case "more" | "fewer":
            world.spec(parallelism=4 if change == "more" else 1)


@settings(max_examples=150, deadline=None)
@given(st.booleans(), st.data())
def test_w52_nor_do_many_crashes_whatever_happens_to_the_pods(by_index, data):
    spec = {"parallelism": 3, "completions": 5, "backoffLimit": 1000}
    world = World(indexed(**spec) if by_index else job(**spec))
    for _ in range(data.draw(st.integers(1, 25))):
        world.step(stop_after=data.draw(st.sampled_from((None, 0, 1, 2, 3))))
        if not world.conditions() or world.conditions()[-1][0] != "Complete":
            disturb(world, data.draw(st.sampled_from(CHANGES)), data.draw(st.integers(0, 5)))
        check(world)
        world.wait(data.draw(st.sampled_from((0, 5, 700))))
    world.spec(suspend=False, parallelism=3)
    finish(world)
    check(world)
    noted, counted = counts(world, "Failed")
    assert (noted, counted) == ([], len(world.truth["Failed"]))
    assert world.conditions()[-1][0] == "Complete"
    if by_index:
        assert indexes.parse(world.status["completedIndexes"], 5) == frozenset(range(5))
    else:
        assert world.status["succeeded"] == len(world.truth["Succeeded"]) >= 5
    assert not world.tracked()
    assert not world.active()


def finish(world):
    for _ in range(60):
        world.step()
        for name in world.terminating():
            world.gone(name)
        for name in world.active():
            world.end(name)
        world.wait(700)
    world.settle()
