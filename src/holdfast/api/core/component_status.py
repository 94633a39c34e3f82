"""ComponentStatuses: not stored, found out when asked for; deprecated upstream, still what `kubectl get cs` shows."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.resource import NAME, Column, Manifest, Resource


def component_status(name: str, error: str = "") -> Manifest:
    """Healthy unless there is an error to tell."""
    condition = {"type": "Healthy", "status": "False" if error else "True"}
    told = {"message": error} if error else {"message": "ok"}
    return {
        "kind": "ComponentStatus",
        "apiVersion": "v1",
        "metadata": {"name": name},
        "conditions": [condition | told],
    }


def cells(component: Manifest, now: datetime) -> list[Any]:
    status, message, error = "Unknown", "", ""
    for condition in component.get("conditions", ()):
        if condition.get("type") == "Healthy":
            status = "Healthy" if condition.get("status") == "True" else "Unhealthy"
            message, error = condition.get("message", ""), condition.get("error", "")
    return [component["metadata"]["name"], status, message, error]


COMPONENT_STATUSES = Resource(
    group="",
    version="v1",
    kind="ComponentStatus",
    plural="componentstatuses",
    namespaced=False,
    short_names=("cs",),
    verbs=("get", "list"),
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
    columns=(
        NAME,
        Column("Status", text="Status of the component conditions"),
        Column("Message", text="Message of the component conditions"),
        Column("Error", text="Error of the component conditions"),
    ),
    cells=cells,
)
