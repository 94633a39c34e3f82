"""HTTP probes over real sockets, on either event loop that agents run on."""

import asyncio

import pytest
import uvloop

from holdfast.node.probes import Result
from holdfast.node.probes.http import Request, get

ANSWERS = {
    "/ok": b"HTTP/1.1 204 No Content\r\n\r\n",
    "/busy": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    "/moved": b"HTTP/1.1 302 Found\r\nLocation: /ok\r\n\r\n",
    "/silent": b"",
}


async def probe(path):
    """The verdict on `path` of a server of one's own."""

    async def answer(reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if ANSWERS[request]:
            writer.write(ANSWERS[request])
        else:
            await reader.read()  # until the probe gives up
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        verdict = await get(Request("http", "127.0.0.1", port, path), 60 if ANSWERS[path] else 0.5)
    await asyncio.sleep(0.05)  # both loops end dropped connections on a later turn
    return verdict


@pytest.mark.parametrize("loop_factory", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("path", "result", "words"),
    [
        ("/ok", Result.SUCCESS, ""),
        ("/moved", Result.SUCCESS, ""),
        ("/busy", Result.FAILURE, "HTTP probe failed with statuscode: 503"),
        ("/silent", Result.FAILURE, "Client.Timeout exceeded while awaiting headers"),
    ],
)
def test_n114_status_codes_decide(loop_factory, path, result, words):
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        answer = runner.run(probe(path))
    assert answer.result is result
    assert words in answer.output
