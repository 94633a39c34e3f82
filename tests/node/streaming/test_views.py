"""What the agent tells of a pod whose containers are gone (A162)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from holdfast.node.agent import pod_view
from holdfast.node.files import StateDirectory
from holdfast.node.pod import Pod

MANIFEST = {
    "metadata": {"namespace": "default", "name": "once", "uid": "u1"},
    "spec": {"containers": [{"name": "main"}]},
    "status": {"phase": "Succeeded"},
}


def test_an_ended_pods_logs_stay_readable_though_the_runtime_has_forgotten_it(tmp_path):
    pod, files = Pod(MANIFEST), StateDirectory(tmp_path)
    nothing = SimpleNamespace(containers=lambda pod_uid: [])
    assert pod_view(pod, nothing, files).containers["main"].log_path == ""
    for attempt in (0, 1):
        Path(files.log_path(pod, "main", attempt)).touch()
    assert pod_view(pod, nothing, files).containers["main"].log_path.endswith("/main/1.log")
