"""Answers whose body comes from an iterator."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator

from .messages import Body, Headers, Streaming

log = logging.getLogger(__name__)


def streamed(
    status: int,
    content_type: str,
    headers: Headers,
    pieces: AsyncGenerator[bytes, None],
    length: int | None = None,
) -> Streaming:
    """The body is what `pieces` gives, as fast as the client takes it. The generator is closed in any case."""

    def start(body: Body) -> None:
        body.flush()
        task = asyncio.get_running_loop().create_task(_pump(body, pieces))

        def cancel() -> None:  # also what keeps the task alive
            task.cancel()

        body.on_close(cancel)

    return Streaming(status, content_type, headers, start, length)


async def _pump(body: Body, pieces: AsyncGenerator[bytes, None]) -> None:
    room = asyncio.Event()
    body.on_resume(room.set)
    try:
        async for piece in pieces:
            body.write(piece)
            while body.paused and not body.closed:
                room.clear()
                await room.wait()
    except Exception:
        # Ending it would tell the client that this was all.
        log.exception("a streamed answer broke off")
        body.abort()
    else:
        body.end()
    finally:
        await pieces.aclose()
