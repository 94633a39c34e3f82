"""What creating and updating record, and what a schema has to say of it."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.persistent_volume import PERSISTENT_VOLUMES
from holdfast.api.core.pod import PODS
from holdfast.api.schema.types import type_of
from holdfast.apiserver.fields import nodes
from holdfast.apiserver.fields.checking import problems
from holdfast.apiserver.fields.nodes import tree_of
from holdfast.apiserver.fields.scope import Scope
from holdfast.apiserver.fields.tracking import basis, created, updated

NOW = "2026-01-01T00:00:00Z"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "uid": "u", "labels": {"a": "b"}, "ownerReferences": [{"uid": "o", "name": "x"}]},
    "spec": {
        "containers": [{"name": "c", "image": "i", "resources": {}, "env": [{"name": "E", "value": "1"}]}],
        "securityContext": {},
        "nodeSelector": {"x": "y"},
        "volumes": [{"name": "v", "emptyDir": {}}],
    },
    "status": {"phase": "Pending"},
}


def test_a_creator_owns_all_that_is_there_and_what_holds_it_unless_it_always_does() -> None:
    """A137, A138, A143: `.` for what is a pointer, a map or a list in Go, never for plain structs."""
    (entry,) = created(Scope(PODS), POD, "maker", NOW)
    assert (entry["manager"], entry["operation"], entry["time"]) == ("maker", "Update", NOW)
    assert entry["fieldsV1"] == {
        "f:metadata": {
            "f:labels": {".": {}, "f:a": {}},
            "f:ownerReferences": {".": {}, 'k:{"uid":"o"}': {}},
        },
        "f:spec": {
            "f:containers": {
                'k:{"name":"c"}': {
                    ".": {},
                    "f:env": {".": {}, 'k:{"name":"E"}': {".": {}, "f:name": {}, "f:value": {}}},
                    "f:image": {},
                    "f:name": {},
                    "f:resources": {},
                }
            },
            "f:nodeSelector": {},
            "f:securityContext": {},
            "f:volumes": {".": {}, 'k:{"name":"v"}': {".": {}, "f:emptyDir": {}, "f:name": {}}},
        },
    }


def test_an_update_takes_what_it_changes_and_everybody_loses_what_goes() -> None:
    """A143."""
    scope = Scope(CONFIG_MAPS)
    old = {"data": {"a": "1", "b": "2", "c": "3"}}
    managed = created(scope, old, "maker", NOW)
    later = updated(scope, old, {"data": {"a": "1", "b": "9", "d": "4"}}, managed, "other", "2027-01-01T00:00:00Z")
    assert {one["manager"]: one["fieldsV1"] for one in later} == {
        "maker": {"f:data": {".": {}, "f:a": {}}},
        "other": {"f:data": {"f:b": {}, "f:d": {}}},
    }


def test_an_update_through_status_says_so_and_owns_nothing_of_the_spec() -> None:
    """A138, A148."""
    managed = created(Scope(PODS), POD, "maker", NOW)
    new = {**POD, "spec": {**POD["spec"], "nodeName": "n"}, "status": {"phase": "Running"}}
    later = updated(Scope(PODS, "status"), POD, new, managed, "kubelet", NOW)
    (mine,) = [one for one in later if one["manager"] == "kubelet"]
    assert (mine["subresource"], mine["fieldsV1"]) == ("status", {"f:status": {"f:phase": {}}})


def test_an_update_that_changes_nothing_leaves_the_very_list() -> None:
    """A2."""
    managed = created(Scope(PODS), POD, "maker", NOW)
    assert updated(Scope(PODS), POD, {**POD}, managed, "other", NOW) is managed


def test_an_object_that_nobody_tracks_stays_so() -> None:
    """A144."""
    assert not updated(Scope(CONFIG_MAPS), {"data": {}}, {"data": {"a": "1"}}, [], "m", NOW)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, "live"),
        ([], "none"),
        ([{}], "none"),
        ([{"operation": "Bad"}], "live"),
        ([{"operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": {}}], "live"),
        ("nonsense", "live"),
    ],
)
def test_what_a_body_says_of_managed_fields_counts_if_it_makes_sense(given: Any, expected: str) -> None:
    """A144, A145, A149."""
    live = created(Scope(CONFIG_MAPS), {"data": {"a": "1"}}, "m", NOW)
    assert basis(given, live, is_subresource=False) == (live if expected == "live" else [])
    assert basis(given, live, is_subresource=True) is live


def test_a_tree_starts_anew_before_users_fill_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_NODES", 50)
    tree = nodes.Tree(type_of("", "v1", "ConfigMap"))
    for number in range(200):
        tree.root.children["data"].children[f"k{number}"]
    assert tree.nodes <= 60


def test_a_reference_may_be_owned_by_member_where_its_field_says_so() -> None:
    """A136: claimRef is granular although references are atoms."""
    root = tree_of(PERSISTENT_VOLUMES).root
    assert root.children["spec"].children["claimRef"].form == nodes.STRUCT
    assert tree_of(DEPLOYMENTS).root.children["spec"].children["selector"].form == nodes.LEAF


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"colour": 1}, ".colour: field not declared in schema"),
        ({"data": [1]}, ".data: expected map, got &{[1]}"),
        ({"data": {"a": 1}}, ".data.a: expected string, got &value.valueUnstructured{Value:1}"),
        ({"immutable": "x"}, ".immutable: expected boolean, got &{x}"),
        ({"metadata": {"finalizers": "x"}}, ".metadata.finalizers: expected list, got &{x}"),
        (
            {"metadata": {"finalizers": ["a", "a"]}},
            '.metadata.finalizers: duplicate entries for key [="a"]',
        ),
        ({"metadata": {"generation": "x"}}, ".metadata.generation: expected numeric (int or float), got string"),
        (
            {"colour": 1, "size": 2},
            "errors:\n  .colour: field not declared in schema\n  .size: field not declared in schema",
        ),
        ({"data": None, "metadata": {"labels": None}}, ""),
    ],
)
def test_a_configuration_is_held_to_its_schema(config: dict[str, Any], text: str) -> None:
    """A146."""
    assert problems(tree_of(CONFIG_MAPS).root, config) == text


def test_items_are_named_by_their_keys_in_what_is_wrong() -> None:
    """A146."""
    spec = {"containers": [{"name": "x", "image": 5}, {"name": "y"}, {"name": "y"}, {"image": "i"}]}
    assert problems(tree_of(PODS).root, {"spec": spec}).splitlines() == [
        "errors:",
        '  .spec.containers[name="x"].image: expected string, got &value.valueUnstructured{Value:5}',
        '  .spec.containers: duplicate entries for key [name="y"]',
        '  .spec.containers: element 3: associative list with keys has an element that omits key field "name"'
        " (and doesn't have default value)",
    ]
