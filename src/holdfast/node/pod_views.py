"""A pod as the agent's endpoint sees it: what runs, and where its logs are."""

from __future__ import annotations

from .files import PodFiles
from .pod import Pod
from .runtime import ContainerRecord, ContainerState, Runtime
from .streaming import ContainerView, PodView


def pod_view(pod: Pod, runtime: Runtime, files: PodFiles) -> PodView:
    """The pod as of now. Of runs the runtime has forgotten, the logs stay until the pod is gone (N82, A162)."""
    runs: dict[str, list[ContainerRecord]] = {}
    for record in runtime.containers(pod.uid):
        runs.setdefault(record.name, []).append(record)
    waiting = {
        entry["name"]: entry["state"]["waiting"].get("reason", "")
        for field in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
        for entry in pod.status.get(field) or ()
        if "waiting" in (entry.get("state") or {})
    }
    views = {}
    for container in pod.containers():
        started = [run for run in runs.get(container.name, ()) if run.started is not None]
        latest = started[-1] if started else None
        logs = [run.log_path for run in started] if started else files.logs(pod, container.name)
        views[container.name] = ContainerView(
            running_id=latest.id if latest and latest.state is ContainerState.RUNNING else "",
            log_path=logs[-1] if logs else "",
            log_id=latest.id if latest else "",
            previous_log_path=logs[-2] if len(logs) > 1 else "",
            waiting_reason=waiting.get(container.name, ""),
            stdin=bool(container.manifest.get("stdin")),
            tty=bool(container.manifest.get("tty")),
        )
    return PodView(pod.namespace, pod.name, pod.uid, views)
