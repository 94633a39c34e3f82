"""The schema of a custom resource: what of OpenAPI it may use, and that it is structural (A198).

Structural: what fields there are and of which types is said once, outside of allOf, anyOf, oneOf and not, which
only restrict values. Rules in CEL are kept as they are; nothing here compiles them.

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go and
pkg/apiserver/schema/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdfast.api.errors import FieldError, forbidden, invalid, not_supported, required, show
from holdfast.api.resource import Manifest
from holdfast.api.structure import Shape, fields, texts

TYPES = ("array", "boolean", "integer", "number", "object", "string")
_KEEPS, _EMBEDDED, _INT_OR_STRING = (
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
)
_LIST_TYPE, _LIST_KEYS, _MAP_TYPE = "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "x-kubernetes-map-type"
_RULES = "x-kubernetes-validations"
_UNSUPPORTED = {
    "id": "id is not supported",
    "additionalItems": "additionalItems is not supported",
    "patternProperties": "patternProperties is not supported",
    "definitions": "definitions is not supported",
    "dependencies": "dependencies is not supported",
    "$ref": "$ref is not supported",
}
_AT_ROOT_WITH_STATUS = ("Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum",
                        "ExclusiveMinimum", "MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems",
                        "MultipleOf", "Required", "Items", "Properties", "ExternalDocs", "Example",
                        "XPreserveUnknownFields", "XValidations")  # fmt: skip
_IF_STATUS = "at the root of the schema if the status subresource is enabled"
_NOT_BELOW_LOGIC = {
    "type": "must be empty to be structural",
    "additionalProperties": "must be undefined to be structural",
    "default": "must be undefined to be structural",
    "title": "must be empty to be structural",
    "description": "must be empty to be structural",
    "nullable": "must be false to be structural",
    _KEEPS: "must be false to be structural",
    _EMBEDDED: "must be false to be structural",
    _INT_OR_STRING: "must be false to be structural",
    _LIST_KEYS: "must be empty to be structural",
    _LIST_TYPE: "must be undefined to be structural",
    _MAP_TYPE: "must be undefined to be structural",
}
_RULE = Shape(
    (
        *texts("rule", "message", "messageExpression"),
        *fields("reason"),
        *texts("fieldPath"),
        *fields("optionalOldSelf"),
    )
)
"""A rule as upstream's messages show it."""
ROOT, ITEM, FIELD = "at the root", "for specified array items", "for specified object fields"
"""Where a schema stands, in the words of messages."""


def validate_root_schema(field: str, schema: Manifest, *, has_status: bool) -> Iterator[FieldError]:
    """The schema of a whole object. `has_status`: there is a status subresource."""
    if has_status:
        yield from _at_root(field, schema)
    if schema.get("nullable"):
        yield forbidden(f"{field}.nullable", "nullable cannot be true at the root")
    wrong = [
        *_keywords(field, schema),
        *sorted((*_structure(field, schema, ROOT), *_completeness(field, schema)), key=str),
    ]
    yield from wrong
    if not wrong:
        from holdfast.api.custom.defaulting import wrong_defaults

        yield from wrong_defaults(field, schema)


def _at_root(field: str, schema: Manifest) -> Iterator[FieldError]:
    for name in schema:
        if name == "type":
            if schema["type"] != "object":
                refusal = f'only "object" is allowed as the type {_IF_STATUS}'
                yield invalid(f"{field}.type", schema["type"], refusal)
                return
        elif _go_name(name) not in _AT_ROOT_WITH_STATUS:
            allowed = " ".join(_AT_ROOT_WITH_STATUS)
            yield invalid(field, schema, f"only [{allowed}] fields are allowed {_IF_STATUS}")
            return


def _go_name(name: str) -> str:
    return {_KEEPS: "XPreserveUnknownFields", _RULES: "XValidations"}.get(name) or name[:1].upper() + name[1:]


def _below(field: str, schema: Manifest) -> Iterator[tuple[str, Manifest]]:
    """The schemas directly inside of one, with their paths."""
    for member in ("additionalProperties", "not", "items"):
        if isinstance(inner := schema.get(member), dict):
            yield f"{field}.{member}", inner
    for member in ("properties", "patternProperties", "definitions"):
        for name, inner in (schema.get(member) or {}).items():
            yield f"{field}.{member}[{name}]", inner
    yield from _logic(field, schema)


