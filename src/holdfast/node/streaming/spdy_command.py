"""Exec and attach over SPDY streams (A176, A181, A182)."""

from __future__ import annotations

import asyncio
import contextlib

from holdfast.wire.duplex import ByteStream
from holdfast.wire.spdy import SpdyConnection, SpdyStream

from .channels import sizes, status_text
from .command import Channel, Wanted
from .outcome import Status

VERSIONS = ("v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io")
"""In our order of preference; v5 does not exist over SPDY."""
STREAMS_WITHIN_S = 30.0
CLOSE_WITHIN_S = 5.0
"""How long the client may take to close after it was told the end."""
MOST_RESIZE_BYTES = 64 << 10


def choose_version(offered: str) -> str:
    """Empty if there is none in common. `offered` is the header, versions separated by commas."""
    names = [name.strip() for name in offered.split(",")]
    return next((version for version in VERSIONS if version in names), "")


class SpdyCommandClient:
    """A `CommandClient` on streams. `run` has to be running meanwhile, and `ready` awaited first."""

    def __init__(self, stream: ByteStream, version: str, wanted: Wanted) -> None:
        self.connection = SpdyConnection(stream, self.opened)
        self._status_is_json = version == VERSIONS[0]
        self._expected = {Channel.ERROR}
        for channel, is_wanted in (
            (Channel.STDIN, wanted.stdin),
            (Channel.STDOUT, wanted.stdout),
            (Channel.STDERR, wanted.stderr),
            (Channel.RESIZE, wanted.tty and version in VERSIONS[:2]),
        ):
            if is_wanted:
                self._expected.add(channel)
        self._streams: dict[Channel, SpdyStream] = {}
        self._ready = asyncio.Event()
        self._gone = asyncio.Event()

    def opened(self, stream: SpdyStream) -> None:
        try:
            channel = Channel[stream.headers.get("streamtype", "").upper()]
        except KeyError:
            stream.reset()
            return
        if channel not in self._expected or channel in self._streams:
            stream.reset()
            return
        self._streams[channel] = stream
        if self._streams.keys() == self._expected:
            self._ready.set()

    async def ready(self) -> bool:
        """Whether all streams were opened in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STREAMS_WITHIN_S):
                await self._ready.wait()
        return self._streams.keys() == self._expected

    async def run(self) -> None:
        try:
            await self.connection.run()
        finally:
            self._gone.set()
            self._ready.set()

    async def read_stdin(self) -> bytes:
        return await self._streams[Channel.STDIN].read()

    async def next_size(self) -> tuple[int, int] | None:
        stream = self._streams.get(Channel.RESIZE)
        waiting = b""
        while stream is not None and (data := await stream.read()):
            waiting = (waiting + data)[-MOST_RESIZE_BYTES:]
            if found := sizes(waiting):
                return found[-1]
        return None

    async def write(self, channel: Channel, data: bytes) -> None:
        if stream := self._streams.get(channel):
            await stream.write(data)

    async def wait_gone(self) -> None:
        await self._gone.wait()

    async def finish(self, status: Status) -> None:
        try:
            if text := status_text(status, is_json=self._status_is_json):
                await self._streams[Channel.ERROR].write(text)
        except ConnectionError:
            return
        for channel in (Channel.STDOUT, Channel.STDERR, Channel.STDIN, Channel.ERROR):
            if stream := self._streams.get(channel):
                stream.end()
                stream.incoming.end()
        self.connection.go_away()
        # The client closes; closing over unread bytes would reset the connection under its feet.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_S):
                await self._gone.wait()
