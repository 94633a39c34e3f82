"""SPDY/3.1: the bytes of real clients (A340, A341), then streams between two connections of ours."""

from __future__ import annotations

import asyncio
import hashlib
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.wire import spdy
from holdfast.wire.pipe import Pipe
from holdfast.wire.spdy import (
    Data,
    GoingAway,
    Opened,
    Pinged,
    ProtocolError,
    Replied,
    Reset,
    Session,
    SpdyConnection,
    SpdyStream,
)

KUBECTL_EXEC = bytes.fromhex(
    "80030001000000290000000100000000000078f9e3c6a7c26260606004a7b392a2d4c45c6851c29a0a0a6800000000ffff"
    "800300010000001900000003000000000000c22ac5565c92925f5a02000000ffff"
    "800300010000001500000005000000000000c229975a5404000000ffff"
)


def test_the_dictionary_is_the_one_of_rule_a180():
    assert len(spdy.DICTIONARY) == 1423
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2
    assert hashlib.sha256(spdy.DICTIONARY).hexdigest().startswith("51d27341373f923f")


@given(st.integers(1, len(KUBECTL_EXEC)))
def test_kubectls_streams_are_understood_however_the_bytes_are_cut(size):
    session = Session()
    events = [e for at in range(0, len(KUBECTL_EXEC), size) for e in session.feed(KUBECTL_EXEC[at : at + size])]
    assert events == [
        Opened(1, {"streamtype": "error"}, False),
        Opened(3, {"streamtype": "stdout"}, False),
        Opened(5, {"streamtype": "stderr"}, False),
    ]


def test_the_other_frames_of_rule_a341():
    session = Session()
    assert session.feed(bytes.fromhex("80030002000000140000000178f9e3c6a7c202a6230600000000ffff")) == [Replied(1)]
    assert session.feed(bytes.fromhex("00000003010000026869")) == [Data(3, b"hi", True)]
    assert session.feed(bytes.fromhex("80030003000000080000000700000005")) == [Reset(7, 5)]
    assert session.feed(bytes.fromhex("800300060000000400000001")) == [Pinged(1)]
    assert Session().reply(1) == bytes.fromhex("80030002000000140000000178f9e3c6a7c202a6230600000000ffff")
    assert Session.data(3, b"hi", is_last=True) == bytes.fromhex("00000003010000026869")
    assert Session.reset(7, 5) == bytes.fromhex("80030003000000080000000700000005")
    assert Session.ping(1) == bytes.fromhex("800300060000000400000001")


@given(
    st.lists(
        st.one_of(
            st.dictionaries(st.text("abc-", min_size=1), st.text(max_size=30), max_size=4),
            st.binary(max_size=50),
        ),
        max_size=10,
    ),
    st.integers(1, 100),
)
def test_what_one_session_sends_the_other_receives(sent, size):
    client, server = Session(is_client=True), Session()
    wire, wanted = b"", []
    for item in sent:
        if isinstance(item, bytes):
            wire += client.data(1, item)
            wanted.append(item)
        else:
            stream_id, frame = client.open(item)
            wire += frame
            wanted.append((stream_id, {name: value.replace("\0", ", ") for name, value in item.items()}))
    got: list = []
    for at in range(0, len(wire), size):
        for event in server.feed(wire[at : at + size]):
            if isinstance(event, Data):
                got.append(event.data)
            else:
                got.append((event.stream_id, event.headers))
    data = [item for item in wanted if isinstance(item, bytes)]
    assert b"".join(item for item in got if isinstance(item, bytes)) == b"".join(data)
    assert [item for item in got if not isinstance(item, bytes)] == [i for i in wanted if not isinstance(i, bytes)]


def test_frames_nobody_needs_are_passed_over_and_compression_goes_on_behind_them():
    client, server = Session(is_client=True), Session()
    headers = struct.pack(">II", 0x80030008, 0) + b""
    block = client._block({"a": "b"})
    headers = struct.pack(">III", 0x80030008, 4 + len(block), 1) + block
    settings = bytes.fromhex("80030004 00000004 00000000".replace(" ", ""))
    window = bytes.fromhex("80030009 00000008 00000001 00001000".replace(" ", ""))
    _, opening = client.open({"c": "d"})
    assert server.feed(headers + settings + window + opening) == [Opened(1, {"c": "d"}, False)]


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(struct.pack(">II", 0x80020001, 0), id="another version"),
        pytest.param(struct.pack(">II", 0x80030001, 0x200000), id="endless control frame"),
        pytest.param(struct.pack(">II", 0x80030001, 12) + b"\0" * 10 + b"zz", id="garbage for headers"),
        pytest.param(struct.pack(">II", 0x80030003, 2) + b"\0\0", id="short reset"),
        pytest.param(struct.pack(">II", 0x80030006, 0), id="empty ping"),
    ],
)
def test_what_is_not_spdy_is_refused(frame):
    with pytest.raises(ProtocolError):
        Session().feed(frame)


