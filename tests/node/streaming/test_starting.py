"""An agent that has just come back."""

import asyncio

from holdfast.node.server import AgentServer
from holdfast.wire.http import Request


class NoPods:
    def find_pod(self, namespace, name):
        return None


async def test_requests_wait_until_the_agent_knows_its_pods():
    started = asyncio.Event()
    server = AgentServer(NoPods(), None, is_trusted=lambda certificate: True, started=started)
    request = Request("GET", "/containerLogs/default/web-0/main", "", {}, b"")
    waiting = asyncio.ensure_future(server.handle(request))
    await asyncio.sleep(0)
    assert not waiting.done()
    started.set()
    assert (await waiting).status == 400
    assert server.handle(request).status == 400, "from then on nothing waits"
