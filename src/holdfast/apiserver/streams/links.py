"""Links of a page behind a proxy, led through the proxy: in HTML and in Location headers (A157). Pure.

A browser that follows `/style.css` of a proxied page would ask the API server itself for it.
Source: Kubernetes, k8s.io/apimachinery/pkg/util/proxy/transport.go.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Collection
from dataclasses import dataclass

ATTRIBUTES: dict[str, Collection[str]] = {
    "a": ("href",), "applet": ("codebase",), "area": ("href",), "audio": ("src",), "base": ("href",),
    "blockquote": ("cite",), "body": ("background",), "button": ("formaction",), "command": ("icon",),
    "del": ("cite",), "embed": ("src",), "form": ("action",), "frame": ("longdesc", "src"), "head": ("profile",),
    "html": ("manifest",), "iframe": ("longdesc", "src"), "img": ("longdesc", "src", "usemap"),
    "input": ("src", "usemap", "formaction"), "ins": ("cite",), "link": ("href",),
    "object": ("classid", "codebase", "data", "usemap"), "q": ("cite",), "script": ("src",), "source": ("src",),
    "video": ("poster", "src"),
}  # fmt: skip
"""Which attributes of which tags hold a URL."""

LONGEST_TAG = 64 << 10
"""In characters. What has no end within this is passed on as it is."""

_TEXT_ONLY = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in (
        "iframe",
        "noembed",
        "noframes",
        "noscript",
        "plaintext",
        "script",
        "style",
        "textarea",
        "title",
        "xmp",
    )
}
"""Elements whose content is no markup, and where they end."""
_COMMENT_END = re.compile("-->")
_LONGEST_END = len("</plaintext")

# Possessive, so that a tag without an end fails in one pass. A quote that is still open matches nothing.
_VALUE = r"\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+|(?=>)"
_TAG = re.compile(
    rf"<([A-Za-z][^\s/>]*+)((?:[\s/]++|(?:[^\s/>=]++|(?<=[\s/])=(?!\s*[\"'])[^\s/>=]*+)(?:\s*+=\s*+(?:{_VALUE}))?+)*+)>"
)
_ATTRIBUTE = re.compile(r"([^\s/>=]++)(\s*+=\s*+)(\"[^\"]*+\"|'[^']*+'|[^\s>\"'][^\s>]*+)")
_URL = re.compile(r"(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://([^/?#]*))?([^?#]*)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Rewriting:
    """How one request's links are rewritten."""

    prefix: str
    """The path up to and with `/proxy`."""
    hosts: Collection[str]
    """The names under which the page may call its own server: the backend's address, the client's Host header."""

    def link(self, url: str) -> str:
        """Absolute paths and links to the page's own server go through the proxy; everything else stays."""
        found = _URL.fullmatch(url)
        assert found is not None  # any text is a URL to this pattern
        _, host, path, rest = found.groups()
        if (host and host not in self.hosts) or not path.startswith("/"):
            return url
        if path.startswith(self.prefix):
            return path + rest
        joined = posixpath.normpath(f"{self.prefix}/{path}")
        return joined + ("/" if path.endswith("/") else "") + rest


class PageRewriter:
    """Rewrites a page that comes in pieces; what is no link leaves byte by byte as it came."""

    def __init__(self, rewriting: Rewriting) -> None:
        self._rewriting = rewriting
        self._pending = ""
        self._end: re.Pattern[str] | None = None
        """Of the comment or script that the pending text begins in."""

    def feed(self, data: bytes) -> bytes:
        """As much of the page as can be told now."""
        self._pending += data.decode("latin-1")
        return self._advance(is_last=False)

    def finish(self) -> bytes:
        return self._advance(is_last=True)

    def _advance(self, *, is_last: bool) -> bytes:
        text, at, written = self._pending, 0, []
        while at < len(text):
            piece, end = self._content(text, at, is_last) if self._end else self._markup(text, at, is_last)
            if end == at:
                break
            written.append(piece)
            at = end
        self._pending = text[at:]
        return "".join(written).encode("latin-1")

    def _content(self, text: str, at: int, is_last: bool) -> tuple[str, int]:
        """What to write of the text from `at` on, and where to go on: in a comment, a script, a style."""
        assert self._end is not None
        if found := self._end.search(text, at):
            self._end = None
            return text[at : found.end()], found.end()
        end = len(text) if is_last else max(at, len(text) - _LONGEST_END)
        return text[at:end], end

    def _markup(self, text: str, at: int, is_last: bool) -> tuple[str, int]:
        """The same elsewhere: up to the next tag, or that tag."""
        begin = text.find("<", at)
        if begin != at:
            end = begin if begin >= 0 else len(text)
            return text[at:end], end
        if text.startswith("<!--", at):
            self._end = _COMMENT_END
            return "<!--", at + 4
        if tag := _TAG.match(text, at):
            self._end = _TEXT_ONLY.get(tag[1].lower())
            return self._tag(tag), tag.end()
        following = text[at + 1 : at + 2]
        is_open = not following or following.isalpha() or "<!--".startswith(text[at : at + 4])
        if is_open and not is_last and len(text) - at <= LONGEST_TAG:
            return "", at
        return (text[at:], len(text)) if is_open else ("<", at + 1)

    def _tag(self, tag: re.Match[str]) -> str:
        wanted = ATTRIBUTES.get(tag[1].lower())
        if not wanted:
            return tag[0]

        def attribute(found: re.Match[str]) -> str:
            return f"{found[1]}{found[2]}{self._value(found[3])}" if found[1].lower() in wanted else found[0]

        return f"<{tag[1]}{_ATTRIBUTE.sub(attribute, tag[2])}>"

    def _value(self, written: str) -> str:
        quote = written[0] if written[0] in "\"'" else ""
        raw = written[1:-1] if quote else written
        url = html.unescape(raw.encode("latin-1").decode("utf-8", "surrogateescape"))
        link = self._rewriting.link(url)
        if link == url:
            return written
        escaped = html.escape(link).encode("utf-8", "surrogateescape").decode("latin-1")
        return f"{quote or chr(34)}{escaped}{quote or chr(34)}"
