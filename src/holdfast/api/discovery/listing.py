"""What a service sees of a pod: whether it is listed, under which addresses, with which ports (D26-D33)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.api.resource import Manifest

Port = tuple[str, int, str, str]
"""(name, number, protocol, application protocol); the last is empty if the service does not say."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A pod as one endpoint of one service."""

    pod: Manifest
    addresses: tuple[str, ...]
    ports: tuple[Port, ...]
    ready: bool
    serving: bool
    terminating: bool
    hostname: str
    zone: str


def is_selecting(service: Manifest) -> bool:
    """Whether endpoints are made for the service here: not without a selector, not for a mere alias (D25)."""
    spec = service["spec"]
    return bool(spec.get("selector")) and spec.get("type") != "ExternalName"


def is_headless(service: Manifest) -> bool:
    return bool(service["spec"].get("clusterIP") == "None")


def families_of(service: Manifest) -> list[str]:
    """`IPv4`, `IPv6`: one set of slices for each."""
    return service["spec"].get("ipFamilies") or ["IPv4"]


def listed(service: Manifest, pod: Manifest, family: str, zone: str = "") -> Listed | None:
    """The pod as an endpoint; None if it has no address of the family or has ended (D26)."""
    addresses = _addresses(pod, family)
    if not addresses or (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
        return None
    serving = _has_condition(pod, "Ready")
    terminating = "deletionTimestamp" in pod["metadata"]
    publishes_all = bool(service["spec"].get("publishNotReadyAddresses"))
    spec = pod["spec"]
    is_named = spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]
    return Listed(
        pod=pod,
        addresses=addresses,
        ports=tuple(_ports(service, pod)),
        ready=publishes_all or (serving and not terminating),
        serving=serving,
        terminating=terminating,
        hostname=spec["hostname"] if is_named else "",
        zone=zone,
    )


def _addresses(pod: Manifest, family: str) -> tuple[str, ...]:
    """The first address of the family: `IPv4` or `IPv6`."""
    status = pod.get("status") or {}
    addresses = [each["ip"] for each in status.get("podIPs") or () if each.get("ip")] or [status.get("podIP") or ""]
    return tuple(each for each in addresses if each and (":" in each) == (family == "IPv6"))[:1]


def _has_condition(pod: Manifest, type: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(each["type"] == type and each["status"] == "True" for each in conditions)


def _ports(service: Manifest, pod: Manifest) -> Iterable[Port]:
    """One for each port of the service that the pod has; a name it does not know gives none (D29)."""
    for port in service["spec"].get("ports") or ():
        protocol = port.get("protocol") or "TCP"
        number = _number(port.get("targetPort") or port["port"], protocol, pod)
        if number is not None:
            yield port.get("name") or "", number, protocol, port.get("appProtocol") or ""


def _number(target: int | str, protocol: str, pod: Manifest) -> int | None:
    if isinstance(target, int):
        return target
    for container in _containers(pod):
        for port in container.get("ports") or ():
            if port.get("name") == target and (port.get("protocol") or "TCP") == protocol:
                number: int = port["containerPort"]
                return number
    return None


def _containers(pod: Manifest) -> Iterable[Mapping[str, Any]]:
    """Application containers, then sidecars (D33)."""
    spec = pod["spec"]
    yield from spec.get("containers") or ()
    yield from (each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always")


def relevant(pod: Manifest) -> tuple[Any, ...]:
    """All that services see of a pod: what else changes in it wakes nobody."""
    status = pod.get("status") or {}
    return (
        pod["metadata"].get("labels"),
        pod["metadata"].get("deletionTimestamp"),
        pod["metadata"]["uid"],
        status.get("phase") in ("Succeeded", "Failed"),
        status.get("podIP"),
        status.get("podIPs"),
        _has_condition(pod, "Ready"),
        pod["spec"].get("nodeName"),
    )
