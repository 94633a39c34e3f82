"""Pods and the templates of pods (N-A): one order of checks, which is also the order of the errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from holdfast.api import names
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid, required
from holdfast.api.field_rules import (
    between,
    ip_address,
    label_key,
    label_map,
    named,
    present,
    required_and_supported,
    supported,
    user_id,
)
from holdfast.api.resource import Manifest

from .container_validation import (
    Surroundings,
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from .placement_validation import validate_affinity, validate_tolerations, validate_topology_spread
from .volume_validation import validate_volumes

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")


def validate_pod(pod: Manifest) -> list[FieldError]:
    return [*validate_pod_spec("spec", pod.get("spec", {}), pod_name=pod["metadata"].get("name", ""))]


def validate_template(
    field: str, template: Manifest, more_volumes: Iterable[str] = (), ignore_host_name: bool = False
) -> Iterator[FieldError]:
    """`more_volumes` are the claims that a set gives each pod as volumes (S175); they replace those of one name.

    `ignore_host_name` is for controllers that replace hostname and subdomain.
    """
    metadata, spec = template.get("metadata", {}), template.get("spec", {})
    yield from label_map(f"{field}.metadata.labels", metadata.get("labels", {}))
    for key in metadata.get("annotations", {}):
        yield from label_key(f"{field}.metadata.annotations", key.lower())
    yield from validate_pod_spec(f"{field}.spec", spec, more_volumes=more_volumes, ignore_host_name=ignore_host_name)
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{field}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def validate_pod_spec(
    field: str,
    spec: Manifest,
    pod_name: str = "",
    more_volumes: Iterable[str] = (),
    ignore_host_name: bool = False,
) -> Iterator[FieldError]:
    claims = frozenset(more_volumes)
    volumes = [volume for volume in spec.get("volumes", ()) if volume.get("name") not in claims]
    volume_errors, valid = validate_volumes(f"{field}.volumes", volumes, pod_name)
    yield from volume_errors
    around = _surroundings(spec, volumes, claims | valid, claims)
    containers, init_containers = spec.get("containers", []), spec.get("initContainers", [])
    yield from validate_containers(f"{field}.containers", containers, around)
    yield from validate_init_containers(f"{field}.initContainers", init_containers, containers, around)
    ephemeral = spec.get("ephemeralContainers", [])
    yield from validate_ephemeral_containers(
        f"{field}.ephemeralContainers", ephemeral, [*containers, *init_containers], around
    )
    yield from required_and_supported(f"{field}.restartPolicy", spec.get("restartPolicy", ""), RESTART_POLICIES)
    yield from required_and_supported(f"{field}.dnsPolicy", spec.get("dnsPolicy", ""), _DNS_POLICIES)
    yield from label_map(f"{field}.nodeSelector", spec.get("nodeSelector", {}))
    yield from _host_network(f"{field}.containers", spec)
    yield from _security_context(f"{field}.securityContext", spec)
    yield from validate_affinity(f"{field}.affinity", spec.get("affinity", {}))
    yield from _dns(f"{field}.dnsConfig", spec)
    yield from _gates(f"{field}.readinessGates", spec.get("readinessGates", []), "conditionType")
    yield from _gates(f"{field}.schedulingGates", spec.get("schedulingGates", []), "name")
    yield from validate_topology_spread(f"{field}.topologySpreadConstraints", spec.get("topologySpreadConstraints", []))
    yield from _names(field, spec, ignore_host_name)
    yield from validate_tolerations(f"{field}.tolerations", spec.get("tolerations", []))
    yield from _host_aliases(f"{field}.hostAliases", spec.get("hostAliases", []))
    yield from _classes(field, spec)


def _surroundings(
    spec: Manifest, volumes: list[Manifest], mountable: frozenset[str], claims: frozenset[str]
) -> Surroundings:
    grace_period_s = spec.get("terminationGracePeriodSeconds", 30)
    of_claims = {v.get("name", "") for v in volumes if "persistentVolumeClaim" in v or "ephemeral" in v}
    return Surroundings(mountable, claims | of_claims, grace_period_s)


def _host_network(field: str, spec: Manifest) -> Iterator[FieldError]:
    if not spec.get("hostNetwork"):
        return
    for i, container in enumerate(spec.get("containers", ())):
        for j, port in enumerate(container.get("ports", ())):
            host_port = port.get("hostPort", 0)
            if host_port != port.get("containerPort", 0):
                refusal = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(f"{field}[{i}].ports[{j}].hostPort", host_port, refusal)


def _security_context(field: str, spec: Manifest) -> Iterator[FieldError]:
    context = spec.get("securityContext", {})
    for member in ("fsGroup", "runAsUser", "runAsGroup"):
        yield from user_id(f"{field}.{member}", context.get(member))
    for i, group in enumerate(context.get("supplementalGroups", ())):
        yield from user_id(f"{field}.supplementalGroups[{i}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        refusal = "ShareProcessNamespace and HostPID cannot both be enabled"
        yield invalid(f"{field}.shareProcessNamespace", True, refusal)
    if "fsGroupChangePolicy" in context:
        policies = ("Always", "OnRootMismatch")
        yield from supported(f"{field}.fsGroupChangePolicy", context["fsGroupChangePolicy"], policies)


def _dns(field: str, spec: Manifest) -> Iterator[FieldError]:
    config = spec.get("dnsConfig")
    is_none = spec.get("dnsPolicy") == "None"
    if config is None:
        if is_none:
            yield required(field, "must provide `dnsConfig` when `dnsPolicy` is None")
        return
    servers, searches = config.get("nameservers", ()), config.get("searches", ())
    if is_none and not servers:
        yield required(f"{field}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None")
    if len(servers) > 3:
        yield invalid(f"{field}.nameservers", servers, "must not have more than 3 nameservers")
    for i, server in enumerate(servers):
        yield from ip_address(f"{field}.nameservers[{i}]", server)
    if len(searches) > 32:
        yield invalid(f"{field}.searches", searches, "must not have more than 32 search paths")
    for i, search in enumerate(searches):
        if search != ".":
            yield from named(f"{field}.searches[{i}]", search.removesuffix("."), names.dns_subdomain)
    for i, option in enumerate(config.get("options", ())):
        if not option.get("name"):
            yield required(f"{field}.options[{i}]", "must not be empty")


def _gates(field: str, gates: list[Manifest], member: str) -> Iterator[FieldError]:
    seen: set[str] = set()
    for i, gate in enumerate(gates):
        name = gate.get(member, "")
        yield from label_key(f"{field}[{i}].{member}" if member != "name" else f"{field}[{i}]", name)
        if member == "name" and name in seen:
            yield duplicate(f"{field}[{i}]", name)
        seen.add(name)


def _names(field: str, spec: Manifest, ignore_host_name: bool) -> Iterator[FieldError]:
    for member in ("serviceAccountName", "nodeName"):
        if name := spec.get(member):
            yield from named(f"{field}.{member}", name, names.dns_subdomain)
    yield from between(f"{field}.activeDeadlineSeconds", spec.get("activeDeadlineSeconds"), 1, 2**31 - 1)
    if not ignore_host_name:
        for member in ("hostname", "subdomain"):
            if name := spec.get(member):
                yield from named(f"{field}.{member}", name, names.dns_label)
    for i, reference in enumerate(spec.get("imagePullSecrets", ())):
        yield from present(f"{field}.imagePullSecrets[{i}].name", reference.get("name"))


def _host_aliases(field: str, aliases: list[Manifest]) -> Iterator[FieldError]:
    for alias in aliases:
        yield from ip_address(f"{field}.ip", alias.get("ip", ""))
        for name in alias.get("hostnames", ()):
            yield from named(f"{field}.hostnames", name, names.dns_subdomain)


def _classes(field: str, spec: Manifest) -> Iterator[FieldError]:
    for member in ("priorityClassName", "runtimeClassName"):
        if name := spec.get(member):
            yield from named(f"{field}.{member}", name, names.dns_subdomain)
    if policy := spec.get("preemptionPolicy"):
        yield from supported(f"{field}.preemptionPolicy", policy, ("Never", "PreemptLowerPriority"))
    if "os" in spec:
        yield from required_and_supported(f"{field}.os.name", spec["os"].get("name", ""), ("linux", "windows"))
