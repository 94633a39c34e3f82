"""A server of NFS 4.1 sessions that loses answers, connections and its memory on request."""

from __future__ import annotations

import asyncio
import contextlib

from tests.ports import quiet_port

from holdfast.nfs.xdr import Reader, opaque, u32, u64

EXCHANGE_ID, CREATE_SESSION, SEQUENCE, RECLAIM_COMPLETE, PUT_ROOT, GET_HANDLE = 42, 43, 53, 58, 24, 10


class Server:
    """Answers PUTROOTFH with GETFH. `log` has what reached it: ("call", slot, sequence) and ("session",)."""

    def __init__(self) -> None:
        self.log: list[tuple[object, ...]] = []
        self.drop_answers = 0
        """So many calls are carried out, and their connection then ends without an answer."""
        self.statuses: list[int] = []
        """What the next calls fail with."""
        self.is_mute = False
        self.port = quiet_port()
        self._sessions = 0
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.close()
        await self._server.wait_closed()

    def forget_sessions(self) -> None:
        self._sessions += 1

    @property
    def calls(self) -> list[tuple[object, ...]]:
        return [entry[1:] for entry in self.log if entry[0] == "call"]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._links.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int.from_bytes(await reader.readexactly(4), "big") & 0x7FFFFFFF
                answer = self._answer(await reader.readexactly(length))
                if self.is_mute:
                    continue
                if answer is None:
                    break
                writer.write(u32(0x80000000 | len(answer)) + answer)
        self._links.discard(writer)
        writer.close()

    def _answer(self, call: bytes) -> bytes | None:
        reader = Reader(call)
        xid = reader.u32()
        for _ in range(4):
            reader.u32()
        procedure = reader.u32()
        for _ in range(2):
            reader.u32()
            reader.opaque()
        head = u32(xid) + u32(1) + u32(0) + u32(0) + opaque(b"") + u32(0)
        if procedure == 0:
            return head
        reader.opaque()
        assert reader.u32() == 1, "minor version"
        reader.u32()
        operation = reader.u32()
        identity = self._sessions.to_bytes(16, "big")
        if operation == EXCHANGE_ID:
            return head + _results((operation, 0, u64(9) + u32(1)))
        if operation == CREATE_SESSION:
            self.log.append(("session",))
            limits = b"".join(map(u32, (0, 1 << 20, 1 << 20, 4096, 16, 2, 0)))
            return head + _results((operation, 0, identity + u32(1) + u32(0) + limits + limits))
        assert operation == SEQUENCE
        return self._in_session(reader, head, identity)

    def _in_session(self, reader: Reader, head: bytes, identity: bytes) -> bytes | None:
        if reader.fixed(16) != identity:
            return head + u32(10052) + opaque(b"") + u32(1) + u32(SEQUENCE) + u32(10052)
        sequence, slot = reader.u32(), reader.u32()
        reader.u32()
        reader.u32()
        first = (SEQUENCE, 0, identity + u32(sequence) + u32(slot) + u32(1) + u32(1) + u32(0))
        if reader.u32() == RECLAIM_COMPLETE:
            return head + _results(first, (RECLAIM_COMPLETE, 0, b""))
        self.log.append(("call", slot, sequence))
        if self.drop_answers:
            self.drop_answers -= 1
            return None
        if self.statuses:
            return head + _results(first, (PUT_ROOT, self.statuses.pop(0), b""))
        return head + _results(first, (PUT_ROOT, 0, b""), (GET_HANDLE, 0, opaque(b"root")))


def _results(*results: tuple[int, int, bytes]) -> bytes:
    body = b"".join(u32(code) + u32(status) + data for code, status, data in results)
    return u32(results[-1][1]) + opaque(b"") + u32(len(results)) + body
