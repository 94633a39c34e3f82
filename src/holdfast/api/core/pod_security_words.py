"""What the rules of the Pod Security Standards have in common: whom they look at, and how they name who is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from holdfast.api.resource import Manifest


@dataclass(frozen=True, slots=True)
class Refusal:
    reason: str
    detail: str


def containers(spec: Manifest) -> Iterator[Manifest]:
    for member in ("initContainers", "containers", "ephemeralContainers"):
        yield from spec.get(member) or ()


def context(of: Manifest) -> Manifest:
    """The security context of a pod's spec or of a container."""
    found: Manifest = of.get("securityContext") or {}
    return found


def naming(spec: Manifest, is_bad: Callable[[Manifest], bool]) -> list[str]:
    """The names of containers that are bad."""
    return [each.get("name", "") for each in containers(spec) if is_bad(each)]


def listed(word: str, names: Iterable[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    names = list(names)
    return f"{word}{'s' * (len(names) != 1)} {quoted(names)}"


def quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def setters(spec: Manifest, is_bad: Callable[[Manifest], bool]) -> list[str]:
    """`pod`, `container "a"`: those whose security context is bad."""
    bad = naming(spec, lambda each: is_bad(context(each)))
    return [*(["pod"] if is_bad(context(spec)) else []), *([listed("container", bad)] if bad else [])]


def contexts(spec: Manifest) -> Iterator[Manifest]:
    """The pod's security context, and those of its containers."""
    yield context(spec)
    yield from map(context, containers(spec))
