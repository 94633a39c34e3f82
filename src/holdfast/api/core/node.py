"""Nodes (N-W)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.conditions import condition
from holdfast.api.errors import FieldError, forbidden
from holdfast.api.field_rules import cidr, quantity_not_negative
from holdfast.api.meaning import same
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource, Subresource
from holdfast.api.table import age

from .placement_validation import validate_taints

_ROLE_LABEL = "node-role.kubernetes.io/"
_OTHER_ROLE_LABEL = "kubernetes.io/role"
_MUTABLE = ("taints", "unschedulable", "podCIDR", "podCIDRs", "providerID", "configSource")
_INFO = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)


def default(node: Manifest) -> None:
    spec, status = node.setdefault("spec", {}), node.setdefault("status", {})
    if spec.get("podCIDR") and not spec.get("podCIDRs"):
        spec["podCIDRs"] = [spec["podCIDR"]]
    elif spec.get("podCIDRs"):
        spec["podCIDR"] = spec["podCIDRs"][0]
    if "capacity" in status and "allocatable" not in status:
        status["allocatable"] = dict(status["capacity"])
    status.setdefault("daemonEndpoints", {}).setdefault("kubeletEndpoint", {}).setdefault("Port", 0)
    info = status.setdefault("nodeInfo", {})
    for name in _INFO:
        info.setdefault(name, "")
    for found in status.get("conditions", ()):
        found.setdefault("lastHeartbeatTime", None)
        found.setdefault("lastTransitionTime", None)


def validate(node: Manifest) -> list[FieldError]:
    spec = node["spec"]
    errors = [*validate_taints("spec.taints", spec.get("taints", []))]
    for i, block in enumerate(spec.get("podCIDRs", ())):
        errors += cidr(f"spec.podCIDRs[{i}]", block)
    for kind in ("capacity", "allocatable"):
        for name, amount in node["status"].get(kind, {}).items():
            errors += quantity_not_negative(f"status.{kind}[{name}]", amount)
    return errors


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Of the spec, taints and schedulability change; addresses and the provider's name are given once."""
    now, then = new["spec"], old.get("spec", {})
    errors = []
    for field, name in (("podCIDRs", "podCIDR"), ("providerID", "providerID")):
        if then.get(field) and now.get(field) != then[field]:
            errors.append(forbidden(f"spec.{field}", f'node updates may not change {name} except from "" to valid'))
    fixed, before = ({k: v for k, v in spec.items() if k not in _MUTABLE} for spec in (now, then))
    if not same(fixed, before):
        refusal = "node updates may only change labels, taints, or capacity (or configSource, if the "
        errors.append(forbidden("spec", f"{refusal}DynamicKubeletConfig feature gate is enabled)"))
    return errors


def roles(node: Manifest) -> list[str]:
    """Sorted, each once."""
    labels = node["metadata"].get("labels", {})
    found = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)} - {""}
    return sorted(found | ({labels[_OTHER_ROLE_LABEL]} if labels.get(_OTHER_ROLE_LABEL) else set()))


def cells(node: Manifest, now: datetime) -> list[Any]:
    info = node.get("status", {}).get("nodeInfo", {})
    kernel = info.get("kernelVersion") or "<unknown>"
    if info.get("kernelVersion") and info.get("architecture"):
        kernel = f"{kernel} ({info['architecture']})"
    return [
        node["metadata"]["name"],
        _status(node),
        ",".join(roles(node)) or "<none>",
        age(node["metadata"].get("creationTimestamp"), now),
        info.get("kubeletVersion", ""),
        _address(node, "InternalIP"),
        _address(node, "ExternalIP"),
        info.get("osImage") or "<unknown>",
        kernel,
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _status(node: Manifest) -> str:
    ready = condition(node, "Ready")
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if node.get("spec", {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _address(node: Manifest, kind: str) -> str:
    addresses = node.get("status", {}).get("addresses", ())
    return next((str(found["address"]) for found in addresses if found.get("type") == kind), "<none>")


NODES = Resource(
    group="",
    version="v1",
    kind="Node",
    plural="nodes",
    namespaced=False,
    short_names=("no",),
    subresources=(
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="NodeProxyOptions"),
        STATUS,
    ),
    default=default,
    validate=validate,
    validate_update=validate_update,
    fields={"spec.unschedulable": lambda node: "true" if node.get("spec", {}).get("unschedulable") else "false"},
    columns=(
        NAME,
        Column("Status", text="The status of the node"),
        Column("Roles", text="The roles of the node"),
        AGE,
        Column("Version", documents="core.v1.NodeSystemInfo.kubeletVersion"),
        Column("Internal-IP", priority=1, documents="core.v1.NodeStatus.addresses"),
        Column("External-IP", priority=1, documents="core.v1.NodeStatus.addresses"),
        Column("OS-Image", priority=1, documents="core.v1.NodeSystemInfo.osImage"),
        Column("Kernel-Version", priority=1, documents="core.v1.NodeSystemInfo.kernelVersion"),
        Column("Container-Runtime", priority=1, documents="core.v1.NodeSystemInfo.containerRuntimeVersion"),
    ),
    cells=cells,
    initial_status={},
    keeps_status_on_create=True,
)
