"""The volumes of pods: their names, and the sources that one machine can serve (V-G, V-H)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from holdfast.api import names, quantity
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, required
from holdfast.api.field_rules import label_map, present, required_name, supported
from holdfast.api.resource import Manifest

from .claim_validation import validate_claim_spec
from .environment_validation import FIELDS_OF_FILES, validate_field_reference, validate_resource_reference
from .network_volumes import OF_PODS, Rule, portal_fits
from .path_validation import file_path, no_backsteps

_HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_WRONG_MODE = "must be a number between 0 and 0777 (octal), both inclusive"
_ORDER = (
    "emptyDir",
    "hostPath",
    "gitRepo",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "secret",
    "nfs",
    "iscsi",
    "glusterfs",
    "flocker",
    "persistentVolumeClaim",
    "rbd",
    "cinder",
    "cephfs",
    "quobyte",
    "downwardAPI",
    "fc",
    "flexVolume",
    "configMap",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "storageos",
    "projected",
    "scaleIO",
    "csi",
    "ephemeral",
    "image",
)
"""Upstream looks at the sources in this order: the first is validated, each further one is one too many."""


def validate_volumes(field: str, volumes: list[Manifest], pod_name: str) -> tuple[list[FieldError], frozenset[str]]:
    """What is wrong with them, and the names of those that are right: only these can be mounted."""
    found: list[FieldError] = []
    valid: set[str] = set()
    for i, volume in enumerate(volumes):
        at, name = f"{field}[{i}]", volume.get("name", "")
        errors = [*validate_sources(at, volume, _SOURCES, _ORDER)]
        if "iscsi" in volume:
            errors += portal_fits(f"{at}.name", name, name, volume["iscsi"])
        if "ephemeral" in volume and pod_name and name:
            errors += _ephemeral_claim_name(f"{at}.name", pod_name, name)
        errors += required_name(f"{at}.name", name, names.dns_label)
        if name in valid:
            errors.append(duplicate(f"{at}.name", name))
        if not errors:
            valid.add(name)
        found += errors
    return found, frozenset(valid)


def validate_sources(
    field: str, volume: Manifest, rules: Mapping[str, Rule], order: tuple[str, ...]
) -> Iterator[FieldError]:
    """Of the sources in `order`, exactly one must be there, and it must be right."""
    given = [kind for kind in order if kind in volume]
    if not given:
        yield required(field, "must specify a volume type")
        return
    if rule := rules.get(given[0]):
        yield from rule(f"{field}.{given[0]}", volume[given[0]])
    for kind in given[1:]:
        yield forbidden(f"{field}.{kind}", "may not specify more than 1 volume type")


def host_path(field: str, source: Manifest) -> Iterator[FieldError]:
    path = source.get("path", "")
    if not path:
        yield required(f"{field}.path")
        return
    yield from no_backsteps(f"{field}.path", path)
    yield from supported(f"{field}.type", source.get("type", ""), _HOST_PATH_TYPES)


def nfs(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.server", source.get("server"))
    path = source.get("path", "")
    yield from present(f"{field}.path", path)
    if not path.startswith("/"):
        yield invalid(f"{field}.path", path, "must be an absolute path")


def _empty_dir(field: str, source: Manifest) -> Iterator[FieldError]:
    if quantity.parse(source.get("sizeLimit", "0")) < 0:
        yield forbidden(f"{field}.sizeLimit", "SizeLimit field must be a valid resource quantity")


def _secret(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.secretName", source.get("secretName"))
    yield from _files(field, source)


def _config_map(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.name", source.get("name"))
    yield from _files(field, source)


def _claim(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.claimName", source.get("claimName"))


def _files(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _mode(f"{field}.defaultMode", source.get("defaultMode"))
    for i, item in enumerate(source.get("items", ())):
        yield from _key_to_path(f"{field}.items[{i}]", item)


def _mode(field: str, mode: int | None) -> Iterator[FieldError]:
    if mode is not None and not 0 <= mode <= 0o777:
        yield invalid(field, mode, _WRONG_MODE)


def _key_to_path(field: str, item: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.key", item.get("key"))
    yield from file_path(f"{field}.path", item.get("path", ""))
    yield from _mode(f"{field}.mode", item.get("mode"))


def _downward_api(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _mode(f"{field}.defaultMode", source.get("defaultMode"))
    for item in source.get("items", ()):
        yield from _downward_file(field, item)


def _downward_file(field: str, item: Manifest) -> Iterator[FieldError]:
    """Upstream's errors do not say which item."""
    yield from file_path(f"{field}.path", item.get("path", ""))
    if "fieldRef" in item:
        yield from validate_field_reference(f"{field}.fieldRef", item["fieldRef"], FIELDS_OF_FILES)
        if "resourceFieldRef" in item:
            yield invalid(field, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously")
    elif "resourceFieldRef" in item:
        yield from validate_resource_reference(f"{field}.resourceFieldRef", item["resourceFieldRef"], True)
    else:
        yield required(field, "one of fieldRef and resourceFieldRef is required")
    yield from _mode(f"{field}.mode", item.get("mode"))


def _projected(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from _mode(f"{field}.defaultMode", source.get("defaultMode"))
    paths: set[str] = set()
    for i, part in enumerate(source.get("sources", ())):
        at = f"{field}.sources[{i}]"
        given = [kind for kind in _PROJECTIONS if kind in part]
        if not given:
            yield required(at, "must specify at least one projection type") if part else required(at)
        for kind in given[:1]:
            yield from _PROJECTIONS[kind](f"{at}.{kind}", part[kind])
        for kind in given[1:]:
            yield forbidden(f"{at}.{kind}", "may not specify more than 1 volume type")
        yield from _projected_paths(field, part, paths)


def _projected_paths(field: str, part: Manifest, seen: set[str]) -> Iterator[FieldError]:
    """No two parts of a projected volume may write the same file."""
    items = [
        item for kind in ("secret", "configMap", "downwardAPI") for item in part.get(kind, {}).get("items", ())
    ] + [part[kind] for kind in ("serviceAccountToken",) if kind in part]
    for item in items:
        path = item.get("path", "")
        if path and path in seen:
            yield invalid(field, path, "conflicting duplicate paths")
        seen.add(path)


def _token(field: str, source: Manifest) -> Iterator[FieldError]:
    seconds = source.get("expirationSeconds", 3600)
    if seconds < 600:
        yield invalid(f"{field}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")
    elif seconds > 1 << 32:
        yield invalid(f"{field}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")
    if not source.get("path"):
        yield required(f"{field}.path")
    else:
        yield from file_path(f"{field}.path", source["path"])


def _named_files(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.name", source.get("name"))
    for i, item in enumerate(source.get("items", ())):
        yield from _key_to_path(f"{field}.items[{i}]", item)


def _downward_files(field: str, source: Manifest) -> Iterator[FieldError]:
    for item in source.get("items", ()):
        yield from _downward_file(field, item)


def _ephemeral(field: str, source: Manifest) -> Iterator[FieldError]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        yield required(f"{field}.volumeClaimTemplate")
        return
    at, metadata = f"{field}.volumeClaimTemplate", template.get("metadata", {})
    yield from label_map(f"{at}.metadata.labels", metadata.get("labels", {}))
    for forbidden_field in metadata:
        if forbidden_field not in ("labels", "annotations"):
            message = "when creating a volume claim template, only labels and annotations may be set"
            yield forbidden(f"{at}.metadata.{forbidden_field}", message)
    yield from validate_claim_spec(f"{at}.spec", template.get("spec", {}))


def _ephemeral_claim_name(field: str, pod_name: str, volume_name: str) -> Iterator[FieldError]:
    claim_name = f"{pod_name}-{volume_name}"
    if error := names.dns_subdomain(claim_name):
        yield invalid(field, volume_name, f"PVC name {_quoted(claim_name)}: {error}")


def _quoted(text: str) -> str:
    return f'"{text}"'


def _image(field: str, source: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.reference", source.get("reference"))
    if policy := source.get("pullPolicy"):
        yield from supported(f"{field}.pullPolicy", policy, ("Always", "IfNotPresent", "Never"))


_PROJECTIONS: Mapping[str, Rule] = {
    "secret": _named_files,
    "configMap": _named_files,
    "downwardAPI": _downward_files,
    "serviceAccountToken": _token,
    "clusterTrustBundle": lambda field, source: file_path(f"{field}.path", source.get("path", "")),
    "podCertificate": lambda field, source: iter(()),
}
_SOURCES: Mapping[str, Rule] = {
    **OF_PODS,
    "emptyDir": _empty_dir,
    "hostPath": host_path,
    "secret": _secret,
    "nfs": nfs,
    "persistentVolumeClaim": _claim,
    "downwardAPI": _downward_api,
    "configMap": _config_map,
    "projected": _projected,
    "ephemeral": _ephemeral,
    "image": _image,
}
