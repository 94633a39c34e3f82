"""From what an agent says to what was used between two times (A277)."""

from __future__ import annotations

import pytest

from holdfast.apiserver.metrics.objects import go_duration
from holdfast.apiserver.metrics.samples import FRESH_S, Usage, node_usage, parse, pod_usage

POD = ("ns", "p")


def sample(at_s, node_cpu=0.0, **containers):
    """Containers as (cpu seconds, memory bytes, start)."""
    labels = {name: f'{{container="{name}",namespace="ns",pod="p"}}' for name in containers}
    time = round(at_s * 1000)
    lines = ["# HELP container_cpu_usage_seconds_total [STABLE] Cumulative", "# TYPE x counter"]
    for name, (cpu, memory, start) in containers.items():
        lines += [
            f"container_cpu_usage_seconds_total{labels[name]} {cpu} {time}",
            f"container_memory_working_set_bytes{labels[name]} {memory} {time}",
            f"container_start_time_seconds{labels[name]} {start}",
        ]
    lines += [f"node_cpu_usage_seconds_total {node_cpu} {time}", f"node_memory_working_set_bytes 4.096e+03 {time}"]
    return parse("\n".join([*lines, "resource_scrape_error 0", "something_else 1", ""]))


def test_a_rate_is_what_was_used_over_the_time_between_the_samples():
    base, last = sample(100.0, 50.0, main=(10.0, 5, 1.0)), sample(102.5, 51.0, main=(10.5, 7, 1.0))
    assert pod_usage(base, last, POD) == {"main": Usage(102.5, 2.5, 200_000_000, 7)}
    assert node_usage(base, last) == Usage(102.5, 2.5, 400_000_000, 4096)


def test_a_rate_is_rounded_up_to_a_nanocore():
    base, last = sample(0.0, main=(0.0, 5, 0.0)), sample(3.0, main=(1.0, 5, 0.0))
    assert pod_usage(base, last, POD)["main"].nanocores == 333_333_334


def test_a_pod_too_young_for_a_rate_is_left_out():
    base = sample(100.0)
    assert pod_usage(base, sample(101.0, main=(0.5, 5, 100.5)), POD) == {}
    begun = 101.0
    late = sample(begun + FRESH_S, main=(2.0, 5, begun))
    assert pod_usage(base, late, POD) == {"main": Usage(begun + FRESH_S, FRESH_S, 200_000_000, 5)}


def test_a_pod_of_which_one_container_has_no_rate_is_left_out_whole():
    base = sample(100.0, old=(1.0, 5, 1.0))
    last = sample(102.0, old=(2.0, 5, 1.0), new=(0.1, 5, 101.0))
    assert pod_usage(base, last, POD) == {}


def test_a_container_that_has_restarted_is_another_one():
    base = sample(100.0, main=(50.0, 5, 1.0))
    assert pod_usage(base, sample(102.0, main=(60.0, 5, 101.0)), POD) == {}
    later = pod_usage(base, sample(121.0, main=(10.0, 5, 101.0)), POD)
    assert later["main"].nanocores == 500_000_000


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((100.0, 5.0), (100.0, 6.0)),
        ((100.0, 5.0), (99.0, 6.0)),
        ((100.0, 5.0), (101.0, 4.0)),
    ],
    ids=["no time has passed", "time ran back", "the total has fallen"],
)
def test_what_cannot_be_is_not_told(first, second):
    base, last = (sample(at, cpu, main=(cpu, 5, 1.0)) for at, cpu in (first, second))
    assert pod_usage(base, last, POD) == {}
    assert node_usage(base, last) is None


def test_a_pod_that_has_gone_and_a_node_that_says_nothing_have_no_usage():
    base = sample(100.0, main=(1.0, 5, 1.0))
    assert pod_usage(base, sample(102.0), POD) == {}
    assert node_usage(parse(""), parse("")) is None
    assert parse("no metrics here\n\n{} 1\n").pods == {}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "500ms"), (1.004, "1.004s"), (15, "15s"), (15.1, "15.1s"), (60.5, "1m0.5s"), (3661, "1h1m1s")],
)
def test_a_window_is_printed_as_go_does(seconds, text):
    assert go_duration(seconds) == text
