"""What the server has lost is sent again, in order (RFC 8881 section 18.32.4)."""

import asyncio

import pytest

from holdfast.nfs import writing
from holdfast.nfs.attributes import Attributes
from holdfast.nfs.errors import NfsError
from holdfast.nfs.nodes import Node
from holdfast.nfs.operations import Written
from holdfast.nfs.rpc import ROOT


class Disk:
    """A server with a cache that a crash empties."""

    def __init__(self):
        self.cached, self.durable = bytearray(), bytearray()
        self.boots = 0
        self.commits = 0
        self.short = 0
        self.full = False

    def crash(self):
        self.cached = bytearray(self.durable)
        self.boots += 1

    async def write(self, handle, offset, data, credentials, *, stable=False):
        await asyncio.sleep(0)
        data = data[: self.short] if self.short else data
        end = offset + len(data)
        for target in (self.cached, *((self.durable,) if stable else ())):
            target.extend(bytes(max(0, end - len(target))))
            target[offset:end] = data
        return Written(len(data), stable, self.boots.to_bytes(8, "big"))

    async def commit(self, handle, credentials):
        await asyncio.sleep(0)
        if self.full:
            raise NfsError(28)
        self.commits += 1
        self.durable = bytearray(self.cached)
        return self.boots.to_bytes(8, "big")


@pytest.fixture
def disk():
    return Disk()


@pytest.fixture
def node():
    return Node(2, b"handle", Attributes())


async def write(disk, node, offset, data):
    await writing.write(disk, node, offset, data, 4, ROOT)


async def test_data_goes_in_pieces_and_is_durable_after_a_commit(disk, node):
    await write(disk, node, 0, b"0123456789")
    assert disk.durable == b""
    await writing.commit(disk, node, ROOT)
    assert disk.durable == b"0123456789"
    assert node.unwritten == []


async def test_a_server_that_takes_less_than_was_given_gets_the_rest(disk, node):
    disk.short = 3
    await write(disk, node, 0, b"0123456789")
    assert disk.cached == b"0123456789"


async def test_what_a_crash_took_is_written_again(disk, node):
    await write(disk, node, 0, b"before")
    disk.crash()
    await writing.commit(disk, node, ROOT)
    assert disk.durable == b"before"


async def test_what_came_after_the_crash_wins_over_what_came_before(disk, node):
    await write(disk, node, 0, b"old-old-")
    disk.crash()
    await write(disk, node, 4, b"new!")
    await writing.commit(disk, node, ROOT)
    assert disk.durable == b"old-new!"


async def test_a_second_fsync_waits_for_the_first(disk, node):
    await write(disk, node, 0, b"data")
    done = []

    async def commit(name):
        await writing.commit(disk, node, ROOT)
        done.append((name, bytes(disk.durable)))

    await asyncio.gather(commit("first"), commit("second"))
    assert [durable for _, durable in done] == [b"data", b"data"]
    assert disk.commits == 1


async def test_an_error_is_told_once(disk, node):
    await write(disk, node, 0, b"data")
    disk.full = True
    with pytest.raises(NfsError, match="No space left on device"):
        await writing.commit(disk, node, ROOT)
    disk.full = False
    await writing.commit(disk, node, ROOT)


async def test_much_is_committed_unasked(disk, node, monkeypatch):
    monkeypatch.setattr(writing, "MOST_UNWRITTEN_BYTES", 10)
    await write(disk, node, 0, b"0123456789")
    assert disk.commits == 0
    await write(disk, node, 10, b"!")
    assert disk.commits == 1
    assert node.unwritten == []
