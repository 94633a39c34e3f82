"""A kind's fields as a tree that grows as objects are walked; each node knows the path that names it.

A path is a text: the elements of FieldsV1 (`f:spec`, `k:{"name":"x"}`), joined. Sets of paths are then sets of
texts, which hash once and compare by identity, and every operation on them runs at the speed of C.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import msgspec

from holdfast.api.resource import Resource
from holdfast.api.schema.types import Type, type_of

SEPARATOR = "\x00"

LEAF, STRUCT, MAP, LIST_MAP, SET, ANY, NEVER = range(7)
"""What is owned as a whole; by member; by key; by item, told apart by keys; by value; what its value shows
(no schema says); and what nobody owns (A136, A138)."""

MAX_NODES = 100_000
"""After so many, a tree starts anew: the keys in it come from users."""

NEVER_OWNED = frozenset(
    ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "selfLink", "managedFields")
)
PROTOCOL = "protocol"
PROTOCOL_DEFAULT = "TCP"
"""The one default that a key of a built-in kind's list has (A136)."""
_PROTOCOLS: Mapping[str, Any] = {PROTOCOL: PROTOCOL_DEFAULT}
_NONE: Mapping[str, Any] = {}

_encode = msgspec.json.encode


class Children(dict[Any, "Node"]):
    """Made on first use, by field name, map key, value of a set, or the values of an item's keys."""

    __slots__ = ("_of",)

    def __init__(self, of: Node) -> None:
        super().__init__()
        self._of = of

    def __missing__(self, key: Any) -> Node:
        child = self[key] = self._of.child(key)
        return child


class Node:
    """One field, key or item. `is_nullable` is whether upstream's form of an empty parent lacks it."""

    __slots__ = ("children", "defaults", "form", "is_nullable", "item", "keys", "path", "tree", "type")

    def __init__(self, tree: Tree, path: str, kind: Type | None, form: int, *, is_nullable: bool = True) -> None:
        self.tree = tree
        self.path = path
        self.type = kind
        self.form = form
        self.item = kind.item if kind is not None else None
        self.keys = kind.list_map_keys if kind is not None else ()
        self.defaults = _defaults(kind)
        self.is_nullable = is_nullable
        self.children = Children(self)
        tree.nodes += 1

    def key_of(self, item: Any) -> Any:
        """What tells an item of this list from the others."""
        if self.form == SET:
            return item if isinstance(item, str | int | float) else _encode(item).decode()
        if not isinstance(item, dict):
            return None
        keys, defaults = self.keys, self.defaults
        if len(keys) == 1:
            return item.get(keys[0], defaults.get(keys[0]))
        return tuple([item.get(key, defaults.get(key)) for key in keys])

    def named_keys(self, key: Any) -> dict[str, Any]:
        """The keys of an item by their names; absent ones are left out."""
        values = (key,) if len(self.keys) == 1 else key
        return {name: value for name, value in zip(self.keys, values, strict=True) if value is not None}

    def child(self, key: Any) -> Node:
        """A new node, for `Children`."""
        form, kind, is_nullable = ANY, self.item, True
        if self.form == STRUCT and self.type is not None:
            field = self.type.fields.get(key)
            kind = field.type if field is not None else None
            is_nullable = field is None or not _is_always_there(field.flag, field.type.form)
        if self._is_never(key):
            form = NEVER
        elif kind is not None:
            form = form_of(kind)
        return Node(self.tree, self._path(key), kind, form, is_nullable=is_nullable)

    def _is_never(self, key: Any) -> bool:
        """A138."""
        if not self.path:
            return key in ("apiVersion", "kind")
        return self.path == "f:metadata" and key in NEVER_OWNED

    def _path(self, key: Any) -> str:
        if self.form == LIST_MAP:
            element = f"k:{_encode(self.named_keys(key)).decode()}"
        elif self.form == SET:
            element = f"v:{_encode(key).decode()}"
        else:
            element = f"f:{key}"
        return f"{self.path}{SEPARATOR}{element}" if self.path else element


class Tree:
    """The tree of one kind."""

    def __init__(self, kind: Type | None) -> None:
        self._type = kind
        self.nodes = 0
        self._root = self._new()
        self._ancestors: dict[str, frozenset[str]] = {}
        self.items: dict[tuple[str, bytes], frozenset[str]] = {}
        """What `owned` has found in items of lists, by their path and content."""

    def _new(self) -> Node:
        return Node(self, "", self._type, STRUCT if self._type is not None else ANY)

    @property
    def root(self) -> Node:
        if self.nodes > MAX_NODES:
            self.nodes = 0
            self._root = self._new()
            self._ancestors.clear()
        return self._root

    def with_named_ancestors(self, paths: frozenset[str]) -> frozenset[str]:
        """The set together with every struct field that a path in it passes through: what a removal may take."""
        found = self._ancestors
        return paths.union(*[found.get(path) or self._named(path) for path in paths])

    def _named(self, path: str) -> frozenset[str]:
        """The struct fields on the way to `path`."""
        node, names = self.root, []
        for element in path.split(SEPARATOR)[:-1]:
            is_declared = node.form == STRUCT
            node = node.children[_key(node, element)]
            if is_declared and element.startswith("f:"):
                names.append(node.path)
        result = self._ancestors[path] = frozenset(names)
        return result


def _key(node: Node, element: str) -> Any:
    """The key of a child from its element in FieldsV1."""
    kind, _, text = element.partition(":")
    if kind in ("k", "v"):
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError:
            return text
        if kind == "k" and node.form == LIST_MAP and isinstance(value, dict):
            return node.key_of(value)
        return value if isinstance(value, str | int | float) else text
    return text


def _defaults(kind: Type | None) -> Mapping[str, Any]:
    """What keys of a list's items are where they are left out."""
    if kind is None or not kind.list_map_keys:
        return _NONE
    return kind.key_defaults or (_PROTOCOLS if PROTOCOL in kind.list_map_keys else _NONE)


def _is_always_there(flag: str, form: str) -> bool:
    """Whether an object without this field shows it all the same, upstream: structs that are no pointers, and
    what is written always."""
    return flag == "!" or (flag == "" and form == "struct")


def form_of(kind: Type) -> int:
    match kind.form:
        case "struct":
            return LEAF if kind.is_atomic else STRUCT
        case "map":
            return LEAF if kind.is_atomic else MAP
        case "list":
            return {"map": LIST_MAP, "set": SET}.get(kind.list_type, LEAF)
        case "raw" | "any":
            return ANY
    return LEAF


_trees: dict[Resource, Tree] = {}
_custom_trees: WeakKeyDictionary[Resource, Tree] = WeakKeyDictionary()
"""They go with their definition."""


def tree_of(resource: Resource) -> Tree:
    """The tree of a resource's kind."""
    if resource.custom is not None:
        tree = _custom_trees.get(resource)
        if tree is None:
            tree = _custom_trees[resource] = Tree(resource.custom.type)
        return tree
    tree = _trees.get(resource)
    if tree is None:
        tree = _trees[resource] = Tree(type_of(resource.group, resource.version, resource.kind))
    return tree
