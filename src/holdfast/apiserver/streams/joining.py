"""An upgraded connection behind the API server, joined to the client's: none of its bytes is looked into."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from holdfast.wire.client import Headers, HttpClient, HttpResponse
from holdfast.wire.duplex import splice
from holdfast.wire.http import Upgrade


class _Held(asyncio.Protocol):
    """Holds the connection, unread, until the client's is there to be joined to."""

    def __init__(self, transport: asyncio.Transport, received: bytes) -> None:
        self.transport = transport
        self.received = received
        transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.received += data


async def upgraded(
    client: HttpClient,
    method: str,
    target: str,
    headers: Headers,
    answered: Callable[[HttpResponse], Headers],
    within_s: float | None,
) -> Upgrade | HttpResponse:
    """The upgrade to answer with, its headers being what `answered` makes of the backend's; or the refusal.

    Raises ConnectionFailed.
    """
    held: list[_Held] = []

    def hold(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        held.append(_Held(transport, received))
        return held[0]

    answer = await client.upgrade(method, target, headers, hold, within_s)
    if not held:
        return answer
    backend = held[0]

    def join(transport: asyncio.Transport, received: bytes) -> asyncio.Protocol:
        ours, theirs = splice(transport, backend.transport)
        backend.transport.set_protocol(theirs)
        if backend.received:
            transport.write(backend.received)
        if backend.transport.is_closing():
            transport.close()
            return ours
        if received:
            backend.transport.write(received)
        backend.transport.resume_reading()
        return ours

    return Upgrade(answered(answer), join)
