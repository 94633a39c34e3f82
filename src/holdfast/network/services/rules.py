"""Routes in nftables' words: what one service has in the table, and what all services share (R90-R93).

A connection's first packet finds its service by look-ups in maps, whatever the number of services; all later packets
follow the kernel's connection tracking.

Most services are nothing but elements of maps that all share: addresses and ports, of the machine too, with endpoints
chosen at random. Changing them costs the same whatever the number of services. Whoever wants more (affinity, traffic
that keeps to its node, a great many endpoints) has chains of its own; with every change of those the kernel goes
through all rules, and libnftables through all chains.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from holdfast.network.pods.ranges import Network
from holdfast.network.tables.families import FAMILIES, Family
from holdfast.network.tables.table import Fragment, Table

from .routes import Endpoint, Route

MASQUERADE = 0x4000
"""A bit of the packet mark: the same bit, with the same meaning, as other Kubernetes proxies use."""

FEW = 16
"""Up to so many endpoints are found in shared maps, or are a rule each. More are one rule with a map of its own, which
is found at once, but the kernel looks at all such maps whenever it makes one."""


def _port(family: Family) -> str:
    """What a connection asks for: address, protocol and port."""
    return f"{family.word} daddr . meta l4proto . th dport"


def _random(entrance: str, count: int) -> str:
    """What is looked up in a map of services with so many endpoints: where they are entered, and which of them."""
    return f"{entrance} . numgen random mod {count}" if count > 1 else entrance


def _of_address(count: int) -> str:
    """The map of services with so many endpoints, by their address."""
    return f"to-{count}"


def _of_node_port(count: int) -> str:
    """The same by their port of this machine."""
    return f"at-{count}"


_NODE_PORT = "meta l4proto . th dport"


def _drawn(family: Family) -> dict[str, str]:
    """The maps that are asked for one of several endpoints at random, and the sets that say who is in them."""
    endpoint, counts = f"{family.word} daddr . th dport", range(1, FEW + 1)
    return {
        **{_of_address(count): f"typeof {_random(_port(family), count)} : {endpoint};" for count in counts},
        **{_of_node_port(count): f"typeof {_random(_NODE_PORT, count)} : {endpoint};" for count in counts},
        "external": f"type {family.address} . inet_proto . inet_service;",
        "drawn-node-ports": "type inet_proto . inet_service;",
    }


def _find_drawn(family: Family) -> dict[str, tuple[str, ...]]:
    """The chains that ask such maps. Whoever comes in from outside, or by a port of this machine, is hidden."""
    to, counts = f"meta l4proto {{ tcp, udp, sctp }} dnat {family.word} to", range(1, FEW + 1)
    by_address = (f"{to} {_random(_port(family), count)} map @{_of_address(count)}" for count in counts)
    by_node_port = (f"{to} {_random(_NODE_PORT, count)} map @{_of_node_port(count)}" for count in counts)
    return {
        "find-endpoint": tuple(by_address),
        "find-external": ("jump mark-for-masquerade", "goto find-endpoint"),
        "find-node-port": ("jump mark-for-masquerade", *by_node_port),
    }


@dataclass(frozen=True, slots=True)
class Machine:
    """What the rules need to know of where they are."""

    pods: Network
    """The range of all of the cluster's pods. All that is here is of its family."""
    services: Network
    nodes: Mapping[str, Network]
    """This machine's nodes, and the range of each one's pods."""
    gateway: str
    """An address of this machine from which every pod can be reached."""
    draws_in_maps: bool = True
    """Whether nftables takes `probe` here. Without it every service has chains of its own."""

    @property
    def family(self) -> Family:
        return FAMILIES[self.pods.version]


def shared_sets(machine: Machine) -> dict[str, str]:
    """The maps and sets that services put their elements in.

    An endpoint is there twice in one element: as what a connection goes to, and as what it comes from when a pod
    reaches itself.
    """
    address = machine.family.address
    return {
        "services": f"type {address} . inet_proto . inet_service : verdict;",
        "node-ports": "type inet_proto . inet_service : verdict;",
        "cluster-ips": f"type {address};",
        "refused": f"type {address} . inet_proto . inet_service;",
        "refused-node-ports": "type inet_proto . inet_service;",
        "endpoints": f"type {address} . {address};",
        **(_drawn(machine.family) if machine.draws_in_maps else {}),
    }


def probe(table: str) -> str:
    """Leaves nothing, and is refused where maps cannot be asked for random numbers: by versions of nftables of old."""
    family = FAMILIES[4]
    maps = [f"map {name} {{ {declared} }}" for name, declared in _drawn(family).items() if " : " in declared]
    rules = [rule for rules in _find_drawn(family).values() for rule in rules if " map @" in rule]
    lines = [f"table ip {table} {{", *maps, "chain c {", *rules, "}", "}", f"delete table ip {table}", ""]
    return "\n".join(lines)