def _logic(field: str, schema: Manifest) -> Iterator[tuple[str, Manifest]]:
    for member in ("allOf", "anyOf", "oneOf"):
        for i, inner in enumerate(schema.get(member) or ()):
            yield f"{field}.{member}[{i}]", inner


# -- keywords


def _keywords(field: str, schema: Manifest) -> Iterator[FieldError]:
    for member, refusal in _UNSUPPORTED.items():
        if schema.get(member):
            yield forbidden(f"{field}.{member}", refusal)
    kind = schema.get("type", "")
    if kind == "null":
        yield forbidden(f"{field}.type", "type cannot be set to null, use nullable as an alternative")
    elif kind and kind not in TYPES:
        yield not_supported(f"{field}.type", kind, TYPES)
    if isinstance(schema.get("items"), list):
        yield forbidden(f"{field}.items", "items must be a schema object and not an array")
    if schema.get("uniqueItems"):
        refusal = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        yield forbidden(f"{field}.uniqueItems", refusal)
    if schema.get("properties") and schema.get("additionalProperties") not in (None, True):
        yield forbidden(f"{field}.additionalProperties", "additionalProperties and properties are mutual exclusive")
    if pattern := schema.get("pattern"):
        yield from _pattern(f"{field}.pattern", pattern)
    if schema.get(_KEEPS) is False:
        yield invalid(f"{field}.{_KEEPS}", False, "must be true or undefined")
    yield from _map_type(field, schema)
    yield from _list_type(field, schema)
    yield from _rules(f"{field}.{_RULES}", schema, schema.get(_RULES) or [])
    for at, inner in _below(field, schema):
        yield from _keywords(at, inner)


def _pattern(field: str, pattern: str) -> Iterator[FieldError]:
    from holdfast.api.custom.patterns import problem

    if reason := problem(pattern):
        yield invalid(field, pattern, f"must be a valid regular expression, but isn't: {reason}")


def _map_type(field: str, schema: Manifest) -> Iterator[FieldError]:
    if (map_type := schema.get(_MAP_TYPE)) is None:
        return
    yield from _must_be(field, schema, "object", f"must be object if {_MAP_TYPE} is specified")
    if map_type not in ("atomic", "granular"):
        yield not_supported(f"{field}.{_MAP_TYPE}", map_type, ("atomic", "granular"))


def _list_type(field: str, schema: Manifest) -> Iterator[FieldError]:
    list_type, keys = schema.get(_LIST_TYPE), schema.get(_LIST_KEYS) or []
    if list_type is not None:
        yield from _must_be(field, schema, "array", f"must be array if {_LIST_TYPE} is specified")
        if list_type not in ("atomic", "set", "map"):
            yield not_supported(f"{field}.{_LIST_TYPE}", list_type, ("atomic", "set", "map"))
    if keys and list_type != "map":
        refusal = f"must be map if {_LIST_KEYS} is non-empty"
        at = f"{field}.{_LIST_TYPE}"
        yield required(at, refusal) if list_type is None else invalid(at, list_type, refusal)
    if list_type == "map":
        yield from _list_map(field, schema.get("items"), keys)


def _list_map(field: str, items: object, keys: list[str]) -> Iterator[FieldError]:
    if not keys:
        yield required(f"{field}.{_LIST_KEYS}", f"must not be empty if {_LIST_TYPE} is map")
    if not isinstance(items, dict):
        yield required(f"{field}.items", f"must have a schema if {_LIST_TYPE} is map")
        return
    if items.get("type") != "object":
        refusal = f"must be object if parent array's {_LIST_TYPE} is map"
        yield invalid(f"{field}.items.type", items.get("type", ""), refusal)
    properties = items.get("properties") or {}
    for i, key in enumerate(keys):
        if key in keys[:i]:
            yield invalid(f"{field}.{_LIST_KEYS}[{i}]", keys, "must not contain duplicate entries")
        elif key not in properties:
            yield invalid(f"{field}.{_LIST_KEYS}[{i}]", key, "entries must all be names of item properties")
        else:
            is_required = key in (items.get("required") or ())
            yield from _list_key(f"{field}.items.properties[{key}]", properties[key], is_required)


