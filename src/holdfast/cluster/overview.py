"""What runs, where, how healthy: what `holdfast status` shows, from API objects alone."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.machines import machine_of
from holdfast.api.core.node import NODES
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.resource import Manifest
from holdfast.client import Client

DOMAIN = "cluster.local"


async def gather(client: Client) -> dict[str, Any]:
    """`nodes[]` and `statefulsets[]`, each set with its ordinals. Raises ApiError."""
    kinds = (NODES, STATEFUL_SETS, PODS, PERSISTENT_VOLUME_CLAIMS)
    lists = await asyncio.gather(*(client.list(kind) for kind in kinds))
    return overview(*(found.items for found in lists))


async def node_alone(client: Client, name: str) -> dict[str, Any]:
    """One node and how many pods it has: what a node may know itself. Raises ApiError."""
    node = await client.get(NODES, name)
    return _node(node, (await client.list(PODS, field_selector=f"spec.nodeName={name}")).items)


async def joined_nodes(client: Client) -> list[dict[str, Any]]:
    """Those of other machines. Raises ApiError."""
    return [_node(node, []) for node in (await client.list(NODES)).items if machine_of(node)]


def overview(
    nodes: Iterable[Manifest], sets: Iterable[Manifest], pods: Iterable[Manifest], claims: Iterable[Manifest]
) -> dict[str, Any]:
    """The same, purely."""
    all_pods = list(pods)
    by_claim = {_key(claim): claim for claim in claims}
    return {
        "nodes": [_node(node, all_pods) for node in nodes],
        "statefulsets": [_set(statefulset, all_pods, by_claim) for statefulset in sets],
    }


def _node(node: Manifest, pods: list[Manifest]) -> dict[str, Any]:
    name = node["metadata"]["name"]
    status = node.get("status", {})
    addresses = {address["type"]: address["address"] for address in status.get("addresses", [])}
    return {
        "name": name,
        "ready": _is_true(node, "Ready"),
        "schedulable": not node.get("spec", {}).get("unschedulable", False),
        "runtime": status.get("nodeInfo", {}).get("containerRuntimeVersion", ""),
        "address": addresses.get("InternalIP", ""),
        "machine": machine_of(node),
        "pods": sum(1 for pod in pods if pod["spec"].get("nodeName") == name),
    }


def _set(statefulset: Manifest, pods: list[Manifest], claims: dict[str, Manifest]) -> dict[str, Any]:
    metadata, status = statefulset["metadata"], statefulset.get("status", {})
    owned = [pod for pod in pods if _owner_uid(pod) == metadata["uid"]]
    return {
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "replicas": statefulset["spec"]["replicas"],
        "ready": status.get("readyReplicas", 0),
        "updated": status.get("updatedReplicas", 0),
        "revision": status.get("updateRevision", ""),
        "service": statefulset["spec"].get("serviceName", ""),
        "names": _names(statefulset),
        "ordinals": sorted((_ordinal(pod, claims) for pod in owned), key=lambda row: row["ordinal"]),
    }


def _names(statefulset: Manifest) -> str:
    """What its pods are called in DNS; empty if it names no service that would publish them (S22)."""
    service, metadata = statefulset["spec"].get("serviceName"), statefulset["metadata"]
    return f"{metadata['name']}-N.{service}.{metadata['namespace']}.svc.{DOMAIN}" if service else ""


def _ordinal(pod: Manifest, claims: dict[str, Manifest]) -> dict[str, Any]:
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status", {})
    number = metadata["name"].rpartition("-")[2]
    names = [
        volume["persistentVolumeClaim"]["claimName"]
        for volume in spec.get("volumes", [])
        if "persistentVolumeClaim" in volume
    ]
    return {
        "ordinal": int(number) if number.isdigit() else -1,
        "pod": metadata["name"],
        "phase": "Terminating" if "deletionTimestamp" in metadata else status.get("phase", ""),
        "ready": _is_true(pod, "Ready"),
        "restarts": sum(container.get("restartCount", 0) for container in status.get("containerStatuses", [])),
        "node": spec.get("nodeName", ""),
        "address": status.get("podIP", ""),
        "claims": [_claim(name, claims.get(f"{metadata['namespace']}/{name}")) for name in names],
    }


def _claim(name: str, claim: Manifest | None) -> dict[str, Any]:
    if claim is None:
        return {"name": name, "phase": "Missing", "volume": "", "capacity": ""}
    status = claim.get("status", {})
    return {
        "name": name,
        "phase": status.get("phase", ""),
        "volume": claim["spec"].get("volumeName", ""),
        "capacity": status.get("capacity", {}).get("storage", ""),
    }


def _key(manifest: Manifest) -> str:
    return f"{manifest['metadata']['namespace']}/{manifest['metadata']['name']}"


def _owner_uid(manifest: Manifest) -> str:
    owners = manifest["metadata"].get("ownerReferences", [])
    return next((str(owner["uid"]) for owner in owners if owner.get("controller")), "")


def _is_true(manifest: Manifest, condition_type: str) -> bool:
    conditions = manifest.get("status", {}).get("conditions", [])
    return any(c["type"] == condition_type and c["status"] == "True" for c in conditions)
