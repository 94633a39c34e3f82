"""What an object uses of resource quotas, by the names that quotas limit (A243).

Source: Kubernetes, pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from holdfast.api import conditions, quantity
from holdfast.api.resource import Manifest, Resource
from holdfast.api.storage.binding import class_of
from holdfast.api.times import parse_time

from .pod_resources import pod_amounts, with_overhead

Amounts = Mapping[str, str]

ONE, NONE = "1", "0"

_COUNTED_PLAINLY = frozenset({"configmaps", "replicationcontrollers", "resourcequotas", "secrets"})
_PLAIN = ("cpu", "memory", "ephemeral-storage")
_OF_PODS = frozenset({"pods", *_PLAIN, *(f"{kind}.{name}" for kind in ("requests", "limits") for name in _PLAIN)})
_OF_SERVICES = frozenset({"services", "services.loadbalancers", "services.nodeports"})
_OF_CLAIMS = frozenset({"persistentvolumeclaims", "requests.storage"})
_OF_CLASS = ".storageclass.storage.k8s.io/"
_HUGE_PAGES = "hugepages-"
_MUST_BE_SPECIFIED = frozenset(f"{kind}{name}" for kind in ("", "requests.", "limits.") for name in ("cpu", "memory"))


@dataclass(frozen=True, slots=True)
class Use:
    """What one object uses."""

    amounts: Amounts
    until: datetime | None = None
    """From then on only `afterwards`: a pod that does not go although its time is over is not its owner's fault."""
    afterwards: Amounts = field(default_factory=dict)

    def at(self, now: datetime) -> Amounts:
        return self.afterwards if self.until is not None and now > self.until else self.amounts


def is_counted(resource: Resource) -> bool:
    """Whether quotas may limit objects of that kind at all: not events."""
    return resource.namespaced and resource.kind != "Event" and "watch" in resource.verbs


def limited_by(resource: Resource, names: Iterable[str]) -> frozenset[str]:
    """Those of a quota's `names` that objects of the kind use."""
    count = f"count/{resource.qualified}"
    return frozenset(name for name in names if name == count or _is_of(resource, name))


def _is_of(resource: Resource, name: str) -> bool:
    match resource.qualified:
        case "pods":
            return name in _OF_PODS or name.startswith((_HUGE_PAGES, f"requests.{_HUGE_PAGES}")) or _is_extended(name)
        case "services":
            return name in _OF_SERVICES
        case "persistentvolumeclaims":
            return name in _OF_CLAIMS or _OF_CLASS in name
    return name == resource.qualified and name in _COUNTED_PLAINLY


def _is_extended(name: str) -> bool:
    """Requests for what belongs to a domain, such as `requests.example.com/gpu`."""
    return name.startswith("requests.") and "/" in name and _OF_CLASS not in name


def use_of(resource: Resource, manifest: Manifest) -> Use:
    count = {f"count/{resource.qualified}": ONE}
    match resource.qualified:
        case "pods":
            return _use_of_pod(count, manifest)
        case "services":
            return Use({**count, **_service_amounts(manifest.get("spec") or {})})
        case "persistentvolumeclaims":
            return Use({**count, **_claim_amounts(manifest)})
        case name if name in _COUNTED_PLAINLY:
            return Use({**count, name: ONE})
    return Use(count)


def _use_of_pod(count: Amounts, pod: Manifest) -> Use:
    """`count/pods` is of all that are stored, all else of those that may still run."""
    if conditions.is_finished(pod):
        return Use(count)
    spec, metadata = pod["spec"], pod["metadata"]
    requests = with_overhead(spec, "requests", pod_amounts(spec, "requests"))
    limits = with_overhead(spec, "limits", pod_amounts(spec, "limits"))
    amounts = {**count, "pods": ONE, **_compute_amounts(requests, limits)}
    if not metadata.get("deletionTimestamp") or "deletionGracePeriodSeconds" not in metadata:
        return Use(amounts)
    grace = timedelta(seconds=metadata["deletionGracePeriodSeconds"])
    return Use(amounts, parse_time(metadata["deletionTimestamp"]) + grace, count)


def _compute_amounts(requests: Amounts, limits: Amounts) -> dict[str, str]:
    found = {}
    for name, amount in requests.items():
        if name in _PLAIN or name.startswith(_HUGE_PAGES):
            found[name] = found[f"requests.{name}"] = amount
        elif "/" in name:
            found[f"requests.{name}"] = amount
    return {**found, **{f"limits.{name}": limits[name] for name in _PLAIN if name in limits}}


def _service_amounts(spec: Manifest) -> dict[str, str]:
    """What it is going to have: node ports need not be there yet."""
    ports, kind = spec.get("ports") or (), spec.get("type")
    if kind == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts") is False:
        ports = [port for port in ports if port.get("nodePort")]
    has_node_ports = kind in ("NodePort", "LoadBalancer")
    return {
        "services": ONE,
        "services.loadbalancers": ONE if kind == "LoadBalancer" else NONE,
        "services.nodeports": str(len(ports)) if has_node_ports else NONE,
    }


def _claim_amounts(claim: Manifest) -> dict[str, str]:
    """A claim whose growth was given up may still have what was asked for."""
    found = {"persistentvolumeclaims": ONE}
    size = (claim["spec"].get("resources") or {}).get("requests", {}).get("storage")
    granted = (claim.get("status") or {}).get("allocatedResources", {}).get("storage")
    if size is not None:
        found["requests.storage"] = max(size, granted or NONE, key=quantity.parse)
    if name := class_of(claim):
        found |= {f"{name}{_OF_CLASS}{resource}": amount for resource, amount in found.items()}
    return found


def unspecified(pod: Manifest, names: Iterable[str]) -> str:
    """What each container would have to say of CPU and memory for such a quota; empty if all is said."""
    spec = pod["spec"]
    if spec.get("resources", {}).get("requests") or spec.get("resources", {}).get("limits"):
        return ""
    lacking: dict[str, set[str]] = {}
    for container in (*spec.get("containers", ()), *spec.get("initContainers", ())):
        resources = container.get("resources") or {}
        there = _compute_amounts(resources.get("requests") or {}, resources.get("limits") or {})
        for name in _MUST_BE_SPECIFIED.intersection(names).difference(there):
            lacking.setdefault(name, set()).add(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(lacking[name]))}" for name in sorted(lacking))


def largest(all_amounts: Iterable[Amounts]) -> dict[str, str]:
    """The larger amount of each name."""
    found: dict[str, str] = {}
    for amounts in all_amounts:
        for name, amount in amounts.items():
            if name not in found or quantity.compare(amount, found[name]) > 0:
                found[name] = amount
    return found


def growth(new: Amounts, old: Amounts) -> Iterator[tuple[str, str]]:
    """By how much more each name is used, where it is more."""
    for name, amount in new.items():
        more = quantity.subtract(amount, old.get(name, NONE))
        if quantity.compare(more, NONE) > 0:
            yield name, more