def _list_key(field: str, schema: Manifest, is_required: bool) -> Iterator[FieldError]:
    if schema.get("type") in ("array", "object"):
        refusal = f"must be a scalar type if parent array's {_LIST_TYPE} is map"
        yield invalid(f"{field}.type", schema["type"], refusal)
    if not is_required and "default" not in schema:
        refusal = f"this property is in {_LIST_KEYS}, so it must have a default or be a required property"
        yield required(f"{field}.default", refusal)


def _rules(field: str, schema: Manifest, rules: list[Manifest]) -> Iterator[FieldError]:
    if not rules:
        return
    from holdfast.api.custom.rules import problem

    for i, rule in enumerate(rules):
        message = rule.get("message", "")
        if not rule.get("rule", "").strip():
            yield required(f"{field}[{i}].rule", "rule is not specified")
        elif wrong := problem(schema, rule):
            yield _uncompilable(f"{field}[{i}].rule", rule, wrong)
        if message and not message.strip():
            yield invalid(f"{field}[{i}].message", message, "message must be non-empty if specified")
        elif "\n" in message.strip():
            yield invalid(f"{field}[{i}].message", message, "message must not contain line breaks")


def _uncompilable(field: str, rule: Manifest, reason: str) -> FieldError:
    shown = show(_RULE.render(rule))
    for character, escaped in (("&", "\\u0026"), ("<", "\\u003c"), (">", "\\u003e")):  # as Go writes structures
        shown = shown.replace(character, escaped)
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {shown}: compilation failed: {reason}")


def _must_be(field: str, schema: Manifest, kind: str, refusal: str) -> Iterator[FieldError]:
    given = schema.get("type", "")
    if not given:
        yield required(f"{field}.type", refusal)
    elif given != kind:
        yield invalid(f"{field}.type", given, refusal)


# -- structure


def _structure(field: str, schema: Manifest, level: str) -> Iterator[FieldError]:
    kind, is_embedded = schema.get("type", ""), bool(schema.get(_EMBEDDED))
    items, additional = schema.get("items"), schema.get("additionalProperties")
    if kind == "array" and items is None:
        yield required(f"{field}.items", "must be specified")
    if isinstance(items, dict):
        yield from _structure(f"{field}.items", items, ITEM)
    for name, inner in (schema.get("properties") or {}).items():
        yield from _structure(f"{field}.properties[{name}]", inner, FIELD)
    if additional is not None:
        if level == ROOT:
            yield forbidden(f"{field}.additionalProperties", "must not be used at the root")
        if isinstance(additional, dict):
            yield from _structure(f"{field}.additionalProperties", additional, FIELD)
    yield from _int_or_string(field, schema)
    if is_embedded:
        yield from _must_be(field, schema, "object", f"must be object if {_EMBEDDED} is true")
    elif not kind and not schema.get(_INT_OR_STRING) and not schema.get(_KEEPS):
        yield required(f"{field}.type", f"must not be empty {level}")
    if level == ROOT and kind and kind != "object":
        yield invalid(f"{field}.type", kind, "must be object at the root")
    if level == ROOT or is_embedded:
        yield from _type_and_metadata(f"{field}.properties", schema.get("properties") or {}, level)
    if is_embedded and not schema.get(_KEEPS) and not schema.get("properties"):
        refusal = f"must not be empty if {_EMBEDDED} is true without {_KEEPS}"
        yield required(f"{field}.properties", refusal)
    yield from _restrictions(field, schema)


def _int_or_string(field: str, schema: Manifest) -> Iterator[FieldError]:
    if not schema.get(_INT_OR_STRING):
        return
    refusal = f"must be false if {_INT_OR_STRING} is true"
    if schema.get(_KEEPS):
        yield invalid(f"{field}.{_KEEPS}", True, refusal)
    if schema.get(_EMBEDDED):
        yield invalid(f"{field}.{_EMBEDDED}", True, refusal)
    if schema.get("type"):
        yield invalid(f"{field}.type", schema["type"], f"must be empty if {_INT_OR_STRING} is true")


