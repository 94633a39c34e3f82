"""Calls are carried out once, whatever is lost on the way; a server that is away is waited for (R141, V94)."""

import asyncio
import errno
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from servers import Server

from holdfast.nfs import operations
from holdfast.nfs.errors import NfsError
from holdfast.nfs.rpc import ROOT
from holdfast.nfs.session import Session

STEPS = (operations.put_root(), operations.get_handle())


@pytest.fixture
async def server():
    server = Server()
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def session(server):
    session = Session("127.0.0.1", server.port, largest_bytes=1 << 16, privileged=False)
    await session.open()
    yield session
    await session.close()


async def call(session):
    async with asyncio.timeout(60):
        return (await session.call(STEPS, ROOT))[-1]


async def test_a_call_goes_through(server, session):
    assert await call(session) == b"root"
    assert len(server.calls) == 1


async def test_a_call_whose_answer_was_lost_is_sent_again_under_its_number(server, session):
    server.drop_answers = 2
    assert await call(session) == b"root"
    assert len(server.calls) == 3
    assert len(set(server.calls)) == 1, "the server knows it by slot and sequence"
    assert server.log.count(("session",)) == 1


async def test_the_next_call_has_the_next_number(server, session):
    for _ in range(4):
        await call(session)
    by_slot = {}
    for slot, sequence in server.calls:
        by_slot.setdefault(slot, []).append(sequence)
    for sequences in by_slot.values():
        assert sequences == list(range(sequences[0], sequences[0] + len(sequences)))


async def test_a_server_that_has_forgotten_the_session_gets_another(server, session):
    assert await call(session) == b"root"
    server.forget_sessions()
    assert await call(session) == b"root"
    assert server.log.count(("session",)) == 2


async def test_a_server_that_was_away_is_waited_for(server, session):
    await server.stop()
    waiting = asyncio.create_task(call(session))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    server.forget_sessions()
    await server.start()
    assert await waiting == b"root"


@pytest.mark.parametrize("status", [10008, 10013], ids=["delay", "grace"])
async def test_a_server_that_asks_to_come_again_is_asked_again(server, session, status):
    server.statuses = [status]
    assert await call(session) == b"root"
    assert len(set(server.calls)) == 2


async def test_more_calls_than_slots_wait_for_one_another(server, session):
    assert await asyncio.gather(*(call(session) for _ in range(20))) == [b"root"] * 20
    assert {slot for slot, _ in server.calls} <= {0, 1}


async def test_an_operation_that_fails_says_why(server, session):
    server.statuses = [13]
    with pytest.raises(NfsError) as caught:
        await call(session)
    assert caught.value.errno == errno.EACCES
    assert await call(session) == b"root"


async def test_a_soft_mount_gives_up_and_the_slot_stays_taken_until_the_answer(server):
    session = Session("127.0.0.1", server.port, largest_bytes=1 << 16, privileged=False, timeout_s=1)
    await session.open()
    server.is_mute = True
    with pytest.raises(OSError, match="Input/output error") as caught:
        await call(session)
    assert caught.value.errno == errno.EIO
    server.is_mute = False
    server.log.clear()
    assert await call(session) == b"root"
    assert server.calls[0][0] != 0 or len(server.calls) == 1
    await session.close()


async def test_the_first_connection_does_not_wait():
    session = Session("127.0.0.1", 1, largest_bytes=1 << 16, privileged=False)
    with pytest.raises(ConnectionRefusedError):
        await session.open()
    await session.close()
