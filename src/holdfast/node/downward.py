"""The downward API: what a pod may know of itself (N160-N162). Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import ceil

from holdfast.api import quantity
from holdfast.api.resource import Manifest

from .pod import Container, Pod

_SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")

_DEFAULT_OF_ABSENT = "0"


class UnknownField(ValueError):
    """The reference names nothing the downward API has."""


def field_value(pod: Pod, path: str, *, ips: tuple[str, ...] = (), host_ips: tuple[str, ...] = ()) -> str:
    """The value at a `fieldRef`'s path. Whole maps come one `key="escaped value"` a line, sorted.

    `ips` and `host_ips` are the agent's own knowledge: a status may not say it yet. Raises UnknownField.
    """
    if subscript := _SUBSCRIPT.fullmatch(path):
        mapping = pod.labels if subscript[1] == "metadata.labels" else pod.annotations
        return mapping.get(subscript[2], "")
    match path:
        case "metadata.name":
            return pod.name
        case "metadata.namespace":
            return pod.namespace
        case "metadata.uid":
            return pod.uid
        case "metadata.labels":
            return _lines(pod.labels)
        case "metadata.annotations":
            return _lines(pod.annotations)
        case "spec.nodeName":
            return str(pod.spec.get("nodeName") or "")
        case "spec.serviceAccountName":
            return str(pod.spec.get("serviceAccountName") or "")
        case "spec.restartPolicy":
            return pod.restart_policy
        case "spec.schedulerName":
            return str(pod.spec.get("schedulerName") or "")
        case "status.phase":
            return pod.phase
        case "status.podIP":
            return ips[0] if ips else ""
        case "status.podIPs":
            return ",".join(ips)
        case "status.hostIP":
            return host_ips[0] if host_ips else ""
        case "status.hostIPs":
            return ",".join(host_ips)
        case _:
            raise UnknownField(f"unsupported fieldPath: {path}")


def resource_value(pod: Pod, container: Container, reference: Manifest, allocatable: Mapping[str, str]) -> str:
    """The value of a `resourceFieldRef`, in units of its divisor, rounded up (N161). Raises UnknownField.

    A limit that is not set falls back to the pod's, then to what the node can give; a request to 0.
    """
    kind, _, name = str(reference.get("resource", "")).partition(".")
    if kind not in ("limits", "requests") or not name:
        raise UnknownField(f"unsupported container resource : {reference.get('resource', '')}")
    if other := reference.get("containerName"):
        container = pod.container(other) or container
    amount = (container.manifest.get("resources") or {}).get(kind, {}).get(name)
    if amount is None and kind == "requests":
        amount = (container.manifest.get("resources") or {}).get("limits", {}).get(name)
    if amount is None:
        amount = (pod.spec.get("resources") or {}).get(kind, {}).get(name)
    if amount is None and kind == "limits":
        amount = allocatable.get(name)
    divisor = quantity.parse(reference.get("divisor") or "1") or 1
    return str(ceil(quantity.parse(amount or _DEFAULT_OF_ABSENT) / divisor))


def _lines(mapping: Mapping[str, str]) -> str:
    return "\n".join(f'{key}="{_escaped(value)}"' for key, value in sorted(mapping.items()))


def _escaped(text: str) -> str:
    """As Go's %q would write it between the quotes."""
    out = []
    for char in text:
        if char in '"\\':
            out.append("\\" + char)
        elif char in "\n\r\t":
            out.append({"\n": "\\n", "\r": "\\r", "\t": "\\t"}[char])
        elif char.isprintable():
            out.append(char)
        else:
            code = ord(char)
            out.append(f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return "".join(out)
