"""One attempt of a probe against what really runs: exec, httpGet, tcpSocket, grpc (N114-N116)."""

from __future__ import annotations

import asyncio
from typing import Protocol

from holdfast.api.resource import Manifest
from holdfast.node.environment import expand
from holdfast.node.runtime import Runtime, RuntimeFailure
from holdfast.wire.go_words import in_go_words

from . import Answer, Kind, Result, Target
from .http import Request, get
from .verdict import timing

LONGEST_OUTPUT = 10 << 10


class NetworkProber:
    """Asks over the network from the node, and by running commands in containers."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    async def ask(self, kind: Kind, probe: Manifest, target: Target) -> Answer:
        timeout_s = timing(probe).timeout_s
        if handler := probe.get("exec"):
            return await self._exec(handler, target, timeout_s)
        if handler := probe.get("httpGet"):
            return await self._http(handler, target, timeout_s)
        if handler := probe.get("tcpSocket"):
            return await self._tcp(handler, target, timeout_s)
        if handler := probe.get("grpc"):
            from .grpc import check

            return await check(target.host, int(handler["port"]), str(handler.get("service") or ""), timeout_s)
        return Answer(Result.UNKNOWN, "missing probe handler")

    async def _exec(self, handler: Manifest, target: Target, timeout_s: float) -> Answer:
        command = [expand(word, target.variables) for word in handler.get("command") or ()]
        try:
            result = await self._runtime.exec_sync(target.container_id, command, timeout_s)
        except TimeoutError:
            words = " ".join(command)
            return Answer(Result.FAILURE, f'command timed out: "{words}" timed out after {timeout_s:g}s')
        except RuntimeFailure as error:
            return Answer(Result.UNKNOWN, error.message)
        output = result.output[:LONGEST_OUTPUT].decode(errors="replace")
        return Answer(Result.SUCCESS if result.exit_code == 0 else Result.FAILURE, output)

    async def _http(self, handler: Manifest, target: Target, timeout_s: float) -> Answer:
        port = target.container.port(handler.get("port"))
        if port is None:
            return Answer(Result.UNKNOWN, f"couldn't find port: {handler.get('port')} in container")
        return await get(http_request(handler, port, target.host), timeout_s)

    async def _tcp(self, handler: Manifest, target: Target, timeout_s: float) -> Answer:
        port = target.container.port(handler.get("port"))
        if port is None:
            return Answer(Result.UNKNOWN, f"couldn't find port: {handler.get('port')} in container")
        host = handler.get("host") or target.host
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout_s):
                transport, _ = await loop.create_connection(asyncio.Protocol, host, port)
        except TimeoutError:
            return Answer(Result.FAILURE, f"dial tcp {authority}: i/o timeout")
        except OSError as error:
            return Answer(Result.FAILURE, in_go_words(error, authority))
        transport.close()
        return Answer(Result.SUCCESS)


def http_request(handler: Manifest, port: int, default_host: str) -> Request:
    """The request an httpGet handler describes (N114)."""
    path = str(handler.get("path") or "/")
    return Request(
        scheme=str(handler.get("scheme") or "HTTP").lower(),
        host=str(handler.get("host") or default_host),
        port=port,
        path=path if path.startswith("/") else "/" + path,
        headers=tuple((header["name"], header.get("value", "")) for header in handler.get("httpHeaders") or ()),
    )


class ScriptedRuntime(Protocol):
    """What the simulated runtime offers beyond `Runtime`."""

    def answer_probe(self, container_id: str, kind: str) -> bool: ...


class ScriptedProber:
    """Asks the simulated runtime's scripts: nothing listens there."""

    def __init__(self, runtime: ScriptedRuntime) -> None:
        self._runtime = runtime

    async def ask(self, kind: Kind, probe: Manifest, target: Target) -> Answer:
        if self._runtime.answer_probe(target.container_id, kind):
            return Answer(Result.SUCCESS)
        return Answer(Result.FAILURE, "the script says no")
