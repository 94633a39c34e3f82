"""Listens here and carries every connection to the pod that is meant at that moment."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from holdfast.api.conditions import condition
from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.api.times import parse_time
from holdfast.client import Client, Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient
from holdfast.cluster.listening import CannotListen
from holdfast.world import Clock

from .lookup import AGAIN_AFTER_S, aim, ready_pod
from .targets import Aim, Port, Target, Unclear, port_of
from .tunnel import Refused, Tunnel, tunnel

NEW_S = 10.0
"""So long a program that has just been started may take until it listens."""
REFUSED_WITHIN_S = 0.2

Carry = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Listening:
    """One open port."""

    address: str
    port: int
    remote: str


class Forwarder:
    """Every connection here becomes one to a Ready pod of the target; if there is none, it is held until there is."""

    def __init__(
        self,
        connection: Callable[[], Connection],
        namespace: str,
        target: Target,
        *,
        wait_s: float,
        clock: Clock,
        say: Callable[[str], None],
    ) -> None:
        """`connection` is asked anew each time, since a cluster may come back elsewhere; it may raise Unreachable.

        `say` is told what a person wants to know: which pod, why it takes so long, what went wrong.
        """
        self._connection = connection
        self._namespace = namespace
        self._target = target
        self._wait_s = wait_s
        self._clock = clock
        self._say = say
        self._last_uid = ""

    @asynccontextmanager
    async def listening(self, address: str, ports: Sequence[Port]) -> AsyncIterator[list[Listening]]:
        """Serves as long as the block lasts. Raises ApiError, Unclear, TimeoutError, CannotListen before it begins."""
        async with self._client() as client:
            await aim(client, self._namespace, self._target)  # what is not there at all is said at once
        opened: list[Listening] = []
        async with contextlib.AsyncExitStack() as stack:
            for port in ports:
                number = port.local if port.local is not None else await self._number(port)
                server = await _listen(partial(self._carry, port.remote), address, number)
                await stack.enter_async_context(server)
                opened.append(Listening(address, server.sockets[0].getsockname()[1], port.remote))
            yield opened

    async def _number(self, port: Port) -> int:
        """The same number here as there."""
        if port.remote.isdigit():
            return int(port.remote)
        async with asyncio.timeout(self._wait_s), self._client() as client:
            pod, meant = await self._find(client)
        return port_of(pod, meant, port.remote)

    async def _carry(self, remote: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                async with asyncio.timeout(self._wait_s):
                    through = await self._connect(stack, remote)
                await through.join(reader, writer)
        except TimeoutError:
            self._say(f"{self._target} was not ready within {self._wait_s:g} s: the connection is closed")
        except (ApiError, Unclear, Refused) as error:
            self._say(str(error))
        finally:
            writer.close()

    async def _connect(self, stack: contextlib.AsyncExitStack, remote: str) -> Tunnel:
        """Until it succeeds: a pod that was ready a moment ago may be gone, a new one may not listen yet."""
        while True:
            try:
                async with contextlib.AsyncExitStack() as trial:
                    pod, through = await self._try(trial, remote)
                    if not self._is_new(pod) or not await through.refusal(REFUSED_WITHIN_S):
                        await stack.enter_async_context(trial.pop_all())
                        self._note(pod)
                        return through
            except Unreachable:
                pass
            await asyncio.sleep(AGAIN_AFTER_S)

    async def _try(self, trial: contextlib.AsyncExitStack, remote: str) -> tuple[Manifest, Tunnel]:
        async with self._client() as client:
            pod, meant = await self._find(client)
        name, port = pod["metadata"]["name"], port_of(pod, meant, remote)
        return pod, await trial.enter_async_context(tunnel(self._connection(), self._namespace, name, port))

    def _is_new(self, pod: Manifest) -> bool:
        """Whether its program may just have been started: without a probe it counts as ready before it listens."""
        ready = condition(pod, "Ready") or {}
        age = self._clock.now() - parse_time(ready["lastTransitionTime"])
        return age.total_seconds() < NEW_S

    def _note(self, pod: Manifest) -> None:
        uid = pod["metadata"]["uid"]
        if self._last_uid not in ("", uid):
            self._say(f"now connecting to {pod['metadata']['name']}, created {pod['metadata']['creationTimestamp']}")
        self._last_uid = uid

    async def _find(self, client: Client) -> tuple[Manifest, Aim]:
        meant = await aim(client, self._namespace, self._target)
        return await ready_pod(client, self._namespace, meant, self._is_waiting), meant

    def _is_waiting(self) -> None:
        self._say(f"waiting for {self._target} to be ready")

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[Client]:
        client = RemoteClient(self._connection())
        try:
            yield client
        finally:
            await client.close()


async def _listen(carry: Carry, address: str, port: int) -> asyncio.Server:
    """Raises CannotListen."""
    try:
        return await asyncio.start_server(carry, address, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            why = "is taken: LOCAL:PORT chooses another one here, :PORT any free one"
        elif error.errno == errno.EACCES:
            why = "is for root only: LOCAL:PORT chooses another one here, from 1024 on"
        else:
            why = f"cannot be opened, {error.strerror}: --address has to be one of this machine's"
        raise CannotListen(f"port {port} on {address} {why}") from error
