"""The node's part of a claim's growth, and what is said when it fails (V66, V67)."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.disks import Disk, mounting
from holdfast.node.pod import Pod
from holdfast.node.volumes import Source
from holdfast.node.volumes.growth import Growth

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AT = "2026-01-02T03:04:05Z"
WAITING = {"type": "FileSystemResizePending", "status": "True", "lastTransitionTime": AT}


class Api:
    def __init__(self) -> None:
        self.written: list[dict[str, Any]] = []

    async def patch(self, resource: Any, name: str, patch: dict[str, Any], namespace: str, **more: Any) -> None:
        assert more == {"subresource": "status"}
        assert patch["metadata"] == {"uid": "c", "resourceVersion": "1"}
        self.written.append(patch["status"])


def source(conditions: list[dict[str, Any]]) -> Source:
    status = {"allocatedResourceStatuses": {"storage": "NodeResizePending"}, "conditions": conditions}
    metadata = {"name": "data", "namespace": "default", "uid": "c", "resourceVersion": "1"}
    volume = {"metadata": {"name": "pv-1"}, "spec": {"capacity": {"storage": "2Gi"}}}
    return Source("v0", "csi", {}, persistent_volume=volume, claim={"metadata": metadata, "status": status})


@pytest.fixture
def grow(monkeypatch):
    """Has a volume grow, and what came of it: the statuses written and the events."""

    async def finish(outcome: bool | OSError, conditions: list[dict[str, Any]]) -> tuple[list[Any], list[Any]]:
        def stand_in(disk: Disk, directory: Path) -> bool:
            if isinstance(outcome, OSError):
                raise outcome
            return outcome

        monkeypatch.setattr(mounting, "grow", stand_in)
        api, told = Api(), []
        growth = Growth(api, "node-1", lambda subject, *event: told.append(event), lambda: NOW)
        pod = Pod({"metadata": {"name": "web-0", "namespace": "default", "uid": "p"}, "spec": {}})
        await growth.finish(pod, source(conditions), Disk(Path("/volumes/pv-1")), Path("/mnt"))
        return api.written, told

    return finish


async def test_v66_v67_the_end_of_growth_is_told_on_pod_and_claim(grow):
    written, told = await grow(True, [WAITING])
    assert [(status["capacity"], status["conditions"]) for status in written] == [({"storage": "2Gi"}, None)]
    message = 'MountVolume.NodeExpandVolume succeeded for volume "pv-1" node-1'
    assert told == [("Normal", "FileSystemResizeSuccessful", message)] * 2


async def test_v66_what_may_not_grow_now_goes_on_waiting(grow):
    assert await grow(False, [WAITING]) == ([], [])


async def test_v67_a_failure_on_the_node_is_a_condition_and_an_event_on_pod_and_claim(grow):
    written, told = await grow(OSError(5, "resize2fs failed"), [WAITING])
    ((waiting, failed),) = (status["conditions"] for status in written)
    assert waiting == WAITING
    assert failed == {
        "type": "NodeResizeError",
        "status": "True",
        "lastTransitionTime": AT,
        "message": "failed to expand pvc with resize2fs failed",
    }
    message = 'MountVolume.NodeExpandVolume failed for volume "pv-1" : resize2fs failed'
    assert told == [("Warning", "VolumeResizeFailed", message)] * 2
    again, _ = await grow(OSError(5, "resize2fs failed"), [waiting, failed])
    assert again == []
