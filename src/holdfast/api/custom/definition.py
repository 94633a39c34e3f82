"""What servers and controllers ask of definitions whether or not there are any: loaded at every start (A19, A199)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

from holdfast.api.conditions import is_true
from holdfast.api.resource import Manifest, Resource

if TYPE_CHECKING:
    from .resources import Look


def is_established(definition: Manifest) -> bool:
    return is_true(definition, "Established")


def preferred(versions: Iterable[str]) -> list[str]:
    """In the order in which clients prefer them: v2, v1, v1beta1, v1alpha1, then all others by name (A19)."""
    return sorted(versions, key=rank)


def rank(version: str) -> tuple[Any, ...]:
    """What `preferred` sorts by."""
    match = _version().fullmatch(version)
    if match is None:
        return (1, version)
    maturity = {None: 0, "beta": 1, "alpha": 2}[match[2]]
    return (0, maturity, -int(match[1]), -int(match[3] or 0))


@cache
def _version() -> re.Pattern[str]:
    return re.compile(r"v(\d+)(?:(alpha|beta)(\d+))?")


def resources_of(definition: Manifest, look: Look | None = None) -> tuple[Resource, ...]:
    """One for each version, served or not, those that clients prefer first. Names are those that were accepted.

    `look` finds objects in versions that a webhook makes.
    """
    from .resources import resource_of

    spec = definition["spec"]
    given = {version["name"]: version for version in spec["versions"]}
    stored = next(version["name"] for version in spec["versions"] if version.get("storage"))
    return tuple(resource_of(definition, given[name], stored, look) for name in preferred(given))
