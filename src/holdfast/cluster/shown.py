"""Certificates in use: connections made after a pair has changed on disk show the new one; those that are there go on.

A TLS context gives each connection what it holds at that moment. So it is loaded once more, and stays the same one for
whoever has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from holdfast.client.remote import RemoteClient
from holdfast.world import Clock

from . import kubeconfig
from .certificates import KeyPair, pair, renew, serving_pair
from .connect import as_node
from .home import Home

log = logging.getLogger(__name__)

LOOK_EVERY_S = 3600.0
"""How late it is noticed that another process has renewed something."""
RENEW_EVERY_S = 24 * 3600.0

Show = Callable[[str, str], None]
"""Takes up a certificate and its key (PEM files). Raises OSError."""


class Shown:
    """One pair, with those who show it."""

    def __init__(self, find: Callable[[], KeyPair]) -> None:
        """`find` tells where the pair is now."""
        self._find = find
        self._seen = _stamp(find())
        self._by: list[Show] = []

    @contextlib.contextmanager
    def by(self, show: Show) -> Iterator[None]:
        """For as long as the block lasts, `show` is told when there is another pair."""
        self._by.append(show)
        try:
            yield
        finally:
            self._by.remove(show)

    def look(self) -> None:
        """Has everybody show what is there now. What cannot be used is logged, and looked at again the next time."""
        files = self._find()
        stamp = _stamp(files)
        if stamp is None or stamp == self._seen:
            return
        certificate, key = str(files.certificate), str(files.key)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key)  # not tried on those in use
            for show in self._by:
                show(certificate, key)
        except OSError as error:
            log.error("certificate not taken up file=%s error=%r", certificate, str(error))
            return
        self._seen = stamp
        log.info("certificate taken up file=%s", certificate)


def _stamp(files: KeyPair) -> tuple[object, ...] | None:
    """Another one for other files; None if there are none."""
    try:
        found = [path.stat() for path in (files.certificate, files.key)]
    except FileNotFoundError:
        return None
    return tuple((each.st_ino, each.st_mtime_ns, each.st_size) for each in found)


class Identity:
    """What a node shows: as a client of the API server, and to who calls its agent."""

    def __init__(self, home: Home, url: str, name: str) -> None:
        """`url` is the API server's."""
        self._home = home
        self._url = url
        self.name = name
        self._as_client = Shown(lambda: pair(home, f"node-{name}"))
        self._as_server = Shown(lambda: serving_pair(home, name))

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[RemoteClient]:
        """One for as long as the block lasts."""
        client = RemoteClient(as_node(self._home, self._url, self.name), "kubelet")
        with self._as_client.by(client.show):
            try:
                yield client
            finally:
                await client.close()

    @contextlib.contextmanager
    def serving(self, context: ssl.SSLContext | None) -> Iterator[None]:
        """The context of the agent's own server follows the pair for as long as the block lasts."""
        with self._as_server.by(context.load_cert_chain) if context is not None else contextlib.nullcontext():
            yield

    def look(self) -> None:
        """Takes up what is on disk now."""
        self._as_client.look()
        self._as_server.look()

    async def keep_looking(self, clock: Clock) -> None:
        """Until cancelled."""
        while True:
            await clock.sleep(LOOK_EVERY_S)
            self.look()


async def keep_renewed(home: Home, url: str, shown: Sequence[Shown], clock: Clock) -> None:
    """Renews what this cluster's own authority has signed for the cluster itself, and has it shown. Until cancelled."""
    while True:
        await clock.sleep(RENEW_EVERY_S)
        try:
            if renewed := await asyncio.to_thread(renew, home, clock.now()):
                log.info("certificates renewed names=%s", ",".join(renewed))
                kubeconfig.write(home, url)
        except (OSError, ValueError):
            log.exception("certificates not renewed again_after_s=%s", RENEW_EVERY_S)
        for each in shown:
            each.look()
