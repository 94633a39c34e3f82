"""Pods."""

from __future__ import annotations

from holdfast.api.resource import STATUS, Manifest, Resource, Subresource

from .label_keys import merge_into_selectors
from .pod_defaults import default_pod
from .pod_table import COLUMNS, cells, row_conditions
from .pod_update import validate_status_update, validate_update
from .pod_validation import validate_new_pod, validate_pod
from .pod_warnings import new_pod_warnings, pod_warnings
from .quality_of_service import qos_class


def prepare_create(pod: Manifest) -> None:
    """A new pod is Pending, whatever its maker says; the creation time must be set by now."""
    merge_into_selectors(pod)
    pod["status"] = {"phase": "Pending", "qosClass": qos_class(pod)}
    if pod["spec"].get("schedulingGates"):
        pod["status"]["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": pod["metadata"].get("creationTimestamp"),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]


def _text(value: object) -> str:
    return "" if value is None else str(value)


PODS = Resource(
    group="",
    version="v1",
    kind="Pod",
    plural="pods",
    short_names=("po",),
    categories=("all",),
    subresources=(
        Subresource("attach", verbs=("create", "get"), kind="PodAttachOptions"),
        Subresource("binding", verbs=("create",), kind="Binding"),
        Subresource("ephemeralcontainers"),
        Subresource("eviction", verbs=("create",), kind="Eviction", group="policy", version="v1"),
        Subresource("exec", verbs=("create", "get"), kind="PodExecOptions"),
        Subresource("log", verbs=("get",)),
        Subresource("portforward", verbs=("create", "get"), kind="PodPortForwardOptions"),
        Subresource("proxy", verbs=("create", "delete", "get", "patch", "update"), kind="PodProxyOptions"),
        Subresource("resize"),
        STATUS,
    ),
    default=default_pod,
    prepare_create=prepare_create,
    validate=validate_pod,
    validate_create=validate_new_pod,
    validate_update=validate_update,
    validate_status_update=validate_status_update,
    create_warnings=new_pod_warnings,
    warnings=pod_warnings,
    warns_on_every_update=True,
    fields={
        "spec.nodeName": lambda pod: _text(pod.get("spec", {}).get("nodeName")),
        "spec.host": lambda pod: _text(pod.get("spec", {}).get("nodeName")),
        "spec.restartPolicy": lambda pod: _text(pod.get("spec", {}).get("restartPolicy")),
        "spec.schedulerName": lambda pod: _text(pod.get("spec", {}).get("schedulerName")),
        "spec.serviceAccountName": lambda pod: _text(pod.get("spec", {}).get("serviceAccountName")),
        "spec.hostNetwork": lambda pod: "true" if pod.get("spec", {}).get("hostNetwork") else "false",
        "status.phase": lambda pod: _text(pod.get("status", {}).get("phase")),
        "status.podIP": lambda pod: _text(pod.get("status", {}).get("podIP")),
        "status.podIPs": lambda pod: ",".join(ip.get("ip", "") for ip in pod.get("status", {}).get("podIPs", ())),
        "status.nominatedNodeName": lambda pod: _text(pod.get("status", {}).get("nominatedNodeName")),
    },
    columns=COLUMNS,
    cells=cells,
    row_conditions=row_conditions,
    initial_status={"phase": "Pending"},
    has_generation=True,
    is_graceful=True,
    delete_returns_object=True,
)
