"""Upstream's OpenAPI definitions, as the `kubernetes-validate` package ships them, read one by one (A270, A275).

The file is 1.6 MB; its definitions are cut apart at first use and decoded singly, so that a kind costs only
what it names.
"""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

MINOR = "1.36"
"""The Kubernetes minor version whose types are served."""

_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_PACKAGES = {
    "": "io.k8s.api.core",
    "apiextensions.k8s.io": "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions",
    "apiregistration.k8s.io": "io.k8s.kube-aggregator.pkg.apis.apiregistration",
    "internal.apiserver.k8s.io": "io.k8s.api.apiserverinternal",
    "snapshot.storage.k8s.io": "io.k8s.storage.snapshot",
}


_OF_SNAPSHOTS = Path(__file__).with_name("snapshot-definitions.json")
"""Upstream has these kinds as custom resources, so its definitions are without them."""


class _File(msgspec.Struct):
    definitions: dict[str, msgspec.Raw] = msgspec.field(name="$defs")


def definition(name: str) -> dict[str, Any] | None:
    """The definition of that full name, such as `io.k8s.api.core.v1.Pod`, or None. Not to be changed."""
    raw = _definitions().get(name)
    return msgspec.json.decode(raw) if raw is not None else None


def definition_names() -> list[str]:
    """The full names of all definitions."""
    return sorted(_definitions())


@cache
def fingerprint() -> str:
    """A text that changes with the definitions."""
    import hashlib

    return hashlib.blake2b(_path().read_bytes() + _OF_SNAPSHOTS.read_bytes(), digest_size=16).hexdigest()


def definition_name(group: str, version: str, kind: str) -> str:
    """The full name of a kind's definition, empty if there is none."""
    package = _PACKAGES.get(group, f"io.k8s.api.{group.partition('.')[0]}")
    candidates = [f"{package}.{version}.{kind}"]
    if version == "v1" and not group:
        candidates.append(f"{_META}.{kind}")
    return next((name for name in candidates if name in _definitions()), "")


@cache
def _definitions() -> dict[str, msgspec.Raw]:
    found = msgspec.json.decode(_path().read_bytes(), type=_File).definitions
    return found | msgspec.json.decode(_OF_SNAPSHOTS.read_bytes(), type=_File).definitions


def _path() -> Path:
    # Importing the package would load jsonschema and cost more than all of start-up.
    spec = importlib.util.find_spec("kubernetes_validate")
    folders = (spec and spec.submodule_search_locations) or ()
    for folder in folders:
        path = Path(folder, "kubernetes-json-schema", f"v{MINOR}.0-local", "_definitions.json")
        if path.exists():
            return path
    raise RuntimeError(
        f"the definitions of Kubernetes {MINOR} are missing: "
        f"install a version of the package kubernetes-validate that carries {MINOR}"
    )
