"""Watchers that never read, over real sockets: they cost a bounded buffer each, and nobody waits for them (A119)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from pathlib import Path
from typing import Any

from holdfast.wire.client import HttpClient
from holdfast.wire.http import serve

WATCHERS, WRITES, SIZE = 40, 120, 50_000
MAPS = "/api/v1/namespaces/ns/configmaps"


def resident_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) << 10


async def test_watchers_that_never_read_cost_little_and_the_others_see_everything(
    server: Any, admin_token: str
) -> None:
    listener = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    asked = [("Authorization", f"Bearer {admin_token}")]
    deaf = []
    for number in range(WATCHERS):
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        form = ("", "&labelSelector=a", "&allowWatchBookmarks=true")[number % 3]
        head = f"GET {MAPS}?watch=1{form} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {admin_token}\r\n\r\n"
        writer.write(head.encode())
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        deaf.append((reader, writer))
    await asyncio.sleep(0.1)
    client = HttpClient(f"http://127.0.0.1:{listener.port}")
    before = resident_bytes()
    body = {"metadata": {"name": "a", "labels": {"a": "b"}}, "data": {"x": "y" * SIZE}}
    await client.request("POST", MAPS, asked, json.dumps(body).encode(), timeout=60)
    revisions = []
    async with asyncio.timeout(120):
        for number in range(WRITES):
            body["data"] = {"x": "y" * SIZE, "n": str(number)}
            answer = await client.request("PUT", f"{MAPS}/a", asked, json.dumps(body).encode(), timeout=60)
            assert answer.status == 200, "writers do not wait for watchers"
            revisions.append(json.loads(answer.body)["metadata"]["resourceVersion"])
    assert resident_bytes() - before < WATCHERS * (1 << 20) + WRITES * 4 * SIZE
    watch = f"{MAPS}?watch=1&resourceVersion={int(revisions[0]) - 1}"
    seen = b""
    async with asyncio.timeout(60), client.stream("GET", watch, asked, timeout=60) as attentive:
        async for piece in attentive:
            seen += piece
            if seen.count(b"\n") >= WRITES:
                break
    events = [json.loads(line)["object"]["metadata"]["resourceVersion"] for line in seen.splitlines()]
    assert events == revisions
    for _, writer in deaf:
        writer.transport.abort()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await client.close()
    await listener.close(deadline_s=0.5)
