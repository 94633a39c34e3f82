"""Strategic merge patch: a merge patch that knows which lists merge by which key (A128-A132).

Source: Kubernetes, k8s.io/apimachinery/pkg/util/strategicpatch, and the recordings behind A321-A330.
"""

from __future__ import annotations

from typing import Any, ClassVar, TypeGuard

from holdfast.api.errors import ApiError, BadRequest, Invalid
from holdfast.api.go_values import go_value
from holdfast.api.resource import Manifest, Resource
from holdfast.api.schema import types
from holdfast.api.schema.types import Field, Type

PATCH, RETAIN_KEYS = "$patch", "$retainKeys"
SET_ORDER, DELETE_FROM = "$setElementOrder/", "$deleteFromPrimitiveList/"

_BAD_RETAIN_KEYS = "invalid patch format of retainKeys"
_BAD_ORDER = "invalid patch format of setElementOrder list"


class Unappliable(ApiError):
    """The patch contradicts itself or the object; upstream has no reason for it (A129, A130)."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = ""


def strategic_merge(original: Manifest, patch: Manifest, resource: Resource) -> Manifest:
    """The object with the patch merged into it. Raises Unappliable, and BadRequest for malformed directives."""
    kind = types.type_of(resource.group, resource.version, resource.kind)
    try:
        return _merge_map(original, patch, kind)
    except RecursionError:
        raise BadRequest("error decoding patch: exceeded max depth") from None


def _merge_map(original: dict[str, Any], patch: dict[str, Any], kind: Type | None) -> dict[str, Any]:
    if PATCH in patch:
        return _directed(patch)
    merged = _retained(original, patch)
    rest = {name: value for name, value in patch.items() if name != RETAIN_KEYS}
    for directive in [name for name in rest if name.startswith(SET_ORDER)]:
        name = directive.removeprefix(SET_ORDER)
        order = rest.pop(directive)
        _put(merged, name, _ordered(merged.get(name), rest.pop(name, None), order, _field(kind, name)))
    for directive in [name for name in rest if name.startswith(DELETE_FROM)]:
        name = directive.removeprefix(DELETE_FROM)
        _delete_scalars(merged, name, rest.pop(directive))
    for name, value in rest.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value, _field(kind, name))
    return merged


def _directed(patch: dict[str, Any]) -> dict[str, Any]:
    """`$patch` in a map: replace takes the rest of the patch, delete leaves nothing."""
    match patch[PATCH]:
        case "replace":
            return _added({name: value for name, value in patch.items() if name != PATCH})  # type: ignore[no-any-return]
        case "delete":
            return {}
    raise _unknown_directive(patch)


def _unknown_directive(patch: dict[str, Any]) -> Unappliable:
    return Unappliable(f"unknown patch type: {go_value(patch[PATCH])} in map: {go_value(patch)}")


def _retained(original: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """A copy without what `$retainKeys` does not list; the patch may set nothing else."""
    if RETAIN_KEYS not in patch:
        return dict(original)
    keys = patch[RETAIN_KEYS]
    if not isinstance(keys, list):
        raise BadRequest(_BAD_RETAIN_KEYS)
    for name, value in patch.items():
        is_directive = name == RETAIN_KEYS or name.startswith((SET_ORDER, DELETE_FROM))
        if not is_directive and value is not None and name not in keys:
            raise BadRequest(_BAD_RETAIN_KEYS)
    return {name: value for name, value in original.items() if name in keys}


def _merge(original: Any, value: Any, field: Field | None) -> Any:
    """One member; where both sides are of one sort and the field merges, they are merged."""
    strategies = field.patch_strategies if field else frozenset()
    if isinstance(original, dict) and isinstance(value, dict) and "replace" not in strategies:
        return _merge_map(original, value, field.type if field else None)
    if isinstance(original, list) and isinstance(value, list) and "merge" in strategies and field:
        return _merge_list(original, value, field)
    return _added(value)


def _merge_list(original: list[Any], patch: list[Any], field: Field) -> list[Any]:
    if not original and not patch:
        return original
    if not _is_of_maps(original, patch):
        return _interleaved(original, [*original, *patch], patch, "")
    key, item = _merge_key(field), field.type.item
    kept, patch, is_replaced = _without_directives(original, patch, key)
    if is_replaced:
        return kept
    return _interleaved(kept, _merge_items(kept, patch, key, item), patch, key)


def _merge_key(field: Field) -> str:
    if field.patch_merge_key:
        return field.patch_merge_key
    raise Unappliable(
        f"cannot merge lists without merge key for {field.type.item.go if field.type.item else field.name}"
    )


def _without_directives(original: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any], bool]:
    """What stays of the live list, the patch's plain items, and whether they replace the list."""
    plain, deleted, is_replaced = [], set(), False
    for item in patch:
        match item.get(PATCH):
            case None:
                plain.append(item)
            case "delete":
                deleted.add(_key_value(item, key))
            case "replace":
                is_replaced = True
            case "merge":
                raise Unappliable("merging lists cannot yet be specified in the patch")
            case _:
                raise _unknown_directive(item)
    if is_replaced:
        return [_added(item) for item in plain], [], True
    return [item for item in original if _hashable(item.get(key)) not in deleted], plain, False


