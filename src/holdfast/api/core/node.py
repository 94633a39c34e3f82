"""Nodes (N-W)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from holdfast.api.conditions import condition
from holdfast.api.errors import FieldError, duplicate, forbidden, invalid
from holdfast.api.field_rules import cidr
from holdfast.api.resource import AGE, NAME, STATUS, Column, Manifest, Resource, Subresource
from holdfast.api.table import age

from .placement_validation import validate_taints
from .resource_validation import validate_amount

_ROLE_LABEL = "node-role.kubernetes.io/"
_OTHER_ROLE_LABEL = "kubernetes.io/role"
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
    # Upstream looks for taints where they were once.
    errors = [*validate_taints("metadata.taints", spec.get("taints", [])), *_amounts(node)]
    return [*errors, *_blocks("spec.podCIDRs", spec.get("podCIDRs", []))]


def _amounts(node: Manifest) -> Iterator[FieldError]:
    for kind in ("capacity", "allocatable"):
        for name, amount in node.get("status", {}).get(kind, {}).items():
            yield from validate_amount(f"status.{kind}.{name}", name, amount)


def _blocks(field: str, blocks: list[str]) -> Iterator[FieldError]:
    malformed = [error for i, block in enumerate(blocks) for error in cidr(f"{field}[{i}]", block)]
    yield from malformed
    if len(blocks) < 2 or malformed:
        return
    versions = {ipaddress.ip_network(block, strict=False).version for block in blocks}
    if len(versions) < 2 or len(blocks) > 2:
        yield invalid(field, blocks, "may specify no more than one CIDR for each IP family")
    for i, block in enumerate(blocks):
        if block in blocks[:i]:
            yield duplicate(f"{field}[{i}]", block)


def validate_update(new: Manifest, old: Manifest) -> list[FieldError]:
    """Addresses and the provider's name are given once; upstream checks taints and amounts a second time."""
    now, then = new["spec"], old.get("spec", {})
    errors = [*_amounts(new), *_addresses(new.get("status", {}).get("addresses", []))]
    blocks, before = now.get("podCIDRs", []), then.get("podCIDRs", [])
    refusal = 'node updates may not change podCIDR except from "" to valid'
    if before and len(blocks) != len(before):
        errors.append(forbidden("spec.podCIDRs", refusal))
    elif before:
        changed = sum(block != old_block for block, old_block in zip(blocks, before, strict=True))
        errors += [forbidden("spec.podCIDRs", refusal)] * changed
    if then.get("providerID") and now.get("providerID") != then["providerID"]:
        refusal = 'node updates may not change providerID except from "" to valid'
        errors.append(forbidden("spec.providerID", refusal))
    errors += validate_taints("metadata.taints", now.get("taints", []))
    if now.get("externalID", "") != then.get("externalID", ""):
        errors.append(forbidden("spec.externalID", "may not be updated"))
    return errors


def _addresses(addresses: list[Manifest]) -> Iterator[FieldError]:
    for i, address in enumerate(addresses):
        if address in addresses[:i]:
            shown = {"Type": address.get("type", ""), "Address": address.get("address", "")}
            yield duplicate(f"status.addresses[{i}]", shown)


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
