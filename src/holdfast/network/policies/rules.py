"""Policies in nftables' words.

A pod that is isolated leads, by its addresses on the way in and by its link on the way out, to a chain of all policies
that isolate it, which ends with a drop; pods that the same policies isolate share it. A pod has more addresses than
policies know, and may invent some, but one link. Each policy has a chain for each direction. What a policy
allows on the way out goes on to what isolates the other end, if that is here too: both have to allow it. Peers and
ports with names are sets, so that pods come and go as elements.

Packets are judged where they are passed on and, on their way out of a pod, where this machine takes them: after
services have translated where they go, and before anybody hides where they come from. What this machine itself sends
is judged nowhere: it always reaches its pods.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from holdfast.api.resource import Manifest
from holdfast.api.selectors import Labels
from holdfast.network.pods.links import link_name
from holdfast.network.tables.families import FAMILIES, Family
from holdfast.network.tables.table import Fragment, Table

from .pods import NamedPort, Pod
from .policy import LAST_PORT, Block, Peers, Policy, Port, Rule

LONGEST_NAME = 120
"""The kernel's names of chains end at 255; a policy's own may be that long."""
INGRESS, EGRESS = "in", "out"

DNS_NAMESPACE = "kube-system"
DNS_LABELS = {"k8s-app": "kube-dns"}
DNS_PORT = 53
DNS_NAMES: Mapping[str, str] = {"udp": "dns", "tcp": "dns-tcp"}
"""What its pods call the port elsewhere, by protocol."""


@dataclass(frozen=True, slots=True)
class Here:
    """What the rules need to know of where they are."""

    version: int
    """Of IP: all that is here is of one family."""
    nodes: Collection[str]
    """This machine's."""
    dns: tuple[str, ...]
    """Addresses at which cluster DNS answers. There is no pod: for policies it counts as one, at its port alone."""
    cluster: str = ""
    """What tells links of this cluster's pods from those of others."""

    @property
    def family(self) -> Family:
        return FAMILIES[self.version]

    def link_of(self, pod: Manifest) -> str:
        """This machine's side of the pod's link; empty if the pod is elsewhere."""
        if pod["spec"].get("nodeName") not in self.nodes:
            return ""
        return link_name(self.cluster, pod["metadata"]["uid"])


def policy_table(name: str, here: Here) -> Table:
    """Without any policy yet."""
    return Table(f"{here.family.word} {name}", _shared_sets(here.family), _shared_chains(here.family))


def _shared_sets(family: Family) -> dict[str, str]:
    address = family.address
    return {
        "ingress": f"type {address} : verdict;",
        "egress": "type ifname : verdict;",
        "selves": "type ifname . ifname;",
        "links": "type ifname;",
        "owners": f"type ifname . {address};",
    }


def _shared_chains(family: Family) -> dict[str, tuple[str, ...]]:
    """What is under way goes on: policies are for new connections. A pod may come back to itself, by a service.

    None sends under an address that is not its own: it might be that of somebody who may.
    """
    ip, hook = family.word, "type filter hook {} priority filter + 10; policy accept;"
    neighbours = "icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept"
    return {
        "judge-ingress": (f"{ip} daddr vmap @ingress", "accept"),
        "forward": (
            hook.format("forward"),
            "ct state established,related accept",
            "iifname . oifname @selves accept",
            f"iifname @links iifname . {ip} saddr != @owners drop",
            "iifname vmap @egress",
            f"{ip} daddr vmap @ingress",
        ),
        "input": (
            hook.format("input"),
            "ct state established,related accept",
            *((neighbours,) if family.word == "ip6" else ()),
            "iifname vmap @egress",
        ),
    }


def peers_set(peers: Peers) -> str:
    return f"peers-{peers.name}"


def port_set(port: NamedPort) -> str:
    return f"port-{'-'.join(port)}"


def peers_fragment(peers: Peers, family: Family) -> Fragment:
    return Fragment(sets={peers_set(peers): f"type {family.address};"})


def port_fragment(port: NamedPort, family: Family) -> Fragment:
    return Fragment(sets={port_set(port): f"type {family.address} . inet_service;"})


def isolation_chain(direction: str, policies: Sequence[str]) -> str:
    """The chain of what the policies isolate together, given by their keys."""
    return f"isolated-{direction}-{hashlib.sha256(' '.join(policies).encode()).hexdigest()[:12]}"


def isolation_fragment(direction: str, policies: Sequence[str]) -> Fragment:
    jumps = (f"jump {policy_chain(direction, key)}" for key in policies)
    return Fragment(chains={isolation_chain(direction, policies): (*jumps, "drop")})


def policy_chain(direction: str, key: str) -> str:
    if len(key) > LONGEST_NAME:
        key = f"{key[:LONGEST_NAME]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return f"{direction}-{key}"


