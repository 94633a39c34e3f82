"""Request bodies into manifests: JSON, YAML and protobuf, checked against the schema (A45-A49, A62, A73-A75).

What comes back fits its type: unknown fields and nulls are gone, quantities and times are canonical, kind and
apiVersion are set. It is private to the caller and may be changed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from .errors import BadRequest, FieldError, Invalid, UnsupportedMediaType, show
from .go_values import go_value, unstructured_refusal
from .resource import Manifest, Resource
from .schema import types
from .schema.structs import conform
from .schema.types import Field, Type
from .schema.walk import Walk, WrongType, parse_showing_repeats

if TYPE_CHECKING:
    from .custom.resources import Custom

JSON, YAML, PROTOBUF = "application/json", "application/yaml", "application/vnd.kubernetes.protobuf"
IGNORE, WARN, STRICT = "Ignore", "Warn", "Strict"

_UNKNOWN_FORMAT = (
    f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}, {PROTOBUF}"
)
_UNKNOWN_CUSTOM_FORMAT = (
    f"the body of the request was in an unknown format - accepted media types include: {JSON}, {YAML}"
)
_SCHEME = "pkg/api/legacyscheme/scheme.go:30"
_OPTIONS_SCHEME = "k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"
ALSO_READ = {("policy/v1", "Eviction"): ("policy/v1beta1",)}
"""By (apiVersion, kind): older versions in which clients send the same, and which the API takes for ever."""

_TYPE_META = 'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }'


@dataclass(frozen=True, slots=True)
class Wanted:
    """The kind an endpoint takes."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def type_meta(self) -> Manifest:
        return {"kind": self.kind, "apiVersion": self.api_version}

    @property
    def type(self) -> Type:
        found = types.type_of(self.group, self.version, self.kind)
        if found is None:
            raise LookupError(f"no definition of {self.api_version} {self.kind}")
        return found


def decode_body(
    resource: Resource, body: bytes, content_type: str, field_validation: str = WARN
) -> tuple[Manifest, list[str]]:
    """The object in a body for `resource`, and the texts of warnings.

    Raises BadRequest, and UnsupportedMediaType for any other content type.
    """
    if resource.custom is not None:
        return _custom_body(resource, resource.custom, body, content_type, field_validation)
    return decode_kind(resource.group, resource.version, resource.kind, body, content_type, field_validation)


def decode_kind(
    group: str, version: str, kind: str, body: bytes, content_type: str, field_validation: str = WARN
) -> tuple[Manifest, list[str]]:
    """As decode_body, for kinds that are no resource: Scale, Binding, Eviction, TokenRequest, Status."""
    wanted = Wanted(group, version, kind)
    read = _readers().get(_media_type(content_type))
    if read is None:
        raise UnsupportedMediaType(_UNKNOWN_FORMAT)
    return read(wanted, body, field_validation)


def decode_options(body: bytes, content_type: str) -> Manifest:
    """DeleteOptions, under any group's apiVersion (A48, A82); an empty body is none."""
    media_type = _media_type(content_type)
    if media_type not in _readers():
        raise UnsupportedMediaType(_UNKNOWN_FORMAT)
    if not body:
        return {}
    if media_type == PROTOBUF:
        return _protobuf(Wanted("", "v1", "DeleteOptions"), body, IGNORE)[0]
    document = _json_document(body, "DeleteOptions") if media_type == JSON else _yaml_document(body, "DeleteOptions")[0]
    kind, api_version = document.get("kind") or "DeleteOptions", document.get("apiVersion") or "v1"
    if kind != "DeleteOptions":
        raise BadRequest(
            f"no kind {show(kind)} is registered for version {show(api_version)} in scheme {show(_OPTIONS_SCHEME)}"
        )
    bare = {name: value for name, value in document.items() if name not in ("kind", "apiVersion")}
    return _fitted(Wanted("", "v1", "DeleteOptions"), bare, bare, [], IGNORE)[0]


def prune_and_check(
    resource: Resource, manifest: Manifest, *, field_validation: str = WARN, strategic_patch: Manifest | None = None
) -> tuple[Manifest, list[str]]:
    """What a patch has led to, as decode_body would return it, and the texts of warnings (A75, A126).

    Raises Invalid, which shows the whole document, or a strategic patch where there is one.
    """
    if resource.custom is not None:
        return _custom_patched(resource, resource.custom, manifest, field_validation)
    kind = Wanted(resource.group, resource.version, resource.kind).type
    if (conformed := _conformed(kind, manifest)) is not None:
        return conformed, []
    walk = Walk()
    try:
        pruned = walk.struct(kind, manifest)
    except WrongType as error:
        text = str(error) if strategic_patch is None else unstructured_refusal(kind, manifest) or str(error)
        raise _bad_patch(kind, manifest, strategic_patch, text) from None
    if walk.problems and field_validation == STRICT:
        text = f"strict decoding error: {', '.join(walk.problems)}"
        raise _bad_patch(kind, manifest, strategic_patch, text)
    return _conformed(kind, pruned) or pruned, walk.problems if field_validation == WARN else []


