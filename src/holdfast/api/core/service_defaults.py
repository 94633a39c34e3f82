"""What the server fills into Services without allocating anything (A265), and what an update carries over (D13)."""

from __future__ import annotations

from holdfast.api.resource import Manifest

EXTERNALLY_REACHED = ("NodePort", "LoadBalancer")
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
    if kind in EXTERNALLY_REACHED:
        spec["externalTrafficPolicy"] = spec.get("externalTrafficPolicy") or "Cluster"
    if kind == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if kind != "ExternalName":
        spec.setdefault("internalTrafficPolicy", "Cluster")
    service.setdefault("status", {}).setdefault("loadBalancer", {})


def prepare_create(service: Manifest) -> None:
    service["status"] = {"loadBalancer": {}}
    mirror_cluster_ip(service["spec"])


def prepare_update(new: Manifest, old: Manifest) -> None:
    """What the server once chose stays, where the update says nothing of it and the type still has it."""
    now, then = new["spec"], old["spec"]
    if now["type"] != "ExternalName" and then.get("type") != "ExternalName":
        _keep_address(now, then)
    if now["type"] in EXTERNALLY_REACHED and then.get("type") in EXTERNALLY_REACHED:
        _keep_node_ports(now, then)
        if now.get("externalTrafficPolicy") == "Local" and not now.get("healthCheckNodePort"):
            _keep(now, then, "healthCheckNodePort")
    _drop_what_the_type_has_not(now, then)
    mirror_cluster_ip(now)


def mirror_cluster_ip(spec: Manifest) -> None:
    """The first of clusterIPs is clusterIP; a client may send either."""
    if spec.get("clusterIP") and not spec.get("clusterIPs"):
        spec["clusterIPs"] = [spec["clusterIP"]]
    elif spec.get("clusterIPs") and not spec.get("clusterIP"):
        spec["clusterIP"] = spec["clusterIPs"][0]


def _keep_address(now: Manifest, then: Manifest) -> None:
    if not now.get("clusterIP") and not now.get("clusterIPs"):
        _keep(now, then, "clusterIP")
        _keep(now, then, "clusterIPs")
    elif now.get("clusterIP") != then.get("clusterIP") and now.get("clusterIPs") == then.get("clusterIPs"):
        now.pop("clusterIPs", None)
    for field in ("ipFamilies", "ipFamilyPolicy"):
        if not now.get(field):
            _keep(now, then, field)


def _keep(now: Manifest, then: Manifest, field: str) -> None:
    if field in then:
        now[field] = then[field]


def _keep_node_ports(now: Manifest, then: Manifest) -> None:
    """A port of one protocol and number, or of one name, keeps its node port."""
    by_number = {(p.get("protocol"), p.get("port")): p.get("nodePort") for p in then.get("ports", ())}
    by_name = {p.get("name", ""): p.get("nodePort") for p in then.get("ports", ())}
    taken = {port["nodePort"] for port in now.get("ports", ()) if port.get("nodePort")}
    for port in now.get("ports", ()):
        known = by_number.get((port.get("protocol"), port.get("port"))) or by_name.get(port.get("name", ""))
        if not port.get("nodePort") and known and known not in taken:
            port["nodePort"] = known
            taken.add(known)


def _drop_what_the_type_has_not(now: Manifest, then: Manifest) -> None:
    """Changing the type drops what belonged to the old one, unless the client changed that as well (D13)."""
    kind = now["type"]
    if kind == then.get("type"):
        return
    if kind == "ExternalName":
        if now.get("clusterIP") == then.get("clusterIP"):
            for field in ("clusterIP", "clusterIPs"):
                now.pop(field, None)
        for field in ("ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"):
            if now.get(field) == then.get(field):
                now.pop(field, None)
    if then.get("type") == "ExternalName" and now.get("externalName") == then.get("externalName"):
        now.pop("externalName", None)
    if kind not in EXTERNALLY_REACHED:
        before = {port.get("nodePort") for port in then.get("ports", ())}
        for port in now.get("ports", ()):
            if port.get("nodePort") in before:
                port.pop("nodePort", None)
        for field in ("externalTrafficPolicy", "healthCheckNodePort"):
            if now.get(field) == then.get(field):
                now.pop(field, None)
    if kind != "LoadBalancer":
        for field in ("allocateLoadBalancerNodePorts", "loadBalancerClass"):
            if now.get(field) == then.get(field):
                now.pop(field, None)