def _merge_items(original: list[Any], patch: list[Any], key: str, kind: Type | None) -> list[Any]:
    """Items of the patch merged into those with the same key, the others behind them."""
    merged = list(original)
    places = _places(original, key)
    for item in patch:
        value = _key_value(item, key)
        if value in places:
            merged[places[value]] = _merge_map(merged[places[value]], item, kind)
        else:
            places[value] = len(merged)
            merged.append(_added(item))
    return merged


def _ordered(original: Any, patch: Any, order: Any, field: Field | None) -> Any:
    """A list whose items stand as `$setElementOrder` says; None if there is no such list at all."""
    for value in (order, [] if original is None else original, [] if patch is None else patch):
        if not isinstance(value, list):
            raise Unappliable(f"expected a []interface {{}}, but received a {_go_type(value)}")
    key = field.patch_merge_key if field else ""
    _check_order(patch or [], order, key)
    if original is None and patch is None:
        return None
    if patch is None:
        merged = original
    elif original is None:
        merged = _added(patch)
    else:
        merged = _merge(original, patch, field)
    return _interleaved(original or [], merged, order, key)


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """The patch's items must be among the ordered ones, in the same order; deletions do not count."""
    if not patch or not order:
        return
    wanted = iter([_identity(item, key) for item in order])
    for item in patch:
        if isinstance(item, dict) and PATCH in item:
            continue
        if _identity(item, key) not in wanted:  # consumes the order up to the item
            shown = f"{go_value(patch)}\n doesn't match $setElementOrder list:\n{go_value(order)}\n"
            raise Unappliable(f"The order in patch list:\n{shown}")


def _interleaved(live: list[Any], merged: list[Any], order: list[Any], key: str) -> list[Any]:
    """Items named in `order` in that order, the others in live order; where the live list knows two, it decides.

    Otherwise named items come first (A131). Repeated scalars are dropped; items that share a key, such as ports
    of two protocols, stay together.
    """
    named, known = _places(order, key), _places(live, key)
    items: dict[Any, list[Any]] = {}
    for item in merged:
        items.setdefault(_identity(item, key), []).append(item)
    right = sorted((value for value in items if value in named), key=named.__getitem__)
    left = [value for value in items if value not in named]
    return [item for value in _zipped(left, right, known) for item in (items[value] if key else items[value][:1])]


def _zipped(left: list[Any], right: list[Any], known: dict[Any, int]) -> list[Any]:
    result: list[Any] = []
    at = 0
    for value in right:
        while at < len(left) and left[at] in known and value in known and known[left[at]] < known[value]:
            result.append(left[at])
            at += 1
        result.append(value)
    return result + left[at:]


def _delete_scalars(merged: dict[str, Any], name: str, values: Any) -> None:
    if not isinstance(values, list):
        raise BadRequest("invalid patch format of primitive list")
    if isinstance(merged.get(name), list):
        gone = {_hashable(value) for value in values}
        merged[name] = [value for value in merged[name] if _hashable(value) not in gone]


def _added(value: Any) -> Any:
    """A value that is new to the object: without directives and nulls."""
    if isinstance(value, dict):
        if value.get(PATCH) == "delete":
            return {}
        return {
            name: _added(member)
            for name, member in value.items()
            if member is not None and name not in (PATCH, RETAIN_KEYS) and not name.startswith((SET_ORDER, DELETE_FROM))
        }
    if isinstance(value, list):
        return [_added(item) for item in value if not (isinstance(item, dict) and PATCH in item)]
    return value


def _field(kind: Type | None, name: str) -> Field | None:
    if kind is None:
        return None
    if kind.form == "map" and kind.item:
        return Field(name, kind.item)
    return kind.fields.get(name) if kind.form == "struct" else None


def _is_of_maps(*lists: list[Any]) -> bool:
    """Whether the items are maps; all must be of one sort."""
    sorts = {
        dict if isinstance(item, dict) else list if isinstance(item, list) else object
        for items in lists
        for item in items
    }
    if list in sorts:
        raise Invalid("the server rejected our request due to an error in our request", has_details=True)
    if len(sorts) > 1:
        raise Unappliable(f"list element types are not identical: {go_value(list(lists))}")
    return dict in sorts


def _is_map(item: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(item, dict)


def _key_value(item: Any, key: str) -> Any:
    if not _is_map(item):
        raise Unappliable(f"expected a map[string]interface {{}}, but received a {_go_type(item)}")
    if key not in item:
        raise Unappliable(f"map: {go_value(item)} does not contain declared merge key: {key}")
    return _hashable(item[key])


def _identity(item: Any, key: str) -> Any:
    return _key_value(item, key) if key else _hashable(item)


def _places(items: list[Any], key: str) -> dict[Any, int]:
    """From identities to the first place of each."""
    places: dict[Any, int] = {}
    for place, item in enumerate(items):
        places.setdefault(_identity(item, key), place)
    return places


def _hashable(value: Any) -> Any:
    """JSON tells true from 1; what is no scalar is compared by its text."""
    return (type(value).__name__, go_value(value)) if isinstance(value, bool | dict | list) else value


def _put(merged: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        merged[name] = value


def _go_type(value: Any) -> str:
    return {dict: "map[string]interface {}", list: "[]interface {}", str: "string", bool: "bool", int: "int64"}.get(
        type(value), "float64"
    )
