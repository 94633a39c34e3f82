"""Pods, nodes and storage for decisions about where pods go."""

from __future__ import annotations

import random
from typing import Any

from holdfast.api.storage import binding
from holdfast.scheduler.plan import Assign, Unschedulable, decide
from holdfast.scheduler.view import ClusterView
from holdfast.scheduler.volumes import StorageView


def node(name: str = "n1", *, ready: bool = True, labels: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    allocatable = {"cpu": "4", "memory": "8Gi", "pods": "110", **more.pop("allocatable", {})}
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": more,
        "status": {
            "allocatable": allocatable,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        },
    }


def pod(
    name: str = "web-0",
    *,
    on: str = "",
    requests: dict[str, str] | None = None,
    claims: tuple[str, ...] = (),
    labels: dict[str, str] | None = None,
    owner: str = "",
    phase: str = "Pending",
    namespace: str = "default",
    **spec: Any,
) -> dict[str, Any]:
    container: dict[str, Any] = {"name": "main", "image": "x", "ports": spec.pop("ports", [])}
    if requests:
        container["resources"] = {"requests": requests}
    made: dict[str, Any] = {
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {
            "containers": [container],
            "volumes": [{"name": each, "persistentVolumeClaim": {"claimName": each}} for each in claims],
            **spec,
        },
        "status": {"phase": phase},
    }
    if on:
        made["spec"]["nodeName"] = on
    if owner:
        made["metadata"]["ownerReferences"] = [{"controller": True, "uid": owner}]
    return made


def cluster(*nodes: dict[str, Any], pods: tuple[dict[str, Any], ...] = ()) -> ClusterView:
    view = ClusterView()
    for each in nodes:
        view.set_node(each["metadata"]["name"], each)
    for each in pods:
        view.set_pod(each["metadata"]["uid"], each)
    return view


def storage(
    claims: tuple[dict[str, Any], ...] = (),
    volumes: tuple[dict[str, Any], ...] = (),
    classes: tuple[dict[str, Any], ...] = (),
    users: tuple[dict[str, Any], ...] = (),
) -> StorageView:
    by_name = {each["metadata"]["name"]: each for each in volumes}
    by_class = {each["metadata"]["name"]: each for each in classes}
    by_key = {(each["metadata"]["namespace"], each["metadata"]["name"]): each for each in claims}
    return StorageView(
        claim=lambda namespace, name: by_key.get((namespace, name)),
        volume=by_name.get,
        candidates=lambda claim: [each for each in volumes if binding.class_of(each) == binding.class_of(claim)],
        storage_class=by_class.get,
        users=lambda namespace, name: [each for each in users if f"{namespace}/{name}" in binding.claim_keys(each)],
    )


def where(wanted: dict[str, Any], view: ClusterView, of_storage: StorageView | None = None, preferred: str = "") -> str:
    """The node, or the message why there is none."""
    decision = decide(wanted, view.nodes, of_storage or storage(), random.Random(0), preferred)
    match decision:
        case Assign(name):
            return name
        case Unschedulable(message):
            return message
