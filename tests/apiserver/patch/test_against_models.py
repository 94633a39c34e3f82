"""Random patches against models that are slow and simple, written from the rules: RFC 6902, RFC 7386, A128-A131.

HOLDFAST_EXAMPLES sets how many of each (100,000 for a thorough run).
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from holdfast.api.errors import ApiError
from holdfast.api.resource import Resource
from holdfast.apiserver.patch.json import json_patch
from holdfast.apiserver.patch.merge import merge_patch
from holdfast.apiserver.patch.strategic import strategic_merge

PODS = Resource(group="", version="v1", kind="Pod", plural="pods")
EXAMPLES = settings(
    max_examples=int(os.environ.get("HOLDFAST_EXAMPLES", "80")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)

names = st.sampled_from(["a", "b", "a/b", "~", "", "0", "-"])
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["x", "", "0"]) | st.just(1.0)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
documents = st.dictionaries(names, values, max_size=4)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON text, where true is not 1 and the order of members does not count."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def untouched(function: Any, document: Any, patch: Any, *more: Any) -> Any:
    """The result, or "refused"; what went in must come out unharmed."""
    before = json.dumps([document, patch])
    result: Any = "refused"
    with contextlib.suppress(ApiError):
        result = function(document, patch, *more)
    assert json.dumps([document, patch]) == before
    event("refused" if result == "refused" else "applied")
    return result


# -- JSON patch (RFC 6902, A124)


class Refused(Exception):
    pass


def steps(pointer: str) -> list[str]:
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def place(items: list[Any], step: str, most: int) -> int:
    """An index as upstream's library takes it: negative ones count from the end."""
    try:
        index = int(step)
    except ValueError:
        raise Refused from None
    if index < 0:
        index += most + 1
    if not 0 <= index <= most:
        raise Refused
    return index


def find(node: Any, path: list[str]) -> Any:
    for step in path:
        if isinstance(node, list):
            node = node[place(node, step, len(node) - 1)]
        elif isinstance(node, dict) and step in node:
            node = node[step]
        else:
            raise Refused
    return node


def model_operation(root: Any, operation: dict[str, Any]) -> Any:
    """The document after one operation, on a copy of everything."""
    root = copy.deepcopy(root)
    name, path = operation["op"], steps(operation["path"])
    if name == "test":
        found = root
        if path:
            parent = find(root, path[:-1])  # upstream: a member that is missing equals null
            found = parent.get(path[-1]) if isinstance(parent, dict) else find(root, path)
        if not same_number(found, operation["value"]):
            raise Refused
        return root
    if name in ("move", "copy"):
        origin = steps(operation["from"])
        value = copy.deepcopy(find(root, origin))
        if name == "move":
            if path[: len(origin)] == origin and path != origin:
                raise Refused
            root = model_operation(root, {"op": "remove", "path": operation["from"]})
        return model_operation(root, {"op": "add", "path": operation["path"], "value": value})
    value = copy.deepcopy(operation.get("value"))
    if not path:
        if name == "remove":
            raise Refused
        return value
    parent, last = find(root, path[:-1]), path[-1]
    if isinstance(parent, dict):
        if name == "remove":
            if last not in parent:
                raise Refused
            del parent[last]
        else:
            parent[last] = value  # upstream: replacing what is missing adds it
    elif isinstance(parent, list):
        if name == "add":
            parent.insert(len(parent) if last == "-" else place(parent, last, len(parent)), value)
        elif name == "remove":
            del parent[place(parent, last, len(parent) - 1)]
        else:
            parent[place(parent, last, len(parent) - 1)] = value
    else:
        raise Refused
    return root


def same_number(one: Any, other: Any) -> bool:
    """RFC 6902, 4.6: numbers are equal when their values are."""
    return same(as_floats(one), as_floats(other))


def as_floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: as_floats(member) for name, member in value.items()}
    if isinstance(value, list):
        return [as_floats(member) for member in value]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def model_json_patch(document: Any, operations: list[dict[str, Any]]) -> Any:
    try:
        for operation in operations:
            document = model_operation(document, operation)
    except Refused:
        return "refused"
    return document if isinstance(document, dict) else "refused"


def pointers_into(node: Any, prefix: str = "") -> list[str]:
    found = [prefix]
    if isinstance(node, dict):
        for name, member in node.items():
            found += pointers_into(member, f"{prefix}/{name.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(node, list):
        found += [f"{prefix}/-", f"{prefix}/-1", f"{prefix}/-{len(node)}"]
        for index, member in enumerate(node):
            found += pointers_into(member, f"{prefix}/{index}")
    return found


@st.composite
def json_patches(draw: Any) -> tuple[Any, Any]:
    document = draw(documents)
    known = st.sampled_from(pointers_into(document))
    last = st.sampled_from(["", "/a", "/0", "/-", "/1", "/-1", "/b", "/~0", "/~1"])
    pointer = st.builds(lambda one, other: one + other, known, last)
    operation = st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
            "path": pointer,
            "from": pointer,
            "value": values,
        }
    )
    return document, draw(st.lists(operation, max_size=6))


