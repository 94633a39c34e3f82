"""`registries.toml` in the data directory: mirrors, registries without TLS, further CAs, credentials.

    [registry."docker.io"]
    mirrors = ["https://mirror.example", "http://127.0.0.1:5000/hub"]   # asked in this order, before docker.io

    [registry."registry.example:5000"]
    insecure = true               # a certificate of nobody's, or no TLS at all
    ca = "/etc/ssl/example.pem"   # trusted beside the system's CAs
    username = "robot"
    password = "secret"           # or password_file = "/etc/example.password"

Registries on this machine's loopback need no entry: they are asked without TLS, as docker does.
It is read for each pull.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from holdfast.node.images.references import DEFAULT_REGISTRY
from holdfast.node.runtime import Credentials
from holdfast.wire.proxies import is_loopback

_HOSTS = {DEFAULT_REGISTRY: "registry-1.docker.io"}
"""Registries that are not served where their name says."""
_KINDS = {
    "mirrors": list,
    "insecure": bool,
    "ca": str,
    "username": str,
    "password": str,
    "password_file": str,
}


class BadSettings(Exception):
    """The file cannot be used; the message says what is wrong where."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that may have what a registry's name stands for."""

    url: str
    """Scheme, host and port."""
    path: str = ""
    """What comes before the repository, as `hub/`."""
    credentials: Credentials | None = None
    ca: str = ""
    """A file of further CAs."""
    is_verified: bool = True
    is_mirror: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What the file says of one registry."""

    mirrors: tuple[str, ...] = ()
    insecure: bool | None = None
    ca: str = ""
    credentials: Credentials | None = None


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """The file's entries, by the registry's name in references."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    def endpoints(self, registry: str) -> list[Endpoint]:
        """Whom to ask for what is in `registry`, in order: its mirrors, then itself."""
        mirrors = [
            replace(endpoint, is_mirror=True)
            for mirror in self._entry(registry).mirrors
            for endpoint in self._ways(mirror)
        ]
        return mirrors + self._ways(registry)

    def credentials(self, registry: str) -> Credentials | None:
        """The node's own for what is in `registry`."""
        return self._entry(registry).credentials

    def _entry(self, registry: str) -> Entry:
        return self.entries.get(registry) or Entry()

    def _ways(self, place: str) -> list[Endpoint]:
        """The server at `place`, a name or a URL; twice where it is not known whether it speaks TLS."""
        scheme, separator, rest = place.rpartition("://")
        authority, _, path = (rest if separator else place).partition("/")
        entry = self._entry(authority)
        endpoint = Endpoint(
            f"https://{_HOSTS.get(authority, authority)}",
            path=f"{path.strip('/')}/" if path.strip("/") else "",
            credentials=entry.credentials,
            ca=entry.ca,
            is_verified=not entry.insecure,
        )
        plain = replace(endpoint, url=f"http://{authority}")
        if scheme:
            return [plain if scheme == "http" else endpoint]
        if entry.insecure is None and not entry.ca and is_loopback(urlsplit(endpoint.url).hostname or ""):
            return [plain]
        return [endpoint, plain] if entry.insecure else [endpoint]


def read_settings(path: Path) -> RegistrySettings:
    """What the file says; nothing if it is not there. Raises BadSettings."""
    try:
        document = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return RegistrySettings()
    except (OSError, ValueError) as error:
        raise BadSettings(f"{path}: {error}") from error
    tables = document.pop("registry", {})
    if document or not isinstance(tables, dict):
        raise BadSettings(f'{path}: only tables of the form [registry."HOST"] are known')
    return RegistrySettings({name: _entry(path, name, table) for name, table in tables.items()})


def _entry(path: Path, name: str, table: Any) -> Entry:
    where = f'{path}: registry."{name}"'
    if not isinstance(table, dict):
        raise BadSettings(f"{where} is no table")
    for key, value in table.items():
        if key not in _KINDS:
            raise BadSettings(f"{where}: unknown key {key!r}; known are {', '.join(_KINDS)}")
        if not isinstance(value, _KINDS[key]):
            raise BadSettings(f"{where}: {key} has to be a {_KINDS[key].__name__}")
    password = table.get("password", "")
    if file := table.get("password_file"):
        try:
            password = Path(file).read_text().strip()
        except OSError as error:
            raise BadSettings(f"{where}: {file}: {error.strerror}") from error
    username = table.get("username", "")
    return Entry(
        mirrors=tuple(str(mirror) for mirror in table.get("mirrors", ())),
        insecure=table.get("insecure"),
        ca=table.get("ca", ""),
        credentials=Credentials(username, password) if username or password else None,
    )
