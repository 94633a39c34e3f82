"""Which Secrets a pod draws on: as upstream's VisitPodSecretNames finds them, those of its volumes included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from holdfast.api.resource import Manifest

_REFERENCES = ("secretRef", "secretKeyRef", "nodePublishSecretRef")
"""Members that name a Secret by their `name`, or by `secretName` (Azure's)."""


def secret_names(spec: Manifest) -> set[str]:
    """Of a pod's spec, by name in its namespace."""
    pulling = (each.get("name") for each in spec.get("imagePullSecrets") or ())
    containers = (
        container
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(kind) or ()
    )
    drawn = ((container.get("env"), container.get("envFrom")) for container in containers)
    return {name for name in (*pulling, *_within([*drawn, spec.get("volumes")])) if name}


def _within(value: Any) -> Iterator[str | None]:
    if isinstance(value, list | tuple):
        for each in value:
            yield from _within(each)
    elif isinstance(value, dict):
        for name, member in value.items():
            if name == "secretName":
                yield member
            elif name in _REFERENCES and isinstance(member, dict):
                yield member.get("name")
            elif name == "secret" and isinstance(member, dict):  # a volume's has secretName, a projection's name
                yield member.get("secretName") or member.get("name")
            else:
                yield from _within(member)
