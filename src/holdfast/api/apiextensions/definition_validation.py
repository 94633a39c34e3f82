"""What a CustomResourceDefinition has to say, and what of it stays (A196, A197).

Source: Kubernetes, k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation/validation.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from holdfast.api import names
from holdfast.api.admissionregistration.webhooks import validate_client_config
from holdfast.api.conditions import is_true
from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import immutable, named, required_and_supported
from holdfast.api.resource import Manifest
from holdfast.api.structure import Shape, fields, flags, texts

from .schema_validation import validate_root_schema

_APPROVED = "api-approved.kubernetes.io"
_PROTECTED = (".k8s.io", ".kubernetes.io")
_SEE = "see https://github.com/kubernetes/enhancements/pull/1111"
_COLUMN_TYPES = ("boolean", "date", "integer", "number", "string")
_VERSION = Shape(
    (
        *texts("name"),
        *flags("served", "storage", "deprecated"),
        *fields("deprecationWarning", "schema", "subresources", "additionalPrinterColumns", "selectableFields"),
    )
)


def validate(definition: Manifest) -> list[FieldError]:
    metadata, spec = definition["metadata"], definition["spec"]
    errors: list[FieldError] = []
    if metadata.get("name") != f"{spec['names']['plural']}.{spec['group']}":
        errors.append(invalid("metadata.name", metadata.get("name"), 'must be spec.names.plural+"."+spec.group'))
    errors += _spec("spec", spec)
    errors += validate_status(definition["status"])
    errors += _stored_versions("status.storedVersions", definition["status"], spec["versions"] or [])
    return [*errors, *_approval(metadata, spec["group"])]


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """`validate` runs as well."""
    now, then = new["spec"], old["spec"]
    errors: list[FieldError] = []
    if is_true(old, "Established"):
        errors += immutable("spec.scope", now["scope"], then["scope"])
        errors += immutable("spec.names.kind", now["names"]["kind"], then["names"]["kind"])
    errors += immutable("spec.group", now["group"], then["group"])
    return [*errors, *immutable("spec.names.plural", now["names"]["plural"], then["names"]["plural"])]


def validate_status(status: Manifest) -> Iterator[FieldError]:
    yield from _names("status.acceptedNames", status.get("acceptedNames") or {})


def _stored_versions(field: str, status: Manifest, versions: list[Manifest]) -> Iterator[FieldError]:
    stored = status.get("storedVersions")
    if not stored:
        yield invalid(field, stored, "must have at least one stored version")
    known = {version["name"] for version in versions}
    for i, name in enumerate(stored or ()):
        if name not in known:
            refusal = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions"
                f" until a storage migration ensures no data remains persisted in {name} and removes {name} from"
                " status.storedVersions"
            )
            yield invalid(f"{field}[{i}]", name, refusal)


def _approval(metadata: Manifest, group: str) -> Iterator[FieldError]:
    """Kubernetes' own groups take a reference to who approved of it (A198)."""
    if not group.endswith(_PROTECTED):
        return
    field, approval = f"metadata.annotations[{_APPROVED}]", (metadata.get("annotations") or {}).get(_APPROVED, "")
    if not approval:
        yield required(field, f'protected groups must have approval annotation "{_APPROVED}", {_SEE}')
    elif not approval.startswith("unapproved") and not _is_url(approval):
        refusal = f'protected groups must have approval annotation "{_APPROVED}" with either a URL or a reason starting'
        yield invalid(field, approval, f'{refusal} with "unapproved", {_SEE}')


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return bool(parts.scheme and parts.netloc)


def _spec(field: str, spec: Manifest) -> Iterator[FieldError]:
    yield from _group(f"{field}.group", spec["group"])
    yield from required_and_supported(f"{field}.scope", spec["scope"], ("Cluster", "Namespaced"))
    versions = spec["versions"] or []
    if spec.get("preserveUnknownFields"):
        instead = "set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
        yield invalid(f"{field}.preserveUnknownFields", True, f"cannot set to true, {instead}")
    yield from _versions(f"{field}.versions", versions)
    for member in ("plural", "singular", "kind", "listKind"):
        if not spec["names"].get(member):
            yield required(f"{field}.names.{member}")
    yield from _names(f"{field}.names", spec["names"])
    yield from _parts_of_versions(field, versions)
    yield from _conversion(f"{field}.conversion", spec["conversion"])


def _group(field: str, group: str) -> Iterator[FieldError]:
    if not group:
        yield required(field)
    elif error := names.dns_subdomain(group):
        yield invalid(field, group, error)
    elif "." not in group:
        yield invalid(field, group, "should be a domain with at least one dot")


def _versions(field: str, versions: list[Manifest]) -> Iterator[FieldError]:
    for i, version in enumerate(versions):
        if not (version.get("schema") or {}).get("openAPIV3Schema"):
            yield required(f"{field}[{i}].schema.openAPIV3Schema")
    for i, version in enumerate(versions):
        yield from named(f"{field}[{i}].name", version["name"], names.rfc1035_label)
        if version.get("deprecationWarning") is not None and not version.get("deprecated"):
            refusal = "can only be set for deprecated versions"
            yield invalid(f"{field}[{i}].deprecationWarning", version["deprecationWarning"], refusal)
    if len({version["name"] for version in versions}) < len(versions):
        yield invalid(field, _shown(versions), "must contain unique version names")
    if sum(bool(version["storage"]) for version in versions) != 1:
        yield invalid(field, _shown(versions), "must have exactly one version marked as storage version")


