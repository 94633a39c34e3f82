"""What is wrong with broken JSON, in the words of Go's scanner, which clients and tests read (A62)."""

from __future__ import annotations

import re

_SPACE = re.compile(rb"[ \t\r\n]*")
_NUMBER = re.compile(rb"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?")
_PLAIN = re.compile(rb'[^"\\\x00-\x1f]*')
_HEX = re.compile(rb"[0-9a-fA-F]")
_CLOSING = {b"{": b"}", b"[": b"]"}
_AFTER = {b"{": "after object key:value pair", b"[": "after array element"}
_MAX_DEPTH = 10_000
_END = "unexpected end of JSON input"


class _Broken(Exception):
    pass


def syntax_error(text: bytes) -> str:
    """Go's message for the first error; empty where it finds none."""
    try:
        _scan(text)
    except _Broken as broken:
        return str(broken)
    return ""


def _scan(text: bytes) -> None:
    """One value and nothing else. What is open stands on a stack of its own, so that depth costs no recursion."""
    opened: list[bytes] = []
    at = _skip(text, 0)
    while True:
        at = _open(text, at, opened)
        while opened and text[at : at + 1] == _CLOSING[opened[-1]]:
            opened.pop()
            at = _skip(text, at + 1)
        if not opened:
            break
        if text[at : at + 1] != b",":
            raise _unexpected(text, at, _AFTER[opened[-1]])
        at = _skip(text, at + 1)
        if opened[-1] == b"{":
            at = _key(text, at)
    if at < len(text):
        raise _unexpected(text, at, "after top-level value")


def _open(text: bytes, at: int, opened: list[bytes]) -> int:
    """Behind a scalar or an empty container; on the way to a scalar, what it lies in is put on the stack."""
    while (bracket := text[at : at + 1]) in (b"{", b"["):
        opened.append(bracket)
        if len(opened) > _MAX_DEPTH:
            raise _Broken("exceeded max depth")
        at = _skip(text, at + 1)
        if text[at : at + 1] == _CLOSING[bracket]:
            return at
        if bracket == b"{":
            at = _key(text, at)
    return _skip(text, _scalar(text, at))


def _key(text: bytes, at: int) -> int:
    if text[at : at + 1] != b'"':
        raise _unexpected(text, at, "looking for beginning of object key string")
    at = _skip(text, _string(text, at + 1))
    if text[at : at + 1] != b":":
        raise _unexpected(text, at, "after object key")
    return _skip(text, at + 1)


def _unexpected(text: bytes, at: int, context: str) -> _Broken:
    return _Broken(f"invalid character {_quoted(text[at])} {context}" if at < len(text) else _END)


def _quoted(character: int) -> str:
    names = {0x27: r"'\''", 0x22: "'\"'", 0x5C: r"'\\'", 0x0A: r"'\n'", 0x0D: r"'\r'", 0x09: r"'\t'"}
    if character in names:
        return names[character]
    return f"'{chr(character)}'" if 0x20 <= character < 0x7F else f"'\\x{character:02x}'"


def _skip(text: bytes, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _scalar(text: bytes, at: int) -> int:
    match text[at : at + 1]:
        case b'"':
            return _string(text, at + 1)
        case b"t" | b"f" | b"n":
            return _literal(text, at)
    if at < len(text) and text[at] in b"-0123456789":
        return _number(text, at)
    raise _unexpected(text, at, "looking for beginning of value")


def _string(text: bytes, at: int) -> int:
    while True:
        match = _PLAIN.match(text, at)
        at = match.end() if match else at
        match text[at : at + 1]:
            case b'"':
                return at + 1
            case b"\\":
                at = _escape(text, at + 1)
            case _:
                raise _unexpected(text, at, "in string literal")


def _escape(text: bytes, at: int) -> int:
    if at < len(text) and text[at] in b'bfnrt\\/"':
        return at + 1
    if text[at : at + 1] != b"u":
        raise _unexpected(text, at, "in string escape code")
    for place in range(at + 1, at + 5):
        if not _HEX.match(text, place):
            raise _unexpected(text, place, r"in \u hexadecimal character escape")
    return at + 5


def _literal(text: bytes, at: int) -> int:
    word = {b"t": b"true", b"f": b"false", b"n": b"null"}[text[at : at + 1]]
    for place, expected in enumerate(word):
        if text[at + place : at + place + 1] != bytes([expected]):
            raise _unexpected(text, at + place, f"in literal {word.decode()} (expecting '{chr(expected)}')")
    return at + len(word)


def _number(text: bytes, at: int) -> int:
    match = _NUMBER.match(text, at)
    if match is None:
        raise _unexpected(text, at + 1, "in numeric literal")
    end = match.end()
    if text[end : end + 1] == b"." and b"." not in match[0]:
        raise _unexpected(text, end + 1, "after decimal point in numeric literal")
    if text[end : end + 1] in (b"e", b"E") and b"e" not in match[0].lower():
        end += 1 + (text[end + 1 : end + 2] in (b"+", b"-"))
        raise _unexpected(text, end, "in exponent of numeric literal")
    return end
