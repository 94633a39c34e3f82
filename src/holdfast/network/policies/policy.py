"""What a NetworkPolicy says, read once: whom it isolates in which direction, and what it allows them.

Source: Kubernetes, staging/src/k8s.io/api/networking/v1/types.go.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from ipaddress import ip_network

from holdfast.api.resource import Manifest
from holdfast.api.selectors import EVERYTHING, Labels, LabelSelector, selector_from_manifest
from holdfast.network.pods.ranges import Network

from .pods import Pod

LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Peers:
    """Pods by their labels, and by their namespace or its labels."""

    namespace: str = field(hash=False)
    """The one they are in; empty where `namespaces` says which."""
    namespaces: LabelSelector | None = field(hash=False)
    pods: LabelSelector = field(hash=False)
    name: str = field(init=False)
    """The same for whatever means the same pods in the same words."""

    def __post_init__(self) -> None:
        words = repr((self.namespace, self.namespaces, self.pods))
        object.__setattr__(self, "name", hashlib.sha256(words.encode()).hexdigest()[:12])

    def match(self, pod: Pod, of_namespace: Labels | None) -> bool:
        """`of_namespace` are the labels of the pod's namespace; of one that is not known nobody is meant."""
        if self.namespaces is None:
            is_there = pod.namespace == self.namespace
        else:
            is_there = of_namespace is not None and self.namespaces.matches(of_namespace)
        return is_there and self.pods.matches(pod.labels)


@dataclass(frozen=True, slots=True)
class Block:
    """Addresses, whoever has them."""

    network: Network
    excepted: tuple[Network, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """Of one protocol: a range of numbers, or what the pod that is asked calls by a name."""

    protocol: str
    """"tcp", "udp" or "sctp"."""
    first: int = 0
    last: int = LAST_PORT
    name: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Any of the peers may at any of the ports. Without peers everybody may, without ports at every one."""

    peers: tuple[Peers | Block, ...]
    ports: tuple[Port, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """For each direction what is allowed there; None if the policy has nothing to do with it."""

    key: str
    """"namespace/name"."""
    namespace: str
    selects: LabelSelector
    ingress: tuple[Rule, ...] | None
    egress: tuple[Rule, ...] | None

    @property
    def rules(self) -> tuple[Rule, ...]:
        return (*(self.ingress or ()), *(self.egress or ()))

    def isolates(self, pod: Pod) -> bool:
        return pod.namespace == self.namespace and self.selects.matches(pod.labels)


def read(policy: Manifest) -> Policy:
    metadata, spec = policy["metadata"], policy.get("spec") or {}
    namespace = metadata["namespace"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])

    def rules(direction: str, peers: str) -> tuple[Rule, ...]:
        return tuple(_rule(rule, peers, namespace) for rule in spec.get(direction) or ())

    return Policy(
        key=f"{namespace}/{metadata['name']}",
        namespace=namespace,
        selects=selector_from_manifest(spec.get("podSelector") or {}),
        ingress=rules("ingress", "from") if "Ingress" in types else None,
        egress=rules("egress", "to") if "Egress" in types else None,
    )


def _rule(rule: Manifest, peers: str, namespace: str) -> Rule:
    return Rule(
        peers=tuple(_peer(peer, namespace) for peer in rule.get(peers) or ()),
        ports=tuple(_port(port) for port in rule.get("ports") or ()),
    )


def _peer(peer: Manifest, namespace: str) -> Peers | Block:
    """A selector that is there and empty means all; one that is not there says nothing."""
    if (block := peer.get("ipBlock")) is not None:
        excepted = tuple(ip_network(text, strict=False) for text in block.get("except") or ())
        return Block(ip_network(block["cidr"], strict=False), excepted)
    pods, namespaces = peer.get("podSelector"), peer.get("namespaceSelector")
    selected = EVERYTHING if pods is None else selector_from_manifest(pods)
    if namespaces is None:
        return Peers(namespace, None, selected)
    return Peers("", selector_from_manifest(namespaces), selected)


def _port(port: Manifest) -> Port:
    protocol, number = (port.get("protocol") or "TCP").lower(), port.get("port")
    if number is None:
        return Port(protocol)
    if isinstance(number, str):
        return Port(protocol, name=number)
    return Port(protocol, number, port.get("endPort") or number)