def pod_fragment(
    pod: Pod,
    isolated: Mapping[str, Sequence[str]],
    peers: Collection[Peers],
    ports: Collection[NamedPort],
) -> Fragment:
    """`isolated` are the policies by direction, `peers` and `ports` those of policies that mean the pod."""
    made, link = Fragment(), f'"{pod.link}"'
    if pod.is_here:
        made.elements["links", link] = ""
    if any(isolated.values()):
        made.elements["selves", f"{link} . {link}"] = ""
    if policies := isolated[EGRESS]:
        made.elements["egress", link] = f"goto {isolation_chain(EGRESS, policies)}"
    for address in pod.addresses:
        if pod.is_here:
            made.elements["owners", f"{link} . {address}"] = ""
        if policies := isolated[INGRESS]:
            made.elements["ingress", address] = f"goto {isolation_chain(INGRESS, policies)}"
        for each in peers:
            made.elements[peers_set(each), address] = ""
        for port, number in pod.ports:
            if port in ports:
                made.elements[port_set(port), f"{address} . {number}"] = ""
    return made


def policy_fragment(policy: Policy, here: Here, dns_namespace: Labels | None) -> Fragment:
    """`dns_namespace` are the labels of the namespace that cluster DNS counts as in."""
    made = Fragment()
    if policy.ingress is not None:
        rules = (text for rule in policy.ingress for text in _allowed(rule, "saddr", here.family))
        made.chains[policy_chain(INGRESS, policy.key)] = tuple(f"{rule} accept".lstrip() for rule in rules)
    if policy.egress is not None:
        rules = (text for rule in policy.egress for text in _ways_out(rule, here, dns_namespace))
        made.chains[policy_chain(EGRESS, policy.key)] = tuple(f"{rule} goto judge-ingress".lstrip() for rule in rules)
    return made


def _allowed(rule: Rule, end: str, family: Family) -> Iterator[str]:
    """What packets have that it allows; an empty text for all."""
    peers = [text for peer in rule.peers for text in _peer(peer, end, family)] if rule.peers else [""]
    ports = list(_ports(rule.ports, family)) if rule.ports else [""]
    for peer, port in product(peers, ports):
        yield f"{peer} {port}".strip()


def _peer(peer: Peers | Block, end: str, family: Family) -> Iterator[str]:
    """Nothing for a block of the other family."""
    at = f"{family.word} {end}"
    if isinstance(peer, Peers):
        yield f"{at} @{peers_set(peer)}"
    elif FAMILIES[peer.network.version] is family:
        excepted = f" {at} != {_one_or_more(map(str, peer.excepted))}" if peer.excepted else ""
        yield f"{at} {peer.network}{excepted}"


def _ports(ports: Sequence[Port], family: Family) -> Iterator[str]:
    """For each protocol, its numbers in one go and its names one by one."""
    for protocol in dict.fromkeys(port.protocol for port in ports):
        of_protocol = [port for port in ports if port.protocol == protocol]
        numbers = _joined((port.first, port.last) for port in of_protocol if not port.name)
        if numbers == [(0, LAST_PORT)]:
            yield f"meta l4proto {protocol}"
            continue
        if numbers:
            yield f"{protocol} dport {_one_or_more(map(_range, numbers))}"
        for name in dict.fromkeys(port.name for port in of_protocol if port.name):
            yield f"{family.word} daddr . {protocol} dport @{port_set((protocol, name))}"


def _joined(ranges: Iterator[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same numbers, each once: nftables of old refuses ranges that overlap."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _range(numbers: tuple[int, int]) -> str:
    first, last = numbers
    return str(first) if first == last else f"{first}-{last}"


def _one_or_more(texts: Iterator[str]) -> str:
    found = list(texts)
    return found[0] if len(found) == 1 else f"{{ {', '.join(found)} }}"


def _ways_out(rule: Rule, here: Here, dns_namespace: Labels | None) -> Iterator[str]:
    yield from _allowed(rule, "daddr", here.family)
    if here.dns and _means_dns(rule, here, dns_namespace):
        for protocol in DNS_NAMES:
            if not rule.ports or any(_is_dns_port(port, protocol) for port in rule.ports):
                yield f"{here.family.word} daddr {_one_or_more(iter(here.dns))} {protocol} dport {DNS_PORT}"


def _means_dns(rule: Rule, here: Here, dns_namespace: Labels | None) -> bool:
    """Where nobody is named, DNS is meant by the name of its port alone: by number, all addresses are."""
    if not rule.peers:
        return any(port.name for port in rule.ports)
    dns = Pod(DNS_NAMESPACE, DNS_LABELS, here.dns, (), link="")
    return any(isinstance(peer, Peers) and peer.match(dns, dns_namespace) for peer in rule.peers)


def _is_dns_port(port: Port, protocol: str) -> bool:
    if port.protocol != protocol:
        return False
    return port.name == DNS_NAMES[protocol] if port.name else port.first <= DNS_PORT <= port.last
