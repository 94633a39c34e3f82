"""Server-side apply by several managers against a slow model of who owns what, written from A133-A150.

The model keeps a flat dict of leaves for each object and a set of leaf paths for each manager, nothing else.
HOLDFAST_EXAMPLES sets how many sequences are tried (10,000 for a thorough run).
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.apiserver.fields import tracking
from holdfast.apiserver.fields.applying import FieldConflict, apply
from holdfast.apiserver.fields.entries import read, write
from holdfast.apiserver.fields.scope import Scope

SCOPE = Scope(DEPLOYMENTS)
NOW = "2026-01-01T00:00:00Z"
EXAMPLES = settings(
    max_examples=int(os.environ.get("HOLDFAST_EXAMPLES", "40")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

Path = tuple[str, ...]
LISTS = {"containers": ("name",), "ports": ("containerPort", "protocol"), "env": ("name",)}
SETS = {"finalizers"}
ATOMS = {"selector", "args"}
MANAGERS = ("one", "two", "three")


# -- the model


def element(name: str, item: dict[str, Any]) -> str:
    """An item of a list as FieldsV1 names it (A135, A136)."""
    keys = {key: item.get(key, "TCP" if key == "protocol" else None) for key in sorted(LISTS[name])}
    return f"k:{json.dumps(keys, separators=(',', ':'))}"


def leaves(node: dict[str, Any], path: Path = ()) -> dict[Path, Any]:
    """Every owned path of an object or configuration and what stands there; items and values stand for themselves."""
    found: dict[Path, Any] = {}
    for name, value in node.items():
        here = (*path, f"f:{name}")
        if here in (("f:metadata", "f:name"), ("f:apiVersion",), ("f:kind",)):
            continue
        if name in ATOMS or not isinstance(value, dict | list):
            found[here] = value
        elif name in LISTS:
            for item in value:
                found[*here, element(name, item)] = None
                found |= leaves(item, (*here, element(name, item)))
        elif name in SETS:
            found |= {(*here, f"v:{json.dumps(item)}"): None for item in value}
        elif value == {}:
            found[here] = {}
        else:
            found |= leaves(value, here)
    return found


@dataclass
class Model:
    """What is there, and who has applied or written it."""

    content: dict[Path, Any] = field(default_factory=dict)
    owners: dict[tuple[str, str], set[Path]] = field(default_factory=dict)

    def apply(self, manager: str, config: dict[str, Any], *, force: bool) -> bool:
        """False for a conflict, which changes nothing."""
        wanted = leaves(config)
        me = (manager, "Apply")
        changed = {path for path, value in wanted.items() if path not in self.content or self.content[path] != value}
        disputed = any(paths & changed for other, paths in self.owners.items() if other != me)
        if disputed and not force:
            return False
        before = self.owners.get(me, set())
        self.content |= wanted
        self.owners[me] = set(wanted)
        owned = set().union(*self.owners.values())
        dropped = {path for path in before - set(wanted) if path not in owned}
        # An item that nobody owns goes with everything in it, though an update may own part of it (A139).
        removed = {path for path in self.content if any(path == one or is_below(path, one) for one in dropped)}
        for path in removed:
            del self.content[path]
        for other in self.owners:
            if other != me:
                self.owners[other] -= removed | changed
        return True

    def update(self, manager: str, new: dict[Path, Any]) -> None:
        changed = {path for path, value in new.items() if path not in self.content or self.content[path] != value}
        removed = set(self.content) - set(new)
        for other in self.owners:
            self.owners[other] -= removed | changed
        self.owners.setdefault((manager, "Update"), set()).update(changed)
        self.content = dict(new)


def is_below(path: Path, other: Path) -> bool:
    return len(path) > len(other) and path[: len(other)] == other


# -- the real thing


@dataclass
class Real:
    manifest: dict[str, Any] = field(default_factory=dict)
    entries: list[Any] = field(default_factory=list)

    def apply(self, manager: str, config: dict[str, Any], *, force: bool) -> bool:
        before = json.dumps([self.manifest, config])
        try:
            result = apply(SCOPE, self.manifest, config, self.entries, manager, force=force, now=NOW)
        except FieldConflict:
            return False
        finally:
            assert json.dumps([self.manifest, config]) == before, "what was given is not changed"
        self.manifest, self.entries = result.manifest, read(write(result.entries))
        return True

    def update(self, manager: str, manifest: dict[str, Any]) -> None:
        self.entries = read(tracking.updated(SCOPE, self.manifest, manifest, write(self.entries), manager, NOW))
        self.manifest = manifest

    def owners(self) -> dict[tuple[str, str], set[Path]]:
        """Leaves and items only: a parent that is owned besides is of no consequence to who owns what is in it."""
        return {(entry.manager, entry.operation): owned_leaves(entry.paths) for entry in self.entries}


def owned_leaves(paths: Any) -> set[Path]:
    return {tuple(path.split("\0")) for path in paths}


# -- what is tried

letters = st.sampled_from("abc")
words = st.sampled_from(["x", "y"])


def items(key: str, ids: Any, **members: Any) -> Any:
    item = st.fixed_dictionaries({key: ids}, optional=members)
    return st.lists(item, min_size=1, max_size=3, unique_by=lambda one: one[key])


containers = items(
    "name",
    letters,
    image=words,
    args=st.lists(words, min_size=1, max_size=2),
    env=items("name", letters, value=words),
    ports=items("containerPort", st.integers(1, 3), name=words),
)
configs = st.fixed_dictionaries(
    {
        "apiVersion": st.just("apps/v1"),
        "kind": st.just("Deployment"),
        "metadata": st.fixed_dictionaries(
            {"name": st.just("d")},
            optional={
                "labels": st.dictionaries(letters, words, min_size=1, max_size=3),
                "finalizers": st.lists(st.sampled_from(["a.b/x", "a.b/y"]), min_size=1, max_size=2, unique=True),
            },
        ),
    },
    optional={
        "spec": st.fixed_dictionaries(
            {},
            optional={
                "replicas": st.integers(0, 2),
                "paused": st.booleans(),
                "selector": st.fixed_dictionaries({"matchLabels": st.dictionaries(letters, words, min_size=1)}),
                "template": st.fixed_dictionaries(
                    {"spec": st.fixed_dictionaries({"containers": containers}, optional={"hostname": words})}
                ),
            },
        ).filter(bool)
    },
)
steps = st.lists(
    st.tuples(st.sampled_from(MANAGERS), st.sampled_from(["apply", "apply", "force", "update"]), configs),
    min_size=1,
    max_size=7,
)


def check(real: Real, model: Model) -> None:
    assert leaves(real.manifest) == model.content
    for who, paths in model.owners.items():
        assert own(real.owners().get(who, set()), who[1]) == paths, who
    assert all(paths for paths in real.owners().values()), "entries that own nothing disappear (A142)"


def own(paths: set[Path], operation: str) -> set[Path]:
    """Without the parents that updates own besides: those have `.` for what they made (A137)."""
    return paths if operation == "Apply" else {path for path in paths if not is_parent(path)}


PARENTS = {"f:" + name for name in ("labels", "finalizers", "spec", "template", *LISTS)}


def is_parent(path: Path) -> bool:
    """A struct, map or list as such. Labels may be called like one, but here they are not."""
    return path[-1] in PARENTS


@EXAMPLES
@given(steps)
def test_sequences_of_applies_and_updates_end_as_the_model_says(sequence: list[Any]) -> None:
    real, model = Real(), Model()
    for manager, how, config in sequence:
        if how == "update":
            if not real.entries:
                continue
            real.update(manager, config)
            model.update(manager, leaves(config))
            event("update")
        else:
            expected = model.apply(manager, config, force=how == "force")
            assert real.apply(manager, config, force=how == "force") == expected
            event(how if expected else "conflict")
        check(real, model)


def after(sequence: list[Any]) -> Real:
    real = Real()
    for manager, how, config in sequence:
        if how == "update" and real.entries:
            real.update(manager, config)
        elif how != "update":
            real.apply(manager, config, force=how == "force")
    return real


@EXAMPLES
@given(steps, configs)
def test_an_apply_twice_is_an_apply_once(sequence: list[Any], config: dict[str, Any]) -> None:
    """A150: nothing changes, nobody gains or loses, and the time of nothing moves."""
    real = after(sequence)
    real.apply("one", config, force=True)
    manifest, entries = real.manifest, sorted(real.entries, key=lambda entry: entry.order)
    assert real.apply("one", config, force=False), "what one owns already is disputed by nobody"
    assert real.manifest == manifest
    assert sorted(real.entries, key=lambda entry: entry.order) == entries


@EXAMPLES
@given(steps, configs)
def test_force_takes_and_leaves_exactly_the_configuration(sequence: list[Any], config: dict[str, Any]) -> None:
    """A137, A141: the object says what was applied, and the manager owns that and no more."""
    real = after(sequence)
    assert real.apply("one", config, force=True)
    content, wanted = leaves(real.manifest), leaves(config)
    assert all(content[path] == value for path, value in wanted.items())
    assert real.owners().get(("one", "Apply"), set()) == set(wanted)


@EXAMPLES
@given(steps, configs)
def test_dropping_everything_leaves_what_others_own(sequence: list[Any], config: dict[str, Any]) -> None:
    """A142: what nobody else owns goes, and so does the manager's entry."""
    real = after(sequence)
    real.apply("one", config, force=True)
    nothing = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    others = set().union(*[paths for who, paths in real.owners().items() if who != ("one", "Apply")])
    before = leaves(real.manifest)
    assert real.apply("one", nothing, force=False)
    left = leaves(real.manifest)
    assert ("one", "Apply") not in real.owners()
    for path in leaves(config):
        held = all(other in others for other in leaves(config) if other == path or is_below(path, other))
        assert (path in left) == held, path
    untouched = {path for path in before if not any(path == one or is_below(path, one) for one in leaves(config))}
    assert untouched <= set(left)


@EXAMPLES
@given(st.lists(letters, unique=True, max_size=3), st.lists(st.sampled_from("abcde"), unique=True, max_size=5))
def test_lists_stand_in_the_order_of_the_configuration(live: list[str], wanted: list[str]) -> None:
    """A147: applied items as applied, the others where they stood among what both have, before others if unsure."""

    def config(listed: list[str]) -> dict[str, Any]:
        named = [{"name": name} for name in listed]
        return {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": named, "hostname": "h"}}}}

    real = Real()
    real.apply("one", config(live), force=False)
    real.apply("two", config(wanted), force=False)
    found = [item["name"] for item in real.manifest["spec"]["template"]["spec"]["containers"]]
    assert sorted(found) == sorted({*live, *wanted})
    assert [name for name in found if name in wanted] == wanted
    assert [name for name in found if name not in wanted] == [name for name in live if name not in wanted]
    shared = [name for name in live if name in wanted]
    if shared == [name for name in wanted if name in live]:  # the two orders do not contradict each other
        assert [name for name in found if name in live] == live
