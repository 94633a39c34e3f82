"""An API server in this process, and the two clients of it."""

import asyncio

import pytest

from holdfast.apiserver.auth.user import MASTERS, User
from holdfast.apiserver.server import ApiServer, Config
from holdfast.client import Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient
from holdfast.store.memory import MemoryStore
from holdfast.wire.http import serve
from holdfast.world import real_world


@pytest.fixture
def world():
    return real_world()


@pytest.fixture
async def server(world):
    store = MemoryStore(world.clock)
    await store.open()
    server = ApiServer(store, world, Config(tokens={"secret": User("admin", (MASTERS,))}))
    await server.open()
    yield server
    await server.close()
    await store.close()


@pytest.fixture
async def local(server):
    return server.client("test")


@pytest.fixture
async def remote(server):
    http = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    client = RemoteClient(Connection(f"http://127.0.0.1:{http.port}", token="secret"))
    yield client
    await client.close()
    await http.close()


@pytest.fixture(params=["local", "remote"])
async def client(request, local, remote):
    return {"local": local, "remote": remote}[request.param]


class Flaky:
    """A client whose answers may be lost: while `is_down` every call and every watch breaks."""

    def __init__(self, inner):
        self._inner = inner
        self._down = asyncio.Event()
        self.lists = 0
        self.watches = 0

    @property
    def is_down(self):
        return self._down.is_set()

    def go_down(self):
        self._down.set()

    def come_up(self):
        self._down.clear()

    def __getattr__(self, name):
        async def call(*arguments, **options):
            if name == "list":
                self.lists += 1
            if self.is_down:
                raise Unreachable("down")
            return await getattr(self._inner, name)(*arguments, **options)

        return call

    async def watch(self, *arguments, **options):
        self.watches += 1
        if self.is_down:
            raise Unreachable("down")
        events = self._inner.watch(*arguments, **options)
        broken = asyncio.ensure_future(self._down.wait())
        try:
            while True:
                following = asyncio.ensure_future(anext(events))
                await asyncio.wait((following, broken), return_when=asyncio.FIRST_COMPLETED)
                if broken.done():
                    following.cancel()
                    await asyncio.wait((following,))
                    raise Unreachable("broke")
                yield following.result()
        finally:
            broken.cancel()


@pytest.fixture
def flaky(local):
    return Flaky(local)
