"""Errors of the network in the words that Kubernetes' messages have for them: those of Go's `net` package."""

from __future__ import annotations

import socket
import ssl

_WORDS = {
    "ConnectionRefusedError": "connect: connection refused",
    "ConnectionResetError": "read: connection reset by peer",
    "TimeoutError": "i/o timeout",
}
_UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})
"""OpenSSL's codes for chains that end in nobody whom we trust."""
_CERTIFICATE_WORDS = {
    9: "certificate has expired or is not yet valid",
    10: "certificate has expired or is not yet valid",
    **dict.fromkeys(_UNKNOWN_AUTHORITY, "certificate signed by unknown authority"),
}


def in_go_words(error: OSError, authority: str) -> str:
    """Of a connection to `authority` (`HOST:PORT`) that could not be had, or broke."""
    if isinstance(error, ssl.SSLError):
        return _of_tls(error)
    if isinstance(error, ConnectionResetError) and error.errno is None:
        return "EOF"
    if isinstance(error, socket.gaierror):
        return f"dial tcp: lookup {authority.rpartition(':')[0]}: no such host"
    words = _WORDS.get(type(error).__name__) or f"connect: {(error.strerror or str(error)).lower()}"
    if error.errno is None and "[Errno 111]" in str(error):  # asyncio's, of a host with several addresses
        words = _WORDS["ConnectionRefusedError"]
    return f"dial tcp {authority}: {words}"


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        words = _CERTIFICATE_WORDS.get(error.verify_code, error.verify_message.lower().rstrip("."))
        return f"tls: failed to verify certificate: x509: {words}"
    if error.reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST"):
        return "http: server gave HTTP response to HTTPS client"
    return f"tls: {(error.reason or str(error)).lower().replace('_', ' ')}"
