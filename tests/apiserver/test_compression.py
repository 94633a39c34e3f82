"""Large answers in gzip, on the wire (A13)."""

from __future__ import annotations

import asyncio
import gzip
import json
import random

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.apiserver.compression import FROM_BYTES
from holdfast.wire.client import HttpClient
from holdfast.wire.http import serve

LIST = "/api/v1/namespaces/ns/configmaps"


@pytest.fixture
async def http(server, admin_token):
    """Requests over a socket, as the administrator."""
    listening = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    client = HttpClient(f"http://127.0.0.1:{listening.port}", headers=(("Authorization", f"Bearer {admin_token}"),))
    yield client
    await client.close()
    await listening.close()


@pytest.fixture
async def large(server):
    """Config maps of some 3 MB in all."""
    client, chance = server.client("test"), random.Random(3)
    for n in range(40):
        text = "".join(chance.choices("abcdefghij ", k=80_000))
        await client.create(CONFIG_MAPS, {"metadata": {"name": f"c{n}", "namespace": "ns"}, "data": {"text": text}})


async def ask(http, target, accepts="gzip", **headers):
    asked = (("Accept-Encoding", accepts),) if accepts else ()
    return await http.request("GET", target, (*asked, *headers.items()), timeout=60)


async def test_a_large_list_comes_in_gzip_when_asked_for(http, large):
    plain, packed = await ask(http, LIST, ""), await ask(http, LIST, "deflate, gzip")
    assert "content-encoding" not in plain.headers
    assert "vary" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-type"] == plain.headers["content-type"] == "application/json"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body) / 1.5
    assert gzip.decompress(packed.body) == plain.body


@pytest.mark.parametrize("accepts", ["", "deflate, br", "gzip;q=0", "x-gzip"])
async def test_who_does_not_ask_for_gzip_gets_none(http, large, accepts):
    answer = await ask(http, LIST, accepts)
    assert "content-encoding" not in answer.headers
    assert len(json.loads(answer.body)["items"]) == 40


async def test_bodies_up_to_the_threshold_stay_as_they_are(http, server):
    await server.client("test").create(
        CONFIG_MAPS, {"metadata": {"name": "c", "namespace": "ns"}, "data": {"text": "a" * (FROM_BYTES - 1000)}}
    )
    answer = await ask(http, f"{LIST}/c")
    assert FROM_BYTES - 1000 < len(answer.body) <= FROM_BYTES
    assert "content-encoding" not in answer.headers


async def test_one_large_object_a_table_and_what_was_written_are_packed_too(http, server):
    manifest = {"metadata": {"name": "c", "namespace": "ns"}, "data": {"text": "b" * 2 * FROM_BYTES}}
    made = await http.request(
        "POST", LIST, (("Accept-Encoding", "gzip"), ("Content-Type", "application/json")), json.dumps(manifest).encode()
    )
    assert (made.status, made.headers["content-encoding"]) == (201, "gzip")
    read = await ask(http, f"{LIST}/c")
    assert gzip.decompress(read.body) == gzip.decompress(made.body)
    table = await ask(http, f"{LIST}?includeObject=Object", Accept="application/json;as=Table;g=meta.k8s.io;v=v1")
    assert json.loads(gzip.decompress(table.body))["kind"] == "Table"


async def test_a_watch_is_never_packed_however_large_its_events(http, large):
    async with http.stream("GET", f"{LIST}?watch=1", (("Accept-Encoding", "gzip"),), timeout=60) as stream:
        assert "content-encoding" not in stream.headers
        received = b""
        while received.count(b"\n") < 40:
            received += await anext(stream)
    assert json.loads(received.splitlines()[0])["type"] == "ADDED"


async def test_documents_keep_their_tag_and_say_once_how_they_are_packed(http):
    packed = await ask(http, "/openapi/v3/api/v1")
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding, Accept"
    plain = await ask(http, "/openapi/v3/api/v1", "")
    assert packed.headers["etag"] == plain.headers["etag"]
    again = await ask(http, "/openapi/v3/api/v1", **{"If-None-Match": packed.headers["etag"]})
    assert (again.status, again.body) == (304, b"")


async def test_others_are_answered_while_a_large_list_is_packed(http, large, monkeypatch):
    """Measured in turns of the loop, which a busy machine does not blur."""
    from holdfast.apiserver import compression

    sizes: list[int] = []
    original = compression.zlib.compressobj

    class Counting:
        def __init__(self, *settings):
            self._packer = original(*settings)

        def compress(self, data):
            sizes.append(len(data))
            return self._packer.compress(data)

        def flush(self):
            return self._packer.flush()

    turns = 0

    async def count_turns():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(compression.zlib, "compressobj", Counting)
    counting = asyncio.create_task(count_turns())
    answer = await ask(http, LIST)
    counting.cancel()
    assert len(gzip.decompress(answer.body)) == sum(sizes)
    assert max(sizes) <= compression.SLICE_BYTES
    assert turns >= len(sizes) > 10
