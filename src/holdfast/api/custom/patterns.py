"""Regular expressions of schemas and rules: Go's, by the library they come from, in time linear to the text.

Python's own would take what users write for other patterns than they are, and some texts for ever. Loaded when the
first schema has one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

_WORDS = {
    "bad repetition operator": "invalid nested repetition operator",
    "invalid named capture group": "invalid named capture",
    "invalid perl operator": "invalid or unsupported Perl syntax",
    "invalid repetition size": "invalid repeat count",
    "missing )": "missing closing )",
    "missing ]": "missing closing ]",
    "no argument for repetition operator": "missing argument to repetition operator",
    "trailing \\": "trailing backslash at end of expression",
}
"""What Go says in place of what the library says; source: Go, regexp/syntax/parse.go."""


@lru_cache(1024)
def compiled(pattern: str) -> Any:
    """What searches texts for the pattern. Raises ValueError with the reason why nothing can, in Go's words."""
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        raise ValueError(_in_go_words(reason.decode() if isinstance(reason, bytes) else str(reason))) from None


def _in_go_words(reason: str) -> str:
    what, _, where = reason.partition(": ")
    return f"error parsing regexp: {_WORDS.get(what, what)}: `{where}`"


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
