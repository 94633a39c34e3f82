"""What a runtime is asked to run, out of a container of the manifest (N141, N143, N178, N205)."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.pod import PODS
from holdfast.client import PatchType
from holdfast.node.container_spec import (
    Parts,
    container_spec,
    oom_score_adj,
    pod_resources,
    resources,
    seccomp,
    unmet,
    user,
    widest,
)
from holdfast.node.environment import ConfigError
from holdfast.node.pod import Container, Pod, Role
from holdfast.node.runtime import ContainerResources, ImageRecord
from holdfast.node.runtime.simulated import Script

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, state
from pods import pod

GI = 1 << 30
IMAGE = ImageRecord("sha256:i", (), (), 0)


def with_resources(**kinds: dict[str, str]) -> tuple[Pod, Container]:
    one = pod(status={"qosClass": "Burstable"})
    one.spec["containers"][0]["resources"] = kinds
    return one, one.app_containers[0]


def secured(of_pod: dict[str, Any] | None = None, **of_container: Any) -> tuple[Pod, Container]:
    one = pod(securityContext=of_pod or {})
    one.spec["containers"][0]["securityContext"] = of_container
    return one, one.app_containers[0]


@pytest.mark.parametrize(
    ("kinds", "shares", "quota", "memory"),
    [
        pytest.param({}, 2, None, None, id="nothing"),
        pytest.param({"requests": {"cpu": "500m"}}, 512, None, None, id="a request"),
        pytest.param({"limits": {"cpu": "2"}}, 2048, 200_000, None, id="a limit stands in for the request"),
        pytest.param({"limits": {"cpu": "1m"}}, 2, 1_000, None, id="the least quota"),
        pytest.param({"requests": {"cpu": "1000"}}, 262_144, None, None, id="the most shares"),
        pytest.param({"limits": {"memory": "1Gi"}}, 2, None, GI, id="memory"),
    ],
)
def test_n141_limits_as_the_kernel_takes_them(kinds, shares, quota, memory):
    found = resources(*with_resources(**kinds), 8 * GI)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit_bytes) == (shares, quota, memory)


LIMITED = {"requests": {"cpu": "250m"}, "limits": {"cpu": "500m", "memory": "64Mi"}}


@pytest.mark.parametrize(
    ("spec", "shares", "quota", "memory"),
    [
        pytest.param({"app": {}, "db": {}}, 2, None, None, id="nothing"),
        pytest.param({"app": LIMITED, "db": LIMITED}, 512, 100_000, 128 << 20, id="sums"),
        pytest.param(
            {"app": LIMITED, "db": {"limits": {"cpu": "1"}}}, 1280, 150_000, None, id="one has no memory limit"
        ),
        pytest.param({"app": LIMITED, "db": {"requests": {"cpu": "1"}}}, 1280, None, None, id="one has no limit"),
        pytest.param({"app": LIMITED, "init-a": {}}, 256, None, None, id="an init container has none"),
        pytest.param(
            {"app": LIMITED, "init-a": {"limits": {"cpu": "2", "memory": "1Gi"}}}, 2048, 200_000, GI, id="init"
        ),
        pytest.param(
            {"app": LIMITED, "db": {}, "resources": {"limits": {"memory": "1Gi"}}},
            256,
            None,
            GI,
            id="the pod has its own",
        ),
        pytest.param(
            {"app": LIMITED, "overhead": {"cpu": "250m", "memory": "64Mi"}}, 512, 75_000, 128 << 20, id="overhead"
        ),
    ],
)
def test_n142_a_pod_as_a_whole_is_limited_where_each_container_is(spec, shares, quota, memory):
    of_pod = {name: value for name, value in spec.items() if name in ("resources", "overhead")}
    init = [{"name": name, "resources": spec[name]} for name in spec if name.startswith("init")]
    one = pod(*(name for name in spec if name in ("app", "db")), init=init, **of_pod)
    for container in one.spec["containers"]:
        container["resources"] = _with_requests(spec[container["name"]])
    for container in one.spec.get("initContainers", ()):
        container["resources"] = _with_requests(container["resources"])
    found = pod_resources(one)
    assert (found.cpu_shares, found.cpu_quota_us, found.memory_limit_bytes) == (shares, quota, memory)


def _with_requests(kinds: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
    """As the server fills them in."""
    return {**kinds, "requests": {**kinds.get("limits", {}), **kinds.get("requests", {})}}


def test_n142_the_widest_leaves_room_for_both():
    one, other = ContainerResources(1, None, cpu_shares=2), ContainerResources(3, 4, cpu_shares=5)
    assert widest(one, other) == ContainerResources(3, None, cpu_shares=5)


@pytest.mark.parametrize(
    ("qos", "request_bytes", "expected"),
    [
        ("Guaranteed", 1, -997),
        ("BestEffort", 0, 1000),
        ("Burstable", 0, 999),
        ("Burstable", 2 * GI, 750),
        ("Burstable", 8 * GI, 3),
    ],
)
def test_n143_who_is_killed_first_when_memory_runs_out(qos, request_bytes, expected):
    one = pod(status={"qosClass": qos})
    assert oom_score_adj(one, {"memory": str(request_bytes)}, 8 * GI) == expected
    critical = pod(status={"qosClass": "BestEffort"}, priorityClassName="system-node-critical")
    assert oom_score_adj(critical, {}, 8 * GI) == -997


def test_n178_the_container_s_wish_is_over_the_pod_s():
    found = user(
        *secured({"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3, "supplementalGroups": [4]}, runAsUser=9), IMAGE
    )
    assert (found.uid, found.gid, found.supplementary_gids) == (9, 2, (4, 3))
    assert found.with_groups_of_image
    strict = user(*secured({"supplementalGroupsPolicy": "Strict"}), IMAGE)
    assert not strict.with_groups_of_image


@pytest.mark.parametrize(
    ("security", "image_user", "message"),
    [
        ({"runAsUser": 0}, "", "container's runAsUser breaks non-root policy"),
        ({}, "", "container has runAsNonRoot and image will run as root"),
        ({}, "0:0", "container has runAsNonRoot and image will run as root"),
        ({}, "postgres", "container has runAsNonRoot and image has non-numeric user (postgres)"),
        ({"runAsUser": 5}, "", ""),
        ({}, "70", ""),
    ],
)
def test_n178_root_is_refused_where_the_pod_says_so(security, image_user, message):
    one, container = secured({"runAsNonRoot": True}, **security)
    image = ImageRecord("sha256:i", (), (), 0, user=image_user)
    if not message:
        user(one, container, image)
        return
    with pytest.raises(ConfigError) as failure:
        user(one, container, image)
    assert str(failure.value).startswith(message)
    assert '(pod: "web-0_default(uid-1)", container: app)' in str(failure.value)


@pytest.mark.parametrize(
    ("of_pod", "of_container", "expected"),
    [
        ({}, {}, ""),
        ({"type": "RuntimeDefault"}, {}, "runtime/default"),
        ({"type": "RuntimeDefault"}, {"type": "Unconfined"}, ""),
        ({}, {"type": "Localhost", "localhostProfile": "db.json"}, "/state/seccomp/db.json"),
    ],
)
def test_n178_which_seccomp_profile(of_pod, of_container, expected):
    context = {"seccompProfile": of_container} if of_container else {}
    one, container = secured({"seccompProfile": of_pod} if of_pod else {}, **context)
    assert seccomp(one, container, "/state/seccomp") == expected


@pytest.mark.parametrize(
    ("of_spec", "of_container", "told"),
    [
        ({}, {"procMount": "Default", "appArmorProfile": {"type": "Unconfined"}}, []),
        ({"hostUsers": True}, {}, []),
        ({"hostUsers": False}, {}, ["its users are the machine's (hostUsers)"]),
        (
            {"hostUsers": False},
            {"procMount": "Unmasked"},
            ["its users are the machine's (hostUsers)", "/proc is masked (procMount)"],
        ),
        ({"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}}, {}, ["no AppArmor profile is applied"]),
        (
            {"securityContext": {"appArmorProfile": {"type": "RuntimeDefault"}}},
            {"appArmorProfile": {"type": "Unconfined"}},
            [],
        ),
    ],
)
def test_n178_what_no_runtime_gives_is_said(of_spec, of_container, told):
    one = pod(**of_spec)
    one.spec["containers"][0]["securityContext"] = of_container
    assert list(unmet(one, one.app_containers[0])) == told


def test_n178_everything_a_container_may_ask_of_its_security_is_handed_on():
    one, container = secured(
        privileged=True,
        readOnlyRootFilesystem=True,
        allowPrivilegeEscalation=False,
        capabilities={"add": ["NET_ADMIN"], "drop": ["ALL"]},
    )
    found = container_spec(one, container, Parts(0, {}, (), IMAGE, "", GI))
    assert (found.privileged, found.read_only_root, found.no_new_privileges) == (True, True, True)
    assert (found.add_capabilities, found.drop_capabilities) == (("NET_ADMIN",), ("ALL",))


@pytest.mark.parametrize(
    ("policy", "rules", "code", "again"),
    [
        pytest.param("Never", [("In", [42])], 42, True, id="listed"),
        pytest.param("Never", [("In", [42])], 1, False, id="not listed"),
        pytest.param("Never", [("NotIn", [0])], 1, True, id="all but one"),
        pytest.param("OnFailure", [("In", [42])], 1, True, id="else the policy decides"),
    ],
)
def test_n85_a_container_s_own_rules_say_which_codes_are_followed_by_another_run(policy, rules, code, again):
    listed = [{"action": "Restart", "exitCodes": {"operator": how, "values": codes}} for how, codes in rules]
    one = pod(restartPolicy="Always")
    one.spec["containers"][0] |= {"restartPolicy": policy, "restartPolicyRules": listed}
    assert one.may_restart(one.app_containers[0], code) is again
    init = Container({"name": "init", "restartPolicy": policy, "restartPolicyRules": listed}, Role.INIT)
    assert one.may_restart(init, code) is again


def test_n205_an_ephemeral_container_needs_the_one_it_looks_into(scenario):
    async def body(machine):
        done = {"name": "done", "image": "short:1"}
        await machine.create({"restartPolicy": "OnFailure", "containers": [APP, done]})
        await machine.until(lambda pod: "terminated" in state(pod, "done") and "running" in state(pod))
        debugger = {"name": "debug", "image": "debug:1", "targetContainerName": "app"}
        stranger = {"name": "lost", "image": "debug:1", "targetContainerName": "done"}
        patch = {"spec": {"ephemeralContainers": [debugger, stranger]}}
        await machine.client.patch(
            PODS, "web-0", patch, "default", type=PatchType.STRATEGIC, subresource="ephemeralcontainers"
        )
        await asyncio.sleep(2)
        entries = (await machine.pod())["status"]["ephemeralContainerStatuses"]
        shown = {entry["name"]: entry["state"] for entry in entries}
        assert "running" in shown["debug"]
        assert shown["lost"]["waiting"] == {
            "reason": "CreateContainerConfigError",
            "message": "unable to find target container done",
        }

    scenario(body, {"short:1": Script(exit_after_s=1)})