def test_a_header_block_that_inflates_without_end_is_refused():
    bomb = zlib.compressobj(9, zlib.DEFLATED, 15, 8, 0, spdy.DICTIONARY)
    block = bomb.compress(b"\0" * (8 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProtocolError, match="too large"):
        Session().feed(struct.pack(">IIIIBB", 0x80030001, 10 + len(block), 1, 0, 0, 0) + block)


def test_a_count_of_headers_that_lies_is_refused():
    lying = zlib.compressobj(9, zlib.DEFLATED, 15, 8, 0, spdy.DICTIONARY)
    block = lying.compress(struct.pack(">II", 0xFFFFFFFF, 1) + b"a") + lying.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(ProtocolError):
        Session().feed(struct.pack(">IIIIBB", 0x80030001, 10 + len(block), 1, 0, 0, 0) + block)


class End:
    """One end of a byte stream in memory."""

    def __init__(self, incoming: Pipe, outgoing: Pipe) -> None:
        self.incoming, self.outgoing = incoming, outgoing
        self.partner: End
        self.ended = []

    def on_end(self, callback) -> None:
        self.ended.append(callback)

    async def read(self) -> bytes:
        return await self.incoming.get()

    async def write(self, data: bytes) -> None:
        if self.outgoing.has_ended:
            raise ConnectionResetError
        await self.outgoing.put(data)

    def write_now(self, data: bytes) -> None:
        if not self.outgoing.has_ended:
            self.outgoing._waiting += data
            self.outgoing._changed.set()

    def close(self) -> None:
        for end in (self, self.partner):
            end.incoming.end()
            for callback in end.ended:
                callback()

    abort = close


@asynccontextmanager
async def connected(opened) -> AsyncIterator[tuple[SpdyConnection, SpdyConnection]]:
    there, back = Pipe(), Pipe()
    mine, theirs = End(back, there), End(there, back)
    mine.partner, theirs.partner = theirs, mine
    client = SpdyConnection(mine, is_client=True)
    server = SpdyConnection(theirs, opened)
    running = [asyncio.create_task(client.run()), asyncio.create_task(server.run())]
    yield client, server
    client.stream.close()
    await asyncio.wait_for(asyncio.gather(*running), 2)


async def test_streams_carry_bytes_both_ways_and_end_independently():
    async def echo(stream: SpdyStream) -> None:
        while data := await stream.read():
            await stream.write(data.upper())
        await stream.write(b"!" + stream.headers["n"].encode())
        stream.end()

    tasks = []
    async with connected(lambda stream: tasks.append(asyncio.create_task(echo(stream)))) as (client, server):
        streams = [client.open({"n": str(n)}) for n in range(3)]
        for stream in streams:
            await stream.write(b"hello")
            stream.end()
        for n, stream in enumerate(streams):
            received = b""
            while data := await stream.read():
                received += data
            assert received == b"HELLO!%d" % n
        await asyncio.gather(*tasks)
        assert not server._streams
        assert not client._streams


async def until(holds):
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 -- whatever it is that holds
            await asyncio.sleep(0.002)


async def test_a_reset_ends_both_directions():
    opened: list[SpdyStream] = []
    async with connected(opened.append) as (client, _):
        stream = client.open({})
        await stream.write(b"x")
        await asyncio.sleep(0)
        stream.reset()
        await until(lambda: opened)
        assert await opened[0].read() == b"x"
        assert await opened[0].read() == b""
        assert opened[0].is_reset
        with pytest.raises(ConnectionError):
            await opened[0].write(b"y")


async def test_pings_are_answered_unchanged():
    async with connected(None) as (client, _):
        seen = []
        take = client._take

        async def note(event) -> None:
            seen.append(event)
            await take(event)

        client._take = note
        client.stream.write_now(Session.ping(7))
        await until(lambda: seen)
        assert seen == [Pinged(7)]


async def test_streams_nobody_expects_are_refused():
    async with connected(None) as (client, _):
        stream = client.open({})
        assert await asyncio.wait_for(stream.read(), 60) == b""
        assert stream.is_reset


async def test_a_stream_nobody_reads_holds_the_connection_up():
    opened: list[SpdyStream] = []
    async with connected(opened.append) as (client, _):
        stream = client.open({})
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                await stream.write(b"x" * 32768)
                sent += 32768

        flooding = asyncio.create_task(flood())
        for _ in range(100):
            before = sent
            await asyncio.sleep(0.03)
            if before and sent == before:
                break
        assert 0 < sent == before < 8 << 20
        for _ in range(100):
            await opened[0].read()
            await asyncio.sleep(0.01)
            if sent > before:
                break
        assert sent > before
        flooding.cancel()


async def test_the_end_of_the_connection_ends_every_stream():
    opened: list[SpdyStream] = []
    async with connected(opened.append) as (client, _):
        client.open({})
        await until(lambda: opened)
        reading = asyncio.create_task(opened[0].read())
        await asyncio.sleep(0)
        client.stream.close()
        assert await asyncio.wait_for(reading, 60) == b""


def test_going_away_names_the_last_stream():
    assert Session().feed(Session.go_away(9)) == [GoingAway(9)]
