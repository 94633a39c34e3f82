"""Routes in nftables' words: what one service has in the table, and what all services share (R90-R93).

A connection's first packet finds its service by look-ups in maps, whatever the number of services; all later packets
follow the kernel's connection tracking.

Most services are nothing but elements of maps that all share: a cluster address and port, with endpoints chosen at
random. Changing them costs the same whatever the number of services. Whoever wants more (affinity, traffic that keeps
to its node, ports of the machine, a great many endpoints) has chains of its own; with every change of those the kernel
goes through all rules, and libnftables through all chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network

from .routes import Endpoint, Route

MASQUERADE = 0x4000
"""A bit of the packet mark: the same bit, with the same meaning, as other Kubernetes proxies use."""

FEW = 16
"""Up to so many endpoints are found in shared maps, or are a rule each. More are one rule with a map of its own, which
is found at once, but the kernel looks at all such maps whenever it makes one."""

Key = tuple[str, str]
"""A map or set, and what is looked up in it."""

_PORT = "ip daddr . meta l4proto . th dport"


def _random(count: int) -> str:
    """What is looked up in the map of services with so many endpoints: a port, and which of them."""
    return f"{_PORT} . numgen random mod {count}" if count > 1 else _PORT


def _plain(count: int) -> str:
    """The map of services with so many endpoints."""
    return f"to-{count}"


_DRAWN = {_plain(count): f"typeof {_random(count)} : ip daddr . th dport;" for count in range(1, FEW + 1)}

_FIND_ENDPOINT = tuple(
    f"meta l4proto {{ tcp, udp, sctp }} dnat ip to {_random(count)} map @{_plain(count)}" for count in range(1, FEW + 1)
)

SHARED = {
    "services": "type ipv4_addr . inet_proto . inet_service : verdict;",
    "node-ports": "type inet_proto . inet_service : verdict;",
    "cluster-ips": "type ipv4_addr;",
    "refused": "type ipv4_addr . inet_proto . inet_service;",
    "refused-node-ports": "type inet_proto . inet_service;",
    "endpoints": "type ipv4_addr . ipv4_addr;",
    **_DRAWN,
}
"""The maps and sets that services put their elements in. An endpoint is there twice in one element: as what a
connection goes to, and as what it comes from when a pod reaches itself."""


def is_map(name: str) -> bool:
    return " : " in SHARED[name]


@dataclass(frozen=True, slots=True)
class Machine:
    """What the rules need to know of where they are."""

    pods: IPv4Network
    """The range of all of the cluster's pods."""
    services: IPv4Network
    nodes: Mapping[str, IPv4Network]
    """This machine's nodes, and the range of each one's pods."""
    gateway: str
    """An address of this machine from which every pod can be reached."""
    draws_in_maps: bool = True
    """Whether nftables takes `probe` here. Without it every service has chains of its own."""


def shared_sets(machine: Machine) -> dict[str, str]:
    """Those of `SHARED` that this machine takes."""
    return {name: declared for name, declared in SHARED.items() if machine.draws_in_maps or name not in _DRAWN}


