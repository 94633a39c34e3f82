"""What a request for a pod's streams asks of the agent: pure, with every refusal that needs no agent (A158-A166)."""

from __future__ import annotations

from datetime import datetime, timedelta
from urllib.parse import quote, urlencode

from holdfast.api.errors import ApiError, BadRequest, FieldError, forbidden, invalid, invalid_object, not_supported
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time
from holdfast.apiserver.options import Query, first, flag, number

LOG_STREAMS = ("All", "Stdout", "Stderr")

Parameters = list[tuple[str, str]]


def target(pod: Manifest, subresource: str, query: Query, now: datetime) -> str:
    """Path and query at the agent; empty for the log of a pod without a node. Raises ApiError."""
    match subresource:
        case "log":
            return _log_target(pod, query, now)
        case "exec" | "attach":
            return _command_target(pod, subresource, query)
        case "portforward":
            _check_host(pod)
            ports: Parameters = [("port", port) for value in query.get("ports", ()) for port in value.split(",")]
            return _path(pod, "portForward") + _query(ports)
    raise AssertionError(subresource)


def node_of(pod: Manifest) -> str:
    node: str = pod["spec"].get("nodeName", "")
    return node


def _log_target(pod: Manifest, query: Query, now: datetime) -> str:
    numbers = {name: number(query, name) for name in ("tailLines", "sinceSeconds", "limitBytes")}
    since = _since(query, numbers["sinceSeconds"], now)
    if errors := _log_errors(query, numbers):
        raise invalid_object("PodLogOptions", "", pod["metadata"]["name"], errors)
    container = _choose_container(pod, first(query, "container"))
    if not node_of(pod):
        return ""
    parameters: Parameters = [(name, "true") for name in ("follow", "previous", "timestamps") if flag(query, name)]
    parameters += [(name, str(numbers[name])) for name in ("tailLines", "limitBytes") if numbers[name] is not None]
    if since is not None:
        parameters.append(("sinceTime", since.isoformat()))
    if first(query, "stream") in LOG_STREAMS[1:]:
        parameters.append(("stream", first(query, "stream")))
    return _path(pod, "containerLogs", container) + _query(parameters)


def _since(query: Query, seconds: int | None, now: datetime) -> datetime | None:
    if text := first(query, "sinceTime"):
        try:
            return parse_time(text)
        except ValueError as error:
            raise BadRequest(str(error)) from error
    if seconds is None or seconds < 1:
        return None
    try:
        return now - timedelta(seconds=seconds)
    except OverflowError:
        return None


def _log_errors(query: Query, numbers: dict[str, int | None]) -> list[FieldError]:
    """A159."""
    errors = []
    tail, since, limit = numbers["tailLines"], numbers["sinceSeconds"], numbers["limitBytes"]
    if tail is not None and tail < 0:
        errors.append(invalid("tailLines", tail, "must be greater than or equal to 0"))
    if limit is not None and limit < 1:
        errors.append(invalid("limitBytes", limit, "must be greater than 0"))
    if since is not None and first(query, "sinceTime"):
        errors.append(forbidden("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif since is not None and since < 1:
        errors.append(invalid("sinceSeconds", since, "must be greater than 0"))
    stream = first(query, "stream")
    if stream and stream not in LOG_STREAMS:
        errors.append(not_supported("stream", stream, LOG_STREAMS))
    elif stream in LOG_STREAMS[1:] and tail is not None:
        errors.append(forbidden("", "`tailLines` and specific `stream` are mutually exclusive for now"))
    return errors


def _command_target(pod: Manifest, subresource: str, query: Query) -> str:
    parameters: Parameters = []
    if subresource == "exec":
        parameters += [("command", word) for word in query.get("command", ())]
        if not parameters:
            raise BadRequest("you must specify at least one command for the container")
    tty = flag(query, "tty")
    streams = [
        ours
        for theirs, ours in (("stdin", "input"), ("stdout", "output"), ("stderr", "error"))
        if flag(query, theirs) and not (tty and theirs == "stderr")
    ]
    if not streams:
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    container = _choose_container(pod, first(query, "container"))
    _check_host(pod)
    parameters += [(name, "1") for name in streams]
    if tty:
        parameters.append(("tty", "1"))
    return _path(pod, subresource, container) + _query(parameters)


def _choose_container(pod: Manifest, wanted: str) -> str:
    """A160."""
    name, spec = pod["metadata"]["name"], pod["spec"]
    names = [
        container["name"]
        for kind in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(kind) or ()
    ]
    if wanted:
        if wanted not in names:
            raise BadRequest(f"container {wanted} is not valid for pod {name}")
        return wanted
    if len(spec["containers"]) == 1:
        only: str = spec["containers"][0]["name"]
        return only
    raise BadRequest(f"a container name must be specified for pod {name}, choose one of: [{' '.join(names)}]")


def _check_host(pod: Manifest) -> None:
    if not node_of(pod):
        raise BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")


def _path(pod: Manifest, endpoint: str, container: str = "") -> str:
    parts = [endpoint, pod["metadata"]["namespace"], pod["metadata"]["name"]]
    if container:
        parts.append(container)
    return "/" + "/".join(quote(part, safe="") for part in parts)


def _query(parameters: Parameters) -> str:
    return f"?{urlencode(parameters)}" if parameters else ""


def agent_address(node: Manifest) -> tuple[str, int]:
    """Host and port of the node's agent. Raises ApiError."""
    if address := node["metadata"].get("annotations", {}).get("holdfast.dev/agent-address", ""):
        host, _, port = address.rpartition(":")
        if port.isdecimal():
            return host.strip("[]"), int(port)
    status = node.get("status", {})
    port_of_kubelet = status.get("daemonEndpoints", {}).get("kubeletEndpoint", {}).get("Port", 10250)
    addresses = status.get("addresses", ())
    for entry in addresses:
        if entry.get("type") == "InternalIP":
            return entry["address"], port_of_kubelet
    raise NoAddress(f"no preferred addresses found; known addresses: {addresses or '[]'}")


class NoAddress(ApiError):
    """The node has not said where its agent is."""