def _type_and_metadata(field: str, properties: Mapping[str, Manifest], level: str) -> Iterator[FieldError]:
    """What Kubernetes itself knows of every object is not for a definition to say."""
    for name in ("apiVersion", "kind"):
        if name in properties and properties[name].get("type") != "string":
            yield invalid(f"{field}[{name}].type", properties[name].get("type", ""), "must be string")
    if (metadata := properties.get("metadata")) is None:
        return
    if metadata.get("type") != "object":
        yield invalid(f"{field}[metadata].type", metadata.get("type", ""), "must be object")
    rest = {name for name, value in metadata.items() if value} - {"type", "properties", "description", "title"}
    if level == ROOT and (rest or set(metadata.get("properties") or ()) - {"name", "generateName"}):
        refusal = "must not specify anything other than name and generateName, but metadata is implicitly specified"
        yield forbidden(f"{field}[metadata]", refusal)


def _restrictions(field: str, schema: Manifest) -> Iterator[FieldError]:
    """allOf, anyOf, oneOf and not say nothing of types, but for the two ways to write int-or-string."""
    is_free = bool(schema.get(_INT_OR_STRING))
    for at, inner in _logic(field, schema):
        member = at.rpartition(".")[2]
        skips = is_free and (
            (member.startswith("anyOf") and _is_int_or_string(schema.get("anyOf")))
            or (member == "allOf[0]" and _is_int_or_string(inner.get("anyOf")))
        )
        if not skips:
            yield from _restriction(at, inner)
    if isinstance(denied := schema.get("not"), dict):
        yield from _restriction(f"{field}.not", denied)


def _is_int_or_string(alternatives: object) -> bool:
    return alternatives == [{"type": "integer"}, {"type": "string"}]


def _restriction(field: str, schema: Manifest) -> Iterator[FieldError]:
    for member, refusal in _NOT_BELOW_LOGIC.items():
        if schema.get(member):
            yield forbidden(f"{field}.{member}", refusal)
    properties = schema.get("properties") or {}
    if "metadata" in properties:
        yield forbidden(f"{field}.properties[metadata]", "must not be specified in a nested context")
    for name, inner in properties.items():
        yield from _restriction(f"{field}.properties[{name}]", inner)
    if isinstance(items := schema.get("items"), dict):
        yield from _restriction(f"{field}.items", items)
    for at, inner in _logic(field, schema):
        yield from _restriction(at, inner)
    if isinstance(denied := schema.get("not"), dict):
        yield from _restriction(f"{field}.not", denied)


def _completeness(field: str, schema: Manifest) -> Iterator[FieldError]:
    """What a restriction names must be specified where types are."""
    for at, inner in _logic(field, schema):
        yield from _specified(field, schema, at, inner)
    if isinstance(denied := schema.get("not"), dict):
        yield from _specified(field, schema, f"{field}.not", denied)
    for name, inner in (schema.get("properties") or {}).items():
        yield from _completeness(f"{field}.properties[{name}]", inner)
    for member in ("items", "additionalProperties"):
        if isinstance(part := schema.get(member), dict):
            yield from _completeness(f"{field}.{member}", part)


def _specified(field: str, schema: Manifest, at: str, restriction: Manifest) -> Iterator[FieldError]:
    for name, inner in (restriction.get("properties") or {}).items():
        found = (schema.get("properties") or {}).get(name)
        if found is None and not isinstance(found := schema.get("additionalProperties"), dict):
            yield required(f"{field}.properties[{name}]", f"because it is defined in {at}.properties[{name}]")
        else:
            yield from _specified(f"{field}.properties[{name}]", found, f"{at}.properties[{name}]", inner)
    if isinstance(items := restriction.get("items"), dict):
        found = schema.get("items")
        if not isinstance(found, dict):
            yield required(f"{field}.items", f"because it is defined in {at}.items")
        else:
            yield from _specified(f"{field}.items", found, f"{at}.items", items)
    for below, inner in _logic(at, restriction):
        yield from _specified(field, schema, below, inner)
