"""Services and slices as DNS reads them."""

from __future__ import annotations

from typing import Any


def service(name: str = "nginx", namespace: str = "default", *, ip: str = "None", **spec: Any) -> dict[str, Any]:
    ports = spec.pop("ports", [{"name": "web", "port": 80, "protocol": "TCP", "targetPort": 8080}])
    return {
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "clusterIPs": [ip], "ports": ports, **spec},
    }


def alias(name: str, target: str) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "default"}
    return {"metadata": metadata, "spec": {"type": "ExternalName", "externalName": target}}


def endpoint(*addresses: str, hostname: str = "", ready: bool | None = True) -> dict[str, Any]:
    made: dict[str, Any] = {"addresses": list(addresses), "conditions": {} if ready is None else {"ready": ready}}
    return {**made, "hostname": hostname} if hostname else made


def slice_of(name: str, *endpoints: dict[str, Any], family: str = "IPv4", port: int = 8080) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{name}-x",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": family,
        "endpoints": list(endpoints),
        "ports": [{"name": "web", "port": port, "protocol": "TCP"}],
    }