# -- custom kinds


def _custom_body(
    resource: Resource, custom: Custom, body: bytes, content_type: str, field_validation: str
) -> tuple[Manifest, list[str]]:
    from .custom.decoding import check_version, fitted

    media_type, wanted = _media_type(content_type), Wanted(resource.group, resource.version, resource.kind)
    if media_type not in (JSON, YAML):
        raise UnsupportedMediaType(_UNKNOWN_CUSTOM_FORMAT)
    if media_type == JSON:
        document, repeats = _json_document(body, resource.kind), list[str]()
        if field_validation != IGNORE and repeats_a_key(body, document):
            document = parse_showing_repeats(body)
    else:
        document, repeats = _yaml_document(body, resource.kind)
    kind, version = document.get("kind") or "", (document.get("apiVersion") or "").rpartition("/")[2]

    def refuse(text: str) -> BadRequest:
        if not kind:
            return _unrecognized(resource.kind, text, body)
        return _cannot_be_handled(wanted, kind, version, text)

    check_version(resource, document, lambda text: refuse(f"{text} '{body.decode(errors='replace')}'"))
    is_strict = field_validation == STRICT
    if repeats and is_strict:
        raise refuse("strict decoding error: yaml: unmarshal errors:\n  " + "\n  ".join(repeats))
    result, problems = fitted(custom, document, refuse, is_strict=is_strict)
    return result, repeats + problems if field_validation != IGNORE else []


def _custom_patched(
    resource: Resource, custom: Custom, manifest: Manifest, field_validation: str
) -> tuple[Manifest, list[str]]:
    from .custom.decoding import fitted

    def refuse(text: str) -> Invalid:
        shown = msgspec.json.encode(manifest, order="sorted").decode()
        cause = FieldError("patch", "FieldValueInvalid", f"Invalid value: {show(shown)}: {text}")
        return Invalid(f' "" is invalid: {cause}', causes=(cause,))

    result, problems = fitted(custom, manifest, refuse, is_strict=field_validation == STRICT)
    return result, problems if field_validation == WARN else []


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower() or JSON


_Reader = Callable[[Wanted, bytes, str], tuple[Manifest, list[str]]]


def _readers() -> dict[str, _Reader]:
    return {JSON: _json, YAML: _yaml, PROTOBUF: _protobuf}


def _json(wanted: Wanted, body: bytes, field_validation: str) -> tuple[Manifest, list[str]]:
    document = _json_document(body, wanted.kind)
    _check_kind(wanted, document, body)
    if field_validation == IGNORE or not repeats_a_key(body, document):
        return _fitted(wanted, document, document, [], field_validation)
    return _fitted(wanted, None, parse_showing_repeats(body), [], field_validation)


def _json_document(body: bytes, kind: str) -> Manifest:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        from .json_syntax import syntax_error

        reason = syntax_error(body) or str(error)
        raise _unrecognized(kind, f"couldn't get version/kind; json parse error: {reason}", body) from None
    return _object(document, kind, body)


def _object(document: Any, kind: str, body: bytes) -> Manifest:
    """`null` counts as an empty object; kind and apiVersion are looked at before anything else."""
    if document is None:
        return {}
    problem = ""
    if not isinstance(document, dict):
        problem = f"cannot unmarshal {_json_type(document)} into Go value of type {_TYPE_META}"
    else:
        for name in ("apiVersion", "kind"):
            value = document.get(name)
            if not isinstance(value, str | None):
                problem = f"cannot unmarshal {_json_type(value)} into Go struct field .{name} of type string"
    if problem:
        raise _unrecognized(kind, f"couldn't get version/kind; json parse error: json: {problem}", body)
    result: Manifest = document
    return result


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return {str: "string", int: "number", float: "number", list: "array"}.get(type(value), "object")


def _yaml(wanted: Wanted, body: bytes, field_validation: str) -> tuple[Manifest, list[str]]:
    document, repeats = _yaml_document(body, wanted.kind)
    _check_kind(wanted, document, body)
    return _fitted(wanted, document, document, repeats, field_validation)


def _yaml_document(body: bytes, kind: str) -> tuple[Manifest, list[str]]:
    from .yaml import BrokenYaml, parse

    try:
        document, repeats = parse(body)
    except BrokenYaml as error:
        raise _unrecognized(kind, str(error), body) from None
    return _object(document, kind, body), repeats


def _protobuf(wanted: Wanted, body: bytes, field_validation: str) -> tuple[Manifest, list[str]]:
    from .protobuf import MalformedProtobuf, decode_message, envelope
    from .schema.messages import message_name

    try:
        outer = envelope(body)
        if wanted.kind != "DeleteOptions":
            _check_kind(wanted, {"apiVersion": outer.api_version, "kind": outer.kind}, body)
        document = decode_message(message_name(wanted.type.definition_name), outer.raw)
    except MalformedProtobuf as error:
        raise _unrecognized(wanted.kind, str(error), body) from None
    except LookupError:
        raise UnsupportedMediaType(_UNKNOWN_FORMAT) from None
    return _fitted(wanted, document, document, [], IGNORE)


