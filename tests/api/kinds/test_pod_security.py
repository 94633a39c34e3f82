"""What a pod may ask for of users, kernel and host, and the annotations that said so before there were fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.core.pod import PODS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest, Resource

SYSCTL = (
    r"must have at most 253 characters and match regex "
    r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)


def made(resource: Resource, body: Manifest) -> Manifest:
    manifest, _ = decode_body(resource, json.dumps(body).encode(), "application/json")
    resource.default(manifest)
    return manifest


def pod(container: Manifest | None = None, annotations: Manifest | None = None, **spec: Any) -> Manifest:
    main = {"name": "main", "image": "app:1", **(container or {})}
    metadata = {"name": "a", "annotations": annotations or {}}
    return made(PODS, {"metadata": metadata, "spec": {"containers": [main], "serviceAccountName": "a", **spec}})


def errors(container: Manifest | None = None, annotations: Manifest | None = None, **spec: Any) -> list[str]:
    manifest = pod(container, annotations, **spec)
    return [str(error) for error in (*PODS.validate(manifest), *PODS.validate_create(manifest))]


def deployment(annotations: Manifest | None = None, **spec: Any) -> Manifest:
    containers = spec.pop("containers", [{"name": "main", "image": "app:1"}])
    template = {"metadata": {"labels": {"a": "b"}, "annotations": annotations or {}}}
    template["spec"] = {"containers": containers, **spec}
    spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
    return made(DEPLOYMENTS, {"metadata": {"name": "a"}, "spec": spec})


def template_errors(annotations: Manifest | None = None, **spec: Any) -> list[str]:
    return [str(error) for error in DEPLOYMENTS.validate(deployment(annotations, **spec))]


@pytest.mark.parametrize(
    ("context", "refusals"),
    [
        ({"seccompProfile": {"type": "RuntimeDefault"}, "appArmorProfile": {"type": "Unconfined"}}, []),
        (
            {"seccompProfile": {"type": "Half"}},
            ['seccompProfile.type: Unsupported value: "Half": supported values: '
             '"Localhost", "RuntimeDefault", "Unconfined"'],
        ),
        ({"seccompProfile": {"type": ""}},
         ["seccompProfile.type: Required value: type is required when seccompProfile is set"]),
        ({"seccompProfile": {"type": "Localhost"}},
         ["seccompProfile.localhostProfile: Required value: must be set when seccomp type is Localhost"]),
        ({"seccompProfile": {"type": "Localhost", "localhostProfile": "../a"}},
         ["seccompProfile.localhostProfile: Invalid value: \"../a\": must not contain '..'"]),
        (
            {"seccompProfile": {"type": "Unconfined", "localhostProfile": "a"}},
            ['seccompProfile.localhostProfile: Invalid value: {"Type":"Unconfined","LocalhostProfile":"a"}: '
             "can only be set when seccomp type is Localhost"],
        ),
        ({"appArmorProfile": {"type": "Localhost", "localhostProfile": " a"}},
         ['appArmorProfile.localhostProfile: Invalid value: " a": must not be padded with whitespace']),
        ({"appArmorProfile": {"type": "Localhost"}},
         ["appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is Localhost"]),
        ({"appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": "a"}},
         ['appArmorProfile.localhostProfile: Invalid value: "a": can only be set when AppArmor type is Localhost']),
        ({"appArmorProfile": {"type": "Localhost", "localhostProfile": "a" * 4096}},
         ["appArmorProfile.localhostProfile: Too long: may not be more than 4095 bytes"]),
    ],
)  # fmt: skip
def test_profiles_are_refused_with_upstreams_words(context: Manifest, refusals: list[str]) -> None:
    of_container = errors({"securityContext": context})
    assert [error.removeprefix("spec.containers[0].securityContext.") for error in of_container] == refusals
    assert [error.removeprefix("spec.securityContext.") for error in errors(securityContext=context)] == refusals


def test_a_container_that_may_not_gain_rights_is_not_given_them() -> None:
    (error,) = errors(
        {"securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"add": ["CAP_SYS_ADMIN"]}}}
    )
    assert error.startswith('spec.containers[0].securityContext: Invalid value: {"Capabilities":{"Add":["CAP_SYS_ADMIN')
    assert error.endswith("cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN")


def test_the_whole_of_proc_is_for_pods_with_users_of_their_own() -> None:
    unmasked = {"securityContext": {"procMount": "Unmasked"}}
    refusal = 'Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`'
    assert errors(unmasked) == [f"spec.containers[0].securityContext.procMount: {refusal}"]
    assert errors(unmasked, hostUsers=False) == []


def test_users_of_its_own_do_not_go_with_namespaces_of_the_host() -> None:
    assert errors(hostUsers=False, hostNetwork=True, hostPID=True, hostIPC=True) == [
        "spec.hostNetwork: Forbidden: when `pod.Spec.HostUsers` is false",
        "spec.HostPID: Forbidden: when `pod.Spec.HostUsers` is false",
        "spec.HostIPC: Forbidden: when `pod.Spec.HostUsers` is false",
    ]


@pytest.mark.parametrize(
    ("sysctls", "more", "refusals"),
    [
        (["kernel.shm_rmid_forced", "net/ipv4/tcp_syncookies"], {}, []),
        (["a b"], {}, [f'[0].name: Invalid value: "a b": {SYSCTL}']),
        ([""], {}, ["[0].name: Required value"]),
        (["net.core.somaxconn"] * 2, {}, ['[1].name: Duplicate value: "net.core.somaxconn"']),
        (["net.core.somaxconn"], {"hostNetwork": True},
         ["[0].name: Invalid value: \"net.core.somaxconn\": may not be specified when 'hostNetwork' is true"]),
        (["kernel.sem"], {"hostIPC": True},
         ["[0].name: Invalid value: \"kernel.sem\": may not be specified when 'hostIPC' is true"]),
    ],
)  # fmt: skip
def test_sysctls_are_named_once_and_of_the_pods_own(sysctls: list[str], more: Manifest, refusals: list[str]) -> None:
    context = {"sysctls": [{"name": name, "value": "1"} for name in sysctls]}
    found = errors(securityContext=context, **more)
    assert [error.removeprefix("spec.securityContext.sysctls") for error in found] == refusals


def test_a_pod_for_windows_asks_for_nothing_that_only_linux_has() -> None:
    assert errors({"securityContext": {"runAsUser": 1}}, os={"name": "windows"}, hostPID=True) == [
        "spec.hostPID: Forbidden: cannot be set for a windows pod",
        "spec.containers[0].securityContext.runAsUser: Forbidden: cannot be set for a windows pod",
    ]
    assert errors({"securityContext": {"windowsOptions": {}}}, os={"name": "linux"}) == [
        "spec.containers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod"
    ]


# What is only of pods, or only of templates


def test_an_ephemeral_container_and_a_node_behind_a_gate_come_later() -> None:
    ephemeral = [{"name": "debug", "image": "a"}]
    assert errors(ephemeralContainers=ephemeral, nodeName="n", schedulingGates=[{"name": "a.b/c"}]) == [
        "spec.ephemeralContainers: Forbidden: cannot be set on create",
        "spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared",
    ]


def test_a_token_is_of_an_account() -> None:
    volume = {"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}
    assert errors(serviceAccountName="", volumes=[volume]) == [
        "spec.volumes[0].projected.sources[0].serviceAccountToken: Forbidden: "
        "must not be specified when serviceAccountName is not set"
    ]


def test_a_template_on_the_hosts_network_need_not_name_the_hosts_ports() -> None:
    assert template_errors(hostNetwork=True, containers=[port(80)]) == []
    assert template_errors(hostNetwork=True, containers=[port(80, 81)]) == [
        "spec.template.spec.containers[0].ports[0].hostPort: Invalid value: 81: "
        "must match `containerPort` when `hostNetwork` is true"
    ]


def port(container_port: int, host_port: int | None = None) -> Manifest:
    entry = {"containerPort": container_port} | ({"hostPort": host_port} if host_port else {})
    return {"name": "main", "image": "a", "ports": [entry]}


def test_blanks_around_an_image_are_refused_of_pods_only() -> None:
    assert template_errors(containers=[{"name": "main", "image": " a"}]) == []
    assert errors({"image": " a"}) == [
        'spec.containers[0].image: Invalid value: " a": must not have leading or trailing whitespace'
    ]


def test_labels_of_a_template_are_named_without_its_metadata() -> None:
    manifest = deployment(annotations={"a b": "c"})
    (error,) = (str(error) for error in DEPLOYMENTS.validate(manifest))
    assert error.startswith('spec.template.annotations: Invalid value: "a b": name part must consist of')


# Resources


@pytest.mark.parametrize(
    ("policies", "more", "refusals"),
    [
        ([("cpu", "NotRequired"), ("memory", "RestartContainer")], {}, []),
        ([("gpu", "NotRequired")], {}, [': Unsupported value: "gpu": supported values: "cpu", "memory"']),
        ([("cpu", "Later")], {}, [': Unsupported value: "Later": supported values: "NotRequired", "RestartContainer"']),
        ([("cpu", "NotRequired")] * 2, {}, ['[1]: Duplicate value: "cpu"']),
        ([("cpu", "RestartContainer")], {"restartPolicy": "Never"},
         [": Invalid value: \"RestartContainer\": must be 'NotRequired' when `restartPolicy` is 'Never'"]),
    ],
)  # fmt: skip
def test_resize_policies(policies: list[tuple[str, str]], more: Manifest, refusals: list[str]) -> None:
    container = {"resizePolicy": [{"resourceName": name, "restartPolicy": policy} for name, policy in policies]}
    found = errors(container, **more)
    assert [error.removeprefix("spec.containers[0].resizePolicy") for error in found] == refusals


def test_a_pod_as_a_whole_asks_for_what_its_containers_ask_for() -> None:
    container = {"resources": {"requests": {"cpu": "2"}, "limits": {"memory": "2Gi"}}}
    assert errors(container, resources={"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "1Gi"}}) == [
        'spec.resources.requests[cpu]: Invalid value: "1": '
        "must be greater than or equal to aggregate container requests of 2",
        'spec.resources.requests[memory]: Invalid value: "1Gi": '
        "must be greater than or equal to aggregate container requests of 2Gi",
        'spec.resources.containers[0][memory].limits: Invalid value: "2Gi": '
        "must be less than or equal to pod limits of 1Gi",
    ]
    assert errors(resources={"requests": {"example.com/gpu": "1"}})[0].startswith(
        'spec.resources.requests[example.com/gpu]: Unsupported value: "example.com/gpu"'
    )


def test_a_pod_with_limits_asks_for_what_its_containers_ask_for_and_else_for_all_it_may_have() -> None:
    manifest = pod({"resources": {"requests": {"cpu": "1"}}}, resources={"limits": {"cpu": "2", "memory": "1Gi"}})
    assert manifest["spec"]["resources"]["requests"] == {"cpu": "1", "memory": "1Gi"}
    assert pod(resources={"requests": {"cpu": "1"}})["spec"]["resources"] == {"requests": {"cpu": "1"}}


def test_an_init_container_counts_with_the_sidecars_before_it() -> None:
    def asking(name: str, cpu: str, **more: str) -> Manifest:
        return {"name": name, "image": "a", "resources": {"requests": {"cpu": cpu}}, **more}

    init = [asking("side", "1", restartPolicy="Always"), asking("init", "3")]
    spec = {"initContainers": init, "resources": {"requests": {"cpu": "3"}}}
    (error,) = errors({"resources": {"requests": {"cpu": "1"}}}, **spec)
    assert error.endswith("aggregate container requests of 4")


# Annotations


@pytest.mark.parametrize(
    ("annotations", "refusals"),
    [
        ({"controller.kubernetes.io/pod-deletion-cost": "-5"}, []),
        ({"controller.kubernetes.io/pod-deletion-cost": "much"},
         ["[controller.kubernetes.io/pod-deletion-cost]: Invalid value: \"much\": must be a 32bit integer"]),
        ({"seccomp.security.alpha.kubernetes.io/pod": "half"},
         ['.seccomp.security.alpha.kubernetes.io/pod: Invalid value: "half": must be a valid seccomp profile']),
        ({"container.apparmor.security.beta.kubernetes.io/main": "runtime/default"}, []),
        ({"container.apparmor.security.beta.kubernetes.io/other": "half"},
         ['[container.apparmor.security.beta.kubernetes.io/other]: Invalid value: "other": container not found',
          '[container.apparmor.security.beta.kubernetes.io/other]: Invalid value: "half": '
          'invalid AppArmor profile name: "half"']),
    ],
)  # fmt: skip
def test_annotations_that_mean_something_are_read(annotations: Manifest, refusals: list[str]) -> None:
    found = errors(annotations=annotations)
    assert [error.removeprefix("metadata.annotations") for error in found] == refusals


def test_a_profile_in_an_annotation_and_in_a_field_is_the_same() -> None:
    context = {"securityContext": {"seccompProfile": {"type": "Unconfined"}}}
    key = "container.seccomp.security.alpha.kubernetes.io/main"
    assert errors(context, annotations={key: "unconfined"}) == []
    assert errors(context, annotations={key: "runtime/default"}) == [
        "spec.containers[0].securityContext.seccompProfile.type: Forbidden: "
        "seccomp type in annotation and field must match"
    ]
    local = {"securityContext": {"appArmorProfile": {"type": "Localhost", "localhostProfile": "a"}}}
    assert errors(local, annotations={"container.apparmor.security.beta.kubernetes.io/main": "localhost/b"}) == [
        "spec.containers[0].securityContext.appArmorProfile.localhostProfile: Forbidden: "
        "apparmor profile in annotation and field must match"
    ]


def test_names_that_resolvers_search_may_have_underscores() -> None:
    assert errors(dnsConfig={"searches": ["_tcp.example.com"]}) == []
