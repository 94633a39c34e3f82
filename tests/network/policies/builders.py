"""Policies and pods as the keeper reads them, and what the kernel does with packets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

from tests.network.services.builders import Kernel

from holdfast.network.policies import pods as pod_reading
from holdfast.network.policies import policy as policy_reading
from holdfast.network.policies.book import Book
from holdfast.network.policies.rules import Here, policy_table

HERE = Here(4, ("one",), ("10.244.0.1",))
HERE6 = Here(6, ("one",), ("fd00:10:244::1",))


def policy(name: str = "p", namespace: str = "default", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"}, "spec": spec}


def labels(**wanted: str) -> dict[str, Any]:
    return {"matchLabels": wanted}


def namespace(name: str, **more: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name, **more}}}


def pod(
    name: str, *addresses: str, namespace: str = "default", node: str = "one", phase: str = "Running", **more: Any
) -> dict[str, Any]:
    """`more` is spec, but for `labels`; its name is a label too."""
    found = {"name": name, **more.pop("labels", {})}
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": found},
        "spec": {"nodeName": node, "containers": [{"name": "main"}], **more},
        "status": {"phase": phase, **({"podIPs": [{"ip": each} for each in addresses]} if addresses else {})},
    }


def ports(**numbers: int) -> list[dict[str, Any]]:
    """Containers with TCP ports of these names."""
    listed = [{"name": name, "containerPort": number, "protocol": "TCP"} for name, number in numbers.items()]
    return [{"name": "main", "ports": listed}]


@dataclass(frozen=True)
class Packet:
    source: str
    destination: str
    protocol: str = "tcp"
    port: int = 80
    is_under_way: bool = False
    links: tuple[str, str] = ("eth0", "eth0")
    """Where it comes from, and where it goes."""


class World:
    """A book, its table, and a kernel that has taken it."""

    def __init__(self, *manifests: dict[str, Any], here: Here = HERE) -> None:
        self.here = here
        self.table = policy_table("t", here)
        self.book = Book(here, self.table)
        self.kernel = Kernel()
        self.links: dict[str, str] = {}
        """By address."""
        for name in ("default", "other", "kube-system"):
            self.put(namespace(name))
        self.put(*manifests)
        self.kernel.run(self.table.full())

    def put(self, *manifests: dict[str, Any], told: tuple[str, ...] = ()) -> None:
        for each in manifests:
            self._put(each, told)
        self._refresh()

    def _put(self, manifest: dict[str, Any], told: tuple[str, ...]) -> None:
        metadata = manifest["metadata"]
        if "namespace" not in metadata:
            self.book.set_namespace(metadata["name"], metadata["labels"])
            return
        key = f"{metadata['namespace']}/{metadata['name']}"
        if "containers" in manifest["spec"]:
            read = pod_reading.read(manifest, self.here.version, self.here.link_of(manifest), told)
            self.book.set_pod(key, read)
            self.links |= {address: read.link for address in read.addresses if read.link} if read else {}
        else:
            self.book.set_policy(key, policy_reading.read(manifest))

    def remove(self, *manifests: dict[str, Any]) -> None:
        for each in manifests:
            key = f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            (self.book.set_pod if "containers" in each["spec"] else self.book.set_policy)(key, None)
        self._refresh()

    def _refresh(self) -> None:
        while self.book.stale:
            self.book.refresh(self.book.stale.pop())

    def change(self) -> str:
        text = self.table.changes()
        self.kernel.run(text)
        return text

    def passes(self, source: str, destination: str, *rest: Any, hook: str = "forward", **more: Any) -> bool:
        links = tuple(self.links.get(address, "eth0") for address in (source, destination))
        return verdict(self.kernel, hook, Packet(source, destination, *rest, **{"links": links, **more})) != "drop"


def verdict(kernel: Kernel, chain: str, packet: Packet) -> str:
    """ "accept", "drop", or an empty text for a chain that came to its end."""
    for rule in kernel.chains.get(chain, ()):
        if rule.startswith("type filter hook"):
            continue
        said = _said(kernel, rule, packet)
        word, _, target = said.partition(" ")
        if word in ("accept", "drop"):
            return word
        if word in ("jump", "goto"):
            found = verdict(kernel, target, packet)
            if found or word == "goto":
                return found
    return ""


def _said(kernel: Kernel, rule: str, packet: Packet) -> str:
    """What the rule says of the packet; empty if it is not about it."""
    rest = re.sub(r"\bip6\b", "ip", rule)
    values = {"saddr": packet.source, "daddr": packet.destination}
    while rest:
        if rest == "ip daddr vmap @ingress":
            return kernel.elements["ingress"].get(packet.destination, "")
        if rest == "iifname vmap @egress":
            return kernel.elements["egress"].get(f'"{packet.links[0]}"', "")
        if found := re.match(r"iifname \. oifname @selves ", rest):
            holds = '"{}" . "{}"'.format(*packet.links) in kernel.elements["selves"]
        elif rest == "iifname @links iifname . ip saddr != @owners drop":
            link, elements = f'"{packet.links[0]}"', kernel.elements
            is_invented = link in elements["links"] and f"{link} . {packet.source}" not in elements["owners"]
            return "drop" if is_invented else ""
        elif found := re.match(r"ip daddr \. (\w+) dport @(\S+) ?", rest):
            wanted = f"{packet.destination} . {packet.port}"
            holds = found[1] == packet.protocol and wanted in kernel.elements[found[2]]
        elif found := re.match(r"ip ([sd]addr) @(\S+) ?", rest):
            holds = values[found[1]] in kernel.elements[found[2]]
        elif found := re.match(r"ip ([sd]addr) (!= )?(\{.*?\}|\S+) ?", rest):
            holds = _is_in(values[found[1]], found[3]) != bool(found[2])
        elif found := re.match(r"(tcp|udp|sctp) dport (\{.*?\}|\S+) ?", rest):
            holds = found[1] == packet.protocol and _is_among(packet.port, found[2])
        elif found := re.match(r"meta l4proto (\w+) ?", rest):
            holds = found[1] == packet.protocol
        elif found := re.match(r"ct state established,related ?", rest):
            holds = packet.is_under_way
        elif found := re.match(r"icmpv6 type (\{.*?\}) ?", rest):
            holds = packet.protocol in found[1]
        else:
            return rest
        if not holds:
            return ""
        rest = rest[found.end() :]
    return ""


def _is_in(address: str, networks: str) -> bool:
    return any(ip_address(address) in ip_network(each) for each in networks.strip("{} ").split(", "))


def _is_among(port: int, numbers: str) -> bool:
    ranges = [each.partition("-") for each in numbers.strip("{} ").split(", ")]
    return any(int(first) <= port <= int(last or first) for first, _, last in ranges)
