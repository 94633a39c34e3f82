"""What is wrong with a node."""

from __future__ import annotations

from holdfast.api.conditions import condition
from holdfast.api.resource import Manifest

from .chain import Cause, name_of, subject
from .evidence import Evidence

PRESSURES = {"MemoryPressure": "memory", "DiskPressure": "disk space", "PIDPressure": "process ids"}


def why_node(evidence: Evidence, node: Manifest) -> Cause | None:
    name = name_of(node)
    ready = condition(node, "Ready")
    if ready is None or ready.get("status") == "Unknown":
        says = "nothing has been heard of its agent for a while: it, or its machine, is down or cut off"
        return Cause(subject(node), says, "holdfast up  (on another cluster: start the kubelet of that machine)")
    if ready.get("status") != "True":
        return Cause(subject(node), f"its agent says it is not ready: {ready.get('message', '')}", "holdfast doctor")
    for kind, what in PRESSURES.items():
        pressure = condition(node, kind)
        if pressure is not None and pressure.get("status") == "True":
            return Cause(
                subject(node), f"it is short of {what}: {pressure.get('message', '')}", f"free {what} on {name}"
            )
    if node["spec"].get("unschedulable"):
        return Cause(subject(node), "it is cordoned: no new pod may go there", f"kubectl uncordon {name}")
    return None


def is_silent(node: Manifest) -> bool:
    """Whether its agent has not been heard of lately."""
    ready = condition(node, "Ready")
    return ready is None or ready.get("status") == "Unknown"