def service_table(name: str, machine: Machine) -> Table:
    """Without any service yet."""
    return Table(f"{machine.family.word} {name}", shared_sets(machine), shared_chains(machine))


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
    """Whether it is all said by a few endpoints, of which any will do."""
    is_external_local = route.is_external_local and (route.node_port or route.external_ips)
    return not (route.affinity_s or route.is_internal_local or is_external_local or len(route.endpoints) > FEW)


def _choices(made: Fragment, route: Route) -> None:
    """An element for each entrance and endpoint, all endpoints equally likely (D40); none refuse (D42)."""
    count, port = len(route.endpoints), f"{route.protocol} . {route.port}"
    if not count:
        _refusals(made, route)
        return
    entrances = [(_of_address(count), f"{address} . {port}") for address in _addresses(route)]
    for address in route.external_ips:
        made.elements["external", f"{address} . {port}"] = ""
    if route.node_port:
        made.elements["drawn-node-ports", f"{route.protocol} . {route.node_port}"] = ""
        entrances.append((_of_node_port(count), f"{route.protocol} . {route.node_port}"))
    for name, entrance in entrances:
        for n, each in enumerate(route.endpoints):
            key = f"{entrance} . {n}" if count > 1 else entrance
            made.elements[name, key] = f"{each.address} . {each.port}"


def _addresses(route: Route) -> tuple[str, ...]:
    return tuple(filter(None, (route.cluster_ip, *route.external_ips)))


def _refusals(made: Fragment, route: Route) -> None:
    """Cluster addresses refuse by themselves."""
    for address in route.external_ips:
        made.elements["refused", f"{address} . {route.protocol} . {route.port}"] = ""
    if route.node_port:
        made.elements["refused-node-ports", f"{route.protocol} . {route.node_port}"] = ""


def _chains(made: Fragment, route: Route, machine: Machine) -> None:
    if not route.endpoints:
        return
    family = machine.family
    _choice(made, f"svc-{route.name}", route.endpoints, route, family)
    needs_external = bool(route.node_port or route.external_ips)
    here = route.on_this_machine
    if here and (route.is_internal_local or (route.is_external_local and needs_external)):
        _choice(made, f"local-{route.name}", here, route, family)
    if route.is_internal_local:
        _internal_local(made, route, machine)
    if needs_external:
        made.chains[f"ext-{route.name}"] = _external(route, machine)


def _choice(made: Fragment, chain: str, endpoints: Sequence[Endpoint], route: Route, family: Family) -> None:
    """A chain that sends each connection to one of `endpoints`, at random but for affinity (D40, D45)."""
    if route.affinity_s:
        made.chains[chain] = _affine(made, endpoints, route, family)
    elif len(endpoints) <= FEW:
        made.chains[chain] = tuple(
            _one_of(len(endpoints), n) + _to(route, each, family) for n, each in enumerate(endpoints)
        )
    else:
        choices = ", ".join(f"{n} : {each.address} . {each.port}" for n, each in enumerate(endpoints))
        made.chains[chain] = (
            f"meta l4proto {route.protocol} dnat {family.word} to "
            f"numgen random mod {len(endpoints)} map {{ {choices} }}",
        )


def _one_of(count: int, n: int) -> str:
    """Holds with the chance that makes all of `count` rules, tried in order, equally likely; empty for the last."""
    return f"numgen random mod {count - n} == 0 " if n < count - 1 else ""


def _affine(made: Fragment, endpoints: Sequence[Endpoint], route: Route, family: Family) -> tuple[str, ...]:
    """Each endpoint remembers its clients in a set, renewed by every connection (R93)."""
    remembered = []
    chosen = []
    for n, each in enumerate(endpoints):
        at = f"{route.name}/{each.address.replace(':', '-')}.{each.port}"
        chain, clients = f"ep-{at}", f"clients-{at}-{route.affinity_s}"
        made.sets[clients] = f"type {family.address}; flags dynamic,timeout; timeout {route.affinity_s}s; size 65535;"
        made.chains[chain] = (f"update @{clients} {{ {family.word} saddr }}", _to(route, each, family))
        remembered.append(f"{family.word} saddr @{clients} goto {chain}")
        chosen.append(f"{_one_of(len(endpoints), n)}goto {chain}")
    return (*remembered, *chosen)


def _to(route: Route, endpoint: Endpoint, family: Family) -> str:
    return f"meta l4proto {route.protocol} dnat {family.word} to {family.at(endpoint.address, endpoint.port)}"


