"""JSON patch (RFC 6902), as lenient as the library that Kubernetes uses (A124)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from holdfast.api.errors import BadRequest, Invalid, RequestEntityTooLarge

MAX_OPERATIONS = 10_000
MAX_COPIED_BYTES = 3 << 20
"""By all operations of a patch together, as upstream bounds it: the size of a request."""

_INDEX = re.compile("[+-]?[0-9]{1,20}", re.ASCII)
_NOTHING = object()


class _Unappliable(Exception):
    """An operation does not fit the document."""


def json_patch(document: dict[str, Any], operations: list[Any]) -> dict[str, Any]:
    """The document after all operations. Raises BadRequest for what is no patch, Invalid where one does not apply."""
    if len(operations) > MAX_OPERATIONS:
        raise RequestEntityTooLarge(
            f"The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {len(operations)}"
        )
    patched = _Patched(document)
    try:
        for operation in operations:
            _apply(patched, operation)
    except (_Unappliable, RecursionError):
        raise Invalid("the server rejected our request due to an error in our request", has_details=True) from None
    if not isinstance(patched.root, dict):
        raise Invalid("the server rejected our request due to an error in our request", has_details=True)
    return patched.root


def _apply(patched: _Patched, operation: Any) -> None:
    if not isinstance(operation, dict):
        raise BadRequest(
            "error decoding patch: json: cannot unmarshal value into Go value of type handlers.jsonPatchOp"
        )
    name = operation.get("op")
    perform = _OPERATIONS.get(name) if isinstance(name, str) else None
    if perform is None:
        raise _Unappliable
    perform(patched, operation)


def _add(patched: _Patched, operation: dict[str, Any]) -> None:
    patched.add(_pointer(operation, "path"), _value(operation))


def _remove(patched: _Patched, operation: dict[str, Any]) -> None:
    patched.remove(_pointer(operation, "path"))


def _replace(patched: _Patched, operation: dict[str, Any]) -> None:
    patched.replace(_pointer(operation, "path"), _value(operation))


def _move(patched: _Patched, operation: dict[str, Any]) -> None:
    source, target = _pointer(operation, "from"), _pointer(operation, "path")
    if len(source) < len(target) and target[: len(source)] == source:
        raise _Unappliable  # into itself
    value = patched.get(source)
    patched.remove(source)
    patched.add(target, value)


def _copy(patched: _Patched, operation: dict[str, Any]) -> None:
    value = patched.get(_pointer(operation, "from"))
    patched.count_copied(value)
    patched.disown()  # one value now stands in two places, so neither may be changed in place
    patched.add(_pointer(operation, "path"), value)


def _test(patched: _Patched, operation: dict[str, Any]) -> None:
    """A member that is missing equals null."""
    found = patched.get(_pointer(operation, "path"), missing=None)
    if not is_equal(found, operation.get("value")):
        raise _Unappliable


_OPERATIONS: dict[Any, Callable[[_Patched, dict[str, Any]], None]] = {
    "add": _add,
    "remove": _remove,
    "replace": _replace,
    "move": _move,
    "copy": _copy,
    "test": _test,
}


class _Patched:
    """A document on its way: containers on the path of a change are copied once, then changed in place."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._own: dict[int, Any] = {}
        self._copied_bytes = 0

    def count_copied(self, value: Any) -> None:
        """Copies of copies double what is to be written with every operation."""
        self._copied_bytes += len(msgspec.json.encode(value))
        if self._copied_bytes > MAX_COPIED_BYTES:
            raise _Unappliable

    def disown(self) -> None:
        self._own.clear()

    def get(self, path: list[str], missing: Any = _NOTHING) -> Any:
        """`missing` stands in for a member of an object that is not there; lists have no such mercy."""
        node = self.root
        for place, step in enumerate(path):
            if isinstance(node, dict) and step not in node and missing is not _NOTHING and place == len(path) - 1:
                return missing
            node = _child(node, step)
        return node

    def add(self, path: list[str], value: Any) -> None:
        if not path:
            self.root = value
            return
        parent, step = self._parent(path)
        if isinstance(parent, list):
            parent.insert(len(parent) if step == "-" else _index(step, len(parent) + 1), value)
        else:
            parent[step] = value

    def remove(self, path: list[str]) -> None:
        if not path:
            raise _Unappliable
        parent, step = self._parent(path)
        if isinstance(parent, list):
            del parent[_index(step, len(parent))]
        elif step in parent:
            del parent[step]
        else:
            raise _Unappliable

    def replace(self, path: list[str], value: Any) -> None:
        """A member of an object that is not there is added, as upstream does."""
        if not path:
            self.root = value
            return
        parent, step = self._parent(path)
        if isinstance(parent, list):
            parent[_index(step, len(parent))] = value
        else:
            parent[step] = value

    def _parent(self, path: list[str]) -> tuple[Any, str]:
        """The container that the last step leads into, ready to be changed."""
        self.root = node = self._owned(self.root)
        for step in path[:-1]:
            child = self._owned(_child(node, step))
            node[_index(step, len(node)) if isinstance(node, list) else step] = child
            node = child
        return node, path[-1]

    def _owned(self, node: Any) -> Any:
        if id(node) in self._own:
            return node
        if not isinstance(node, dict | list):
            raise _Unappliable
        copy = node.copy()
        self._own[id(copy)] = copy
        return copy


def _child(node: Any, step: str) -> Any:
    if isinstance(node, list):
        return node[_index(step, len(node))]
    if isinstance(node, dict) and step in node:
        return node[step]
    raise _Unappliable


def _index(step: str, size: int) -> int:
    """A place in a list of that size; negative ones count from its end."""
    if not _INDEX.fullmatch(step) or not -size <= (index := int(step)) < size:
        raise _Unappliable
    return index % size


def _pointer(operation: dict[str, Any], member: str) -> list[str]:
    text = operation.get(member)
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _Unappliable
    return [step.replace("~1", "/").replace("~0", "~") for step in text.split("/")[1:]]


def _value(operation: dict[str, Any]) -> Any:
    if "value" not in operation:
        raise _Unappliable
    return operation["value"]


def is_equal(one: Any, other: Any) -> bool:
    """Equal as JSON: Python's `True == 1` does not count."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(is_equal(value, other[name]) for name, value in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(is_equal, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
