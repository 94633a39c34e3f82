"""Files, termination messages, images, container specifications, status patches, the Node: rule by rule."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.node import log_rotation, node_status
from holdfast.node.config import AgentConfig
from holdfast.node.container_spec import Parts, container_spec, mount_of
from holdfast.node.environment import ConfigError
from holdfast.node.files import StateDirectory
from holdfast.node.image_pulls import ImagePulls, ImageUnavailable
from holdfast.node.pod import Pod
from holdfast.node.pod_views import pod_view
from holdfast.node.runtime import ContainerSpec, ImageRecord, Mount, SandboxSpec
from holdfast.node.runtime.simulated import Script, SimulatedRuntime
from holdfast.node.status_writer import comparable, difference
from holdfast.node.termination_message import message, share_bytes

sys.path.insert(0, str(Path(__file__).parent))

from pods import T0, at, observed, pod, running

from holdfast.node.status import pod_status

IMAGE = ImageRecord("sha256:1", ("app:1",), (), 1)


# -- termination messages ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "policy", "code", "expected"),
    [
        (b"said", "File", 0, "said"),
        (b"said", "FallbackToLogsOnError", 1, "said"),
        (b"", "File", 1, ""),
        (b"", "FallbackToLogsOnError", 0, ""),
        (b"", "FallbackToLogsOnError", 1, "line 20\n"),
        (b"x" * 5000, "File", 0, "x" * 4096),
    ],
)
def test_n176_n177_termination_messages(file, policy, code, expected):
    log = (f"line {number}\n" for number in range(100)) if code else iter(())
    result = message(file, policy, code, log)
    assert result.startswith(expected)
    assert bool(result) is bool(expected)


def test_n176_the_log_s_end_is_cut_to_2048_bytes():
    assert len(message(b"", "FallbackToLogsOnError", 1, ["y" * 1000] * 5)) == 2048


@pytest.mark.parametrize(("containers", "each"), [(1, 4096), (3, 4096), (4, 3072), (12, 1024)])
def test_n176_a_pod_s_containers_share_12_kib(containers, each):
    assert share_bytes(containers) == each


# -- files ------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> StateDirectory:
    return StateDirectory(tmp_path)


def test_n170_n176_a_run_has_its_log_and_its_message(files, tmp_path):
    assert files.log_path(pod(), "app", 2) == str(tmp_path / "logs/default_web-0_uid-1/app/2.log")
    path = Path(files.termination_file(pod(), "app", 2))
    assert path.stat().st_mode & 0o777 == 0o666
    path.write_bytes(b"x" * 100)
    assert files.termination_message("uid-1", "app", 2, 10) == b"x" * 10
    assert files.termination_message("uid-1", "app", 9, 10) == b""


def test_n48_n170_old_runs_are_forgotten_and_the_newest_is_known(files):
    for attempt in range(4):
        Path(files.log_path(pod(), "app", attempt)).touch()
        files.termination_file(pod(), "app", attempt)
    assert files.newest_log(pod(), "app") == 3
    files.prune(pod(), "app", 2)
    kept = sorted(path.name for path in Path(files.log_path(pod(), "app", 0)).parent.iterdir())
    assert kept == ["2.log", "3.log"]


def test_r170_everything_of_a_pod_is_known_and_removed(files, tmp_path):
    files.write(pod(), "etc-hosts", "127.0.0.1 localhost\n")
    Path(files.log_path(pod(), "app", 0)).touch()
    assert files.known() == {"uid-1"}
    files.remove("uid-1")
    assert files.known() == set()


def test_n176_the_log_s_end_is_read_without_marks(files, tmp_path):
    path = tmp_path / "log"
    path.write_text("T stdout F one\nT stderr P two\nT stderr F  and a half\n")
    assert "".join(files.log_end(str(path), 80)) == "one\ntwo and a half\n"


def test_n171_a_long_log_is_set_aside_and_five_files_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(log_rotation, "MOST_BYTES", 3)
    path = tmp_path / "0.log"
    for second in range(8):
        path.write_text("long")
        assert log_rotation.is_due(str(path))
        log_rotation.set_aside(path, T0 + timedelta(seconds=second))
    assert not log_rotation.is_due(str(path))
    kept = sorted(one.name for one in tmp_path.iterdir())
    assert len(kept) == 4
    assert kept[-1] == "0.log.20260101-120007"


# -- container specifications -----------------------------------------------------------------------


def spec_of(
    container: dict[str, Any] | None = None, image: ImageRecord = IMAGE, status: Any = None, **spec: Any
) -> Any:
    one: Pod = pod(containers=[{"name": "app", "image": "app:1", **(container or {})}], status=status or {}, **spec)
    return container_spec(one, one.app_containers[0], Parts(0, {"A": "1"}, (), image, "/log", 1 << 30))


def test_n152_command_and_args_are_expanded():
    spec = spec_of({"command": ["run", "$(A)"], "args": ["$$(A)", "$(B)"], "workingDir": "/w"})
    assert (spec.command, spec.args, spec.working_dir) == (("run", "1"), ("$(A)", "$(B)"), "/w")


def test_v76_v77_mounts():
    entry = {"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}
    assert mounted(entry, is_read_only=True).read_only
    assert mounted({**entry, "readOnly": True}).read_only
    assert mounted(entry).propagation == "rslave"


def mounted(entry: dict[str, Any], *, is_read_only: bool = False, has_recursive: bool = True) -> Mount:
    return mount_of(entry, "/host", is_read_only=is_read_only, has_recursive=has_recursive)


def test_v76_a_mount_is_read_only_throughout_where_it_asks_for_it_and_the_runtime_can():
    entry = {"name": "v", "mountPath": "/v", "readOnly": True}
    assert not mounted(entry).is_recursive
    assert not mounted({**entry, "recursiveReadOnly": "Disabled"}).is_recursive
    for wish in ("IfPossible", "Enabled"):
        assert mounted({**entry, "recursiveReadOnly": wish}).is_recursive
    assert not mounted({**entry, "recursiveReadOnly": "IfPossible"}, has_recursive=False).is_recursive
    refusal = 'failed to resolve recursive read-only mode: volume "v" requested .* not supported by the runtime'
    with pytest.raises(ConfigError, match=refusal):
        mounted({**entry, "recursiveReadOnly": "Enabled"}, has_recursive=False)


# -- images -----------------------------------------------------------------------------------------


class Events(list[tuple[str, str, str]]):
    def tell(self, container: Any, type: str, reason: str, message: str) -> None:
        self.append((type, reason, message))


def pulls(world: Any, script: Script | None = None) -> tuple[ImagePulls, SimulatedRuntime]:
    runtime = SimulatedRuntime(world, scripts={"app:1": script or Script()})
    return ImagePulls(runtime, world), runtime


@pytest.mark.parametrize("reference", ["", "UPPER", "a b", "app:", "app@sha256:123", "-app"])
def test_n44_names_that_are_none(world, on_jumping_time, reference):
    one = pod(containers=[{"name": "app", "image": reference}])

    async def scenario() -> None:
        with pytest.raises(ImageUnavailable) as caught:
            await pulls(world)[0].ensure(one, one.app_containers[0], Events().tell)
        assert caught.value.reason == "InvalidImageName"

    on_jumping_time(scenario())


@pytest.mark.parametrize(
    ("policy", "is_here", "reasons"),
    [
        ("IfNotPresent", True, ["Pulled"]),
        ("IfNotPresent", False, ["Pulling", "Pulled"]),
        ("Always", True, ["Pulling", "Pulled"]),
        ("Never", True, ["Pulled"]),
        ("Never", False, ["ErrImageNeverPull"]),
    ],
)
def test_n60_n66_policies(world, on_jumping_time, policy, is_here, reasons):
    one = pod(containers=[{"name": "app", "image": "app:1", "imagePullPolicy": policy}])
    events = Events()

    async def scenario() -> None:
        images, runtime = pulls(world)
        if is_here:
            await runtime.pull("app:1")
        if policy == "Never" and not is_here:
            with pytest.raises(ImageUnavailable):
                await images.ensure(one, one.app_containers[0], events.tell)
        else:
            await images.ensure(one, one.app_containers[0], events.tell)

    on_jumping_time(scenario())
    assert [reason for _, reason, _ in events] == reasons


def test_n67_an_image_is_pulled_once_for_all_who_wait(world, on_jumping_time):
    import asyncio

    one = pod()
    calls = []

    async def scenario() -> None:
        images, runtime = pulls(world, Script(pull_s=5))
        pull = runtime.pull

        async def counted(reference: str, *arguments: Any) -> ImageRecord:
            calls.append(reference)
            return await pull(reference, *arguments)

        runtime.pull = counted  # type: ignore[method-assign]
        waiting = [asyncio.ensure_future(images.ensure(one, one.app_containers[0], Events().tell)) for _ in range(3)]
        await asyncio.sleep(1)
        waiting[0].cancel()  # one who stops waiting does not stop it for the others
        done = await asyncio.gather(*waiting[1:])
        assert done[0] == done[1]

    on_jumping_time(scenario())
    assert calls == ["app:1"]


# -- status patches ---------------------------------------------------------------------------------


def patch_between(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return difference(comparable(old), comparable(new), new)


def test_only_what_changed_is_written():
    first = pod_status(pod(), observed(), "crun")
    second = pod_status(pod(), observed(seen={"app": running()}, now_s=90), "crun", first)
    patch = patch_between(first, second)
    assert patch.keys() == {"phase", "containerStatuses", "conditions", "$setElementOrder/conditions"}
    assert [c["type"] for c in patch["conditions"]] == ["Ready", "ContainersReady"]
    assert patch["conditions"][0]["reason"] is None  # merged lists keep what is not named
    assert patch_between(second, second) == {}


def test_an_address_that_goes_is_taken_away():
    first = pod_status(pod(), observed(), "crun")
    second = pod_status(pod(), observed(sandbox=None), "crun", first)
    patch = patch_between(first, second)
    assert (patch["podIP"], patch["podIPs"]) == (None, None)
    back = patch_between(second, first)
    assert back["podIPs"] == [{"ip": "10.0.0.5"}]
    moved = {**first, "podIPs": [{"ip": "10.0.0.6"}]}
    assert patch_between(first, moved)["podIPs"] == [{"ip": "10.0.0.6"}, {"$patch": "replace"}]


def test_an_amount_that_goes_is_taken_away():
    old = {"resources": {"limits": {"cpu": "1"}, "requests": {"cpu": "1"}}}
    new = {"resources": {"requests": {"cpu": "1"}}}
    assert patch_between(old, new) == {"resources": {"requests": {"cpu": "1"}, "$patch": "replace"}}


def test_nulls_and_empty_members_are_no_difference():
    assert comparable({"a": None, "b": {}, "c": [], "d": {"e": None}, "f": 0, "g": False}) == {"f": 0, "g": False}


# -- the Node ---------------------------------------------------------------------------------------

CONFIG = AgentConfig(node_name="node-1", node_ips=("192.0.2.1",), capacity={"cpu": "2", "memory": "1Gi"})
MACHINE = node_status.imagined_machine("node-1")


def node(now_s: float = 0, old: Any = None, **members: Any) -> dict[str, Any]:
    runtime: Any = SimpleNamespace(name="crun", version="1.8", has_recursive_read_only=True)
    return node_status.node_status(CONFIG, MACHINE, runtime, [], 10250, at(now_s), old or {}, **members)


def test_n149_n216_capacity_addresses_and_info():
    status = node()
    assert (status["capacity"]["cpu"], status["capacity"]["memory"], status["capacity"]["pods"]) == ("2", "1Gi", "110")
    assert status["allocatable"]["memory"] == "924Mi"
    assert [a["type"] for a in status["addresses"]] == ["InternalIP", "Hostname"]
    assert status["nodeInfo"]["containerRuntimeVersion"] == "crun://1.8"
    assert status["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 10250
    features = {"recursiveReadOnlyMounts": True, "userNamespaces": False}
    assert status["declaredFeatures"] == [
        "ExtendWebSocketsToKubelet",
        "GuaranteedQoSPodCPUResize",
        "InPlacePodLevelResourcesVerticalScaling",
        "InPlacePodVerticalScalingInitContainers",
        "RestartAllContainersOnContainerExits",
    ]
    assert status["runtimeHandlers"] == [{"name": "", "features": features}]


def test_n181_heartbeats_alone_are_no_change_until_five_minutes_have_passed():
    first = node()
    later = node(299, first)
    assert not node_status.differs(first, later)
    assert not node_status.is_due(first, at(299))
    assert node_status.is_due(first, at(300))
    assert later["conditions"][3]["lastTransitionTime"] == first["conditions"][3]["lastTransitionTime"]


def test_n217_a_problem_makes_the_node_unready():
    first = node()
    second = node(10, first, problem="runtime is down")
    ready = second["conditions"][3]
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "KubeletNotReady", "runtime is down")
    assert ready["lastTransitionTime"] != first["conditions"][3]["lastTransitionTime"]
    assert node_status.differs(first, second)
    assert not node_status.is_ready(second)


def test_n199_another_boot_id_is_a_reboot():
    old = {"nodeInfo": {"bootID": "before"}}
    assert node_status.has_rebooted(old, node())
    assert not node_status.has_rebooted({}, node())
    assert not node_status.has_rebooted(node(), node())


# -- what logs and exec see -------------------------------------------------------------------------


def test_n82_n174_a_run_the_runtime_has_forgotten_still_has_its_log(files, world):
    runtime = SimulatedRuntime(world)
    one = pod("app", "other", status={"containerStatuses": [{"name": "other", "state": {"waiting": {"reason": "X"}}}]})
    for attempt in (3, 4):
        Path(files.log_path(one, "app", attempt)).touch()
    view = pod_view(one, runtime, files)
    app, other = view.containers["app"], view.containers["other"]
    assert (app.running_id, app.log_id) == ("", "")
    assert app.log_path.endswith("/app/4.log")
    assert app.previous_log_path.endswith("/app/3.log")
    assert (other.log_path, other.waiting_reason) == ("", "X")


def test_a_running_container_is_named_with_its_log(files, world, on_jumping_time):
    runtime = SimulatedRuntime(world)

    async def scenario() -> None:
        await runtime.pull("app:1")
        await runtime.create_sandbox(SandboxSpec("uid-1", "web-0", "default", "web-0"))
        for attempt in range(2):
            spec = ContainerSpec("uid-1", "app", attempt, "app:1", log_path=f"/logs/{attempt}.log")
            record = await runtime.start_container((await runtime.create_container(spec)).id)
            if attempt == 0:
                runtime.kill(record.id)
        view = pod_view(pod(), runtime, files).containers["app"]
        assert (view.running_id, view.log_id) == (record.id, record.id)
        assert (view.log_path, view.previous_log_path) == ("/logs/1.log", "/logs/0.log")

    on_jumping_time(scenario())
