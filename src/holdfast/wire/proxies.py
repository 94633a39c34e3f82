"""HTTP proxies as the environment names them, and tunnels through them.

Source: Go, golang.org/x/net/http/httpproxy: what Kubernetes' own parts do with these variables.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from contextlib import suppress
from ipaddress import ip_address, ip_network
from urllib.parse import SplitResult, unquote, urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
MOST_HEAD_BYTES = 16 << 10


class TunnelRefused(OSError):
    """The proxy did not open the way."""


def proxy_for(url: str, environment: Mapping[str, str]) -> str:
    """The URL of the proxy that a request to `url` goes through; empty for the direct way.

    `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in small letters too. This machine itself is never asked
    for through a proxy.
    """
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    proxy = _variable(environment, f"{parts.scheme}_proxy")
    if not proxy or is_loopback(host) or _is_excepted(host, port, _variable(environment, "no_proxy")):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Whether that is this machine by its own name or address."""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _variable(environment: Mapping[str, str], name: str) -> str:
    return environment.get(name.upper()) or environment.get(name) or ""


def _is_excepted(host: str, port: int, exceptions: str) -> bool:
    return any(_is_meant(host, port, text.strip().lower()) for text in exceptions.split(",") if text.strip())


def _is_meant(host: str, port: int, exception: str) -> bool:
    """By `*`, an address, a range of them, a domain with all below it, `.domain` for what is below it only."""
    if exception == "*":
        return True
    with suppress(ValueError):
        return ip_address(host) in ip_network(exception, strict=False)
    name, colon, wanted_port = exception.rpartition(":")
    if colon and wanted_port.isdigit():
        if int(wanted_port) != port:
            return False
        exception = name
    exception = exception.removeprefix("*")
    return host == exception or host.endswith(exception if exception.startswith(".") else f".{exception}")


def credentials_header(proxy: SplitResult) -> tuple[tuple[str, str], ...]:
    """The header that names to a proxy who asks, if its URL does."""
    if not proxy.username:
        return ()
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return (("Proxy-Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"),)


async def open_tunnel(proxy: SplitResult, authority: str) -> asyncio.Transport:
    """A transport to `authority` (`HOST:PORT`) through the proxy. Raises OSError."""
    loop = asyncio.get_running_loop()
    transport, opening = await loop.create_connection(
        _Opening, proxy.hostname or "", proxy.port or DEFAULT_PORTS.get(proxy.scheme, 80)
    )
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {value}" for name, value in credentials_header(proxy)]
    transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    try:
        status = await opening.status
    except BaseException:
        transport.abort()
        raise
    if not status.partition(" ")[2].startswith("2"):
        transport.abort()
        raise TunnelRefused(None, status.partition(" ")[2] or "the proxy closed the connection")
    return transport


class _Opening(asyncio.Protocol):
    """Waits for the head of the proxy's answer; nothing follows it before we speak."""

    def __init__(self) -> None:
        self.status: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._head = b""

    def data_received(self, data: bytes) -> None:
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > MOST_HEAD_BYTES:
            self._answer(self._head.partition(b"\r\n")[0].decode("latin-1"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._answer("")

    def _answer(self, status: str) -> None:
        if not self.status.done():
            self.status.set_result(status)
