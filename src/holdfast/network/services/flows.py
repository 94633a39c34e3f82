"""Which UDP flows no longer lead where their service's connections go (D48)."""

from __future__ import annotations

from collections.abc import Iterable

from .conntrack import Flow
from .routes import Route


class Entrances:
    """Where UDP clients come in, each with the endpoints that may answer there now."""

    def __init__(self) -> None:
        self._by_address: dict[tuple[str, int], set[tuple[str, int]]] = {}
        self._by_node_port: dict[int, set[tuple[str, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_address or self._by_node_port)

    def add(self, before: Iterable[Route], after: Iterable[Route]) -> None:
        """A service's routes as they were and as they are: what was an entrance and is none leads nowhere."""
        for routes, endpoints_count in ((before, False), (after, True)):
            for route in routes:
                if route.protocol == "udp":
                    answering = {(each.address, each.port) for each in route.endpoints} if endpoints_count else set()
                    self._enter(route, answering)

    def _enter(self, route: Route, answering: set[tuple[str, int]]) -> None:
        for address in filter(None, (route.cluster_ip, *route.external_ips)):
            self._by_address.setdefault((address, route.port), set()).update(answering)
        if route.node_port:
            self._by_node_port.setdefault(route.node_port, set()).update(answering)

    def is_stale(self, flow: Flow) -> bool:
        answering = self._by_address.get(flow.to)
        if answering is None and flow.to != flow.answered_by:
            answering = self._by_node_port.get(flow.to[1])
        return answering is not None and flow.answered_by not in answering