def _fitted(
    wanted: Wanted, document: Manifest | None, showing_repeats: Manifest, repeats: list[str], field_validation: str
) -> tuple[Manifest, list[str]]:
    """The fast way if nothing is unusual, else the slow one; `document` None skips the fast one.

    The document is completed with kind and apiVersion, which thereby lead the result.
    """
    problems: list[str] = []
    result = _conformed(wanted.type, document | wanted.type_meta) if document is not None else None
    if result is None:
        result, problems = _walked(wanted, showing_repeats)
    if field_validation == STRICT and (repeats or problems):
        lines = ["yaml: unmarshal errors:\n  " + "\n  ".join(repeats)] if repeats else []
        text = f"strict decoding error: {', '.join(lines + problems)}"
        raise _cannot_be_handled(wanted, wanted.kind, wanted.version, text)
    return result, repeats + problems if field_validation != IGNORE else []


def _walked(wanted: Wanted, document: Manifest) -> tuple[Manifest, list[str]]:
    walk = Walk()
    try:
        pruned = walk.struct(wanted.type, document) | wanted.type_meta
    except WrongType as error:
        raise _cannot_be_handled(wanted, wanted.kind, wanted.version, str(error)) from None
    # Free-form parts may hold what a Struct cannot; the walk's result is right all the same.
    return _conformed(wanted.type, pruned) or pruned, walk.problems


def _conformed(kind: Type, document: Manifest) -> Manifest | None:
    """None where something is unusual."""
    try:
        return conform(kind, document)
    except (msgspec.ValidationError, RecursionError):
        return None


def repeats_a_key(body: bytes, document: Manifest) -> bool:
    """Whether the text has more keys than what it was read into, without reading it again.

    Each key has its colon; colons inside texts are the same on both sides, unless one is escaped.
    """
    return b"\\u003" in body or body.count(b":") != msgspec.json.encode(document).count(b":")


def _check_kind(wanted: Wanted, document: Manifest, body: bytes) -> None:
    """A missing kind or apiVersion is taken from the URL (A62)."""
    api_version, kind = document.get("apiVersion") or wanted.api_version, document.get("kind") or wanted.kind
    if kind == wanted.kind and api_version in (wanted.api_version, *ALSO_READ.get((wanted.api_version, kind), ())):
        return
    group, _, version = api_version.rpartition("/")
    if "/" in group:
        raise _unrecognized(wanted.kind, f"unexpected GroupVersion string: {api_version}", body)
    if types.type_of(group, version, kind) is None:
        detail = f"no kind {show(kind)} is registered for version {show(api_version)} in scheme {show(_SCHEME)}"
    else:
        target = wanted.group.partition(".")[0] or "core"
        detail = f"converting ({version}.{kind}) to ({target}.{wanted.kind}): unknown conversion"
    raise _cannot_be_handled(wanted, kind, version, detail)


def _cannot_be_handled(wanted: Wanted, kind: str, version: str, detail: str) -> BadRequest:
    return BadRequest(f'{kind} in version "{version}" cannot be handled as a {wanted.kind}: {detail}')


def _unrecognized(kind: str, detail: str, body: bytes) -> BadRequest:
    return BadRequest(f"the object provided is unrecognized (must be of type {kind}): {detail} ({_summary(body)})")


def _summary(body: bytes) -> str:
    if not body:
        return "<empty>"
    start = body[:30]
    text = start.decode(errors="replace") if body[:1] == b"{" else start.hex()
    return f"{text} ..." if len(body) > 30 else text


def _bad_patch(kind: Type, manifest: Manifest, strategic_patch: Manifest | None, text: str) -> Invalid:
    """A75: the refusal names no object, and shows what could not be decoded."""
    if strategic_patch is None:
        ordered = {name: _with_sorted_maps(kind.fields.get(name), manifest[name]) for name in sorted(manifest)}
        shown = msgspec.json.encode(ordered).decode()
    else:
        shown = go_value(strategic_patch)
    message = f"Invalid value: {show(shown)}: {text}"
    cause = FieldError("patch", "FieldValueInvalid", message)
    return Invalid(f' "" is invalid: {cause}', causes=(cause,))


def _with_sorted_maps(field: Field | None, value: Any) -> Any:
    """Go writes the keys of maps in alphabetical order, the members of structs in theirs."""
    if field is None or not isinstance(value, dict):
        return value
    if field.type.form == "struct":
        fields = field.type.fields
        return {name: _with_sorted_maps(fields.get(name), entry) for name, entry in value.items()}
    return {name: value[name] for name in sorted(value)}
