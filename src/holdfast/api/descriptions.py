"""The texts that describe printed columns: those of the schema's fields, read when a table is first asked for."""

from __future__ import annotations

from functools import cache

_GROUPS = {"meta": "io.k8s.apimachinery.pkg.apis.meta", "rbac": "io.k8s.api.rbac"}


@cache
def description_of(field: str) -> str:
    """`field` is GROUP.VERSION.TYPE.FIELD; empty for an empty one."""
    if not field:
        return ""
    from .schema.definitions import definition

    group, version, kind, name = field.split(".")
    found = definition(f"{_GROUPS.get(group, f'io.k8s.api.{group}')}.{version}.{kind}")
    assert found is not None, field
    return str(found["properties"][name].get("description", ""))
