"""What the server fills into Services without allocating anything (A265), and what an update carries over (D13)."""

from __future__ import annotations

from holdfast.api.resource import Manifest

NODE_PORT_TYPES = ("NodePort", "LoadBalancer")
AFFINITY_TIMEOUT_S = 10800


def default(service: Manifest) -> None:
    spec = service.setdefault("spec", {})
    kind = spec["type"] = spec.get("type") or "ClusterIP"
    spec["sessionAffinity"] = spec.get("sessionAffinity") or "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", AFFINITY_TIMEOUT_S)
    for port in spec.get("ports", ()):
        port["protocol"] = port.get("protocol") or "TCP"
        port["targetPort"] = port.get("targetPort") or port.get("port", 0)
    if is_externally_reached(spec):
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    balancer = service.setdefault("status", {}).setdefault("loadBalancer", {})
    for entry in balancer.get("ingress", ()) if kind == "LoadBalancer" else ():
        if entry.get("ip"):
            entry.setdefault("ipMode", "VIP")


def prepare_create(service: Manifest) -> None:
    service["status"] = {"loadBalancer": {}}
    spec = service["spec"]
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]


def prepare_update(new: Manifest, old: Manifest) -> None:
    """What the server once chose stays, where the update says nothing of it and the type still has it."""
    now, then = new["spec"], old["spec"]
    _keep_address(now, then)
    if now["type"] in NODE_PORT_TYPES and then.get("type") in NODE_PORT_TYPES:
        _keep_node_ports(now, then)
    if needs_health_port(now) and needs_health_port(then) and not now.get("healthCheckNodePort"):
        _keep(now, then, "healthCheckNodePort")
    _drop_what_the_type_has_not(now, then)
    if now["type"] != "LoadBalancer":
        new["status"] = {**new.get("status", {}), "loadBalancer": {}}


def is_externally_reached(spec: Manifest) -> bool:
    kind = spec.get("type")
    return kind in NODE_PORT_TYPES or (kind == "ClusterIP" and bool(spec.get("externalIPs")))


def needs_health_port(spec: Manifest) -> bool:
    """A load balancer asks each node whether it has a pod of its own to send traffic to."""
    return spec.get("type") == "LoadBalancer" and spec.get("externalTrafficPolicy") == "Local"


def _keep_address(now: Manifest, then: Manifest) -> None:
    """An old client knows but the first address; that of a client which changed it is believed (D13)."""
    if "ExternalName" not in (now["type"], then.get("type")):
        for member in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not now.get(member):
                _keep(now, then, member)
    address, before = now.get("clusterIP", ""), then.get("clusterIP", "")
    if address == before and not now.get("clusterIPs"):
        _keep(now, then, "clusterIPs")
    if address != before and (now.get("clusterIPs") or []) == (then.get("clusterIPs") or []):
        now["clusterIPs"] = [address] if address else []


def _keep(now: Manifest, then: Manifest, field: str) -> None:
    if field in then:
        now[field] = then[field]


def _keep_node_ports(now: Manifest, then: Manifest) -> None:
    """A port keeps its node port by its name; a single port has none, which is a name too."""
    by_name = {port.get("name", ""): port.get("nodePort") for port in then.get("ports", ())}
    given = {port["nodePort"] for port in now.get("ports", ()) if port.get("nodePort")}
    for port in now.get("ports", ()):
        known = by_name.get(port.get("name", ""))
        if not port.get("nodePort") and known and known not in given:
            port["nodePort"] = known


def _drop_what_the_type_has_not(now: Manifest, then: Manifest) -> None:
    """Changing the type drops what belonged to the old one, unless the client changed that as well (D13)."""
    kind = now["type"]
    if needs_health_port(then) and not needs_health_port(now):
        _drop_same(now, then, "healthCheckNodePort")
    if is_externally_reached(then) and not is_externally_reached(now):
        _drop_same(now, then, "externalTrafficPolicy")
    if kind == then.get("type"):
        return
    if kind == "ExternalName":
        if all(now.get(member) == then.get(member) for member in ("clusterIP", "clusterIPs")):
            _drop_same(now, then, "clusterIP", "clusterIPs")
        _drop_same(now, then, "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy")
    if kind not in NODE_PORT_TYPES and then.get("type") in NODE_PORT_TYPES:
        before = {port.get("nodePort") for port in then.get("ports", ())}
        if all(port.get("nodePort", None) in before | {None, 0} for port in now.get("ports", ())):
            for port in now.get("ports", ()):
                port.pop("nodePort", None)
    if kind != "LoadBalancer":
        _drop_same(now, then, "allocateLoadBalancerNodePorts", "loadBalancerClass")


def _drop_same(now: Manifest, then: Manifest, *members: str) -> None:
    for member in members:
        if now.get(member) == then.get(member):
            now.pop(member, None)
