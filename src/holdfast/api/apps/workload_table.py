"""What `kubectl get` shows of workloads (S194)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from holdfast.api.metadata import controller_of
from holdfast.api.resource import AGE, NAME, Column, Manifest
from holdfast.api.selectors import selector_from_labels, selector_from_manifest
from holdfast.api.table import age

_READY = Column("Ready", text="Number of the pod with ready state")
_CONTAINERS = Column("Containers", priority=1, text="Names of each container in the template.")
_IMAGES = Column("Images", priority=1, text="Images referenced by each container in the template.")

STATEFUL_SET_COLUMNS = (NAME, _READY, AGE, _CONTAINERS, _IMAGES)
DEPLOYMENT_COLUMNS = (
    NAME,
    _READY,
    Column("Up-to-date", documents="apps.v1.DeploymentStatus.updatedReplicas"),
    Column("Available", documents="apps.v1.DeploymentStatus.availableReplicas"),
    AGE,
    _CONTAINERS,
    _IMAGES,
    Column("Selector", priority=1, documents="apps.v1.DeploymentSpec.selector"),
)
DAEMON_SET_COLUMNS = (
    NAME,
    Column("Desired", "integer", documents="apps.v1.DaemonSetStatus.desiredNumberScheduled"),
    Column("Current", "integer", documents="apps.v1.DaemonSetStatus.currentNumberScheduled"),
    Column("Ready", "integer", documents="apps.v1.DaemonSetStatus.numberReady"),
    Column("Up-to-date", "integer", documents="apps.v1.DaemonSetStatus.updatedNumberScheduled"),
    Column("Available", "integer", documents="apps.v1.DaemonSetStatus.numberAvailable"),
    Column("Node Selector", documents="core.v1.PodSpec.nodeSelector"),
    AGE,
    _CONTAINERS,
    _IMAGES,
    Column("Selector", priority=1, documents="apps.v1.DaemonSetSpec.selector"),
)
CONTROLLER_REVISION_COLUMNS = (
    NAME,
    Column("Controller", text="Controller of the object"),
    Column("Revision", documents="apps.v1.ControllerRevision.revision"),
    AGE,
)


def replicated_columns(package: str, kind: str) -> tuple[Column, ...]:
    """Of ReplicaSets and ReplicationControllers."""
    return (
        NAME,
        Column("Desired", "integer", documents=f"{package}.{kind}Spec.replicas"),
        Column("Current", "integer", documents=f"{package}.{kind}Status.replicas"),
        Column("Ready", "integer", documents=f"{package}.{kind}Status.readyReplicas"),
        AGE,
        _CONTAINERS,
        _IMAGES,
        Column("Selector", priority=1, documents=f"{package}.{kind}Spec.selector"),
    )


def stateful_set_cells(stateful_set: Manifest, now: datetime) -> list[Any]:
    return [stateful_set["metadata"]["name"], _ready(stateful_set), _age(stateful_set, now), *_template(stateful_set)]


def deployment_cells(deployment: Manifest, now: datetime) -> list[Any]:
    status = deployment.get("status", {})
    return [
        deployment["metadata"]["name"],
        _ready(deployment),
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        _age(deployment, now),
        *_template(deployment),
        _selector(deployment),
    ]


def replicated_cells(workload: Manifest, now: datetime) -> list[Any]:
    status = workload.get("status", {})
    return [
        workload["metadata"]["name"],
        workload["spec"].get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        _age(workload, now),
        *_template(workload),
        _selector(workload),
    ]


def daemon_set_cells(daemon_set: Manifest, now: datetime) -> list[Any]:
    status, pod_spec = daemon_set.get("status", {}), daemon_set["spec"]["template"].get("spec", {})
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    return [
        daemon_set["metadata"]["name"],
        *(status.get(count, 0) for count in counts),
        str(selector_from_labels(pod_spec.get("nodeSelector"))) or "<none>",
        _age(daemon_set, now),
        *_template(daemon_set),
        _selector(daemon_set),
    ]


def controller_revision_cells(revision: Manifest, now: datetime) -> list[Any]:
    controller = controller_of(revision)
    owner = "<none>"
    if controller:
        group = controller["apiVersion"].rpartition("/")[0]
        kind = controller["kind"].lower()
        owner = f"{kind}.{group}/{controller['name']}" if group else f"{kind}/{controller['name']}"
    return [revision["metadata"]["name"], owner, revision.get("revision", 0), _age(revision, now)]


def _age(manifest: Manifest, now: datetime) -> str:
    return age(manifest["metadata"].get("creationTimestamp"), now)


def _ready(workload: Manifest) -> str:
    return f"{workload.get('status', {}).get('readyReplicas', 0)}/{workload['spec'].get('replicas', 0)}"


def _template(workload: Manifest) -> tuple[str, str]:
    """Names and images of the template's containers, init containers left out."""
    containers = workload["spec"].get("template", {}).get("spec", {}).get("containers", ())
    return (
        ",".join(container.get("name", "") for container in containers),
        ",".join(container.get("image", "") for container in containers),
    )


def _selector(workload: Manifest) -> str:
    """The selector in canonical form; that of a ReplicationController is plain labels."""
    selector = workload["spec"].get("selector") or {}
    is_plain = not {"matchLabels", "matchExpressions"} & selector.keys()
    parsed = selector_from_labels(selector) if is_plain else selector_from_manifest(selector)
    return str(parsed) or "<none>"
