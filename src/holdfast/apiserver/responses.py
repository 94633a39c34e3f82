"""From what was decided to the bytes of an answer: media type, indentation, warnings, Status (A11, A12, A51, A64)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from holdfast.api.errors import ApiError
from holdfast.wire.messages import Headers, Response

from .negotiation import JSON, PLAIN, YAML, Form

DYNAMIC = (("Cache-Control", "no-cache, private"),)
TEXT = "text/plain; charset=utf-8"
TEXT_HEADERS = (("Cache-Control", "no-cache, private"), ("X-Content-Type-Options", "nosniff"))

MOST_WARNINGS, MOST_OF_A_LONG_WARNING = 4096, 256
"""In characters: of all warnings together, and of each when they are more."""


@dataclass(frozen=True, slots=True)
class Style:
    """How this client wants bodies written."""

    form: Form = PLAIN
    pretty: bool = False


def encoded(
    status: int, body: bytes | bytearray, style: Style, warnings: Sequence[str] = (), headers: Headers = DYNAMIC
) -> Response:
    """An answer whose JSON exists already."""
    headers = with_warnings(headers, warnings)
    if style.form.media_type == YAML:
        return Response(status, _yaml(body), YAML, headers)
    if style.pretty:
        body = msgspec.json.format(body, indent=2)
    return Response(status, body, JSON, headers)


def with_warnings(headers: Headers, warnings: Sequence[str]) -> Headers:
    """The headers, and one more for each text (A12)."""
    return (*headers, *(("Warning", _warning(text)) for text in _bounded(warnings))) if warnings else headers


def document(status: int, content: Any, style: Style = Style(), warnings: Sequence[str] = ()) -> Response:
    return encoded(status, msgspec.json.encode(content), style, warnings)


def text(status: int, content: str) -> Response:
    return Response(status, content.encode(), TEXT, TEXT_HEADERS)


def not_found_page() -> Response:
    """What is neither an API path nor known otherwise (A23)."""
    return text(404, "404 page not found\n")


def refusal(error: ApiError, style: Style = Style(), warnings: Sequence[str] = ()) -> Response:
    """A Status, whatever was asked for; a table of an error is the error (A42, A60)."""
    code = error.code or 500
    headers: Headers = DYNAMIC
    if error.retry_after_s:
        headers = (*DYNAMIC, ("Retry-After", str(error.retry_after_s)))
    return encoded(code, msgspec.json.encode(error.status()), style, warnings, headers)


def _bounded(warnings: Sequence[str]) -> list[str]:
    """Each once; where all together are too long they are cut, and some left out, as upstream does.

    Source: Kubernetes, k8s.io/apiserver/pkg/endpoints/filters/warning.go.
    """
    texts = list(dict.fromkeys(warnings))
    if sum(map(len, texts)) <= MOST_WARNINGS:
        return texts
    cut, length = [], 0
    for text in texts:
        if length >= MOST_WARNINGS:
            break
        cut.append(text[:MOST_OF_A_LONG_WARNING])
        length += len(cut[-1])
    return cut


def _warning(text: str) -> str:
    """The value of a Warning header; no line may end there. Headers are Latin-1, in which UTF-8 travels as it is."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    printable = "".join(character if character.isprintable() else " " for character in escaped)
    return f'299 - "{printable}"'.encode().decode("latin-1")


def _yaml(body: bytes | bytearray) -> bytes:
    import yaml

    content = msgspec.json.decode(body)
    written: str = yaml.safe_dump(content, sort_keys=True, default_flow_style=False, allow_unicode=True)
    return written.encode()
