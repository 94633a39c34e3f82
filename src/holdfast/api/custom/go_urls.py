"""URLs as Go reads them, refused in its words.

Source: Go, net/url.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_plus

from holdfast.api.errors import show

_HOST_MAY_HAVE = frozenset("!$&'()*+,;=:[]<>\"-_.~%")
_PATH_UNESCAPED = "$&+,/:;=@-_.~"
_IS_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:", re.ASCII).match
_IS_USER = re.compile(r"[-._:~!$&'()*+,;=%@0-9A-Za-z]*").fullmatch
_IS_PATH = re.compile(r"[]!$&'()*+,;=:@[%/_.~0-9A-Za-z-]*").fullmatch
_IS_PORT = re.compile(r"(:[0-9]*)?", re.ASCII).fullmatch
_BAD_ESCAPE = re.compile(r"%(?![0-9a-fA-F]{2}).{0,2}", re.DOTALL)
_ASCII_ESCAPE = re.compile(r"%(?!25)[0-7][0-9a-fA-F]")


@dataclass(frozen=True, slots=True)
class Url:
    """The parts, as Go's methods give them."""

    scheme: str
    host: str
    """With the port."""
    path: str
    """As it was written, if that is a way to write it; else escaped."""
    query: str

    @property
    def hostname(self) -> str:
        bare = self.host[: len(self.host) - len(_port(self.host))]
        return bare[1:-1] if bare.startswith("[") and bare.endswith("]") else bare

    @property
    def port(self) -> str:
        return _port(self.host)[1:]

    @property
    def parameters(self) -> dict[str, list[str]]:
        """Those that are readable."""
        found: dict[str, list[str]] = {}
        for pair in self.query.split("&"):
            if pair and ";" not in pair and not _BAD_ESCAPE.search(pair):
                name, _, value = pair.partition("=")
                found.setdefault(unquote_plus(name), []).append(unquote_plus(value))
        return found


def check_request_uri(text: str) -> None:
    """Raises ValueError for what is no absolute URL and no absolute path, as a request has them."""
    _parse(text, text)


def parse(text: str) -> Url:
    """An absolute URL or an absolute path, with or without a fragment. Raises ValueError."""
    check_request_uri(text)
    return _parse(text.partition("#")[0], text)


def _parse(text: str, whole: str) -> Url:
    try:
        return _parts(text)
    except ValueError as error:
        raise ValueError(f"parse {show(whole)}: {error}") from None


def _parts(text: str) -> Url:
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError("net/url: invalid control character in URL")
    if not text:
        raise ValueError("empty url")
    if text == "*":
        return Url("", "", "*", "")
    if text.startswith(":"):
        raise ValueError("missing protocol scheme")
    match = _IS_SCHEME(text)
    scheme = match[0][:-1].lower() if match else ""
    rest, _, query = text[match.end() if match else 0 :].partition("?")
    if not rest.startswith("/"):
        if scheme:
            return Url(scheme, "", "", query)
        raise ValueError("invalid URI for request")
    host = ""
    if scheme and rest.startswith("//"):
        authority, slash, behind = rest[2:].partition("/")
        host, rest = _authority(authority), slash + behind
    _check_escapes(rest)
    return Url(scheme, host, _path(rest), query)


def _authority(given: str) -> str:
    """The host. Raises ValueError."""
    user, at, host = given.rpartition("@")
    host = _host(host)
    if at and not _IS_USER(user):
        raise ValueError("net/url: invalid userinfo")
    _check_escapes(user)
    return host


def _host(given: str) -> str:
    if given.startswith("["):
        if "]" not in given:
            raise ValueError("missing ']' in host")
        port = given[given.rindex("]") + 1 :]
    else:
        port = given[given.rindex(":") :] if ":" in given else ""
    if not _IS_PORT(port):
        raise ValueError(f"invalid port {show(port)} after host")
    _check_escapes(given)
    if match := _ASCII_ESCAPE.search(given):
        raise ValueError(f"invalid URL escape {show(match[0])}")
    for character in given:
        if character.isascii() and not character.isalnum() and character not in _HOST_MAY_HAVE:
            raise ValueError(f"invalid character {show(character)} in host name")
    return unquote(given)


def _port(host: str) -> str:
    """With its colon; empty if there is none."""
    behind = host.rpartition("]")[2]
    return behind[behind.rindex(":") :] if ":" in behind else ""


def _check_escapes(given: str) -> None:
    if match := _BAD_ESCAPE.search(given):
        raise ValueError(f"invalid URL escape {show(match[0])}")


def _path(given: str) -> str:
    return given if _IS_PATH(given) else quote(unquote(given), safe=_PATH_UNESCAPED)
