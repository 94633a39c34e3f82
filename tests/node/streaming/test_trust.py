"""Who may call the agent: the API server, by its client certificate."""

from __future__ import annotations

import pytest

from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.node.server import AgentServer, is_api_server
from holdfast.wire import tls
from holdfast.wire.client import ConnectionFailed, HttpClient

from .local_runtime import LocalRuntime, OnePod


async def ask(home: Home, client: str, server_hostname: str = "n1") -> int:
    """The status that a client with this certificate gets from node n1 for a log."""
    serving = certificates.pair(home, "node-n1")
    agent = AgentServer(OnePod({}), LocalRuntime())  # type: ignore[arg-type]
    port = await agent.listen(
        "127.0.0.1",
        0,
        tls.server_context(str(serving.certificate), str(serving.key), str(home.ca_certificate), require_client=True),
    )
    shown = certificates.pair(home, client) if client else None
    context = tls.client_context(
        str(home.ca_certificate), str(shown.certificate) if shown else "", str(shown.key) if shown else ""
    )
    http = HttpClient(f"https://127.0.0.1:{port}", context, server_hostname=server_hostname)
    try:
        return (await http.request("GET", "/exec/default/web-9/web", timeout=60)).status
    finally:
        await http.close()
        await agent.close()


async def test_the_api_server_is_answered(home):
    assert await ask(home, "apiserver-client") == 404


async def test_another_node_is_refused(home):
    assert await ask(home, "node-n2") == 403


async def test_nobody_in_particular_does_not_even_get_a_connection(home):
    with pytest.raises(ConnectionFailed):
        await ask(home, "")


async def test_the_agent_has_to_be_the_node_it_is_taken_for(home):
    with pytest.raises(ConnectionFailed, match="n2"):
        await ask(home, "apiserver-client", server_hostname="n2")


def test_without_a_certificate_nobody_is_the_api_server():
    assert not is_api_server(None)
    assert not is_api_server({"subject": ((("commonName", "system:masters"),),)})
