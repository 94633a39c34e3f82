"""Which Secrets and ConfigMaps a pod draws on, as upstream's VisitPodSecretNames and VisitPodConfigmapNames find."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from holdfast.api.resource import Manifest

_SECRET_REFERENCES = frozenset(("secretRef", "secretKeyRef", "nodePublishSecretRef"))
_CONFIG_MAP_REFERENCES = frozenset(("configMapRef", "configMapKeyRef", "configMap"))
"""Members that name one by their `name`, or by `secretName` (Azure's)."""

Reads = Callable[[str, Any], str | None]
"""Given a member of a spec, first its own name: what it names, if that is what is looked for."""


def secret_names(spec: Manifest) -> set[str]:
    """Of a pod's spec, by name in its namespace, those of its volumes included."""
    pulling = (each.get("name") for each in spec.get("imagePullSecrets") or ())
    return {name for name in (*pulling, *_within(_drawing(spec), _secret)) if name}


def config_map_names(spec: Manifest) -> set[str]:
    """Of a pod's spec, by name in its namespace, those of its volumes included."""
    return {*_within(_drawing(spec), _config_map)}


def _drawing(spec: Manifest) -> list[Any]:
    """All in a spec that may name either: names elsewhere mean something else."""
    containers = (
        container
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(kind) or ()
    )
    return [*((container.get("env"), container.get("envFrom")) for container in containers), spec.get("volumes")]


def _secret(name: str, member: Any) -> str | None:
    if name == "secretName":
        return str(member)
    if not isinstance(member, dict):
        return None
    if name == "secret":  # a volume's has secretName, a projection's name
        return member.get("secretName") or member.get("name")
    return member.get("name") if name in _SECRET_REFERENCES else None


def _config_map(name: str, member: Any) -> str | None:
    return member.get("name") if name in _CONFIG_MAP_REFERENCES and isinstance(member, dict) else None


def _within(value: Any, reads: Reads) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _within(each, reads)
    elif isinstance(value, dict):
        for name, member in value.items():
            if found := reads(name, member):
                yield found
            else:
                yield from _within(member, reads)
