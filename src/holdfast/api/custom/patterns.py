"""Regular expressions of schemas and rules: Go's, by the library they come from, in time linear to the text.

Python's own would take what users write for other patterns than they are, and some texts for ever. Loaded when the
first schema has one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any


@lru_cache(1024)
def compiled(pattern: str) -> Any:
    """What searches texts for the pattern. Raises ValueError with the reason why nothing can."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(reason.decode() if isinstance(reason, bytes) else str(reason)) from None


def is_found(pattern: str, text: str) -> bool:
    """Whether a text contains what the pattern describes; one that cannot be compiled refuses nothing."""
    try:
        return compiled(pattern).search(text) is not None
    except ValueError:
        return True


def problem(pattern: str) -> str:
    """Why a pattern cannot be compiled; empty if it can."""
    try:
        compiled(pattern)
    except ValueError as error:
        return str(error)
    return ""