def _shown(versions: list[Manifest]) -> list[Manifest]:
    """Versions as upstream's messages show them, what they may have in common left out."""
    return [_VERSION.render({**version, **dict.fromkeys(_COMMON)}) for version in versions]


def _names(field: str, given: Manifest) -> Iterator[FieldError]:
    for member in ("plural", "singular"):
        if given.get(member):
            yield from named(f"{field}.{member}", given[member], names.rfc1035_label)
    for member in ("kind", "listKind"):
        text = given.get(member, "")
        if text and (error := names.rfc1035_label(text.lower())):
            yield invalid(f"{field}.{member}", text, f"may have mixed case, but should otherwise match: {error}")
    for i, short in enumerate(given.get("shortNames") or ()):
        yield from named(f"{field}.shortNames[{i}]", short, names.rfc1035_label)
    if given.get("kind") and given["kind"] == given.get("listKind"):
        yield invalid(f"{field}.listKind", given["listKind"], "kind and listKind may not be the same")
    for i, category in enumerate(given.get("categories") or ()):
        yield from named(f"{field}.categories[{i}]", category, names.rfc1035_label)


# -- schema, subresources and columns: upstream moves out of the versions what is the same in all of them


def _parts_of_versions(field: str, versions: list[Manifest]) -> Iterator[FieldError]:
    for member, check in _COMMON.items():
        given = [version.get(member) for version in versions]
        has_status = ["status" in (version.get("subresources") or {}) for version in versions]
        if given and all(part == given[0] for part in given):
            yield from check(f"{field}.{_TOP_NAMES.get(member, member)}", given[0], any(has_status))
            continue
        for i, part in enumerate(given):
            yield from check(f"{field}.versions[{i}].{member}", part, has_status[i])


def _schema(field: str, validation: Manifest | None, has_status: bool) -> Iterator[FieldError]:
    if schema := (validation or {}).get("openAPIV3Schema"):
        yield from validate_root_schema(f"{field}.openAPIV3Schema", schema, has_status=has_status)


def _subresources(field: str, subresources: Manifest | None, has_status: bool) -> Iterator[FieldError]:
    scale = (subresources or {}).get("scale")
    if scale is None:
        return
    for member, place in (("specReplicasPath", ".spec."), ("statusReplicasPath", ".status.")):
        at, path = f"{field}.scale.{member}", scale.get(member, "")
        if not path:
            yield required(at)
        else:
            yield from _json_path(at, path, place)
    if path := scale.get("labelSelectorPath"):
        at = f"{field}.scale.labelSelectorPath"
        if path.startswith(".spec."):
            yield from _json_path(at, path, ".spec.")
        else:
            yield from _json_path(at, path, ".status.", "should be a json path under either .status or .spec")


def _json_path(field: str, path: str, place: str, refusal: str = "") -> Iterator[FieldError]:
    if not path.startswith("."):
        yield invalid(field, path, "must be a simple json path starting with .")
    elif not path.startswith(place):
        yield invalid(field, path, refusal or f"should be a json path under {place[:-1]}")


def _columns(field: str, columns: list[Manifest] | None, has_status: bool) -> Iterator[FieldError]:
    for i, column in enumerate(columns or ()):
        at, kind = f"{field}[{i}]", column.get("type", "")
        if not column.get("name"):
            yield required(f"{at}.name")
        if not kind:
            yield required(f"{at}.type", f"must be one of {','.join(_COLUMN_TYPES)}")
        elif kind not in _COLUMN_TYPES:
            yield invalid(f"{at}.type", kind, f"must be one of {','.join(_COLUMN_TYPES)}")
        path = column.get("jsonPath", "")
        if not path:
            yield required(f"{at}.JSONPath")
        elif not path.startswith("."):
            yield invalid(f"{at}.JSONPath", path, "must be a simple json path starting with .")


_COMMON: Mapping[str, Callable[[str, Any, bool], Iterator[FieldError]]] = {
    "schema": _schema,
    "subresources": _subresources,
    "additionalPrinterColumns": _columns,
}
_TOP_NAMES = {"schema": "validation"}


def _conversion(field: str, conversion: Manifest) -> Iterator[FieldError]:
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook")
    yield from required_and_supported(f"{field}.strategy", strategy, ("None", "Webhook"))
    if strategy == "Webhook":
        if not (webhook or {}).get("clientConfig"):
            yield required(f"{field}.webhookClientConfig", "required when strategy is set to Webhook")
        else:
            yield from validate_client_config(f"{field}.webhookClientConfig", (webhook or {})["clientConfig"])
        yield from _conversion_versions(f"{field}.conversionReviewVersions", webhook or {})
    elif webhook is not None:
        yield forbidden(f"{field}.webhookClientConfig", "should not be set when strategy is not set to Webhook")


def _conversion_versions(field: str, webhook: Manifest) -> Iterator[FieldError]:
    versions = webhook.get("conversionReviewVersions") or []
    if not versions:
        yield required(field)
    for i, version in enumerate(versions):
        if version in versions[:i]:
            yield invalid(f"{field}[{i}]", version, "duplicate version")
        else:
            yield from named(f"{field}[{i}]", version, names.rfc1035_label)
    if versions and not {"v1", "v1beta1"} & set(versions):
        yield invalid(field, versions, "must include at least one of v1, v1beta1")
