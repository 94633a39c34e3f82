"""The kubeconfig of a cluster, and its context in the user's own."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

from .certificates import pair
from .home import Home
from .private_files import write_private

CONTEXT = "holdfast"


def document(home: Home, url: str) -> dict[str, Any]:
    """A kubeconfig with one context; credentials are inside, so that the file can be copied."""
    certificate, key = map(_base64, pair(home, "admin").texts())
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {"server": url, "certificate-authority-data": _base64(home.ca_certificate.read_text())},
            }
        ],
        "users": [
            {
                "name": CONTEXT,
                "user": {
                    "client-certificate-data": certificate,
                    "client-key-data": key,
                },
            }
        ],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": CONTEXT}}],
        "current-context": CONTEXT,
    }


def write(home: Home, url: str) -> None:
    """Writes `$HOLDFAST_HOME/kubeconfig`. JSON is YAML, and takes no YAML library to write."""
    import json

    write_private(home.kubeconfig, json.dumps(document(home, url), indent=2).encode() + b"\n")


def user_path() -> Path:
    """The user's own kubeconfig: the first file of `$KUBECONFIG`, else `~/.kube/config`."""
    first = os.environ.get("KUBECONFIG", "").split(os.pathsep)[0]
    return Path(first) if first else Path.home() / ".kube" / "config"


def merge(own: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """The user's kubeconfig with our cluster, user and context put in; theirs stay, and stay current."""
    merged = dict(own)
    merged.setdefault("apiVersion", "v1")
    merged.setdefault("kind", "Config")
    for section in ("clusters", "users", "contexts"):
        others = [entry for entry in own.get(section) or [] if entry.get("name") != CONTEXT]
        merged[section] = others + ours[section]
    if not merged.get("current-context"):
        merged["current-context"] = CONTEXT
    return merged


def add_to_users_own(home: Home, url: str, path: Path) -> bool:
    """Adds the context to `path`; whether it was another cluster's. Raises ValueError if that file is no kubeconfig."""
    import yaml

    try:
        own = yaml.safe_load(path.read_text()) or {}
    except FileNotFoundError:
        own = {}
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is not YAML: {error}") from error
    if not isinstance(own, dict):
        raise ValueError(f"{path} is not a kubeconfig")
    merged = merge(own, document(home, url))
    if merged != own:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, merged)
    return any(cluster.get("server") != url for cluster in _clusters(own)) and _authorities(own) != [_authority(home)]


def remove_from_users_own(home: Home, path: Path) -> bool:
    """Takes our context out of `path` again, if it is the one of this data directory; whether it was there."""
    import yaml

    try:
        own = yaml.safe_load(path.read_text()) or {}
    except (FileNotFoundError, yaml.YAMLError):
        return False
    if not isinstance(own, dict):
        return False
    if _authorities(own) != [_authority(home)]:
        return False
    for section in ("clusters", "users", "contexts"):
        own[section] = [entry for entry in own.get(section) or [] if entry.get("name") != CONTEXT]
    if own.get("current-context") == CONTEXT:
        own["current-context"] = own["contexts"][0]["name"] if own["contexts"] else ""
    _write(path, own)
    return True


def _write(path: Path, own: dict[str, Any]) -> None:
    """To where a link leads: some keep their settings elsewhere, and link them home."""
    import yaml

    write_private(path.resolve(), yaml.safe_dump(own, sort_keys=False).encode())


def _authorities(own: dict[str, Any]) -> list[str]:
    return [cluster.get("certificate-authority-data", "") for cluster in _clusters(own)]


def _clusters(own: dict[str, Any]) -> list[dict[str, Any]]:
    """Where our context in it leads: one, if it has such a context."""
    return [cluster.get("cluster") or {} for cluster in own.get("clusters") or [] if cluster.get("name") == CONTEXT]


def _authority(home: Home) -> str:
    return _base64(home.ca_certificate.read_text()) if home.ca_certificate.exists() else ""


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
