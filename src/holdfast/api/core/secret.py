"""Secrets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.errors import FieldError, invalid, required
from holdfast.api.field_rules import immutable
from holdfast.api.resource import AGE, NAME, Column, Manifest, Resource
from holdfast.api.table import age

from .data_validation import encoded_bytes, validate_kept, validate_keys, within_limit

SERVICE_ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"


def default(secret: Manifest) -> None:
    """Plain texts become data, where they win over what is there."""
    secret["type"] = secret.get("type") or "Opaque"
    texts = secret.pop("stringData", None)
    if texts:
        encoded = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = {**secret.get("data", {}), **encoded}


def validate(secret: Manifest) -> list[FieldError]:
    data = secret.get("data", {})
    return [*validate_keys("data", data), *within_limit("data", encoded_bytes(data)), *_of_type(secret, data)]


def _of_type(secret: Manifest, data: dict[str, str]) -> Iterator[FieldError]:
    """Each of the well-known types promises certain keys."""
    match secret.get("type"):
        case "kubernetes.io/service-account-token":
            if not secret["metadata"].get("annotations", {}).get(SERVICE_ACCOUNT_ANNOTATION):
                yield required(f"metadata.annotations[{SERVICE_ACCOUNT_ANNOTATION}]")
        case "kubernetes.io/dockercfg":
            yield from _json_key(".dockercfg", data)
        case "kubernetes.io/dockerconfigjson":
            yield from _json_key(".dockerconfigjson", data)
        case "kubernetes.io/basic-auth":
            if "username" not in data and "password" not in data:
                yield required("data[username]")
                yield required("data[password]")
        case "kubernetes.io/ssh-auth":
            if not data.get("ssh-privatekey"):
                yield required("data[ssh-privatekey]")
        case "kubernetes.io/tls":
            yield from (required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data)


def _json_key(key: str, data: dict[str, str]) -> Iterator[FieldError]:
    if key not in data:
        yield required(f"data[{key}]")
        return
    text = base64.b64decode(data[key]).decode(errors="replace")
    try:
        json.loads(text)
    except ValueError as error:
        yield invalid(f"data[{key}]", "<secret contents redacted>", _go_words(text, error))


def _go_words(text: str, error: ValueError) -> str:
    position = getattr(error, "pos", len(text))
    if position >= len(text):
        return "unexpected end of JSON input"
    return f"invalid character '{text[position]}' looking for beginning of value"


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    return [*immutable("type", new.get("type"), old.get("type")), *validate_kept(new, old, ("data",))]


def warnings(secret: Manifest) -> list[str]:
    if secret.get("type") != "kubernetes.io/tls":
        return []
    certificate = base64.b64decode(secret.get("data", {}).get("tls.crt", ""))
    if b"-----BEGIN" in certificate:
        return []
    return ["tls: failed to find any PEM data in certificate input"]


def cells(secret: Manifest, now: datetime) -> list[Any]:
    return [
        secret["metadata"]["name"],
        secret.get("type", ""),
        len(secret.get("data", ())),
        age(secret["metadata"].get("creationTimestamp"), now),
    ]


SECRETS = Resource(
    group="",
    version="v1",
    kind="Secret",
    plural="secrets",
    default=default,
    validate=validate,
    validate_update=validate_update,
    tells_changes_first=True,
    warnings=warnings,
    fields={"type": lambda secret: str(secret.get("type", ""))},
    columns=(
        NAME,
        Column("Type", documents="core.v1.Secret.type"),
        Column("Data", documents="core.v1.Secret.data"),
        AGE,
    ),
    cells=cells,
)
