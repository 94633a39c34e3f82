"""Large answers in gzip for clients that ask for it (A13). Streams never pass here: they are not complete bodies."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable

from holdfast.wire.messages import Answer, Request, Response

FROM_BYTES = 128 << 10
"""Bodies up to this size are sent as they are."""
LEVEL = 1
SLICE_BYTES = 128 << 10
"""Compressed in one turn of the loop: about a millisecond, also of what packs badly."""
_GZIP_FORMAT = 31
"""zlib's window bits: the largest window, and a gzip header and trailer around it."""


def compressed(request: Request, answer: Answer | Awaitable[Answer]) -> Answer | Awaitable[Answer]:
    """`answer`, or the same in gzip if it is large and the client takes that."""
    if not accepts_gzip(request.headers.get("accept-encoding", "")):
        return answer
    if isinstance(answer, Response):
        return _in_slices(answer) if _gains(answer) else answer
    if isinstance(answer, Awaitable):
        return _once_there(answer)
    return answer


def accepts_gzip(accept_encoding: str) -> bool:
    """As upstream reads it: `gzip` stands there by itself, without a weight."""
    return "gzip" in accept_encoding and any(token.strip() == "gzip" for token in accept_encoding.split(","))


async def _once_there(answer: Awaitable[Answer]) -> Answer:
    there = await answer
    return await _in_slices(there) if isinstance(there, Response) and _gains(there) else there


def _gains(response: Response) -> bool:
    if len(response.body) <= FROM_BYTES:
        return False
    return not any(name.lower() == "content-encoding" for name, _ in response.headers)


async def _in_slices(response: Response) -> Response:
    """The loop turns after every slice, so that nobody else waits for a large list."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, _GZIP_FORMAT)
    body = memoryview(response.body)
    pieces = []
    for begin in range(0, len(body), SLICE_BYTES):
        pieces.append(packer.compress(body[begin : begin + SLICE_BYTES]))
        await asyncio.sleep(0)
    pieces.append(packer.flush())
    headers = (*response.headers, ("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding"))
    return Response(response.status, b"".join(pieces), response.content_type, headers)
