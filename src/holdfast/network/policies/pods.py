"""Pods as policies know them: labels, addresses, and what their ports are called."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from holdfast.api.resource import Manifest
from holdfast.api.selectors import Labels

ENDED = ("Succeeded", "Failed")

NamedPort = tuple[str, str]
"""Protocol and name."""


@dataclass(frozen=True, slots=True)
class Pod:
    namespace: str
    labels: Labels
    addresses: tuple[str, ...]
    """Of one family."""
    ports: tuple[tuple[NamedPort, int], ...]
    link: str
    """By what name this machine has it; empty if another one has."""

    @property
    def is_here(self) -> bool:
        return bool(self.link)


def read(pod: Manifest, version: int, link: str = "", told: Sequence[str] = ()) -> Pod | None:
    """None if policies do not know it: it has ended, has no address yet, or has those of its node.

    `told` are the pod's addresses where they are known before its status says so.
    """
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    if spec.get("hostNetwork") or status.get("phase") in ENDED:
        return None
    said = [each.get("ip") or "" for each in status.get("podIPs") or ()] or [status.get("podIP") or ""]
    addresses = tuple(dict.fromkeys(_of(version, told or said)))
    if not addresses:
        return None
    return Pod(
        namespace=metadata["namespace"],
        labels=metadata.get("labels") or {},
        addresses=addresses,
        ports=tuple(_ports(spec)),
        link=link,
    )


def _of(version: int, texts: Sequence[str]) -> Iterator[str]:
    """Each written in the one way. What is no address never gets into a rule, whoever wrote it."""
    for text in texts:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            continue
        if address.version == version:
            yield str(address)


def _ports(spec: Manifest) -> Iterator[tuple[NamedPort, int]]:
    """Those with a name, of containers that go on: sidecars are among them."""
    sidecars = [each for each in spec.get("initContainers") or () if each.get("restartPolicy") == "Always"]
    for container in (*(spec.get("containers") or ()), *sidecars):
        for port in container.get("ports") or ():
            if port.get("name"):
                yield ((port.get("protocol") or "TCP").lower(), port["name"]), port["containerPort"]
