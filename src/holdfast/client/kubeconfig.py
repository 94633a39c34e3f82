"""Where the API server is and who we are to it, as a kubeconfig says."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext
from typing import Any


class KubeconfigError(Exception):
    """The file cannot be used; the text says why, for people."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One context of a kubeconfig. PEM texts; empty where nothing is given."""

    server: str
    ca: str = ""
    certificate: str = ""
    key: str = ""
    token: str = ""
    verify: bool = True
    namespace: str = "default"

    def ssl_context(self) -> SSLContext | None:
        """None for plain HTTP."""
        if not self.server.startswith("https:"):
            return None
        from holdfast.wire.tls import client_context

        context = client_context(ca_data=self.ca, verify=self.verify)
        if self.certificate:
            # OpenSSL takes a client's certificate and key from files only.
            with tempfile.NamedTemporaryFile("w", prefix="holdfast-", suffix=".pem") as file:
                file.write(f"{self.certificate}\n{self.key}\n")
                file.flush()
                context.load_cert_chain(file.name)
        return context


def read_kubeconfig(path: Path, context: str = "") -> Connection:
    """The settings of a context, the current one unless named. Raises KubeconfigError."""
    import yaml

    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise KubeconfigError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise KubeconfigError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"{path} is not a kubeconfig")
    name = context or document.get("current-context") or ""
    chosen = _named(document, "contexts", name, "context", path)
    cluster = _named(document, "clusters", chosen.get("cluster") or "", "cluster", path)
    user = _named(document, "users", chosen["user"], "user", path) if chosen.get("user") else {}
    if not cluster.get("server"):
        raise KubeconfigError(f"{path}: cluster {chosen.get('cluster')!r} names no server")
    return Connection(
        server=str(cluster["server"]),
        ca=_pem(cluster, "certificate-authority", path),
        certificate=_pem(user, "client-certificate", path),
        key=_pem(user, "client-key", path),
        token=_token(user, path),
        verify=not cluster.get("insecure-skip-tls-verify"),
        namespace=chosen.get("namespace") or "default",
    )


def _named(document: Mapping[str, Any], section: str, name: str, member: str, path: Path) -> Mapping[str, Any]:
    for entry in document.get(section) or ():
        if isinstance(entry, dict) and entry.get("name") == name:
            return entry.get(member) or {}
    raise KubeconfigError(f"{path} has no {member} {name!r}")


def _pem(holder: Mapping[str, Any], member: str, path: Path) -> str:
    """The PEM text given inline in base64, or in a file beside the kubeconfig; inline wins."""
    if data := holder.get(f"{member}-data"):
        try:
            return base64.b64decode(data, validate=True).decode()
        except ValueError as error:
            raise KubeconfigError(f"{path}: {member}-data is not base64 of PEM text") from error
    return _file(holder[member], path) if holder.get(member) else ""


def _token(user: Mapping[str, Any], path: Path) -> str:
    if token := user.get("token"):
        return str(token)
    return _file(user["tokenFile"], path).strip() if user.get("tokenFile") else ""


def _file(name: str, beside: Path) -> str:
    """A relative name is relative to the kubeconfig."""
    file = Path(os.path.join(beside.parent, name))
    try:
        return file.read_text()
    except OSError as error:
        raise KubeconfigError(f"{beside}: cannot read {file}: {error.strerror}") from error
