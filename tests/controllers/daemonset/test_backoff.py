"""How long a failed daemon waits for its deletion (W41)."""

from datetime import timedelta

from holdfast.controllers.daemonset.backoff import FailedPods

from .builders import NOW


def after(seconds):
    return NOW + timedelta(seconds=seconds)


def test_w41_the_first_is_deleted_at_once_and_each_next_waits_twice_as_long():
    failed, at_s, waited = FailedPods(), 0.0, []
    assert failed.waits("set", 1, NOW) == {}
    for _ in range(12):
        failed.note("set", 1, "n1", after(at_s))
        wait_s = failed.waits("set", 1, after(at_s))["n1"]
        assert failed.waits("set", 1, after(at_s + wait_s)) == {}
        waited.append(wait_s)
        at_s += wait_s
    assert waited == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_w41_nodes_and_sets_wait_apart():
    failed = FailedPods()
    failed.note("set", 1, "n1", NOW)
    failed.note("set", 1, "n1", NOW)
    failed.note("set", 1, "n2", NOW)
    assert failed.waits("set", 1, after(0.5)) == {"n1": 1.5, "n2": 0.5}
    assert failed.waits("other", 1, NOW) == {}


def test_w41_a_new_spec_and_half_an_hour_of_peace_start_from_nothing():
    failed = FailedPods()
    for _ in range(5):
        failed.note("set", 1, "n1", NOW)
    assert failed.waits("set", 2, NOW) == {}
    failed.note("set", 1, "n1", after(1801))
    assert failed.waits("set", 1, after(1801)) == {"n1": 1.0}
    failed.note("set", 2, "n1", after(1802))
    assert failed.waits("set", 2, after(1802)) == {"n1": 1.0}


def test_a_set_that_is_gone_is_forgotten():
    failed = FailedPods()
    failed.note("set", 1, "n1", NOW)
    failed.forget("set")
    failed.forget("never seen")
    assert failed.waits("set", 1, NOW) == {}
