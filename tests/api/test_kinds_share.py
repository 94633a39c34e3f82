"""What kinds share: registry, conditions, meaning, structures in messages, checks of fields."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.api import conditions, field_rules, registry
from holdfast.api.meaning import same
from holdfast.api.resource import Manifest
from holdfast.api.structure import Member, Shape, difference, fields, texts

NOW = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)


def test_every_kind_is_found_by_its_path_and_by_its_kind() -> None:
    for resource in registry.RESOURCES:
        assert registry.lookup(resource.group, resource.version, resource.plural) is resource
        assert registry.by_kind(resource.group, resource.version, resource.kind) is resource
        assert registry.by_api_version(resource.api_version, resource.kind) is resource
        kept = resource.stored_as.resource if resource.stored_as else resource
        assert registry.by_group_kind(resource.group, resource.kind) in (resource, kept)
    assert registry.lookup("apps", "v2", "statefulsets") is None
    assert registry.by_api_version("v1", "StatefulSet") is None


def test_each_object_is_stored_as_one_kind() -> None:
    served_twice = {resource for resource in registry.RESOURCES if resource not in registry.STORED}
    assert {resource.api_version for resource in served_twice} == {"autoscaling/v1", "events.k8s.io/v1"}
    for resource in served_twice:
        assert resource.stored_as
        assert resource.stored_as.resource in registry.STORED


def test_a19_the_core_group_comes_first_and_apps_before_the_rest() -> None:
    assert list(registry.groups())[:2] == ["", "apps"]
    assert registry.groups()["apps"] == ("v1",)
    assert [r.plural for r in registry.in_group_version("coordination.k8s.io", "v1")] == ["leases"]


def test_every_kind_prints_as_many_cells_as_it_has_columns() -> None:
    for resource in registry.RESOURCES:
        manifest: Manifest = {"metadata": {"name": "a", "namespace": "default"}}
        resource.default(manifest)
        assert len(resource.cells(manifest, NOW)) == len(resource.columns), resource


def test_every_kind_answers_an_empty_object_with_errors_not_exceptions() -> None:
    for resource in registry.RESOURCES:
        manifest: Manifest = {"metadata": {"name": "a", "namespace": "default"}}
        resource.default(manifest)
        resource.prepare_create(manifest)
        again: Manifest = {"metadata": {"name": "a", "namespace": "default"}}
        resource.default(again)
        resource.prepare_update(again, manifest)
        for errors in (
            resource.validate(manifest),
            resource.validate_update(again, manifest),
            resource.validate_status_update(again, manifest),
        ):
            assert all(error.field and error.reason for error in errors), resource
        assert all(isinstance(value(manifest), str) for value in resource.fields.values())


def pod(status: str, since: str = "2026-01-01T00:00:30Z") -> Manifest:
    return {
        "metadata": {},
        "status": {"conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since}]},
    }


@pytest.mark.parametrize(
    ("manifest", "seconds", "available"),
    [
        (pod("False"), 0, False),
        (pod("True"), 0, True),
        (pod("True"), 30, True),
        (pod("True"), 31, False),
        ({"metadata": {}}, 0, False),
    ],
)
def test_a_pod_is_available_when_it_was_ready_for_long_enough(
    manifest: Manifest, seconds: int, available: bool
) -> None:
    assert conditions.is_available(manifest, seconds, NOW) is available


def test_small_questions() -> None:
    assert conditions.is_ready(pod("True"))
    assert not conditions.is_ready({"metadata": {}})
    assert conditions.is_finished({"metadata": {}, "status": {"phase": "Failed"}})
    assert conditions.phase({"metadata": {}}) == ""
    assert conditions.is_terminating({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ({}, {"a": None, "b": [], "c": {}, "d": ""}, True),
        ({"a": 0}, {}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": [1, 2]}, {"a": [2, 1]}, False),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1000m"}}, True),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1", "memory": "1"}}, False),
        ({"name": "1"}, {"name": "1000m"}, False),
    ],
)
def test_s177_equality_by_meaning(one: Manifest, other: Manifest, expected: bool) -> None:
    assert same(one, other) is expected
    assert same(other, one) is expected


def test_a_difference_shows_all_fields_in_order_with_three_lines_around() -> None:
    inner = Shape(texts("path"))
    shape = Shape(
        (
            *texts("a", "b", "c", "d"),
            Member("Inner", "inner", shape=inner),
            *fields("list"),
            Member("Ns", "nodeSelector"),
        )
    )
    old = {"inner": {"path": "/x"}}
    assert difference(shape, old, {"inner": {"path": "/<y>"}}) == (
        "@@ -4,7 +4,7 @@\n"
        '  "C": "",\n'
        '  "D": "",\n'
        '  "Inner": {\n'
        '-  "Path": "/x"\n'
        '+  "Path": "/\\u003cy\\u003e"\n'
        "  },\n"
        '  "List": null,\n'
        '  "Ns": null\n'
    )


def test_what_only_stands_in_another_order_is_no_difference() -> None:
    shape = Shape((*fields("things"), Member("Limits", "limits")))
    old = {"things": [{"sources": [], "defaultMode": 420}], "limits": {"memory": "1Gi"}}
    new = {"things": [{"defaultMode": 420, "sources": []}, {}], "limits": {"cpu": "2", "memory": "1Gi"}}
    changed = [line for line in difference(shape, old, new).splitlines() if line[:1] in ("+", "-")]
    assert changed == ["-  }", "+  },", "+  {}", '+  "cpu": "2",']


@pytest.mark.parametrize(
    ("address", "refusal"),
    [
        ("10.0.0.1", ""),
        ("fd00::1", ""),
        ("here", "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("127.0.0.1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
    ],
)
def test_addresses_that_traffic_may_be_sent_to(address: str, refusal: str) -> None:
    messages = [error.message for error in field_rules.endpoint_address("ip", address)]
    assert messages == ([f'Invalid value: "{address}": {refusal}'] if refusal else [])
