"""Asks a cluster for the pod behind a target, and waits until it is Ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.pod import PODS
from holdfast.api.core.service import SERVICES
from holdfast.api.errors import Expired, Gone, NotFound
from holdfast.api.resource import Manifest, Resource
from holdfast.api.selectors import selector_from_manifest
from holdfast.client import Client, Unreachable

from .targets import Aim, Target, Unclear, choose

SELECTING = {"StatefulSet": STATEFUL_SETS, "Deployment": DEPLOYMENTS, "ReplicaSet": REPLICA_SETS}
AGAIN_AFTER_S = 0.2


async def aim(client: Client, namespace: str, target: Target) -> Aim:
    """Raises NotFound, or Unclear for what selects no pods."""
    if target.kind == "Pod":
        return _at_pod(target.name)
    if target.kind == "Service":
        return _at_service(await client.get(SERVICES, target.name, namespace))
    try:
        return await _at_workload(client, SELECTING[target.kind], namespace, target.name)
    except NotFound:
        parent, _, ordinal = target.name.rpartition("-")
        if target.kind != "StatefulSet" or not parent or not ordinal.isdigit():
            raise
        await client.get(STATEFUL_SETS, parent, namespace)
        return _at_pod(target.name)


def _at_pod(name: str) -> Aim:
    return Aim(field_selector=f"metadata.name={name}")


def _at_service(service: Manifest) -> Aim:
    spec = service["spec"]
    if not spec.get("selector"):
        raise Unclear(f"service {service['metadata']['name']} selects no pods")
    labels = ",".join(f"{key}={value}" for key, value in spec["selector"].items())
    return Aim(label_selector=labels, service_ports=spec.get("ports") or ())


async def _at_workload(client: Client, resource: Resource, namespace: str, name: str) -> Aim:
    workload = await client.get(resource, name, namespace)
    return Aim(label_selector=str(selector_from_manifest(workload["spec"]["selector"])))


async def ready_pod(client: Client, namespace: str, aim: Aim, waiting: Callable[[], None]) -> Manifest:
    """The pod to connect to, as soon as there is one; `waiting` is called if that is not at once.

    A server that is away is asked again; what has to end it is a time-out around it.
    """
    is_waiting = False
    while True:
        try:
            found = await client.list(
                PODS, namespace, label_selector=aim.label_selector, field_selector=aim.field_selector
            )
            pods = {pod["metadata"]["uid"]: pod for pod in found.items}
            if pod := choose(pods.values()):
                return pod
            if not is_waiting:
                is_waiting = True
                waiting()
            return await _appearing(client, namespace, aim, pods, found.resource_version)
        except (Unreachable, Expired, Gone):
            await asyncio.sleep(AGAIN_AFTER_S)


async def _appearing(
    client: Client, namespace: str, aim: Aim, pods: dict[str, Manifest], resource_version: str
) -> Manifest:
    """Raises Unreachable when the watch ends."""
    events = client.watch(
        PODS,
        namespace,
        resource_version=resource_version,
        label_selector=aim.label_selector,
        field_selector=aim.field_selector,
    )
    async for event in events:
        uid = event.object["metadata"].get("uid")
        if event.type == "DELETED":
            pods.pop(uid, None)
        elif event.type != "BOOKMARK":
            pods[uid] = event.object
        if pod := choose(pods.values()):
            return pod
    raise Unreachable("the watch ended")