def _internal_local(made: Fragment, route: Route, machine: Machine) -> None:
    """A pod reaches the endpoints of its own node only; the machine itself is all of its nodes (D42, D49)."""
    entry = []
    if len(machine.nodes) > 1:
        for node, endpoints in route.local:
            if not endpoints:
                entry.append(f"{machine.family.word} saddr {machine.nodes[node]} drop")
            elif endpoints != route.on_this_machine:
                chain = f"node-{route.name}/{node}"
                _choice(made, chain, endpoints, route, machine.family)
                entry.append(f"{machine.family.word} saddr {machine.nodes[node]} goto {chain}")
    entry.append(f"goto local-{route.name}" if route.on_this_machine else "drop")
    made.chains[f"int-{route.name}"] = tuple(entry)


def _external(route: Route, machine: Machine) -> tuple[str, ...]:
    """What came in by a node port or an external address. Under Local, strangers keep their address (D43, D49)."""
    if not route.is_external_local:
        return ("jump mark-for-masquerade", f"goto svc-{route.name}")
    return (
        f"{machine.family.word} saddr {machine.pods} goto svc-{route.name}",
        "fib saddr type local jump mark-for-masquerade",
        f"fib saddr type local goto svc-{route.name}",
        f"goto local-{route.name}" if route.on_this_machine else "drop",
    )


def _entries(made: Fragment, route: Route) -> None:
    """How the service's chains are found; without endpoints, what is refused (D42)."""
    if not route.endpoints:
        _refusals(made, route)
        return
    port = f"{route.protocol} . {route.port}"
    if route.cluster_ip:
        first = "int" if route.is_internal_local else "svc"
        made.elements["services", f"{route.cluster_ip} . {port}"] = f"goto {first}-{route.name}"
    for address in route.external_ips:
        made.elements["services", f"{address} . {port}"] = f"goto ext-{route.name}"
    if route.node_port:
        made.elements["node-ports", f"{route.protocol} . {route.node_port}"] = f"goto ext-{route.name}"


def shared_chains(machine: Machine) -> dict[str, tuple[str, ...]]:
    """The chains that are there without any service.

    TCP is refused with a reset: the kernel limits the rate of ICMP errors, and clients would time out (R91).
    The client is hidden where the answer would not come back otherwise, a pod that reached itself among them
    (D43, D44). Several clusters may share this machine: of pods of others, and of connections that the rules of
    others have translated, nothing is touched.
    """
    pods, mark, family = machine.pods, f"{MASQUERADE:#x}", machine.family
    ip, local = family.word, family.local
    drawn = (
        f"{_port(family)} @external goto find-external",
        f"{ip} daddr @cluster-ips goto find-endpoint",
        f"{local} {_NODE_PORT} @drawn-node-ports goto find-node-port",
    )
    return {
        "mark-for-masquerade": (f"meta mark set meta mark or {mark}",),
        "hide-client": (f"{ip} daddr {pods} snat to {machine.gateway}", "masquerade"),
        "hide-some-clients": (
            f"meta mark & {mark} == {mark} goto hide-client",
            f"{ip} saddr . {ip} daddr @endpoints goto hide-client",
            f"{ip} saddr {family.loopback} goto hide-client",
        ),
        "refuse": ("meta l4proto tcp reject with tcp reset", f"reject with {family.unreachable}"),
        **(_find_drawn(family) if machine.draws_in_maps else {}),
        "find-service": (
            f"{_port(family)} vmap @services",
            *(drawn if machine.draws_in_maps else ()),
            f"{local} {_NODE_PORT} vmap @node-ports",
        ),
        "find-unserved": (
            "ct state established,related accept",
            f"{_port(family)} @refused goto refuse",
            f"{local} {_NODE_PORT} @refused-node-ports goto refuse",
            f"{ip} daddr @cluster-ips goto refuse",
        ),
        "nat-prerouting": (
            "type nat hook prerouting priority dstnat; policy accept;",
            f'iifname "hf*" {ip} saddr != {pods} {ip} daddr {machine.services} return',
            f"{ip} saddr != {pods} {ip} daddr @cluster-ips jump mark-for-masquerade",
            "jump find-service",
        ),
        "nat-output": ("type nat hook output priority -100; policy accept;", "jump find-service"),
        "nat-postrouting": (
            "type nat hook postrouting priority srcnat; policy accept;",
            f"ct status dnat {ip} daddr . {ip} daddr @endpoints jump hide-some-clients",
        ),
        "filter-input": ("type filter hook input priority filter; policy accept;", "jump find-unserved"),
        "filter-forward": ("type filter hook forward priority filter; policy accept;", "jump find-unserved"),
        "filter-output": ("type filter hook output priority filter; policy accept;", "jump find-unserved"),
    }
