"""Ports of the node that a pod takes."""

from __future__ import annotations

from holdfast.api.resource import Manifest

HostPort = tuple[str, str, int]
"""(address, protocol, port); the address of all interfaces is 0.0.0.0."""


def host_ports(pod: Manifest) -> list[HostPort]:
    spec = pod["spec"]
    containers = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return [
        (port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", port["hostPort"])
        for container in containers
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def collide(one: HostPort, other: HostPort) -> bool:
    """Whether both cannot be had on one node: all interfaces include every one."""
    same_address = one[0] == other[0] or "0.0.0.0" in (one[0], other[0])
    return same_address and one[1:] == other[1:]
