"""A container's environment, and `$(NAME)` in its command and arguments (N150-N157). Pure.

What ConfigMaps, Secrets and Services hold is looked up beforehand: `references` says which.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from holdfast.api.resource import Manifest

from .downward import UnknownField, field_value, resource_value
from .environment_files import NotVariables, value_in
from .pod import Container, Pod

_OPERATOR = re.compile(r"\$(?:\$|\(([^)]*)\))")


class ConfigError(Exception):
    """The container cannot be configured: reason CreateContainerConfigError with this message (N153)."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What an environment is made of beyond the pod itself."""

    config_maps: Mapping[str, Manifest] = field(default_factory=dict)
    """Of the pod's namespace, by name; absent ones are not in it."""
    secrets: Mapping[str, Manifest] = field(default_factory=dict)
    files: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """What files in volumes say, by volume and path; absent ones are not in it."""
    services: tuple[Manifest, ...] = ()
    """Of the pod's namespace, and `kubernetes` of `default`."""
    ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)


def references(container: Container) -> tuple[set[str], set[str]]:
    """Names of the ConfigMaps and of the Secrets that the environment draws on."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for entry in container.manifest.get("envFrom") or ():
        if reference := entry.get("configMapRef"):
            config_maps.add(reference.get("name", ""))
        if reference := entry.get("secretRef"):
            secrets.add(reference.get("name", ""))
    for entry in container.manifest.get("env") or ():
        source = entry.get("valueFrom") or {}
        if reference := source.get("configMapKeyRef"):
            config_maps.add(reference.get("name", ""))
        if reference := source.get("secretKeyRef"):
            secrets.add(reference.get("name", ""))
    return config_maps, secrets


def file_references(container: Container) -> set[tuple[str, str]]:
    """Volume and path of the files that the environment draws on."""
    sources = (entry.get("valueFrom") or {} for entry in container.manifest.get("env") or ())
    files = (source["fileKeyRef"] for source in sources if source.get("fileKeyRef"))
    return {(reference["volumeName"], reference["path"]) for reference in files}


def environment(pod: Pod, container: Container, sources: Sources) -> dict[str, str]:
    """All variables, later sources over earlier ones (N150). Raises ConfigError."""
    result = service_variables(sources.services, pod)
    for entry in container.manifest.get("envFrom") or ():
        prefix = entry.get("prefix") or ""
        for key, value in _all_of(entry, pod, sources).items():
            result[prefix + key] = value
    for entry in container.manifest.get("env") or ():
        if entry.get("valueFrom"):
            found = _value_from(entry["valueFrom"], pod, container, sources)
            if found is not None:
                result[entry["name"]] = found
        else:
            result[entry["name"]] = expand(str(entry.get("value") or ""), result)
    return result


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` by its value if there is one, `$$` as `$`, everything else as it stands (N151)."""

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        return variables.get(name, match[0])

    return _OPERATOR.sub(replaced, text)


