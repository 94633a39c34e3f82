"""What is asked for where a request connects to a pod, service or node, as an object: pure (A246).

Source: Kubernetes, k8s.io/api/core/v1 (PodExecOptions and its like).
"""

from __future__ import annotations

from holdfast.api.resource import Manifest

from .bodies import kind_in_body
from .call import Call
from .options import Query, first, flag
from .routing import Route

REVIEWED = ("attach", "exec", "portforward", "proxy")
_STREAMS = ("stdin", "stdout", "stderr", "tty")


def options_of(call: Call, route: Route, query: Query) -> Manifest:
    """The options of a connection."""
    _, version, kind = kind_in_body(call)
    told: Manifest = {"kind": kind, "apiVersion": version}
    if call.subresource == "proxy":
        return {**told, "path": route.tail} if route.tail else told
    if call.subresource == "portforward":
        ports = [int(port) for value in query.get("ports", ()) for port in value.split(",") if port.isdecimal()]
        return {**told, "ports": ports} if ports else told
    told |= {name: True for name in _STREAMS if flag(query, name)}
    if container := first(query, "container"):
        told["container"] = container
    if call.subresource == "exec":
        told["command"] = list(query.get("command", ()))
    return told
