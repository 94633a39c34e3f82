"""Containers of all three lists of a pod (N3, N-I)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.api import names
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, not_found, required, too_many
from holdfast.api.field_rules import (
    named,
    port_number,
    present,
    required_and_supported,
    required_name,
    supported,
)
from holdfast.api.resource import Manifest

from .environment_validation import validate_environment, validate_environment_from
from .path_validation import descending_path
from .probe_validation import validate_lifecycle, validate_probes
from .resource_validation import validate_resource_requirements
from .security_validation import validate_container_security_context

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES = ("File", "FallbackToLogsOnError")
PROTOCOLS = ("SCTP", "TCP", "UDP")
_MOST_RESTART_RULES = 20
_MOST_EXIT_CODES = 255
_NOT_FOR_EPHEMERAL = ("ports", "lifecycle", "livenessProbe", "readinessProbe", "startupProbe", "resizePolicy")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's validity depends on in its pod."""

    volumes: frozenset[str]
    claims: frozenset[str]
    """The volumes that are claims: only these may be block devices."""
    grace_period_s: int
    restart_policy: str
    has_own_users: bool


def validate_containers(field: str, containers: list[Manifest], around: Surroundings) -> Iterator[FieldError]:
    if not containers:
        yield required(field)
    seen: set[str] = set()
    for i, container in enumerate(containers):
        at = f"{field}[{i}]"
        yield from _container(at, container, around)
        yield from _unique_name(at, container, seen)
        yield from validate_lifecycle(f"{at}.lifecycle", container.get("lifecycle", {}), around.grace_period_s)
        yield from validate_probes(at, container, around.grace_period_s)
        yield from _restart_policy(at, container)
    yield from _host_port_conflicts(field, containers)


def validate_init_containers(
    field: str, containers: list[Manifest], regular: list[Manifest], around: Surroundings
) -> Iterator[FieldError]:
    """Those that restart are sidecars, and may have what a container that ends has no use for."""
    seen = {container.get("name", "") for container in regular}
    for i, container in enumerate(containers):
        at = f"{field}[{i}]"
        yield from _container(at, container, around)
        yield from _unique_name(at, container, seen)
        yield from _host_port_conflicts(at, [container])
        yield from _restart_policy(at, container)
        if container.get("restartPolicy") == "Always":
            yield from validate_lifecycle(f"{at}.lifecycle", container.get("lifecycle", {}), around.grace_period_s)
            yield from validate_probes(at, container, around.grace_period_s)
            continue
        for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
            if name in container:
                yield forbidden(f"{at}.{name}", "may not be set for init containers without restartPolicy=Always")


def validate_ephemeral_containers(
    field: str, containers: list[Manifest], others: list[Manifest], around: Surroundings
) -> Iterator[FieldError]:
    """Containers added to a running pod to look into it; `others` are the rest of the pod's containers."""
    seen = {container.get("name", "") for container in others}
    targets = frozenset(seen)
    for i, container in enumerate(containers):
        at = f"{field}[{i}]"
        yield from _container(at, container, around)
        yield from trimmed_image(f"{at}.image", container.get("image", ""))
        yield from _unique_name(at, container, seen)
        target = container.get("targetContainerName")
        if target and target not in targets:
            yield not_found(f"{at}.targetContainerName", target)
        for name in _NOT_FOR_EPHEMERAL:
            if container.get(name):
                yield forbidden(f"{at}.{name}", "cannot be set for an Ephemeral Container")
        if container.get("resources"):
            yield forbidden(f"{at}.resources", "cannot be set for an Ephemeral Container")
        for j, mount in enumerate(container.get("volumeMounts", ())):
            for name in ("subPath", "subPathExpr"):
                if mount.get(name):
                    yield forbidden(f"{at}.volumeMounts[{j}].{name}", "cannot be set for an Ephemeral Container")


