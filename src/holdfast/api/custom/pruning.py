"""Takes out of an object what its schema does not know (A203), and nulls where there may be none (A204).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning and defaulting/prune.go.
"""

from __future__ import annotations

from typing import Any

from holdfast.api.schema import types
from holdfast.api.schema.structs import conform
from holdfast.api.schema.walk import Walk, WrongType

from .structural import META, Structural

_METADATA = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Pruning:
    """One object's way. `unknown` gathers the paths of what was taken out."""

    def __init__(self) -> None:
        self.unknown: list[str] = []

    def object(self, schema: Structural, document: dict[str, Any]) -> dict[str, Any]:
        """The whole object, which is itself if nothing is too much. Its metadata is not looked at."""
        return self._members(schema, document, "", is_object=True)

    def value(self, schema: Structural | None, value: Any, path: str) -> Any:
        """A part of an object, which lies at `path`."""
        if isinstance(value, dict):
            if schema is None:
                return self._emptied(value, path)
            is_object = schema.is_embedded
            return self._members(schema, self._with_metadata(value, path) if is_object else value, path, is_object)
        if isinstance(value, list):
            items = schema.items if schema is not None else None
            if items is None and schema is not None and schema.is_open:
                return value
            pruned = [self.value(items, entry, f"{path}[{index}]") for index, entry in enumerate(value)]
            return value if all(one is other for one, other in zip(pruned, value, strict=True)) else pruned
        return value

    def _emptied(self, value: dict[str, Any], path: str) -> dict[str, Any]:
        """A map that nothing describes."""
        self.unknown += [f"{path}.{name}" for name in value]
        return {}

    def _members(self, schema: Structural, value: dict[str, Any], path: str, is_object: bool) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        has_changed = False
        for name, entry in value.items():
            if is_object and name in META:
                kept[name] = entry
                continue
            member = schema.member(name)
            where = f"{path}.{name}" if path else name
            if member is None and not schema.allows_any_name:
                if schema.is_open:
                    kept[name] = entry
                else:
                    has_changed = True
                    self.unknown.append(where)
                continue
            if entry is None and member is not None and not member.is_nullable:
                has_changed = True
                continue
            pruned = self.value(member, entry, where)
            has_changed = has_changed or pruned is not entry
            kept[name] = pruned
        return kept if has_changed else value

    def _with_metadata(self, value: dict[str, Any], path: str) -> dict[str, Any]:
        """An embedded object with pruned metadata; what has the wrong form is left for validation."""
        if not isinstance(value.get("metadata"), dict):
            return value
        try:
            pruned, unknown = metadata(value["metadata"], f"{path}.metadata")
        except WrongType:
            return value
        self.unknown += unknown
        return value if pruned == value["metadata"] else {**value, "metadata": pruned}


def metadata(given: Any, path: str = "metadata") -> tuple[dict[str, Any], list[str]]:
    """Metadata in the form of every kind, and the paths of what is unknown. Raises WrongType."""
    kind = types.named(_METADATA)
    walk = Walk()
    pruned = walk.struct(kind, given, path)
    unknown = [problem.partition('"')[2].rstrip('"') for problem in walk.problems if problem.startswith("unknown")]
    return conform(kind, pruned), unknown


def pruned(schema: Structural, document: dict[str, Any]) -> dict[str, Any]:
    """The object as its schema allows it, as `Pruning.object` without the paths."""
    return Pruning().object(schema, document)


def pruned_value(schema: Structural, value: Any) -> Any:
    """The same of a part of an object."""
    return Pruning().value(schema, value, "")
