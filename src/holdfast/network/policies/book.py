"""Which pods of this machine are isolated by what, and who the others are that their policies speak of.

It is told of policies, namespaces and pods as they come, change and go, in any order, and keeps a table in step. What
is told only marks pods as stale; `refresh` brings one of them up to date, so that whoever has much to do can do it bit
by bit. Only what isolates a pod of this machine is in force, and in the table.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

from holdfast.api.selectors import Labels
from holdfast.network.tables.table import Table

from . import rules
from .pods import NamedPort, Pod
from .policy import Block, Peers, Policy
from .rules import DNS_NAMESPACE, EGRESS, INGRESS, Here

K = TypeVar("K")

Isolated = Mapping[str, tuple[str, ...]]
"""By direction, the keys of the policies that isolate a pod."""
NOWHERE: Isolated = {INGRESS: (), EGRESS: ()}


@dataclass(slots=True)
class _Matched:
    """Peers that mean a pod."""

    peers: frozenset[Peers]
    looked_at: int
    """All peers up to this number."""


class Book:
    def __init__(self, here: Here, table: Table) -> None:
        self.stale: set[str] = set()
        """The keys of pods that are to be refreshed before the table is right."""
        self._here = here
        self._table = table
        self._policies: dict[str, Policy] = {}
        self._policies_of: defaultdict[str, set[str]] = defaultdict(set)
        """By namespace."""
        self._in_force: dict[str, Policy] = {}
        """As it is in the table."""
        self._isolating: Counter[str] = Counter()
        """How many pods each policy isolates."""
        self._namespaces: dict[str, Labels] = {}
        self._pods: dict[str, Pod] = {}
        self._pods_of: defaultdict[str, set[str]] = defaultdict(set)
        self._isolated: dict[str, Isolated] = {}
        self._chains: Counter[tuple[str, tuple[str, ...]]] = Counter()
        """How many pods lead to each chain, by direction and policies."""
        self._wanted: Counter[Peers] = Counter()
        self._numbers: dict[Peers, int] = {}
        """Of what is wanted, in the order in which it came."""
        self._last_number = 0
        self._matched: dict[str, _Matched] = {}
        self._ports: Counter[NamedPort] = Counter()

    @property
    def is_needed(self) -> bool:
        """Whether any pod of this machine is isolated."""
        return bool(self._chains)

    def is_isolated(self, pod: str) -> bool:
        return pod in self._isolated

    # What comes, changes and goes

    def set_policy(self, key: str, policy: Policy | None) -> None:
        """None if it is gone."""
        old = self._policies.pop(key, None)
        if policy is not None:
            self._policies[key] = policy
        if old == policy:
            return
        for each in filter(None, (old, policy)):
            self._policies_of[each.namespace].discard(key)
            self.stale |= {pod for pod in self._pods_of[each.namespace] if self._may_lead(pod, each)}
        if policy is not None:
            self._policies_of[policy.namespace].add(key)
        if policy is not None and self._isolating[key]:
            self._enforce(policy)
        elif key in self._in_force:
            self._withdraw(key)

    def _may_lead(self, key: str, policy: Policy) -> bool:
        return (pod := self._pods[key]).is_here and policy.isolates(pod)

    def set_namespace(self, name: str, labels: Labels | None) -> None:
        if labels == self._namespaces.get(name):
            return
        self._namespaces.pop(name, None)
        if labels is not None:
            self._namespaces[name] = labels
        for pod in self._pods_of[name]:
            self._matched.pop(pod, None)
        self.stale |= self._pods_of[name]
        if name == DNS_NAMESPACE:
            for policy in self._in_force.values():
                self._write(policy)

    def set_pod(self, key: str, pod: Pod | None) -> None:
        """None if policies know it no more."""
        old = self._pods.pop(key, None)
        if pod is not None:
            self._pods[key] = pod
            self._pods_of[pod.namespace].add(key)
        elif old is not None:
            self._pods_of[old.namespace].discard(key)
        if old != pod:
            self._matched.pop(key, None)
            self.stale.add(key)

    # Its consequences

    def refresh(self, key: str) -> None:
        """Brings a pod up to date; others may be stale for it."""
        self.stale.discard(key)
        pod = self._pods.get(key)
        isolated = self._isolation(pod) if pod is not None and pod.is_here else NOWHERE
        self._lead(key, isolated)
        fragment = None
        if pod is not None and self.is_needed:
            fragment = rules.pod_fragment(pod, isolated, self._peers_of(key, pod), self._ports)
        self._table.set(f"pod {key}", fragment if fragment is not None and fragment.elements else None)

    def _isolation(self, pod: Pod) -> Isolated:
        keys = sorted(key for key in self._policies_of.get(pod.namespace, ()) if self._policies[key].isolates(pod))
        return {
            INGRESS: tuple(key for key in keys if self._policies[key].ingress is not None),
            EGRESS: tuple(key for key in keys if self._policies[key].egress is not None),
        }

    def _lead(self, key: str, isolated: Isolated) -> None:
        """Sees to it that what the pod leads to is there, and what nobody leads to any more is not."""
        before = self._isolated.pop(key, NOWHERE)
        if any(isolated.values()):
            self._isolated[key] = isolated
        if before == isolated:
            return
        was_needed = self.is_needed
        for direction, policies in isolated.items():
            if policies and _come(self._chains, (direction, policies)):
                self._table.set(_owner(direction, policies), rules.isolation_fragment(direction, policies))
        for policy in _both(isolated):
            if _come(self._isolating, policy):
                self._enforce(self._policies[policy])
        for direction, policies in before.items():
            if policies and _go(self._chains, (direction, policies)):
                self._table.set(_owner(direction, policies), None)
        for policy in _both(before):
            if _go(self._isolating, policy) and policy in self._in_force:
                self._withdraw(policy)
        if self.is_needed != was_needed:
            self.stale |= self._pods.keys()

    def _enforce(self, policy: Policy) -> None:
        """In the place of what is in force under its key."""
        before = self._in_force.get(policy.key)
        self._in_force[policy.key] = policy
        self._write(policy)
        self._want(policy)
        if before is not None:
            self._want_no_more(before)

    def _withdraw(self, key: str) -> None:
        self._table.set(f"policy {key}", None)
        self._want_no_more(self._in_force.pop(key))

    def _want(self, policy: Policy) -> None:
        for peers in _peers(policy):
            if _come(self._wanted, peers):
                self._last_number += 1
                self._numbers[peers] = self._last_number
                self._table.set(f"peers {peers.name}", rules.peers_fragment(peers, self._here.family))
                self.stale |= self._pods.keys()
        for port in _named_ports(policy):
            if _come(self._ports, port):
                self._table.set(f"port {port}", rules.port_fragment(port, self._here.family))
                self._mark_by_port(port)

    def _want_no_more(self, policy: Policy) -> None:
        for peers in _peers(policy):
            if _go(self._wanted, peers):
                del self._numbers[peers]
                self._table.set(f"peers {peers.name}", None)
                self.stale |= {pod for pod, matched in self._matched.items() if peers in matched.peers}
        for port in _named_ports(policy):
            if _go(self._ports, port):
                self._table.set(f"port {port}", None)
                self._mark_by_port(port)

    def _write(self, policy: Policy) -> None:
        made = rules.policy_fragment(policy, self._here, self._namespaces.get(DNS_NAMESPACE))
        self._table.set(f"policy {policy.key}", made)

    def _mark_by_port(self, port: NamedPort) -> None:
        self.stale |= {key for key, pod in self._pods.items() if any(port == each for each, _ in pod.ports)}

    def _peers_of(self, key: str, pod: Pod) -> frozenset[Peers]:
        """Those that mean the pod; only what has come since it was last asked for is looked at."""
        known = self._matched.setdefault(key, _Matched(frozenset(), 0))
        labels, found = self._namespaces.get(pod.namespace), []
        for peers in reversed(self._numbers):
            if self._numbers[peers] <= known.looked_at:
                break
            if peers.match(pod, labels):
                found.append(peers)
        known.peers = frozenset((*(each for each in known.peers if each in self._numbers), *found))
        known.looked_at = self._last_number
        return known.peers


def _come(counter: Counter[K], key: K) -> bool:
    """Whether it is the first."""
    counter[key] += 1
    return counter[key] == 1


def _go(counter: Counter[K], key: K) -> bool:
    """Whether it was the last."""
    counter[key] -= 1
    if counter[key]:
        return False
    del counter[key]
    return True


def _owner(direction: str, policies: Collection[str]) -> str:
    return f"{direction} {' '.join(policies)}"


def _both(isolated: Isolated) -> set[str]:
    return {*isolated[INGRESS], *isolated[EGRESS]}


def _peers(policy: Policy) -> set[Peers]:
    return {peer for rule in policy.rules for peer in rule.peers if not isinstance(peer, Block)}


def _named_ports(policy: Policy) -> set[NamedPort]:
    return {(port.protocol, port.name) for rule in policy.rules for port in rule.ports if port.name}
