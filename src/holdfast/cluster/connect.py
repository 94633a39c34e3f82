"""A connection to a running cluster as its administrator, from outside the daemon."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from holdfast.api.core.pod import PODS
from holdfast.client import Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient

from . import launch
from .certificates import pair
from .home import Home, none_is_up


def as_administrator(home: Home) -> Connection:
    """How to reach the daemon that is up. Raises Unreachable if none is."""
    found = launch.running(home)
    if found is None:
        raise Unreachable(none_is_up(home))
    return Connection(server=found.url, ca=home.ca_certificate.read_text(), token=home.admin_token.read_text().strip())


def as_node(home: Home, url: str, name: str) -> Connection:
    """How the agent of a node reaches the API server."""
    certificate, key = pair(home, f"node-{name}").texts()
    return Connection(server=url, ca=home.ca_certificate.read_text(), certificate=certificate, key=key)


@contextlib.asynccontextmanager
async def connect(home: Home) -> AsyncIterator[RemoteClient]:
    """A client for as long as the block lasts."""
    client = RemoteClient(as_administrator(home))
    try:
        yield client
    finally:
        await client.close()


async def read_log(home: Home, namespace: str, pod: str) -> str:
    """All that the pod's container has printed so far. Raises Unreachable."""
    from holdfast.wire.client import ConnectionFailed, HttpClient

    connection = as_administrator(home)
    http = HttpClient(connection.server, connection.ssl_context())
    try:
        headers = [("Authorization", f"Bearer {connection.token}")]
        answer = await http.request("GET", PODS.path(namespace, pod, "log"), headers, timeout=10)
    except ConnectionFailed as error:
        raise Unreachable(str(error)) from error
    finally:
        await http.close()
    text = answer.body.decode(errors="replace")
    if answer.status != 200:
        raise Unreachable(f"the log of {namespace}/{pod} cannot be read: {text}")
    return text
