"""Services and slices as the router reads them, and a kernel that takes rules."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from itertools import pairwise
from typing import Any

from holdfast.network.services.rules import Machine

PODS = IPv4Network("10.244.0.0/16")
HERE = Machine(PODS, IPv4Network("10.96.0.0/16"), {"one": IPv4Network("10.244.0.0/24")}, "10.244.0.1")
HERE6 = Machine(
    IPv6Network("fd00:10:244::/56"),
    IPv6Network("fd00:10:96::/112"),
    {"one": IPv6Network("fd00:10:244::/64")},
    "fd00:10:244::1",
)
TWO_NODES = Machine(
    PODS,
    IPv4Network("10.96.0.0/16"),
    {"one": IPv4Network("10.244.0.0/24"), "two": IPv4Network("10.244.1.0/24")},
    "10.244.0.1",
)


def service(name: str = "web", ip: str = "10.96.0.10", **spec: Any) -> dict[str, Any]:
    labels, status = spec.pop("labels", {}), spec.pop("status", {})
    ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels, "uid": f"uid-{name}"},
        "spec": {"type": "ClusterIP", "clusterIP": ip, "ports": ports, **spec},
        "status": status,
    }


def endpoint(address: str, node: str = "one", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "nodeName": node, "conditions": conditions or {"ready": True}}


def slice_of(*endpoints: dict[str, Any], service: str = "web", name: str = "web-x", **port: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "default", "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv6" if any(":" in str(each["addresses"]) for each in endpoints) else "IPv4",
        "endpoints": list(endpoints),
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP", **port}],
    }


def pod_with_port(
    host_port: int, address: str = "10.244.0.9", phase: str = "Running", host_ip: str = "", **spec: Any
) -> dict[str, Any]:
    """Listens on 5432."""
    port = {"containerPort": 5432, "hostPort": host_port, "protocol": "TCP", **({"hostIP": host_ip} if host_ip else {})}
    return {
        "metadata": {"name": "db-0", "namespace": "default", "uid": "uid-db-0"},
        "spec": {"containers": [{"name": "db", "ports": [port]}], **spec},
        "status": {"phase": phase, **({"podIP": address} if address else {})},
    }


class Kernel:
    """What nftables does with our commands, as far as we use it. Raises AssertionError where it would refuse."""

    def __init__(self) -> None:
        self.chains: dict[str, list[str]] = {}
        self.sets: dict[str, str] = {}
        self.elements: dict[str, dict[str, str]] = {}

    def run(self, text: str) -> None:
        lines = iter(text.splitlines())
        for line in lines:
            if re.fullmatch(r"table ip6? \S+ \{", line):
                self._block(lines)
            elif line.startswith("delete table"):
                self.__init__()  # type: ignore[misc]
            elif not re.match(r"table ip6? ", line):
                self._command(line)
        self._check()
        names = [*self.chains, *self.sets]
        assert all(re.fullmatch(r"[A-Za-z][\w/.-]*", name) for name in names), "a name that nftables cannot read"

    def _block(self, lines: Any) -> None:
        for line in lines:
            if line == "}":
                return
            if found := re.fullmatch(r"(?:set|map) (\S+) \{ (.*) \}", line):
                self._add_set(*found.groups())
            elif found := re.fullmatch(r"chain (\S+) \{", line):
                rules = self.chains[found[1]] = []
                while (rule := next(lines)) != "}":
                    rules += filter(None, (rule.strip(),))

    def _command(self, line: str) -> None:
        verb, kind, _, _, name, rest = [*line.split(" ", 5), ""][:6]
        match verb, kind:
            case "add", "set":
                self._add_set(name, rest[2:-2])
            case "add", "chain":
                assert name not in self.chains
                self.chains[name] = []
            case "add", "rule":
                self.chains[name].append(rest)
            case "flush", "chain":
                self.chains[name] = []
                assert name in self.chains
            case "add", "element":
                for key, verdict in _members(rest):
                    assert key not in self.elements[name], f"{key} is there already"
                    self._exists(verdict)
                    self.elements[name][key] = verdict
            case "delete", "element":
                for key, _ in _members(rest):
                    del self.elements[name][key]
            case "delete", "chain":
                assert self.chains[name] == []
                assert not self._is_used(name), f"{name} is in use"
                del self.chains[name]
            case "delete", "set":
                assert not self._is_used(f"@{name}"), f"{name} is in use"
                del self.sets[name], self.elements[name]
            case _:
                raise AssertionError(line)

    def _add_set(self, name: str, declared: str) -> None:
        assert name not in self.sets
        self.sets[name] = declared
        self.elements[name] = {}

    def _is_used(self, name: str) -> bool:
        return any(name in words for words in self._words())

    def _words(self) -> Any:
        for rules in self.chains.values():
            yield from (rule.replace(",", "").split() for rule in rules)
        for members in self.elements.values():
            yield from (verdict.split() for verdict in members.values())

    def _exists(self, verdict: str) -> None:
        assert not verdict.startswith("goto ") or verdict.removeprefix("goto ") in self.chains, verdict

    def _check(self) -> None:
        """Whatever is named is there."""
        for words in self._words():
            for before, word in pairwise(words):
                if before in ("goto", "jump"):
                    assert word in self.chains, word
            for word in words:
                if word.startswith("@"):
                    assert word[1:] in self.sets, word

    @property
    def state(self) -> Any:
        return self.chains, self.sets, self.elements


def _members(text: str) -> list[tuple[str, str]]:
    """The elements of `{ a, b : verdict }`."""
    pairs = (member.partition(" : ") for member in text[2:-2].split(", "))
    return [(key, verdict) for key, _, verdict in pairs]