def _container(field: str, container: Manifest, around: Surroundings) -> Iterator[FieldError]:
    yield from required_name(f"{field}.name", container.get("name", ""), names.dns_label)
    yield from present(f"{field}.image", container.get("image"))
    policy = container.get("terminationMessagePolicy", "")
    yield from required_and_supported(f"{field}.terminationMessagePolicy", policy, _MESSAGE_POLICIES)
    yield from _ports(f"{field}.ports", container.get("ports", []))
    yield from validate_environment(f"{field}.env", container.get("env", []))
    yield from validate_environment_from(f"{field}.envFrom", container.get("envFrom", []))
    yield from _mounts(f"{field}.volumeMounts", container, around)
    yield from _devices(f"{field}.volumeDevices", container, around)
    yield from required_and_supported(f"{field}.imagePullPolicy", container.get("imagePullPolicy", ""), _PULL_POLICIES)
    yield from validate_resource_requirements(f"{field}.resources", container.get("resources", {}))
    yield from _resize_policy(f"{field}.resizePolicy", container.get("resizePolicy", []), around.restart_policy)
    context = container.get("securityContext", {})
    yield from validate_container_security_context(f"{field}.securityContext", context, around.has_own_users)


def trimmed_image(field: str, image: str) -> Iterator[FieldError]:
    """Of pods only: templates with blanks in it were always taken."""
    if image.strip() != image:
        yield invalid(field, image, "must not have leading or trailing whitespace")


def _resize_policy(field: str, policies: list[Manifest], restart_policy: str) -> Iterator[FieldError]:
    """Upstream's errors do not say which entry it is, but for a resource named twice."""
    seen: set[str] = set()
    for i, policy in enumerate(policies):
        name, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if name in seen:
            yield duplicate(f"{field}[{i}]", name)
        seen.add(name)
        yield from required_and_supported(field, name, ("cpu", "memory"))
        yield from required_and_supported(field, restart, ("NotRequired", "RestartContainer"))
        if restart_policy == "Never" and restart != "NotRequired":
            yield invalid(field, restart, "must be 'NotRequired' when `restartPolicy` is 'Never'")


def _unique_name(field: str, container: Manifest, seen: set[str]) -> Iterator[FieldError]:
    name = container.get("name", "")
    if name and name in seen:
        yield duplicate(f"{field}.name", name)
    seen.add(name)


def _restart_policy(field: str, container: Manifest) -> Iterator[FieldError]:
    rules = container.get("restartPolicyRules", [])
    if policy := container.get("restartPolicy"):
        yield from supported(f"{field}.restartPolicy", policy, ("Always", "Never", "OnFailure"))
    elif rules:
        yield required(f"{field}.restartPolicy", "must specify restartPolicy when restart rules are used")
    at = f"{field}.restartPolicyRules"
    if len(rules) > _MOST_RESTART_RULES:
        yield too_many(at, len(rules), _MOST_RESTART_RULES)
    for i, rule in enumerate(rules):
        yield from supported(f"{at}[{i}].action", rule.get("action", ""), ("Restart", "RestartAllContainers"))
        yield from _exit_codes(f"{at}[{i}].exitCodes", rule.get("exitCodes"))


def _exit_codes(field: str, codes: Manifest | None) -> Iterator[FieldError]:
    if codes is None:
        yield required(field, "must be specified")
        return
    yield from supported(f"{field}.operator", codes.get("operator", ""), ("In", "NotIn"))
    if len(values := codes.get("values", [])) > _MOST_EXIT_CODES:
        yield too_many(f"{field}.values", len(values), _MOST_EXIT_CODES)