def probe(table: str) -> str:
    """Leaves nothing, and is refused where maps cannot be asked for random numbers: by versions of nftables of old."""
    maps = "\n".join(f"map {name} {{ {declared} }}" for name, declared in _DRAWN.items())
    rules = "\n".join(_FIND_ENDPOINT)
    return f"table ip {table} {{\n{maps}\nchain c {{\n{rules}\n}}\n}}\ndelete table ip {table}\n"


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one service has in the table. Chains and sets are its own; elements go into shared maps and sets."""

    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    """Never changed: a set of another declaration has another name."""
    elements: dict[Key, str] = field(default_factory=dict)
    """What maps lead to, a verdict or an endpoint; nothing in sets."""


def fragment(routes: Iterable[Route], machine: Machine) -> Fragment:
    made = Fragment()
    for route in routes:
        if route.cluster_ip:
            made.elements["cluster-ips", route.cluster_ip] = ""
        for endpoint in route.endpoints:
            made.elements["endpoints", f"{endpoint.address} . {endpoint.address}"] = ""
        if machine.draws_in_maps and _is_plain(route):
            _choices(made, route)
        else:
            _chains(made, route, machine)
            _entries(made, route)
    return made


def _is_plain(route: Route) -> bool:
    """Whether it is all said by a cluster address and a few endpoints."""
    is_only_inside = route.cluster_ip and not (route.node_port or route.external_ips)
    is_any_endpoint = not (route.affinity_s or route.is_internal_local)
    return bool(is_only_inside and is_any_endpoint and len(route.endpoints) <= FEW)


def _choices(made: Fragment, route: Route) -> None:
    """An element for each endpoint, all equally likely (D40); without any, the address alone refuses (D42)."""
    count = len(route.endpoints)
    entrance = f"{route.cluster_ip} . {route.protocol} . {route.port}"
    for n, each in enumerate(route.endpoints):
        key = f"{entrance} . {n}" if count > 1 else entrance
        made.elements[_plain(count), key] = f"{each.address} . {each.port}"


def _chains(made: Fragment, route: Route, machine: Machine) -> None:
    if not route.endpoints:
        return
    _choice(made, f"svc-{route.name}", route.endpoints, route)
    needs_external = bool(route.node_port or route.external_ips)
    here = route.on_this_machine
    if here and (route.is_internal_local or (route.is_external_local and needs_external)):
        _choice(made, f"local-{route.name}", here, route)
    if route.is_internal_local:
        _internal_local(made, route, machine)
    if needs_external:
        made.chains[f"ext-{route.name}"] = _external(route, machine)


def _choice(made: Fragment, chain: str, endpoints: Sequence[Endpoint], route: Route) -> None:
    """A chain that sends each connection to one of `endpoints`, at random but for affinity (D40, D45)."""
    if route.affinity_s:
        made.chains[chain] = _affine(made, endpoints, route)
    elif len(endpoints) <= FEW:
        made.chains[chain] = tuple(_one_of(len(endpoints), n) + _to(route, each) for n, each in enumerate(endpoints))
    else:
        choices = ", ".join(f"{n} : {each.address} . {each.port}" for n, each in enumerate(endpoints))
        made.chains[chain] = (
            f"meta l4proto {route.protocol} dnat ip to numgen random mod {len(endpoints)} map {{ {choices} }}",
        )


def _one_of(count: int, n: int) -> str:
    """Holds with the chance that makes all of `count` rules, tried in order, equally likely; empty for the last."""
    return f"numgen random mod {count - n} == 0 " if n < count - 1 else ""


def _affine(made: Fragment, endpoints: Sequence[Endpoint], route: Route) -> tuple[str, ...]:
    """Each endpoint remembers its clients in a set, renewed by every connection (R93)."""
    remembered = []
    chosen = []
    for n, each in enumerate(endpoints):
        chain = f"ep-{route.name}/{each.address}.{each.port}"
        clients = f"clients-{route.name}/{each.address}.{each.port}-{route.affinity_s}"
        made.sets[clients] = f"type ipv4_addr; flags dynamic,timeout; timeout {route.affinity_s}s; size 65535;"
        made.chains[chain] = (f"update @{clients} {{ ip saddr }}", _to(route, each))
        remembered.append(f"ip saddr @{clients} goto {chain}")
        chosen.append(f"{_one_of(len(endpoints), n)}goto {chain}")
    return (*remembered, *chosen)


def _to(route: Route, endpoint: Endpoint) -> str:
    return f"meta l4proto {route.protocol} dnat ip to {endpoint.address}:{endpoint.port}"


def _internal_local(made: Fragment, route: Route, machine: Machine) -> None:
    """A pod reaches the endpoints of its own node only; the machine itself is all of its nodes (D42, D49)."""
    entry = []
    if len(machine.nodes) > 1:
        for node, endpoints in route.local:
            if not endpoints:
                entry.append(f"ip saddr {machine.nodes[node]} drop")
            elif endpoints != route.on_this_machine:
                chain = f"node-{route.name}/{node}"
                _choice(made, chain, endpoints, route)
                entry.append(f"ip saddr {machine.nodes[node]} goto {chain}")
    entry.append(f"goto local-{route.name}" if route.on_this_machine else "drop")
    made.chains[f"int-{route.name}"] = tuple(entry)


def _external(route: Route, machine: Machine) -> tuple[str, ...]:
    """What came in by a node port or an external address. Under Local, strangers keep their address (D43, D49)."""
    if not route.is_external_local:
        return ("jump mark-for-masquerade", f"goto svc-{route.name}")
    return (
        f"ip saddr {machine.pods} goto svc-{route.name}",
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto svc-{route.name}",
        f"goto local-{route.name}" if route.on_this_machine else "drop",
    )


def _entries(made: Fragment, route: Route) -> None:
    """How the service's chains are found; without endpoints, what is refused (D42)."""
    if route.endpoints and route.cluster_ip:
        first = "int" if route.is_internal_local else "svc"
        made.elements["services", f"{route.cluster_ip} . {route.protocol} . {route.port}"] = (
            f"goto {first}-{route.name}"
        )
    to_map, to_set = ("services", "node-ports"), ("refused", "refused-node-ports")
    (by_address, by_node_port), verdict = (to_map, f"goto ext-{route.name}") if route.endpoints else (to_set, "")
    for address in route.external_ips:
        made.elements[by_address, f"{address} . {route.protocol} . {route.port}"] = verdict
    if route.node_port:
        made.elements[by_node_port, f"{route.protocol} . {route.node_port}"] = verdict


