"""Errors of the network in the words that Kubernetes' messages have for them: those of Go's `net` package."""

from __future__ import annotations

_WORDS = {
    "ConnectionRefusedError": "connect: connection refused",
    "ConnectionResetError": "read: connection reset by peer",
    "TimeoutError": "i/o timeout",
}


def in_go_words(error: OSError, authority: str) -> str:
    """Of a connection to `authority` (`HOST:PORT`) that could not be had, or broke."""
    if isinstance(error, ConnectionResetError) and error.errno is None:
        return "EOF"
    words = _WORDS.get(type(error).__name__) or f"connect: {(error.strerror or str(error)).lower()}"
    return f"dial tcp {authority}: {words}"
