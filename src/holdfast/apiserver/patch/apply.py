"""The body of an apply patch: a configuration, written in YAML or JSON (A133)."""

from __future__ import annotations

from typing import Any

import msgspec

from holdfast.api import decode
from holdfast.api.errors import BadRequest
from holdfast.api.resource import Manifest
from holdfast.apiserver.call import Call

_GO_TYPES = {list: "array", str: "string", bool: "bool", int: "number", float: "number"}


def parse_configuration(call: Call, body: bytes, field_validation: str) -> Manifest:
    """The configuration, as it was written. What it says twice becomes a warning. Raises BadRequest."""
    document, repeats = _parsed(body)
    if document is None:
        document = {}
    if not isinstance(document, dict):
        found = _GO_TYPES.get(type(document), "null")
        text = f"json: cannot unmarshal {found} into Go value of type map[string]interface {{}}"
        raise BadRequest(f"error decoding YAML: error unmarshaling JSON: while decoding JSON: {text}")
    if repeats and field_validation == decode.STRICT:
        lines = "".join(f"\n  {line}" for line in repeats)
        text = f"error converting YAML to JSON: yaml: unmarshal errors:{lines}"
        raise BadRequest(f"error strict decoding YAML: {text}")
    if field_validation != decode.IGNORE:
        call.warnings += repeats
    return document


def _parsed(body: bytes) -> tuple[Any, list[str]]:
    """JSON is YAML, but read a hundred times as fast."""
    if body[:1] == b"{":
        try:
            document = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        else:
            if not decode.repeats_a_key(body, document):
                return document, []
    from holdfast.api.yaml import BrokenYaml, parse

    try:
        return parse(body)
    except BrokenYaml as error:
        raise BadRequest(f"error decoding YAML: error converting YAML to JSON: {error}") from None


def described(config: Manifest) -> str:
    """Name and kind as refusals show them: `NS/N; apps/v1, Kind=Deployment`."""
    metadata = config.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    place = "/".join(_text(metadata.get(member)) for member in ("namespace", "name"))
    return f"{place}; {group_version_kind(config)}"


def group_version_kind(config: Manifest) -> str:
    """`apps/v1, Kind=Deployment`, `/v1, Kind=Pod`."""
    group, _, version = _text(config.get("apiVersion")).rpartition("/")
    return f"{group}/{version}, Kind={_text(config.get('kind'))}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
