"""Environment variables and the fields of pods and containers that they and the downward API may show."""

from __future__ import annotations

from collections.abc import Iterator

from holdfast.api import names, quantity
from holdfast.api.errors import FieldError, invalid, not_supported, required
from holdfast.api.field_rules import named, present, required_name
from holdfast.api.resource import Manifest

from .path_validation import descending_path

_POD_FIELDS = frozenset(
    {"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"}
    | {"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName"}
    | {"status.phase", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
)
FIELDS_OF_VARIABLES = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
FIELDS_OF_FILES = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_CPU_DIVISORS = ("1m", "1")
_BYTE_DIVISORS = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def validate_environment(field: str, variables: list[Manifest]) -> Iterator[FieldError]:
    for i, variable in enumerate(variables):
        yield from required_name(f"{field}[{i}].name", variable.get("name", ""), names.environment_name)
        if "valueFrom" in variable:
            yield from _value_from(f"{field}[{i}].valueFrom", variable)


def validate_environment_from(field: str, sources: list[Manifest]) -> Iterator[FieldError]:
    for i, source in enumerate(sources):
        at = f"{field}[{i}]"
        if prefix := source.get("prefix"):
            yield from named(f"{at}.prefix", prefix, names.environment_name)
        given = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        for kind in given:
            yield from present(f"{at}.{kind}.name", source[kind].get("name"))
        if not given:
            yield invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")
        elif len(given) > 1:
            yield invalid(at, "", "may not have more than one field specified at a time")


def validate_field_reference(field: str, reference: Manifest, allowed: tuple[str, ...]) -> Iterator[FieldError]:
    """A path such as `metadata.labels['app']`; `allowed` are the paths that may stand without a subscript."""
    yield from present(f"{field}.apiVersion", reference.get("apiVersion"))
    path = reference.get("fieldPath", "")
    if not path:
        yield required(f"{field}.fieldPath")
        return
    base, subscript = _split(path)
    if base == "spec.host":
        base = path = "spec.nodeName"
    if (subscript is not None and base not in FIELDS_OF_FILES[:2]) or (base not in _POD_FIELDS):
        refusal = f"error converting fieldPath: field label not supported: {path}"
        yield invalid(f"{field}.fieldPath", path, refusal)
    elif subscript is not None:
        key = subscript.lower() if base == "metadata.annotations" else subscript
        if error := names.qualified_name(key):
            yield invalid(field, subscript, error)
    elif path not in allowed:
        yield not_supported(f"{field}.fieldPath", path, sorted(allowed))


def validate_resource_reference(field: str, reference: Manifest, in_volume: bool) -> Iterator[FieldError]:
    """A container's request or limit, such as `limits.cpu`, and the unit it is shown in."""
    resource = reference.get("resource", "")
    if in_volume and not reference.get("containerName"):
        yield required(f"{field}.containerName")
    elif not resource:
        yield required(f"{field}.resource")
    elif resource not in _RESOURCES and ".hugepages-" not in resource:
        yield not_supported(f"{field}.resource", resource, _RESOURCES)
    yield from _divisor(f"{field}.divisor", resource, reference.get("divisor", "0"))


def validate_key_reference(field: str, reference: Manifest) -> Iterator[FieldError]:
    """A key of a ConfigMap or Secret."""
    yield from present(f"{field}.name", reference.get("name"))
    yield from required_name(f"{field}.key", reference.get("key", ""), names.config_key)


def _value_from(field: str, variable: Manifest) -> Iterator[FieldError]:
    source = variable["valueFrom"]
    if "fieldRef" in source:
        yield from validate_field_reference(f"{field}.fieldRef", source["fieldRef"], FIELDS_OF_VARIABLES)
    if "resourceFieldRef" in source:
        yield from validate_resource_reference(f"{field}.resourceFieldRef", source["resourceFieldRef"], False)
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            yield from validate_key_reference(f"{field}.{kind}", source[kind])
    if "fileKeyRef" in source:
        yield from _file_key_reference(f"{field}.fileKeyRef", source["fileKeyRef"])
    given = sum(kind in source for kind in _SOURCES)
    if not given:
        *others, last = (f"`{kind}`" for kind in _SOURCES)
        yield invalid(field, "", f"must specify one of: {', '.join(others)} or {last}")
    elif variable.get("value"):
        yield invalid(field, "", "may not be specified when `value` is not empty")
    elif given > 1:
        yield invalid(field, "", "may not have more than one field specified at a time")


def _file_key_reference(field: str, reference: Manifest) -> Iterator[FieldError]:
    """A variable in a file of one of the pod's volumes."""
    yield from required_name(f"{field}.key", reference.get("key", ""), names.environment_name)
    yield from required_name(f"{field}.volumeName", reference.get("volumeName", ""), names.dns_label)
    path = reference.get("path", "")
    yield from descending_path(f"{field}.path", path) if path else present(f"{field}.path", path)


def _split(path: str) -> tuple[str, str | None]:
    """`metadata.labels['a']` is the field metadata.labels and the key a."""
    base, quote, rest = path.partition("['")
    return (base, rest[:-2]) if quote and rest.endswith("']") else (path, None)


def _divisor(field: str, resource: str, divisor: str) -> Iterator[FieldError]:
    if not quantity.parse(divisor):
        return
    kind = resource.partition(".")[2]
    allowed = _CPU_DIVISORS if kind == "cpu" else _BYTE_DIVISORS
    if kind and quantity.parse(divisor) not in map(quantity.parse, allowed):
        text = "1m and 1" if kind == "cpu" else ", ".join(_BYTE_DIVISORS)
        yield invalid(field, "divisor", f"only divisor's values {text} are supported with the {kind} resource")
