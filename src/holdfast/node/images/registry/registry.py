"""What a reference stands for, at its registry or one of its mirrors."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from holdfast.node.images.manifests import (
    MEDIA_TYPES,
    BadManifest,
    Descriptor,
    Index,
    Manifest,
    check_digest,
    digest_of,
    read_manifest,
)
from holdfast.node.images.platforms import best
from holdfast.node.images.references import Reference
from holdfast.node.runtime import Credentials
from holdfast.wire.client import HttpStream

from .blobs import Arrived, download
from .failures import Broken, NotFound, PullFailed, Unreachable, WrongContent
from .persistence import persistently
from .session import Session
from .settings import RegistrySettings

T = TypeVar("T")

MOST_MANIFEST_BYTES = 4 << 20
MOST_CONFIG_BYTES = 16 << 20
DEEPEST_INDEX = 3
SMALL_WITHIN_S = 120.0
_ACCEPT = (("Accept", ", ".join((*MEDIA_TYPES, "*/*"))),)


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a reference means now, and who said so."""

    digest: str
    media_type: str
    session: Session


class Registry:
    """The registry of `reference`, asked with `credentials`, else with those of the settings. A context manager."""

    def __init__(
        self, reference: Reference, settings: RegistrySettings, credentials: Credentials | None = None
    ) -> None:
        self._reference = reference
        self._sessions = [
            Session(
                endpoint if endpoint.is_mirror else replace(endpoint, credentials=credentials),
                reference.repository,
            )
            for endpoint in settings.endpoints(reference.registry)
        ]

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions:
            await session.close()

    async def resolve(self) -> Resolved:
        """The digest behind the reference. Raises PullFailed."""

        async def ask(session: Session) -> Resolved:
            return await persistently(lambda: self._resolve(session))

        return await self._somewhere(self._sessions, ask)

    async def manifest(self, resolved: Resolved) -> Manifest:
        """The image for this machine. Raises PullFailed."""
        digest = resolved.digest
        for _ in range(DEEPEST_INDEX):
            data = await self._manifest(resolved.session, digest)
            try:
                found = read_manifest(data, resolved.media_type if digest == resolved.digest else "")
            except BadManifest as error:
                raise PullFailed(str(error)) from error
            if isinstance(found, Manifest):
                return found
            digest = self._chosen(found, digest)
        raise PullFailed(f"{resolved.digest}: indexes nested too deeply")

    async def small_blob(self, resolved: Resolved, blob: Descriptor) -> bytes:
        """A blob that fits into memory. Raises PullFailed."""

        async def ask(session: Session) -> bytes:
            return await persistently(lambda: self._fetch(session, f"blobs/{blob.digest}", blob.digest))

        return await self._somewhere(self._preferring(resolved.session), ask)

    async def download(self, resolved: Resolved, blob: Descriptor, path: Path, arrived: Arrived) -> None:
        """The whole blob at `path`, see `blobs.download`. Raises PullFailed, OSError."""

        async def ask(session: Session) -> None:
            await download(session, blob, path, arrived)

        await self._somewhere(self._preferring(resolved.session), ask)

    # -- where

    def _preferring(self, session: Session) -> list[Session]:
        """Contents are named by digest: whoever has them will do, first who told of them."""
        return [session, *(other for other in self._sessions if other is not session)]

    async def _somewhere(self, sessions: Sequence[Session], ask: Callable[[Session], Awaitable[T]]) -> T:
        """The answer of the first that has one, else the failure that says most.

        A server that answered in one way is not asked in another: without TLS after TLS.
        """
        failures: list[tuple[Session, PullFailed]] = []
        answered: set[str] = set()
        for session in sessions:
            authority = session.endpoint.url.partition("://")[2]
            if authority in answered:
                continue
            try:
                return await ask(session)
            except PullFailed as error:
                failures.append((session, error))
                if not isinstance(error, Unreachable):
                    answered.add(authority)
        raise _telling(failures)

    # -- what

    async def _resolve(self, session: Session) -> Resolved:
        wanted = f"manifests/{self._reference.wanted}"
        try:
            async with session.ask("HEAD", wanted, _ACCEPT) as answer:
                digest, media_type = answer.headers.get("docker-content-digest", ""), _media_type(answer)
        except NotFound as error:
            raise NotFound(f"{self._reference}: not found") from error
        try:
            told = check_digest(digest) if digest else ""
        except BadManifest as error:
            raise WrongContent(f'"{digest[:100]}" in header not a valid digest') from error
        if not told:
            data = await self._fetch(session, wanted, self._reference.digest, MOST_MANIFEST_BYTES)
            told = digest_of(data)
        if self._reference.digest and told != self._reference.digest:
            raise WrongContent(f"the registry answers with {told} for {self._reference.digest}")
        return Resolved(told, media_type, session)

    async def _manifest(self, session: Session, digest: str) -> bytes:
        async def fetch() -> bytes:
            return await self._fetch(session, f"manifests/{digest}", digest, MOST_MANIFEST_BYTES)

        return await persistently(fetch)

    async def _fetch(self, session: Session, path: str, digest: str, most_bytes: int = MOST_CONFIG_BYTES) -> bytes:
        """A small body, which must be what `digest` names."""
        accept = _ACCEPT if path.startswith("manifests/") else ()
        try:
            async with asyncio.timeout(SMALL_WITHIN_S), session.ask("GET", path, accept) as answer:
                data = await _read(answer, most_bytes)
        except TimeoutError:
            raise Broken(f"{path}: not here within {SMALL_WITHIN_S:g} s") from None
        found = digest_of(data)
        if digest and found != digest:
            raise WrongContent(f"{path}: unexpected commit digest {found}, expected {digest}: failed precondition")
        return data

    def _chosen(self, index: Index, digest: str) -> str:
        chosen = best((entry.platform, entry) for entry in index.manifests)
        if chosen is None:
            raise NotFound(f"no match for platform in manifest {digest}: not found")
        return chosen.digest


async def _read(answer: HttpStream, most_bytes: int) -> bytes:
    data = bytearray()
    async for part in answer:
        data += part
        if len(data) > most_bytes:
            raise PullFailed(f"the registry sent more than {most_bytes} bytes of what should be small")
    return bytes(data)


def _media_type(answer: HttpStream) -> str:
    return answer.headers.get("content-type", "").partition(";")[0].strip()


def _telling(failures: Sequence[tuple[Session, PullFailed]]) -> PullFailed:
    """The registry's own answer, with what its mirrors said; of two ways to it the one that got further."""
    own = [error for session, error in failures if not session.endpoint.is_mirror]
    told = [error for error in own if not isinstance(error, Unreachable)] or own or [failures[-1][1]]
    mirrors = [f"{session.endpoint.url}: {error}" for session, error in failures if session.endpoint.is_mirror]
    if not mirrors:
        return told[0]
    result = told[0]
    result.args = (f"{result} (its mirrors: {'; '.join(mirrors)})",)
    return result
