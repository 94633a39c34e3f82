"""Metrics in the text format of Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime

from holdfast.wire import process_metrics
from holdfast.wire.prometheus import Family, Sample, written


def test_help_type_and_a_line_per_sample():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    family = Family("requests_total", "counter", "All of them.", [Sample(2), Sample(0.5, {"b": "2", "a": "1"}, at)])
    assert written([family]) == (
        "# HELP requests_total All of them.\n"
        "# TYPE requests_total counter\n"
        "requests_total 2\n"
        'requests_total{a="1",b="2"} 0.5 1767225600000\n'
    )


def test_what_has_no_samples_is_left_out():
    assert written([Family("empty", "gauge", "")]) == ""


def test_values_of_labels_are_escaped():
    [line] = written([Family("x", "gauge", "a\nb", [Sample(1, {"path": 'a"b\\c\nd'})])]).splitlines()[2:]
    assert line == 'x{path="a\\"b\\\\c\\nd"} 1'
    assert written([Family("x", "gauge", "a\nb", [Sample(1)])]).splitlines()[0] == "# HELP x a\\nb"


def test_this_process_can_be_measured():
    told = {family.name: next(iter(family.samples)).value for family in process_metrics.families()}
    assert told["process_cpu_seconds_total"] > 0
    assert 1 << 20 < told["process_resident_memory_bytes"] < 1 << 34
    assert 3 <= told["process_open_fds"] <= told["process_max_fds"]
    assert told["process_start_time_seconds"] > 1_000_000_000
