"""What a request to the agent asks for: streams, logs, ports, a container, a version of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from holdfast.api.errors import ApiError, BadRequest, Forbidden
from holdfast.wire.http import Request, Response

from .logs import LogOptions
from .streaming import ContainerView, NotRunning, PodView

if TYPE_CHECKING:
    from .streaming.channels import Subprotocol
    from .streaming.command import Wanted

Query = Mapping[str, Sequence[str]]

WAITING_TEXTS = {
    "ErrImagePull": "trying and failing to pull image",
    "ImagePullBackOff": "image can't be pulled",
    "ErrImageNeverPull": "image can't be pulled",
}
"""What a waiting reason is called in answers (A161, N174)."""


class NoCommonVersion(Forbidden):
    def __init__(self, message: str, accepted: Sequence[str]) -> None:
        super().__init__(message)
        self.accepted = accepted


def parse_query(query: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return values


def flag(query: Query, name: str) -> bool:
    values = query.get(name)
    return values is not None and values[0].lower() not in ("0", "false")


def wanted_streams(query: Query) -> Wanted:
    """The kubelet's names for the streams (A164): with a tty there is no stderr."""
    from .streaming.command import Wanted

    tty = flag(query, "tty")
    wanted = Wanted(flag(query, "input"), flag(query, "output"), flag(query, "error") and not tty, tty)
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise BadRequest("you must specify at least 1 of stdin, stdout, stderr")
    return wanted


def log_options(query: Query) -> LogOptions:
    """What the API server has validated."""

    def first(name: str) -> str:
        values = query.get(name)
        return values[0] if values else ""

    def number(name: str) -> int | None:
        return int(first(name)) if first(name) else None

    try:
        return LogOptions(
            follow=flag(query, "follow"),
            timestamps=flag(query, "timestamps"),
            since=datetime.fromisoformat(first("sinceTime")) if first("sinceTime") else None,
            tail_lines=number("tailLines"),
            limit_bytes=number("limitBytes"),
            stream={"Stdout": "stdout", "Stderr": "stderr"}.get(first("stream"), ""),
        )
    except ValueError as error:
        raise BadRequest(str(error)) from error


def ports(query: Query) -> list[int]:
    numbers = []
    for text in (part for value in query.get("port", ()) for part in value.split(",")):
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise BadRequest(f'unable to parse "{text}" as a port')
        numbers.append(int(text))
    if not numbers:
        raise BadRequest('query parameter "port" is required')
    return numbers


def container_of(pod: PodView, name: str) -> ContainerView:
    container = pod.containers.get(name)
    if container is None:
        raise BadRequest(f"container {name} is not valid for pod {pod.name}")
    return container


def running_container(pod: PodView, name: str) -> str:
    """Raises NotRunning."""
    if not (container_id := container_of(pod, name).running_id):
        raise NotRunning(name)
    return container_id


def refusal(error: ApiError) -> Response:
    headers: list[tuple[str, str]] = []
    if isinstance(error, NoCommonVersion):
        headers = [("X-Accepted-Stream-Protocol-Versions", version) for version in error.accepted]
    return Response(error.code, msgspec.json.encode(error.status()), "application/json", headers)


def waiting_text(pod_name: str, container_name: str, reason: str) -> str:
    subject = f'container "{container_name}" in pod "{pod_name}"'
    if not reason:
        return f"{subject} is not available"
    return f"{subject} is waiting to start: {WAITING_TEXTS.get(reason, reason)}"


def choose_subprotocol(request: Request, supported: Sequence[Subprotocol], default: Subprotocol) -> Subprotocol:
    from holdfast.wire.websocket import offered_subprotocols

    from .streaming.channels import choose

    offered = offered_subprotocols(request)
    chosen = choose(offered, supported, default)
    if chosen is None:
        raise Forbidden(f"unable to upgrade: none of the subprotocols {', '.join(offered)} is supported")
    return chosen


def choose_version(request: Request, choose: Callable[[str], str], supported: Sequence[str]) -> str:
    """The stream protocol version of a SPDY upgrade (A176)."""
    if request.upgrade != "spdy/3.1":
        raise BadRequest("Upgrade request required")
    offered = request.headers.get("x-stream-protocol-version", "")
    if not offered:
        raise BadRequest("unable to upgrade: missing upgrade headers in request: X-Stream-Protocol-Version")
    version = choose(offered)
    if not version:
        raise NoCommonVersion(
            f"unable to upgrade: unable to negotiate protocol: client supports [{offered}], "
            f"server accepts [{' '.join(supported)}]",
            accepted=supported,
        )
    return version


def spdy_headers(version: str) -> list[tuple[str, str]]:
    return [("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1"), ("X-Stream-Protocol-Version", version)]
