"""Image references: one spelling for each image, whatever the manifest wrote (N60, N61)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class Reference:
    """A name in full."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""
    """`sha256:...`; then there is no tag."""

    @property
    def name(self) -> str:
        """Without tag and digest: `docker.io/library/nginx`."""
        return f"{self.registry}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag}"


def parse(text: str) -> Reference:
    """`nginx` is `docker.io/library/nginx:latest`. With a digest the tag is dropped. Raises InvalidReference."""
    domain, rest = _split(text)
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise InvalidReference(f'couldn\'t parse image name "{text}": invalid reference format')
    domain, path = _LEGACY.get(match["domain"], match["domain"]), match["path"]
    if domain == DEFAULT_REGISTRY and "/" not in path:
        path = f"library/{path}"
    if match["digest"]:
        return Reference(domain, path, digest=match["digest"])
    return Reference(domain, path, tag=match["tag"] or "latest")


def normalise(text: str) -> str:
    """The one spelling of the name. Raises InvalidReference."""
    return HOST if text == HOST else str(parse(text))


def repository_of(name: str) -> str:
    """Of a name in full: `docker.io/library/nginx` of `docker.io/library/nginx:latest`."""
    return name.rpartition("@")[0] or name.rpartition(":")[0]


def _split(text: str) -> tuple[str, str]:
    """The first part is a registry only if it looks like a host: a dot, a port, or localhost."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return DEFAULT_REGISTRY, text


def pinned(reference: str, digests: Sequence[str]) -> str:
    """What to call the image known by `digests` (names in full) that was found as `reference`: by its digest there.

    Another repository's if it has none there; empty if it has none at all.
    """
    try:
        name = parse(reference).name
    except InvalidReference:
        name = ""
    return next((digest for digest in digests if repository_of(digest) == name), next(iter(digests), ""))
