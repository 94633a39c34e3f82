"""What a configuration makes of an object and of who owns it: the vectors A331-A336, and a model."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.service import SERVICES
from holdfast.apiserver.fields import tracking
from holdfast.apiserver.fields.applying import Applied, FieldConflict, apply, shown
from holdfast.apiserver.fields.entries import read, write
from holdfast.apiserver.fields.scope import Scope

SETS = Scope(DEPLOYMENTS)
MAPS = Scope(CONFIG_MAPS)


class Object:
    """One object, written by several managers."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.manifest: dict[str, Any] = {}
        self.entries: list[Any] = []
        self.seconds = 0

    def apply(self, manager: str, config: dict[str, Any], *, force: bool = False) -> Applied:
        self.seconds += 1
        now = f"2026-01-01T00:00:{self.seconds:02}Z"
        result = apply(self.scope, self.manifest, config, self.entries, manager, force=force, now=now)
        self.manifest, self.entries = result.manifest, result.entries
        return result

    def update(self, manager: str, manifest: dict[str, Any]) -> None:
        managed = write(self.entries)
        self.entries = read(
            tracking.updated(self.scope, self.manifest, manifest, managed, manager, "2027-01-01T00:00:00Z")
        )
        self.manifest = manifest

    def owner(self, manager: str) -> Any:
        """FieldsV1 of a manager, None if it owns nothing."""
        return next((one["fieldsV1"] for one in write(self.entries) if one["manager"] == manager), None)

    def names(self) -> list[str]:
        return [one["name"] for one in self.manifest["spec"]["template"]["spec"]["containers"]]


