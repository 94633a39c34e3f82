"""Lifecycle hooks: postStart and preStop (N122-N127)."""

from __future__ import annotations

import asyncio

from holdfast.api.resource import Manifest

from .probes import Target
from .probes.http import Request, fetch
from .probes.prober import http_request
from .runtime import Runtime, RuntimeFailure

LONGEST_S = 86_400.0
"""A hook has no time limit of its own; the grace period ends a preStop."""


class HookFailure(Exception):
    """The hook could not be run, or its command failed."""


async def run_hook(runtime: Runtime, handler: Manifest, target: Target) -> None:
    """Returns when the hook is through. Raises HookFailure. The caller limits how long it may take."""
    if sleep := handler.get("sleep"):
        await asyncio.sleep(float(sleep.get("seconds") or 0))
    elif action := handler.get("exec"):
        await _exec(runtime, list(action.get("command") or ()), target)
    elif action := handler.get("httpGet"):
        await _http(action, target)
    elif "tcpSocket" not in handler:
        raise HookFailure("invalid handler: none of exec, httpGet, sleep")


async def _exec(runtime: Runtime, command: list[str], target: Target) -> None:
    try:
        result = await runtime.exec_sync(target.container_id, command, LONGEST_S)
    except RuntimeFailure as error:
        raise HookFailure(error.message) from error
    except TimeoutError as error:
        raise HookFailure(str(error)) from error
    if result.exit_code:
        output = result.output.decode(errors="replace")
        words = " ".join(command)
        raise HookFailure(f"command '{words}' exited with {result.exit_code}: {output}")


async def _http(action: Manifest, target: Target) -> None:
    """Any answer at all is success (N126)."""
    port = target.container.port(action.get("port"))
    if port is None:
        raise HookFailure(f"couldn't find port: {action.get('port')} in container")
    request = http_request(action, port, target.host)
    try:
        await fetch(request)
    except (OSError, ValueError) as error:
        if request.scheme != "https" or isinstance(error, ConnectionRefusedError):
            raise HookFailure(f'Get "{request.url}": {error}') from error
        await _in_plain_http(request)


async def _in_plain_http(request: Request) -> None:
    plain = Request("http", request.host, request.port, request.path, request.headers)
    try:
        await fetch(plain)
    except (OSError, ValueError) as error:
        raise HookFailure(f'Get "{plain.url}": {error}') from error
