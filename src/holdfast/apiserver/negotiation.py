"""Which form an answer takes: media type, transformation, indentation (A12, A40-A45)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from holdfast.api.errors import NotAcceptable

JSON, YAML = "application/json", "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
SHAPES = {"Table": ("v1", "v1beta1"), "PartialObjectMetadata": ("v1", "v1beta1"),
          "PartialObjectMetadataList": ("v1", "v1beta1")}  # fmt: skip
AVAILABLE = f"{JSON}, {YAML}, {PROTOBUF}"
STREAMS = f"{JSON};stream=watch, {PROTOBUF};stream=watch"


@dataclass(frozen=True, slots=True)
class Form:
    """What the client shall get. `shape` is empty for the object itself, `version` is that of the shape."""

    media_type: str = JSON
    shape: str = ""
    version: str = "v1"


PLAIN = Form()


@dataclass(frozen=True, slots=True)
class _Range:
    media_type: str
    parameters: dict[str, str]
    quality: float


@lru_cache(maxsize=512)
def choose(accept: str, *, is_watch: bool = False) -> Form:
    """The best form that `accept` allows. Raises NotAcceptable."""
    if not accept or accept == "*/*":
        return PLAIN
    ranges = _parse(accept)
    if not any(one.media_type in (JSON, YAML, PROTOBUF, "*/*") for one in ranges):
        raise NotAcceptable(f"406: Not Acceptable\n\nAvailable representations: {AVAILABLE}", has_details=True)
    for one in ranges:
        if (form := _form(one)) and not (is_watch and form.media_type == YAML):
            return form
    accepted = STREAMS if is_watch else AVAILABLE
    raise NotAcceptable(f"only the following media types are accepted: {accepted}")


def _form(one: _Range) -> Form | None:
    media_type = JSON if one.media_type == "*/*" else one.media_type
    if media_type not in (JSON, YAML):
        return None
    shape = one.parameters.get("as", "")
    if not shape:
        return Form(media_type)
    version = one.parameters.get("v", "")
    if one.parameters.get("g") != "meta.k8s.io" or version not in SHAPES.get(shape, ()):
        return None
    return Form(media_type, shape, version)


def wants_discovery(accept: str) -> str:
    """The version of aggregated discovery that is asked for before anything plainer, or empty (A18)."""
    for one in _parse(accept) if accept else []:
        parameters = one.parameters
        if (parameters.get("g"), parameters.get("as")) == ("apidiscovery.k8s.io", "APIGroupDiscoveryList"):
            if one.media_type == JSON and parameters.get("v") in ("v2", "v2beta1"):
                return parameters["v"]
        elif one.media_type in (JSON, YAML, "*/*") and "as" not in parameters:
            return ""
    return ""


def _parse(accept: str) -> list[_Range]:
    """By quality, then by order."""
    ranges = []
    for text in accept.split(","):
        media_type, *parts = (part.strip() for part in text.split(";"))
        parameters = dict(part.split("=", 1) for part in parts if "=" in part)
        try:
            quality = float(parameters.pop("q", "1"))
        except ValueError:
            quality = 1.0
        if media_type:
            ranges.append(_Range(media_type.lower(), parameters, quality))
    return sorted(ranges, key=lambda one: -one.quality)


def wants_pretty(query: str, pretty: str | None, user_agent: str) -> bool:
    """Whether JSON is to be indented for a person to read."""
    if pretty is not None:
        return pretty.lower() not in ("0", "false")
    return user_agent.startswith(("curl", "Wget", "Mozilla/"))


def content_type(header: str) -> str:
    """The media type of a request body, without its parameters; a missing header means JSON (A45)."""
    return header.partition(";")[0].strip().lower() or JSON