def deployment(*containers: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": "d", **metadata}, "spec": {"template": {"spec": {"containers": list(containers)}}}}


def container(name: str, **members: Any) -> dict[str, Any]:
    return {"name": name, **members}


FIRST = deployment(container("c1", image="i"), container("c2", image="i"), labels={"l": "1"}, finalizers=["a.b/x"])
FIRST["spec"] |= {"replicas": 1, "selector": {"matchLabels": {"a": "b"}}}
FIRST["spec"]["template"]["metadata"] = {"labels": {"a": "b"}}
SECOND = deployment(
    container("c3", image="k"), container("c1", env=[{"name": "E", "value": "1"}]), finalizers=["a.b/y"]
)


def test_an_apply_owns_its_scalars_atoms_items_and_values_and_no_parents() -> None:
    """A331, A137."""
    subject = Object(SETS)
    subject.apply("one", FIRST)
    item = {".": {}, "f:image": {}, "f:name": {}}
    assert subject.owner("one") == {
        "f:metadata": {"f:finalizers": {'v:"a.b/x"': {}}, "f:labels": {"f:l": {}}},
        "f:spec": {
            "f:replicas": {},
            "f:selector": {},
            "f:template": {
                "f:metadata": {"f:labels": {"f:a": {}}},
                "f:spec": {"f:containers": {'k:{"name":"c1"}': item, 'k:{"name":"c2"}': item}},
            },
        },
    }


def test_two_managers_share_an_item_and_each_keeps_what_it_says_of_it() -> None:
    """A332, A333, A147."""
    subject = Object(SETS)
    subject.apply("one", FIRST)
    subject.apply("two", SECOND)
    assert subject.names() == ["c3", "c1", "c2"]
    shared = subject.manifest["spec"]["template"]["spec"]["containers"][1]
    assert (shared["image"], shared["env"]) == ("i", [{"name": "E", "value": "1"}])
    assert subject.manifest["metadata"]["finalizers"] == ["a.b/x", "a.b/y"]
    for manager in ("one", "two"):
        item = subject.owner(manager)["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"c1"}']
        assert {".", "f:name"} <= set(item)
    subject.apply("one", deployment(container("c4", image="i"), container("c1", image="i")))
    assert subject.names() == ["c3", "c4", "c1"]
    assert "labels" not in subject.manifest["metadata"]
    assert subject.manifest["metadata"]["finalizers"] == ["a.b/y"]
    assert subject.manifest["spec"]["template"]["spec"]["containers"][2]["env"]


def test_an_item_that_another_owns_stays_without_what_only_the_first_owned() -> None:
    """A334."""
    subject = Object(SETS)
    subject.apply("one", FIRST)
    subject.apply("two", SECOND)
    subject.apply("one", deployment(container("c4", image="i")))
    assert {"name": "c1", "env": [{"name": "E", "value": "1"}]} in subject.manifest["spec"]["template"]["spec"][
        "containers"
    ]


def test_the_life_of_a_config_map_between_three_managers() -> None:
    """A335."""
    subject = Object(MAPS)
    subject.apply("m1", {"data": {"a": "1", "b": "2"}})
    with pytest.raises(FieldConflict) as caught:
        subject.apply("m2", {"data": {"a": "9", "b": "8"}})
    assert caught.value.message == 'Apply failed with 2 conflicts: conflicts with "m1":\n- .data.a\n- .data.b'
    subject.apply("m2", {"data": {"a": "1"}})
    assert subject.owner("m1") == {"f:data": {"f:a": {}, "f:b": {}}}
    assert subject.owner("m2") == {"f:data": {"f:a": {}}}
    subject.apply("m1", {"data": {"b": "2"}})
    assert subject.manifest["data"] == {"a": "1", "b": "2"}
    subject.apply("m2", {"data": {"a": "1", "b": "7"}}, force=True)
    assert subject.owner("m1") is None
    subject.update("upd", {"data": {"a": "5", "b": "7", "c": "3"}})
    assert subject.owner("m2") == {"f:data": {"f:b": {}}}
    with pytest.raises(FieldConflict) as caught:
        subject.apply("m2", {"data": {"a": "1", "b": "7"}})
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "upd" using v1: .data.a'
    subject.update("upd", {"data": {"a": "5", "c": "3"}})
    assert subject.owner("m2") is None


def test_a_port_is_told_apart_by_the_protocol_that_it_would_get() -> None:
    """A336, A136."""
    subject = Object(SETS)
    subject.apply("one", deployment(container("c", ports=[{"containerPort": 80}])))
    item = subject.owner("one")["f:spec"]["f:template"]["f:spec"]["f:containers"]['k:{"name":"c"}']
    assert item["f:ports"] == {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}}


def test_a_conflict_names_each_field_as_a_cause() -> None:
    """A140."""
    subject = Object(Scope(SERVICES))
    subject.apply("one", {"spec": {"ports": [{"port": 80, "name": "a"}]}})
    with pytest.raises(FieldConflict) as caught:
        subject.apply("two", {"spec": {"ports": [{"port": 80, "name": "b"}]}})
    status = caught.value.status()
    assert (status["code"], status["reason"]) == (409, "Conflict")
    cause = {
        "reason": "FieldManagerConflict",
        "message": 'conflict with "one"',
        "field": '.spec.ports[port=80,protocol="TCP"].name',
    }
    assert status["details"] == {"causes": [cause]}


def test_an_entry_keeps_its_time_if_only_ownership_changes() -> None:
    """A134."""
    subject = Object(MAPS)
    subject.apply("one", {"data": {"a": "1"}})
    subject.apply("two", {"data": {"a": "1"}})
    times = {one["manager"]: one.get("time") for one in write(subject.entries)}
    assert times == {"one": "2026-01-01T00:00:01Z", "two": None}


def test_nothing_applied_takes_away_what_was_and_the_entry() -> None:
    """A142."""
    subject = Object(MAPS)
    subject.apply("one", {"metadata": {"name": "c", "labels": {"l": "1"}}, "data": {"a": "1"}})
    subject.apply("one", {"metadata": {"name": "c"}})
    assert (subject.manifest, subject.entries) == ({"metadata": {"name": "c"}}, [])


def test_items_that_share_a_key_are_left_alone_by_those_who_do_not_name_them() -> None:
    """Validation allows two variables of one name."""
    subject = Object(SETS)
    twice = [{"name": "E", "value": "1"}, {"name": "E", "value": "2"}]
    subject.update("x", deployment(container("c", env=twice)))
    subject.apply("one", deployment(container("c", env=[{"name": "F", "value": "3"}])))
    (merged,) = subject.manifest["spec"]["template"]["spec"]["containers"]
    assert merged["env"] == [*twice, {"name": "F", "value": "3"}]


def test_a_null_is_owned_too() -> None:
    """A137."""
    subject = Object(MAPS)
    subject.apply("one", {"data": {"a": None}, "metadata": {"labels": {}}})
    assert subject.owner("one") == {"f:data": {"f:a": {}}, "f:metadata": {"f:labels": {}}}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ('f:spec\0f:containers\0k:{"name":"x"}\0f:image', '.spec.containers[name="x"].image'),
        ('f:metadata\0f:finalizers\0v:"a"', '.metadata.finalizers[="a"]'),
    ],
)
def test_paths_are_shown_as_people_write_them(path: str, text: str) -> None:
    """A140."""
    assert shown(path) == text


