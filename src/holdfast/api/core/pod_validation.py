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
    required_and_supported,
    supported,
)
from holdfast.api.resource import Manifest

from .container_validation import (
    Surroundings,
    trimmed_image,
    validate_containers,
    validate_ephemeral_containers,
    validate_init_containers,
)
from .placement_validation import validate_affinity, validate_tolerations, validate_topology_spread
from .pod_annotations import validate_agreement, validate_annotations
from .resource_validation import validate_overhead, validate_pod_resources
from .security_validation import validate_host_users, validate_operating_system, validate_pod_security_context
from .volume_validation import validate_volumes

RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_LONGEST_SEARCH_LIST = 2048


def validate_pod(pod: Manifest) -> list[FieldError]:
    metadata, spec = pod["metadata"], pod.get("spec", {})
    return [
        *validate_annotations("metadata.annotations", metadata.get("annotations") or {}, spec),
        *validate_pod_spec("spec", spec, pod_name=metadata.get("name", ""), is_pod=True),
        *_images(spec),
    ]


def validate_new_pod(pod: Manifest) -> list[FieldError]:
    """What a pod may get later, but may not be made with; and what its account must be known for."""
    spec, errors = pod.get("spec", {}), []
    if spec.get("ephemeralContainers"):
        errors.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        errors.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))
    annotations = pod["metadata"].get("annotations") or {}
    return [*errors, *_accounts(spec), *validate_agreement("spec", annotations, spec)]


def _accounts(spec: Manifest) -> Iterator[FieldError]:
    if spec.get("serviceAccountName"):
        return
    for i, volume in enumerate(spec.get("volumes", ())):
        for j, source in enumerate(volume.get("projected", {}).get("sources", ())):
            if "serviceAccountToken" in source:
                at = f"spec.volumes[{i}].projected.sources[{j}].serviceAccountToken"
                yield forbidden(at, "must not be specified when serviceAccountName is not set")


def _images(spec: Manifest) -> Iterator[FieldError]:
    for kind in ("containers", "initContainers"):
        for i, container in enumerate(spec.get(kind, ())):
            yield from trimmed_image(f"spec.{kind}[{i}].image", container.get("image", ""))


def validate_template(
    field: str, template: Manifest, more_volumes: Iterable[str] = (), ignore_host_name: bool = False
) -> Iterator[FieldError]:
    """`more_volumes` are the claims that a set gives each pod as volumes (S175); they replace those of one name.

    `ignore_host_name` is for controllers that replace hostname and subdomain.
    """
    metadata, spec = template.get("metadata", {}), template.get("spec", {})
    annotations = metadata.get("annotations") or {}
    yield from label_map(f"{field}.labels", metadata.get("labels", {}))
    for key in annotations:
        yield from label_key(f"{field}.annotations", key.lower())
    yield from validate_annotations(f"{field}.annotations", annotations, spec)
    yield from validate_pod_spec(f"{field}.spec", spec, more_volumes=more_volumes, ignore_host_name=ignore_host_name)
    yield from validate_agreement(f"{field}.spec", annotations, spec)
    if spec.get("ephemeralContainers"):
        yield forbidden(f"{field}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template")


def validate_pod_spec(
    field: str,
    spec: Manifest,
    pod_name: str = "",
    more_volumes: Iterable[str] = (),
    ignore_host_name: bool = False,
    is_pod: bool = False,
) -> Iterator[FieldError]:
    """`is_pod` says that the spec is a pod's own, not one of a template."""
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
    yield from validate_pod_resources(f"{field}.resources", spec)
    yield from _host_network(f"{field}.containers", spec, is_pod)
    yield from required_and_supported(f"{field}.restartPolicy", spec.get("restartPolicy", ""), RESTART_POLICIES)
    yield from required_and_supported(f"{field}.dnsPolicy", spec.get("dnsPolicy", ""), _DNS_POLICIES)
    yield from label_map(f"{field}.nodeSelector", spec.get("nodeSelector", {}))
    yield from validate_pod_security_context(f"{field}.securityContext", spec)
    yield from validate_affinity(f"{field}.affinity", spec.get("affinity", {}))
    yield from _dns(f"{field}.dnsConfig", spec)
    yield from _gates(f"{field}.readinessGates", spec.get("readinessGates", []), "conditionType")
    yield from _gates(f"{field}.schedulingGates", spec.get("schedulingGates", []), "name")
    yield from validate_topology_spread(f"{field}.topologySpreadConstraints", spec.get("topologySpreadConstraints", []))
    yield from validate_host_users(field, spec)
    yield from _names(field, spec, ignore_host_name)
    yield from validate_tolerations(f"{field}.tolerations", spec.get("tolerations", []))
    yield from _host_aliases(f"{field}.hostAliases", spec.get("hostAliases", []))
    yield from _classes(field, spec)
    yield from validate_overhead(f"{field}.overhead", spec.get("overhead", {}))
    yield from validate_operating_system(field, spec)


def _surroundings(
    spec: Manifest, volumes: list[Manifest], mountable: frozenset[str], claims: frozenset[str]
) -> Surroundings:
    grace_period_s = spec.get("terminationGracePeriodSeconds", 30)
    of_claims = {v.get("name", "") for v in volumes if "persistentVolumeClaim" in v or "ephemeral" in v}
    return Surroundings(
        mountable,
        claims | of_claims,
        grace_period_s,
        restart_policy=spec.get("restartPolicy", ""),
        has_own_users=spec.get("hostUsers") is False,
    )


def _host_network(field: str, spec: Manifest, is_pod: bool) -> Iterator[FieldError]:
    """The ports of a template may be left out: they are filled in when a pod is made of it."""
    if not spec.get("hostNetwork"):
        return
    for i, container in enumerate(spec.get("containers", ())):
        for j, port in enumerate(container.get("ports", ())):
            host_port = port.get("hostPort", 0)
            if (host_port or is_pod) and host_port != port.get("containerPort", 0):
                refusal = "must match `containerPort` when `hostNetwork` is true"
                yield invalid(f"{field}[{i}].ports[{j}].hostPort", host_port, refusal)


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
        return
    if len(servers) > 3:
        yield invalid(f"{field}.nameservers", servers, "must not have more than 3 nameservers")
    for i, server in enumerate(servers):
        yield from ip_address(f"{field}.nameservers[{i}]", server)
    if len(searches) > 32:
        yield invalid(f"{field}.searches", searches, "must not have more than 32 search paths")
    if len(" ".join(searches)) > _LONGEST_SEARCH_LIST:
        refusal = f"must not have more than {_LONGEST_SEARCH_LIST} characters (including spaces) in the search list"
        yield invalid(f"{field}.searches", searches, refusal)
    for i, search in enumerate(searches):
        if search != ".":
            yield from named(f"{field}.searches[{i}]", search.removesuffix("."), names.dns_subdomain_with_underscores)
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


def _host_aliases(field: str, aliases: list[Manifest]) -> Iterator[FieldError]:
    for i, alias in enumerate(aliases):
        yield from ip_address(f"{field}[{i}].ip", alias.get("ip", ""))
        for j, name in enumerate(alias.get("hostnames", ())):
            yield from named(f"{field}[{i}].hostnames[{j}]", name, names.dns_subdomain)


def _classes(field: str, spec: Manifest) -> Iterator[FieldError]:
    for member in ("priorityClassName", "runtimeClassName"):
        if name := spec.get(member):
            yield from named(f"{field}.{member}", name, names.dns_subdomain)
    if policy := spec.get("preemptionPolicy"):
        yield from supported(f"{field}.preemptionPolicy", policy, ("Never", "PreemptLowerPriority"))