def shared_chains(machine: Machine) -> dict[str, tuple[str, ...]]:
    """The chains that are there without any service.

    TCP is refused with a reset: the kernel limits the rate of ICMP errors, and clients would time out (R91).
    The client is hidden where the answer would not come back otherwise, a pod that reached itself among them
    (D43, D44). Several clusters may share this machine: of pods of others, and of connections that the rules of
    others have translated, nothing is touched.
    """
    pods, mark = machine.pods, f"{MASQUERADE:#x}"
    return {
        "mark-for-masquerade": (f"meta mark set meta mark or {mark}",),
        "hide-client": (f"ip daddr {pods} snat to {machine.gateway}", "masquerade"),
        "hide-some-clients": (
            f"meta mark & {mark} == {mark} goto hide-client",
            "ip saddr . ip daddr @endpoints goto hide-client",
            "ip saddr 127.0.0.0/8 goto hide-client",
        ),
        "refuse": ("meta l4proto tcp reject with tcp reset", "reject with icmp port-unreachable"),
        **({"find-endpoint": _FIND_ENDPOINT} if machine.draws_in_maps else {}),
        "find-service": (
            f"{_PORT} vmap @services",
            *(("ip daddr @cluster-ips jump find-endpoint",) if machine.draws_in_maps else ()),
            "fib daddr type local meta l4proto . th dport vmap @node-ports",
        ),
        "find-unserved": (
            "ct state established,related accept",
            "ip daddr . meta l4proto . th dport @refused goto refuse",
            "fib daddr type local meta l4proto . th dport @refused-node-ports goto refuse",
            "ip daddr @cluster-ips goto refuse",
        ),
        "nat-prerouting": (
            "type nat hook prerouting priority dstnat; policy accept;",
            f'iifname "hf*" ip saddr != {pods} ip daddr {machine.services} return',
            f"ip saddr != {pods} ip daddr @cluster-ips jump mark-for-masquerade",
            "jump find-service",
        ),
        "nat-output": ("type nat hook output priority -100; policy accept;", "jump find-service"),
        "nat-postrouting": (
            "type nat hook postrouting priority srcnat; policy accept;",
            "ct status dnat ip daddr . ip daddr @endpoints jump hide-some-clients",
        ),
        "filter-input": ("type filter hook input priority filter; policy accept;", "jump find-unserved"),
        "filter-forward": ("type filter hook forward priority filter; policy accept;", "jump find-unserved"),
        "filter-output": ("type filter hook output priority filter; policy accept;", "jump find-unserved"),
    }