def _ports(field: str, ports: list[Manifest]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, port in enumerate(ports):
        at = f"{field}[{i}]"
        if name := port.get("name"):
            errors = [*named(f"{at}.name", name, names.port_name)]
            yield from errors or ([duplicate(f"{at}.name", name)] if name in seen else [])
            seen.add(name)
        if number := port.get("containerPort"):
            yield from port_number(f"{at}.containerPort", number)
        else:
            yield required(f"{at}.containerPort")
        if number := port.get("hostPort"):
            yield from port_number(f"{at}.hostPort", number)
        yield from required_and_supported(f"{at}.protocol", port.get("protocol", ""), PROTOCOLS)


def _host_port_conflicts(field: str, containers: list[Manifest]) -> Iterator[FieldError]:
    """A port of the host belongs to one container only."""
    seen: set[str] = set()
    for i, container in enumerate(containers):
        for j, port in enumerate(container.get("ports", ())):
            if not port.get("hostPort"):
                continue
            key = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if key in seen:
                yield duplicate(f"{field}[{i}].ports[{j}].hostPort", key)
            seen.add(key)


def _mounts(field: str, container: Manifest, around: Surroundings) -> Iterator[FieldError]:
    devices = container.get("volumeDevices", ())
    device_names = {device.get("name") for device in devices}
    device_paths = {device.get("devicePath") for device in devices}
    seen: set[str] = set()
    for i, mount in enumerate(container.get("volumeMounts", ())):
        at, name, path = f"{field}[{i}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            yield required(f"{at}.name")
        if name not in around.volumes:
            yield not_found(f"{at}.name", name)
        if not path:
            yield required(f"{at}.mountPath")
        if path in seen:
            yield invalid(f"{at}.mountPath", path, "must be unique")
        seen.add(path)
        if name in device_names:
            yield invalid(f"{at}.name", name, "must not already exist in volumeDevices")
        if path in device_paths:
            yield invalid(f"{at}.mountPath", path, "must not already exist as a path in volumeDevices")
        yield from _sub_paths(field, at, mount)
        yield from _propagation(f"{field}.mountPropagation", mount, container)


def _sub_paths(field: str, at: str, mount: Manifest) -> Iterator[FieldError]:
    """Upstream's errors do not say which mount's path it is."""
    if path := mount.get("subPath"):
        yield from descending_path(f"{field}.subPath", path)
    if expression := mount.get("subPathExpr"):
        if mount.get("subPath"):
            yield invalid(f"{at}.subPathExpr", expression, "subPathExpr and subPath are mutually exclusive")
        yield from descending_path(f"{field}.subPathExpr", expression)


def _propagation(field: str, mount: Manifest, container: Manifest) -> Iterator[FieldError]:
    propagation = mount.get("mountPropagation")
    if propagation is None:
        return
    yield from supported(field, propagation, ("Bidirectional", "HostToContainer", "None"))
    if propagation == "Bidirectional" and not container.get("securityContext", {}).get("privileged"):
        yield forbidden(field, "Bidirectional mount propagation is available only to privileged containers")


def _devices(field: str, container: Manifest, around: Surroundings) -> Iterator[FieldError]:
    names_seen: set[str] = set()
    paths_seen: set[str] = set()
    for i, device in enumerate(container.get("volumeDevices", ())):
        at, name, path = f"{field}[{i}]", device.get("name", ""), device.get("devicePath", "")
        if not name:
            yield required(f"{at}.name")
        if name in names_seen:
            yield invalid(f"{at}.name", name, "must be unique")
        if name in around.volumes and name not in around.claims:
            yield invalid(f"{at}.name", name, "can only use volume source type of PersistentVolumeClaim for block mode")
        if name not in around.volumes:
            yield not_found(f"{at}.name", name)
        if not path:
            yield required(f"{at}.devicePath")
        if path in paths_seen:
            yield invalid(f"{at}.devicePath", path, "must be unique")
        yield from _device_path(f"{at}.devicePath", path)
        names_seen.add(name)
        paths_seen.add(path)


def _device_path(field: str, path: str) -> Iterator[FieldError]:
    if ".." in path.split("/"):
        yield invalid(field, path, "can not contain backsteps ('..')")
