"""Regular expressions of schemas, which are Go's, for Python's engine."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

_CLASSES = {
    "alnum": "0-9A-Za-z", "alpha": "A-Za-z", "ascii": r"\x00-\x7F", "blank": r"\t ", "cntrl": r"\x00-\x1F\x7F",
    "digit": "0-9", "graph": "!-~", "lower": "a-z", "print": " -~", "punct": r"!-/:-@\[-`{-~", "space": r"\t\n\v\f\r ",
    "upper": "A-Z", "word": r"0-9A-Za-z_", "xdigit": "0-9A-Fa-f",
}  # fmt: skip
_TOKEN = re.compile(r"\\.|\[:\w+:\]|\(\?P?<|\[\^?\]?|[\]$]", re.DOTALL)


@lru_cache(1024)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern, with Go's meaning. Raises re.error."""
    return re.compile(_translated(pattern), re.ASCII)


def _translated(pattern: str) -> str:
    """Go's `$` is the very end, its classes have names, its groups may be named without a P."""
    is_inside = False

    def replace(match: re.Match[str]) -> str:
        nonlocal is_inside
        token = match[0]
        if token.startswith("[:"):
            return _CLASSES.get(token[2:-2], token) if is_inside else token
        if token.startswith("["):
            was_inside, is_inside = is_inside, True
            return "\\[" if was_inside else token
        if token == "]":
            is_inside = False
        elif (token == "$" and not is_inside) or token == r"\z":
            return r"\Z"
        elif token == "(?<":
            return "(?P<" if not is_inside else token
        return token

    return _TOKEN.sub(replace, pattern)


def matches(pattern: str) -> Callable[[str], bool]:
    """Whether a text contains what the pattern describes; one that cannot be compiled refuses nothing."""
    try:
        search = compiled(pattern).search
    except re.error:
        return lambda text: True
    return lambda text: search(text) is not None
