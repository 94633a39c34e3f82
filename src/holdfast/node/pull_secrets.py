"""Credentials for registries out of a pod's pull secrets, matched as the kubelet's keyring does (N65).

Source: Kubernetes, pkg/credentialprovider: keyring.go, config.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import urlsplit

import msgspec

from holdfast.api.resource import Manifest

from .images.references import DEFAULT_REGISTRY
from .runtime import Credentials

DEFAULT_KEY = "index.docker.io"
"""What entries for the default registry may be called, beside its name."""
_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


class BadPullSecret(Exception):
    """A secret that says it holds credentials does not; the message shows nothing of it."""


class Keyring:
    """The credentials of some secrets, the more closely named places first."""

    def __init__(self, secrets: Iterable[Manifest]) -> None:
        self._entries: dict[str, list[Credentials]] = {}
        for secret in secrets:
            for place, credentials in _read(secret):
                self._entries.setdefault(_key(place), []).append(credentials)

    def lookup(self, repository: str) -> Sequence[Credentials]:
        """All that may be meant for the repository, a name in full, to be tried in this order."""
        found = [
            credentials
            for key in sorted(self._entries, reverse=True)
            if _matches(key, repository)
            for credentials in self._entries[key]
        ]
        if not found and repository.startswith(f"{DEFAULT_REGISTRY}/"):
            found = self._entries.get(DEFAULT_KEY, [])
        return list(dict.fromkeys(found))


def _key(place: str) -> str:
    """Host and path; the version that old entries end in says nothing."""
    parts = urlsplit(place if place.startswith(("https://", "http://")) else f"https://{place}")
    path = parts.path
    if path.startswith(("/v1/", "/v2/")):
        path = path[3:]
    return f"{parts.netloc}{path if path != '/' else ''}"


def _matches(key: str, repository: str) -> bool:
    """Part by part of the host, where `*` stands for any; same port; the path as a prefix."""
    wanted, given = urlsplit(f"https://{key}"), urlsplit(f"https://{repository}")
    if not given.path.startswith(wanted.path):
        return False
    wanted_host, _, wanted_port = wanted.netloc.partition(":")
    given_host, _, given_port = given.netloc.partition(":")
    wanted_parts, given_parts = wanted_host.split("."), given_host.split(".")
    return (
        wanted_port == given_port
        and len(wanted_parts) == len(given_parts)
        and all(fnmatchcase(part, pattern) for pattern, part in zip(wanted_parts, given_parts, strict=True))
    )


def _read(secret: Manifest) -> Iterable[tuple[str, Credentials]]:
    """Places and credentials; none of a secret of another type. Raises BadPullSecret."""
    key = _KEYS.get(secret.get("type") or "", "")
    text = (secret.get("data") or {}).get(key)
    if not text:
        return
    name = secret["metadata"]["name"]
    try:
        document = msgspec.json.decode(base64.b64decode(text), type=dict[str, Any])
        entries = document.get("auths") or {} if key == ".dockerconfigjson" else document
        for place, entry in entries.items():
            yield place, _credentials(entry)
    except (binascii.Error, UnicodeDecodeError, msgspec.DecodeError, AttributeError, TypeError, ValueError):
        raise BadPullSecret(f'secret "{name}": {key} holds no credentials that can be read') from None


def _credentials(entry: Any) -> Credentials:
    """`auth` counts before `username` and `password`. Raises ValueError and the like."""
    if encoded := entry.get("auth"):
        padded = encoded + "=" * (-len(encoded) % 4)
        username, separator, password = base64.b64decode(padded, validate=True).decode().partition(":")
        if not separator:
            raise ValueError
        return Credentials(username, password)
    return Credentials(str(entry.get("username") or ""), str(entry.get("password") or ""))
