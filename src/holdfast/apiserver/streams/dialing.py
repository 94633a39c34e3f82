"""Connections to the agents."""

from __future__ import annotations

from collections.abc import Callable
from ssl import SSLContext

from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.wire.client import Dial, HttpClient

from .targets import agent_address

FindNode = Callable[[str], Manifest | None]


class NodeDialer:
    """Finds the agent of a node and keeps connections to it.

    `ssl_context` shows the API server's client certificate and trusts the cluster's authority; the agent's
    certificate has to carry its node's name. Without one, agents are spoken to in plain HTTP.
    """

    def __init__(self, find_node: FindNode, ssl_context: SSLContext | None, to_pods: Dial | None = None) -> None:
        """`to_pods` connects to pods, where they are not reached from this process' own network."""
        self.to_pods = to_pods
        self._find_node = find_node
        self._tls = ssl_context
        self._clients: dict[str, tuple[str, HttpClient]] = {}

    def client(self, node_name: str) -> HttpClient:
        """Raises ApiError if there is no such node, or no address."""
        node = self._find_node(node_name)
        if node is None:
            raise NotFound(f'nodes "{node_name}" not found', name=node_name, kind="nodes")
        host, port = agent_address(node)
        scheme = "https" if self._tls else "http"
        url = f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
        known = self._clients.get(node_name)
        if known is None or known[0] != url:
            # An agent that moved: connections to its old address end by themselves.
            known = self._clients[node_name] = (url, HttpClient(url, self._tls, server_hostname=node_name))
        return known[1]

    def show(self, certificate: str, key: str) -> None:
        """Another certificate (PEM files), to whoever is asked next; what is under way goes on. Raises OSError."""
        if self._tls is not None:
            self._tls.load_cert_chain(certificate, key)
        for _, client in self._clients.values():
            client.retire()

    async def close(self) -> None:
        for _, client in self._clients.values():
            await client.close()
        self._clients.clear()