def expand_all(texts: Iterable[str], variables: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(expand(text, variables) for text in texts)


def expand_strictly(text: str, variables: Mapping[str, str]) -> str:
    """As subPathExpr wants it: a variable that is missing or empty is an error (V106). Raises ConfigError."""

    def replaced(match: re.Match[str]) -> str:
        name = match[1]
        if name is None:
            return "$"
        if not variables.get(name):
            raise ConfigError(f'missing value for "{name}"')
        return variables[name]

    return _OPERATOR.sub(replaced, text)


def literal_variables(container: Container) -> dict[str, str]:
    """The `env` entries with literal values only: all that an exec probe's command may expand (N116)."""
    return {
        entry["name"]: str(entry.get("value") or "")
        for entry in container.manifest.get("env") or ()
        if not entry.get("valueFrom")
    }


# -- services -------------------------------------------------------------------------------------


def service_variables(services: Iterable[Manifest], pod: Pod) -> dict[str, str]:
    """N156, N157: Docker-style links to every service with a cluster IP; only the API's without service links."""
    links = pod.spec.get("enableServiceLinks") is not False
    result: dict[str, str] = {}
    for service in sorted(services, key=lambda s: (s["metadata"]["namespace"] != "default", s["metadata"]["name"])):
        metadata, spec = service["metadata"], service.get("spec") or {}
        is_api = (metadata["namespace"], metadata["name"]) == ("default", "kubernetes")
        ip = spec.get("clusterIP") or ""
        if ip in ("", "None") or not spec.get("ports"):
            continue
        if is_api or (links and metadata["namespace"] == pod.namespace):
            result.update(_variables_of(metadata["name"], ip, spec["ports"]))
    return result


def _variables_of(name: str, ip: str, ports: list[Manifest]) -> dict[str, str]:
    prefix = name.upper().replace("-", "_")
    host = f"[{ip}]" if ":" in ip else ip
    first = ports[0]
    result = {f"{prefix}_SERVICE_HOST": ip, f"{prefix}_SERVICE_PORT": str(first["port"])}
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    result[f"{prefix}_PORT"] = f"{_protocol(first).lower()}://{host}:{first['port']}"
    for port in ports:
        link = f"{prefix}_PORT_{port['port']}_{_protocol(port)}"
        result[link] = f"{_protocol(port).lower()}://{host}:{port['port']}"
        result[f"{link}_PROTO"] = _protocol(port).lower()
        result[f"{link}_PORT"] = str(port["port"])
        result[f"{link}_ADDR"] = ip
    return result


def _protocol(port: Manifest) -> str:
    return str(port.get("protocol") or "TCP").upper()


# -- ConfigMaps, Secrets, the pod itself ----------------------------------------------------------


def _all_of(entry: Manifest, pod: Pod, sources: Sources) -> dict[str, str]:
    """Every key of an envFrom entry's object (N154)."""
    if reference := entry.get("configMapRef"):
        name = reference.get("name", "")
        if config_map := sources.config_maps.get(name):
            return {key: str(value) for key, value in (config_map.get("data") or {}).items()}
        if reference.get("optional"):
            return {}
        raise ConfigError(f'configmap "{name}" not found')
    if reference := entry.get("secretRef"):
        name = reference.get("name", "")
        if secret := sources.secrets.get(name):
            return {key: _text(value) for key, value in (secret.get("data") or {}).items()}
        if reference.get("optional"):
            return {}
        raise ConfigError(f'secret "{name}" not found')
    return {}


def _value_from(source: Manifest, pod: Pod, container: Container, sources: Sources) -> str | None:
    """None if what is referred to is optional and absent."""
    try:
        if reference := source.get("fieldRef"):
            return field_value(pod, reference["fieldPath"], ips=sources.ips, host_ips=sources.host_ips)
        if reference := source.get("resourceFieldRef"):
            return resource_value(pod, container, reference, sources.allocatable)
    except UnknownField as error:
        raise ConfigError(str(error)) from error
    if reference := source.get("configMapKeyRef"):
        return _key_of(reference, sources.config_maps, "configmap", "ConfigMap", pod)
    if reference := source.get("secretKeyRef"):
        value = _key_of(reference, sources.secrets, "secret", "Secret", pod)
        return None if value is None else _text(value)
    if reference := source.get("fileKeyRef"):
        return _line_of(reference, sources.files)
    return ""


def _line_of(reference: Manifest, files: Mapping[tuple[str, str], str]) -> str | None:
    """What a file that an init container wrote says of a key (N153); an empty value is none."""
    path, key = reference["path"], reference["key"]
    is_optional = bool(reference.get("optional"))
    text = files.get((reference["volumeName"], path), "" if is_optional else None)
    try:
        if text is not None and (value := value_in(text, key)):
            return value
    except NotVariables:
        text = None
    if text is None:
        raise ConfigError("couldn't parse env file")
    if is_optional:
        return None
    raise ConfigError(f'environment variable key "{key}" not found in file "{path}"')


def _key_of(reference: Manifest, objects: Mapping[str, Manifest], lower: str, kind: str, pod: Pod) -> str | None:
    name, key = reference.get("name", ""), reference["key"]
    found = objects.get(name)
    if found is not None and key in (found.get("data") or {}):
        return str(found["data"][key])
    if reference.get("optional"):
        return None
    if found is None:
        raise ConfigError(f'{lower} "{name}" not found')
    raise ConfigError(f"couldn't find key {key} in {kind} {pod.namespace}/{name}")


def _text(value: str) -> str:
    return b64decode(value).decode("utf-8", "surrogateescape")
