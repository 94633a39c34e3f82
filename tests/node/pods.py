"""Pods and runs for the tests of pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from holdfast.node.observed import Observed, Seen
from holdfast.node.pod import Pod
from holdfast.node.runtime import ContainerRecord, ContainerState, Sandbox

T0 = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
SANDBOX = Sandbox("uid-1", 0, ("10.0.0.5",), T0)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def pod(
    *names: str, init: list[dict[str, Any]] | None = None, status: dict[str, Any] | None = None, **spec: Any
) -> Pod:
    containers = [{"name": name, "image": "app:1"} for name in names or ("app",)]
    spec = {"restartPolicy": "Always", "terminationGracePeriodSeconds": 30, "containers": containers, **spec}
    if init:
        spec["initContainers"] = [{"image": "init:1", **container} for container in init]
    metadata = {"name": "web-0", "namespace": "default", "uid": "uid-1", "generation": 1, "labels": {"app": "web"}}
    return Pod({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status or {}})


def run(name: str = "app", state: str = "running", code: int | None = None, attempt: int = 0) -> ContainerRecord:
    ended = state == "exited"
    return ContainerRecord(
        id=f"{name}-{attempt}",
        pod_uid="uid-1",
        name=name,
        attempt=attempt,
        image="init:1" if name.startswith(("init", "proxy")) else "app:1",
        image_id="sha256:1",
        state=ContainerState(state),
        created=T0,
        started=None if state == "created" else at(1),
        finished=at(10) if ended else None,
        exit_code=code if ended else None,
        reason=("Error" if code else "Completed") if ended else "",
    )


def running(name: str = "app", **members: Any) -> Seen:
    return Seen(current=run(name), **members)


def ended(code: int = 0, name: str = "app", attempt: int = 0, **members: Any) -> Seen:
    return Seen(current=run(name, "exited", code, attempt), **members)


def observed(sandbox: Sandbox | None = SANDBOX, now_s: float = 60, **members: Any) -> Observed:
    """`containers` by keyword `seen`."""
    seen = members.pop("seen", {})
    ips = sandbox.ips if sandbox else ()
    return Observed(now=at(now_s), sandbox=sandbox, ips=ips, host_ips=("192.0.2.1",), containers=seen, **members)
