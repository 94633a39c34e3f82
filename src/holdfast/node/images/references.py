"""Image references: one spelling for each image, whatever the manifest wrote (N60, N61)."""

from __future__ import annotations

import re

HOST = "host"
"""The image whose root filesystem is this machine's own programs."""

DEFAULT_REGISTRY = "docker.io"
_LEGACY = {"index.docker.io": DEFAULT_REGISTRY, "registry-1.docker.io": DEFAULT_REGISTRY}
_PATH = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_DOMAIN = r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9.-]*[a-zA-Z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?"
_REFERENCE = re.compile(
    rf"(?:(?P<domain>{_DOMAIN})/)?(?P<path>{_PATH}(?:/{_PATH})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-f]{32,}))?"
)


class InvalidReference(ValueError):
    """Not a reference; the message is the kubelet's (N63)."""


def normalise(text: str) -> str:
    """`nginx` becomes `docker.io/library/nginx:latest`. With a digest the tag is dropped. Raises InvalidReference."""
    if text == HOST:
        return HOST
    domain, rest = _split(text)
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise InvalidReference(f'couldn\'t parse image name "{text}": invalid reference format')
    domain, path = _LEGACY.get(match["domain"], match["domain"]), match["path"]
    if domain == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    suffix = f"@{match['digest']}" if match["digest"] else f":{match['tag'] or 'latest'}"
    return f"{domain}/{path}{suffix}"


def _split(text: str) -> tuple[str, str]:
    """The first part is a registry only if it looks like a host: a dot, a port, or localhost."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return DEFAULT_REGISTRY, text