@EXAMPLES
@given(json_patches())
def test_json_patches_do_what_the_model_does(case: tuple[Any, Any]) -> None:
    document, operations = case
    assert same(untouched(json_patch, document, operations), model_json_patch(document, operations))


@EXAMPLES
@given(documents, documents)
def test_a_patch_made_of_a_difference_leads_there_and_tests_what_it_made(old: Any, new: Any) -> None:
    removals = [{"op": "remove", "path": pointer} for pointer in pointers_into(dict.fromkeys(old, 0))[1:]]
    additions = [
        {"op": "add", "path": pointer, "value": value}
        for pointer, value in zip(pointers_into(dict.fromkeys(new, 0))[1:], new.values(), strict=True)
    ]
    assert same(json_patch(old, [*removals, *additions, {"op": "test", "path": "", "value": new}]), new)


# -- merge patch (RFC 7386)


def model_merge_patch(target: Any, patch: Any) -> Any:
    """The pseudo code of the RFC, section 2."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    target = copy.deepcopy(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            if name in target:
                del target[name]
        else:
            target[name] = model_merge_patch(target.get(name), value)
    return target


@EXAMPLES
@given(documents, documents)
def test_merge_patches_do_what_the_rfc_says(document: Any, patch: Any) -> None:
    merged = untouched(merge_patch, document, patch)
    assert same(merged, model_merge_patch(document, patch))
    assert same(merge_patch(merged, patch), merged), "a second time changes nothing"


# -- strategic merge (A128-A131)

KEYS = {"containers": "name", "env": "name", "volumes": "name", "ports": "containerPort", "ownerReferences": "uid"}
"""Lists that merge, and by what: from the rules, not from the schema."""
UNIONS = {"finalizers"}


def model_map(live: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    match patch.get("$patch"):
        case None | "merge":
            pass
        case "replace":
            return plain({name: value for name, value in patch.items() if name != "$patch"})
        case "delete":
            return {}
    if patch.get("$patch") == "merge":
        raise Refused  # in a map, upstream knows no word for the default
    result = dict(live)
    if (kept := patch.get("$retainKeys")) is not None:
        if any(name not in kept for name, value in patch.items() if not name.startswith("$") and value is not None):
            raise Refused
        result = {name: value for name, value in live.items() if name in kept}
    listed = {name.split("/", 1)[1]: value for name, value in patch.items() if name.startswith("$setElementOrder/")}
    dropped = {name.split("/", 1)[1]: set(value) for name, value in patch.items() if name.startswith("$deleteFrom")}
    for name in dict.fromkeys([*listed, *patch, *dropped]):
        if name.startswith("$"):
            continue
        if name in patch and patch[name] is None and name not in listed:
            result.pop(name, None)
            continue
        old, new = result.get(name), patch.get(name)
        if name in KEYS or name in UNIONS:
            merged = model_list(name, old, new, listed.get(name), dropped.get(name, set()))
            if merged is not None:
                result[name] = merged
        elif isinstance(old, dict) and isinstance(new, dict):
            result[name] = model_map(old, new)
        elif name in patch:
            result[name] = plain(new)
    return result


def identity(name: str, item: Any) -> Any:
    return item[KEYS[name]] if name in KEYS else item


def model_list(name: str, live: Any, patch: Any, order: Any, dropped: set[Any]) -> Any:
    if live is None and patch is None:
        return None
    if order is None and live is None:
        return plain(patch)
    live, patch = live or [], patch or []
    directed = [item for item in patch if isinstance(item, dict) and "$patch" in item]
    added = [item for item in patch if item not in directed]
    if any(item["$patch"] == "replace" for item in directed):
        return [plain(item) for item in added]
    gone = {identity(name, item) for item in directed}
    kept = [item for item in live if identity(name, item) not in gone]
    if name in UNIONS:
        kept = [item for item in kept if item not in dropped]
    by_key = {identity(name, item): item for item in kept}
    for item in added:
        key = identity(name, item)
        if name in KEYS:
            by_key[key] = model_map(by_key[key], item) if key in by_key else plain(item)
        else:
            by_key[key] = item
    wanted = [identity(name, item) for item in (added if order is None else order)]
    return [by_key[key] for key in model_order([identity(name, item) for item in live], list(by_key), wanted)]


def model_order(live: list[Any], present: list[Any], wanted: list[Any]) -> list[Any]:
    """A131: named items as named, the others as live, and where both are live that decides; named first otherwise."""
    named = [key for key in dict.fromkeys(wanted) if key in present]
    others = [key for key in present if key not in named]
    result: list[Any] = []
    for key in named:
        while others and key in live and others[0] in live and live.index(others[0]) < live.index(key):
            result.append(others.pop(0))
        result.append(key)
    return result + others


def plain(value: Any) -> Any:
    """What is new: no directives in it, no nulls."""
    if isinstance(value, dict):
        if value.get("$patch") == "delete":
            return {}
        return {
            name: plain(member) for name, member in value.items() if member is not None and not name.startswith("$")
        }
    if isinstance(value, list):
        return [plain(item) for item in value if not (isinstance(item, dict) and "$patch" in item)]
    return value


letters = st.sampled_from("abcd")


def keyed(key: str, ids: Any, **members: Any) -> Any:
    """Lists whose items differ in their key."""
    item = st.fixed_dictionaries({key: ids}, optional=members)
    return st.lists(item, max_size=4, unique_by=lambda one: one[key])


def env(extra: Any = None) -> Any:
    return keyed("name", letters, value=st.sampled_from(["1", "2"]), **(extra or {}))


def ports() -> Any:
    return keyed("containerPort", st.integers(1, 3), name=letters)


def containers() -> Any:
    return keyed("name", letters, image=letters, env=env(), ports=ports(), args=st.lists(letters, max_size=3))


def volumes() -> Any:
    return keyed("name", letters, emptyDir=st.just({}), hostPath=st.just({"path": "/x"}))


unions = st.lists(st.sampled_from(["a/1", "b/2", "c/3", "d/4"]), max_size=4, unique=True)
maps = st.dictionaries(letters, letters, max_size=3)
pods = st.fixed_dictionaries(
    {
        "metadata": st.fixed_dictionaries({"name": st.just("p")}, optional={"finalizers": unions, "labels": maps}),
        "spec": st.fixed_dictionaries(
            {"containers": containers()}, optional={"volumes": volumes(), "nodeSelector": maps, "hostname": letters}
        ),
    }
)


@st.composite
def directed(draw: Any, node: Any, name: str = "") -> Any:
    """A patch of the shape of an object, with directives of every kind put into it."""
    if isinstance(node, dict):
        result = {member: draw(directed(value, member)) for member, value in node.items() if draw(st.integers(0, 4))}
        for member, value in node.items():
            if name in KEYS and member == KEYS[name]:
                result[member] = value
                continue
            chance = draw(st.integers(0, 30))
            if chance == 0:
                result[member] = None
            elif chance < 5 and isinstance(value, list) and (member in KEYS or member in UNIONS):
                entries = [
                    item for item in result.get(member) or [] if not (isinstance(item, dict) and "$patch" in item)
                ]
                ids = [identity(member, item) for item in entries]
                pool = letters if member in ("containers", "env", "volumes") else st.integers(1, 4)
                pool = st.sampled_from(["a/1", "b/2", "c/3", "e/5"]) if member in UNIONS else pool
                more = [one for one in draw(st.lists(pool, max_size=3, unique=True)) if one not in ids]
                order = list(ids)
                for one in more:
                    order.insert(draw(st.integers(0, len(order))), one)
                written = [{KEYS[member]: one} for one in order] if member in KEYS else order
                result[f"$setElementOrder/{member}"] = written
            elif chance < 8 and member in UNIONS:
                # What one patch both adds and deletes has no meaning: upstream takes the two in any order.
                stays = result.get(member) or ()
                result[f"$deleteFromPrimitiveList/{member}"] = [one for one in draw(unions) if one not in stays]
        if name == "volumes" and draw(st.booleans()):
            result["$retainKeys"] = [member for member in result if not member.startswith("$")] + ["emptyDir"]
        if name in ("labels", "nodeSelector", "spec") and draw(st.integers(0, 12)) == 0:
            result["$patch"] = draw(st.sampled_from(["replace", "delete"]))
        return result
    if isinstance(node, list) and name in KEYS:
        items = [draw(directed(item, name)) for item in node]
        for item in items:
            if draw(st.integers(0, 8)) == 0:
                item["$patch"] = "delete"
        if draw(st.integers(0, 10)) == 0:
            items.insert(draw(st.integers(0, len(items))), {"$patch": "replace"})
        return items
    return node


@st.composite
def strategic_cases(draw: Any) -> tuple[Any, Any]:
    return draw(pods), draw(directed(draw(pods)))


@EXAMPLES
@given(strategic_cases())
def test_strategic_patches_do_what_the_model_does(case: tuple[Any, Any]) -> None:
    live, patch = case
    try:
        expected = model_map(live, patch)
    except Refused:
        expected = "refused"
    merged = untouched(strategic_merge, live, patch, PODS)
    assert merged == expected, f"live {json.dumps(live)} patch {json.dumps(patch)}"
    assert "$" not in json.dumps(merged), "directives stay in the patch (A130)"


@EXAMPLES
@given(pods, pods)
def test_a_strategic_patch_without_directives_is_idempotent(live: Any, patch: Any) -> None:
    once = strategic_merge(live, patch, PODS)
    assert strategic_merge(once, patch, PODS) == once
