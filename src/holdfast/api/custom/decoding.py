"""Bodies and patched objects of custom kinds: metadata as everybody's, the rest by the schema (A74, A75, A202)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from holdfast.api.errors import BadRequest
from holdfast.api.resource import Manifest, Resource
from holdfast.api.schema.walk import RepeatedKeys, WrongType

from .pruning import Pruning, metadata
from .resources import Custom

Refuse = Callable[[str], Exception]


def fitted(custom: Custom, document: Manifest, refuse: Refuse, *, is_strict: bool) -> tuple[Manifest, list[str]]:
    """What a document is of its kind, and what was unknown or said twice in it.

    `refuse` makes an error of why it does not fit, which is raised.
    """
    problems = [f'duplicate field "{path}"' for path in dict.fromkeys(_repeats(document, ""))]
    head: Manifest = {name: document[name] for name in ("kind", "apiVersion") if name in document}
    body = {name: part for name, part in document.items() if name not in ("kind", "apiVersion")}
    unknown: list[str] = []
    if body.get("metadata") is not None:
        try:
            body["metadata"], unknown = metadata(body["metadata"])
        except WrongType as error:
            raise refuse(str(error)) from None
    else:
        body.pop("metadata", None)
    pruning = Pruning()
    result = pruning.object(custom.schema, {**head, **body})
    problems += [f'unknown field "{path}"' for path in [*pruning.unknown, *unknown]]
    if problems and is_strict:
        raise refuse(f"strict decoding error: {', '.join(problems)}")
    return result, problems


def check_version(resource: Resource, document: Manifest, missing: Callable[[str], Exception]) -> None:
    """A body says what it is, of the version that the path names. Raises BadRequest, and what `missing` makes."""
    for member, name in (("kind", "Kind"), ("apiVersion", "apiVersion")):
        if not document.get(member):
            raise missing(f"Object '{name}' is missing in")
    found = document["apiVersion"]
    if found != resource.api_version:
        raise BadRequest(
            f"the API version in the data ({found}) does not match the expected API version ({resource.api_version})"
        )


def _repeats(value: Any, path: str) -> Iterator[str]:
    """The paths of what is said twice, each once."""
    if isinstance(value, list):
        for index, entry in enumerate(value):
            yield from _repeats(entry, f"{path}[{index}]")
        return
    if not isinstance(value, dict):
        return
    seen: set[str] = set()
    for name, entry in value.pairs if isinstance(value, RepeatedKeys) else value.items():
        where = f"{path}.{name}" if path else name
        if name in seen:
            yield where
        seen.add(name)
        yield from _repeats(entry, where)
