"""What the levels of the Pod Security Standards refuse, in upstream's words (A244)."""

from __future__ import annotations

from typing import Any

import pytest

from holdfast.api.core.pod_security import Standard, details, standard_of

HARMLESS = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def refused(
    level: str,
    *contexts: dict[str, Any],
    version: str = "latest",
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> str:
    """By a pod with a container for each security context."""
    containers = [
        {"name": name, "securityContext": one} for name, one in zip("abcd", contexts or (HARMLESS,), strict=False)
    ]
    metadata = {"annotations": annotations or {}}
    return details(Standard(level, version).refusals(metadata, {"containers": containers, **spec}))


def test_a_pod_that_says_nothing_is_refused_by_restricted_alone() -> None:
    assert refused("privileged", {"privileged": True}, hostNetwork=True) == ""
    assert refused("baseline", {}) == ""
    assert refused("restricted", {}) == (
        'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), '
        'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), '
        'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), '
        'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or '
        '"Localhost")'
    )
    assert refused("restricted") == ""


@pytest.mark.parametrize(
    ("contexts", "spec", "refusal"),
    [
        (
            [{"privileged": True}, {"privileged": True}],
            {},
            'privileged (containers "a", "b" must not set securityContext.privileged=true)',
        ),
        (
            [{"capabilities": {"add": ["SYS_TIME", "CHOWN", "NET_RAW"]}}],
            {},
            'non-default capabilities (container "a" must not include "NET_RAW", "SYS_TIME" in '
            "securityContext.capabilities.add)",
        ),
        ([{}], {"hostPID": True, "hostNetwork": True}, "host namespaces (hostNetwork=true, hostPID=true)"),
        ([{}], {"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, 'hostPath volumes (volume "v")'),
        (
            [{"procMount": "Unmasked"}],
            {},
            'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
        ),
        ([{"procMount": "Unmasked"}], {"hostUsers": False}, ""),
        (
            [{"seLinuxOptions": {"type": "x_t", "user": "u", "role": "r"}}],
            {"securityContext": {"seLinuxOptions": {"role": "r"}}},
            'seLinuxOptions (pod and container "a" set forbidden securityContext.seLinuxOptions: type "x_t"; user may '
            "not be set; role may not be set)",
        ),
        (
            [{"seccompProfile": {"type": "Unconfined"}}],
            {},
            'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (
            [{"appArmorProfile": {"type": "Unconfined"}}],
            {"annotations": {"container.apparmor.security.beta.kubernetes.io/a": "unconfined"}},
            'forbidden AppArmor profiles (container "a" and annotation must not set AppArmor profile type to '
            '"Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined"")',
        ),
        (
            [{}],
            {"securityContext": {"sysctls": [{"name": "kernel.msgmax"}, {"name": "net.ipv4.tcp_rmem"}]}},
            "forbidden sysctls (kernel.msgmax)",
        ),
        (
            [{}],
            {"securityContext": {"windowsOptions": {"hostProcess": True}}},
            "hostProcess (pod must not set securityContext.windowsOptions.hostProcess=true)",
        ),
    ],
)
def test_baseline_refuses_what_gives_power_over_the_node(
    contexts: list[dict[str, Any]], spec: dict[str, Any], refusal: str
) -> None:
    assert refused("baseline", *contexts, **spec) == refusal


def test_baseline_refuses_ports_of_the_node_and_hosts_that_probes_name() -> None:
    probe = {"httpGet": {"host": "10.0.0.1", "port": 80}}
    containers = [
        {"name": "a", "ports": [{"containerPort": 1, "hostPort": 80}, {"containerPort": 2, "hostPort": 443}]},
        {"name": "b", "livenessProbe": probe},
    ]
    assert details(Standard("baseline").refusals({}, {"containers": containers})) == (
        'hostPort (container "a" uses hostPorts 443, 80), '
        'probe or lifecycle host (container "b" uses probe or lifecycle host "10.0.0.1")'
    )
    assert "probe" not in details(Standard("baseline", "v1.33").refusals({}, {"containers": containers}))


@pytest.mark.parametrize(
    ("change", "spec", "refusal"),
    [
        (
            {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE", "CHOWN"]}},
            {},
            'unrestricted capabilities (container "a" must not include "CHOWN" in securityContext.capabilities.add)',
        ),
        (
            {"runAsNonRoot": False},
            {},
            'runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false)',
        ),
        ({"runAsUser": 0}, {}, 'runAsUser=0 (container "a" must not set runAsUser=0)'),
        ({"runAsUser": 0, "runAsNonRoot": False}, {"hostUsers": False}, ""),
        (
            {},
            {"volumes": [{"name": "v", "nfs": {}}, {"name": "w", "hostPath": {}}, {"name": "i", "image": {}}]},
            'restricted volume types (volumes "v", "w" use restricted volume types "hostPath", "nfs")',
        ),
        (
            {"seccompProfile": {"type": "Unconfined"}},
            {},
            'seccompProfile (container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
    ],
)
def test_restricted_takes_the_place_of_what_baseline_says_of_the_same(
    change: dict[str, Any], spec: dict[str, Any], refusal: str
) -> None:
    assert refused("restricted", HARMLESS | change, **spec) == refusal


def test_what_the_pod_says_holds_for_its_containers() -> None:
    pod = {"runAsNonRoot": True, "seccompProfile": {"type": "Localhost", "localhostProfile": "p"}}
    context = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert refused("restricted", context, securityContext=pod) == ""


def test_a_version_is_held_to_what_it_knew() -> None:
    assert "capabilities" not in refused("restricted", {}, version="v1.21")
    assert refused("restricted", {"runAsUser": 0, "runAsNonRoot": True}, version="v1.7") == ""
    assert refused("restricted", {"runAsUser": 0, **HARMLESS}, hostUsers=False, version="v1.34").startswith(
        "runAsUser=0"
    )
    pod = {"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}
    assert refused("baseline", securityContext=pod, version="v1.31") == "forbidden sysctls (net.ipv4.tcp_rmem)"
    annotations = {"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}
    told = 'seccompProfile (forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined")'
    assert refused("baseline", annotations=annotations, version="v1.18") == told
    assert refused("baseline", annotations=annotations) == ""


def test_what_cannot_be_read_is_enforced_as_strictly_as_can_be_and_not_warned_of() -> None:
    labels = {"pod-security.kubernetes.io/enforce": "strict", "pod-security.kubernetes.io/warn": "strict"}
    assert [str(standard_of(labels, mode)[0]) for mode in ("enforce", "warn")] == [
        "restricted:latest",
        "privileged:latest",
    ]
    label = "pod-security.kubernetes.io/enforce-version"
    refusal = 'Invalid value: "v1.025": must be "latest" or "v1.x"'
    assert str(standard_of({label: "v1.025"}, "enforce")[1][0]) == f"metadata.labels[{label}]: {refusal}"
