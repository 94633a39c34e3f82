"""A structural schema, compiled: what pruning, defaults and list types follow (A198, A203, A204)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()
"""No value at all, where null is one."""

META = ("apiVersion", "kind", "metadata")
"""What every object has, whatever its schema says."""

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Structural:
    """One node of a schema: the parts that say which fields there are."""

    schema: Schema
    properties: Mapping[str, Structural]
    additional: Structural | None
    """Of the values of a map."""
    allows_any_name: bool
    """The values of a map have no schema: `additionalProperties: true`."""
    items: Structural | None
    is_open: bool
    """Fields that nothing describes are kept."""
    is_embedded: bool
    """A whole object, with metadata of its own."""
    is_nullable: bool
    default: Any
    has_defaults: bool
    """Here or anywhere below."""
    has_rules: bool
    """The same of rules in CEL."""
    has_keyed_lists: bool
    """The same of lists whose items may not repeat."""

    def member(self, name: str) -> Structural | None:
        """What describes the field of that name."""
        return self.properties.get(name, self.additional)


def compiled(schema: Schema) -> Structural:
    """The schema as a tree, all of it at once."""
    properties = {name: compiled(one) for name, one in (schema.get("properties") or {}).items()}
    additional, items = schema.get("additionalProperties"), schema.get("items")
    values = compiled(additional) if isinstance(additional, dict) else None
    members = compiled(items) if isinstance(items, dict) else None
    below = [*properties.values(), *(one for one in (values, members) if one is not None)]
    default = schema.get("default", ABSENT)
    return Structural(
        schema=schema,
        properties=properties,
        additional=values,
        allows_any_name=additional is True,
        items=members,
        is_open=bool(schema.get("x-kubernetes-preserve-unknown-fields")),
        is_embedded=bool(schema.get("x-kubernetes-embedded-resource")),
        is_nullable=bool(schema.get("nullable")),
        default=ABSENT if default is None else default,
        has_defaults=default not in (ABSENT, None) or any(one.has_defaults for one in below),
        has_rules=bool(schema.get("x-kubernetes-validations")) or any(one.has_rules for one in below),
        has_keyed_lists=schema.get("x-kubernetes-list-type") in ("set", "map")
        or any(one.has_keyed_lists for one in below),
    )
