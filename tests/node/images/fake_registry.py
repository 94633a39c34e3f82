"""A registry in this process, with faults to order: what a real one does on its bad days."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gzip
import json
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from layers import digest

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "alice", "wonder:land"


@dataclass
class Asked:
    """A request that came."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class Answer:
    """What goes out. `cut` ends the connection after that many bytes of the body, `stall` goes silent there."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut: int | None = None
    stall: int | None = None


Fault = Callable[[Answer], Answer]


def status(code: int, body: bytes = b"", **headers: str) -> Fault:
    return lambda answer: Answer(code, {name.replace("_", "-"): value for name, value in headers.items()}, body)


def cut_after(count: int) -> Fault:
    return lambda answer: Answer(answer.status, answer.headers, answer.body, cut=count)


def stalled_after(count: int) -> Fault:
    return lambda answer: Answer(answer.status, answer.headers, answer.body, stall=count)


def corrupt(answer: Answer) -> Answer:
    """One byte in the middle is another."""
    middle = len(answer.body) // 2
    changed = bytes([answer.body[middle] ^ 1])
    return Answer(answer.status, answer.headers, answer.body[:middle] + changed + answer.body[middle + 1 :])


def shortened(answer: Answer) -> Answer:
    """As a registry answers whose disk has lost the end of a file."""
    return Answer(answer.status, answer.headers, answer.body[: len(answer.body) // 2])


class FakeRegistry:
    """`http://127.0.0.1:PORT`, or https with a context; `requests` tells what came."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.requests: list[Asked] = []
        self.faults: list[tuple[str, list[Fault], bool]] = []
        self.protection = ""
        """`basic`, `bearer`, or none."""
        self.accepted = {(USER, PASSWORD)}
        self.ranges = True
        self.tells_digests = True
        self.tokens_given = 0

    async def start(self, context: ssl.SSLContext | None = None) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]
        self.host = f"127.0.0.1:{self.port}"
        self._scheme = "https" if context else "http"
        self._tasks: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0.01)

    # -- contents

    def add(self, name: str, *layers: bytes, compress: Callable[[bytes], bytes] | None = None, **config: object) -> str:
        """An image of plain tar `layers` as `repository:tag`; the digest of its manifest."""
        repository, _, tag = name.partition(":")
        document = {"config": config, "rootfs": {"type": "layers", "diff_ids": [digest(layer) for layer in layers]}}
        described = [self.blob((compress or squeezed)(layer)) for layer in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": self.blob(json.dumps(document).encode()),
            "layers": described,
        }
        return self.put(repository, tag, manifest)

    def blob(self, data: bytes) -> dict[str, object]:
        self.blobs[digest(data)] = data
        return {"mediaType": "application/octet-stream", "digest": digest(data), "size": len(data)}

    def put(self, repository: str, tag: str, document: dict[str, object], media_type: str = "") -> str:
        data = json.dumps(document).encode()
        entry = (media_type or str(document.get("mediaType", OCI_MANIFEST)), data)
        self.manifests[repository, digest(data)] = entry
        if tag:
            self.manifests[repository, tag] = entry
        return digest(data)

    def fault(self, part: str, *faults: Fault, always: bool = False) -> None:
        """The next requests whose target contains `part` go wrong, one each; or all of them."""
        self.faults.append((part, list(faults), always))

    def asked(self, part: str) -> list[Asked]:
        return [request for request in self.requests if part in request.target]

    async def until_asked(self, part: str) -> None:
        while not self.asked(part):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    # -- serving

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
                while await self._exchange(reader, writer):
                    pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        first = await reader.readexactly(1)
        if first == b"\x16":  # a TLS handshake where none is spoken
            writer.write(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return False
        head = (first + await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = head[0].split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        self.requests.append(Asked(method, target, headers))
        answer = self._answer(method, target, headers)
        for part, faults, always in self.faults:
            if part in target and faults:
                answer = (faults[0] if always else faults.pop(0))(answer)
                break
        lines = [f"HTTP/1.1 {answer.status} X", *(f"{name}: {value}" for name, value in answer.headers.items())]
        lines += [f"Content-Length: {len(answer.body)}", "", ""]
        body = b"" if method == "HEAD" else answer.body
        until = answer.cut if answer.cut is not None else answer.stall
        writer.write("\r\n".join(lines).encode() + body[:until])
        await writer.drain()
        if answer.stall is not None:
            await asyncio.sleep(3600)
        return answer.cut is None and method != "HEAD"

    def _answer(self, method: str, target: str, headers: dict[str, str]) -> Answer:
        parts = urlsplit(target)
        if parts.path == "/token":
            return self._token(parse_qs(parts.query), headers.get("authorization", ""))
        if refusal := self._refusal(headers.get("authorization", "")):
            return refusal
        if match := re.fullmatch(r"/v2/(.+)/manifests/(.+)", parts.path):
            found = self.manifests.get((match[1], match[2]))
            if found is None:
                return Answer(404, {}, b'{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}')
            told = {"Docker-Content-Digest": digest(found[1])} if self.tells_digests else {}
            return Answer(200, {"Content-Type": found[0], **told}, found[1])
        if match := re.fullmatch(r"/v2/(.+)/blobs/(.+)", parts.path):
            return self._blob(self.blobs.get(match[2]), headers.get("range", ""))
        return Answer(404)

    def _blob(self, data: bytes | None, wanted: str) -> Answer:
        if data is None:
            return Answer(404, {}, b'{"errors": [{"code": "BLOB_UNKNOWN", "message": "blob unknown"}]}')
        if match := re.fullmatch(r"bytes=(\d+)-", wanted if self.ranges else ""):
            start = int(match[1])
            if start >= len(data):
                return Answer(416)
            return Answer(206, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}, data[start:])
        return Answer(200, {}, data)

    def _refusal(self, given: str) -> Answer | None:
        if self.protection == "basic" and self._who(given) not in self.accepted:
            return Answer(401, {"WWW-Authenticate": 'Basic realm="fake"'})
        if self.protection == "bearer" and given != f"Bearer token-{self.tokens_given}":
            realm = f"{self._scheme}://{self.host}/token"
            error = ',error="insufficient_scope"' if given else ""
            challenge = f'Bearer realm="{realm}",service="fake registry",scope="repository:app:pull"{error}'
            return Answer(401, {"WWW-Authenticate": challenge})
        return None

    def _token(self, query: dict[str, list[str]], given: str) -> Answer:
        if query != {"service": ["fake registry"], "scope": ["repository:app:pull"]}:
            return Answer(400)
        if given and self._who(given) not in self.accepted:
            return Answer(401)
        self.tokens_given += 1
        return Answer(200, {}, json.dumps({"token": f"token-{self.tokens_given}"}).encode())

    def _who(self, given: str) -> tuple[str, str]:
        scheme, _, encoded = given.partition(" ")
        user, _, password = base64.b64decode(encoded).decode().partition(":") if scheme == "Basic" else ("", "", "")
        return user, password


def squeezed(data: bytes) -> bytes:
    return gzip.compress(data, 1, mtime=0)