# -- against a model

KEYS, VALUES = st.sampled_from("abcd"), st.sampled_from("12")
DATA = st.dictionaries(KEYS, VALUES, max_size=4)
STEPS = st.lists(
    st.tuples(st.sampled_from(("apply", "force", "update")), st.sampled_from(("x", "y", "z")), DATA), max_size=12
)


class Model:
    """Ownership of the keys of one map, as A139-A143 put it in words."""

    def __init__(self) -> None:
        self.data: dict[str, str] = {}
        self.owned: dict[tuple[str, str], set[str]] = {}

    def write(self, who: tuple[str, str], data: dict[str, str]) -> None:
        touched = {key for key in data.keys() | self.data.keys() if data.get(key) != self.data.get(key)}
        for other, keys in self.owned.items():
            if other != who or who[1] == "Update":
                keys -= touched
        if who[1] == "Update":
            self.owned.setdefault(who, set()).update(touched & data.keys())
        self.data = data

    def apply(self, manager: str, config: dict[str, str], *, force: bool) -> bool:
        """Whether it was let."""
        who = manager, "Apply"
        others = set[str]().union(*(keys for other, keys in self.owned.items() if other != who))
        if not force and any(key in others and self.data[key] != value for key, value in config.items()):
            return False
        left = self.owned.get(who, set()) - config.keys() - others
        self.owned[who] = set(config)
        self.write(who, {key: value for key, value in (self.data | config).items() if key not in left})
        return True

    def view(self) -> dict[tuple[str, str], set[str]]:
        return {who: keys for who, keys in self.owned.items() if keys}


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_ownership_of_a_map_follows_the_model(steps: list[tuple[str, str, dict[str, str]]]) -> None:
    """A139-A143."""
    subject, model = Object(MAPS), Model()
    subject.apply("keeper", {"metadata": {"labels": {"keep": "it"}}})
    for verb, manager, data in steps:
        if verb == "update":
            model.write((manager, "Update"), data)
            rest = {name: value for name, value in subject.manifest.items() if name != "data"}
            subject.update(manager, {**rest, "data": data} if data else rest)  # as objects are stored
        elif model.apply(manager, data, force=verb == "force"):
            subject.apply(manager, {"data": data} if data else {}, force=verb == "force")
        else:
            with pytest.raises(FieldConflict):
                subject.apply(manager, {"data": data})
        assert (subject.manifest.get("data") or {}) == model.data
        found = {(one.manager, one.operation): _keys(one.paths) for one in subject.entries}
        assert {who: keys for who, keys in found.items() if keys} == model.view()


def _keys(paths: frozenset[str]) -> set[str]:
    return {path.removeprefix("f:data\0f:") for path in paths if path.startswith("f:data\0f:")}


@given(st.lists(st.sampled_from("abcdef"), unique=True), st.lists(st.sampled_from("abcdef"), unique=True))
def test_a_merged_set_holds_everything_once_in_the_configurations_order(live: list[str], config: list[str]) -> None:
    """A147."""
    subject = Object(MAPS)
    subject.update("x", {"metadata": {"finalizers": live}})
    subject.apply("one", {"metadata": {"finalizers": config}})
    merged = subject.manifest["metadata"]["finalizers"]
    assert sorted(merged) == sorted(set(live) | set(config))
    assert [one for one in merged if one in config] == config
    only_live = [one for one in live if one not in config]
    assert [one for one in merged if one not in config] == only_live


def test_nothing_is_changed_in_place() -> None:
    subject = Object(SETS)
    subject.apply("one", FIRST)
    before = msgspec.json.encode(subject.manifest)
    kept = subject.manifest
    subject.apply("two", SECOND)
    subject.apply("one", deployment(container("c1", image="other")), force=True)
    assert msgspec.json.encode(kept) == before
