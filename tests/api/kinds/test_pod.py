"""Defaults, validation and update rules of pods (A263, A264, N1-N8, N140)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from holdfast.api.core.pod import PODS
from holdfast.api.decode import decode_body
from holdfast.api.resource import Manifest

LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)


def pod(container: Manifest | None = None, **spec: Any) -> Manifest:
    """A pod as the server sees it before it is prepared."""
    main = {"name": "main", "image": "app:1", **(container or {})}
    body = {"metadata": {"name": "a"}, "spec": {"containers": [main], **spec}}
    manifest, _ = decode_body(PODS, json.dumps(body).encode(), "application/json")
    PODS.default(manifest)
    return manifest


def errors(container: Manifest | None = None, **spec: Any) -> list[str]:
    return [str(error) for error in PODS.validate(pod(container, **spec))]


def update_errors(new: Manifest, old: Manifest) -> list[str]:
    return [str(error) for error in PODS.validate_update(new, old)]


def first(manifest: Manifest) -> Manifest:
    found: Manifest = manifest["spec"]["containers"][0]
    return found


# -- defaults


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("app", "Always"),
        ("app:latest", "Always"),
        ("registry.example:5000/app", "Always"),
        ("app:1", "IfNotPresent"),
        ("registry.example:5000/app:1", "IfNotPresent"),
        (f"app@sha256:{'a' * 64}", "IfNotPresent"),
        (f"app:latest@sha256:{'a' * 64}", "IfNotPresent"),
    ],
)
def test_a263_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    assert first(pod({"image": image}))["imagePullPolicy"] == policy


def test_a263_a_container_is_filled_in() -> None:
    container = first(pod({"ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}}}))
    assert container["terminationMessagePath"] == "/dev/termination-log"
    assert container["terminationMessagePolicy"] == "File"
    assert container["resources"] == {}
    assert container["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert container["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_n2_a264_a_pod_is_filled_in() -> None:
    spec = pod()["spec"]
    spec.pop("containers")
    assert spec == {
        "restartPolicy": "Always",
        "terminationGracePeriodSeconds": 30,
        "dnsPolicy": "ClusterFirst",
        "securityContext": {},
        "schedulerName": "default-scheduler",
        "enableServiceLinks": True,
    }


def test_n4_what_is_limited_is_requested() -> None:
    resources = first(pod({"resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}}))
    assert resources["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


def test_n3_ports_of_the_host_network_are_the_hosts() -> None:
    assert first(pod({"ports": [{"containerPort": 80}]}, hostNetwork=True))["ports"][0]["hostPort"] == 80


@pytest.mark.parametrize("field", ["serviceAccount", "serviceAccountName"])
def test_a264_both_names_of_the_service_account_are_shown(field: str) -> None:
    spec = pod(**{field: "jane"})["spec"]
    assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("jane", "jane")


def test_a264_a_volume_without_source_is_an_empty_dir() -> None:
    assert pod(volumes=[{"name": "a"}])["spec"]["volumes"] == [{"name": "a", "emptyDir": {}}]


def test_n243_a_negative_grace_period_becomes_one_second() -> None:
    assert pod(terminationGracePeriodSeconds=-5)["spec"]["terminationGracePeriodSeconds"] == 1


def test_defaults_do_not_change_what_is_defaulted() -> None:
    once = pod(volumes=[{"name": "a"}, {"name": "b", "projected": {"sources": [{"configMap": {"name": "c"}}]}}])
    again = json.loads(json.dumps(once))
    PODS.default(again)
    assert again == once


def test_both_fields_of_the_pods_address_agree() -> None:
    for given in (
        {"podIP": "10.0.0.1"},
        {"podIPs": [{"ip": "10.0.0.1"}]},
        {"podIP": "10.0.0.1", "podIPs": [{"ip": "x"}]},
    ):
        manifest = {**pod(), "status": {**given}}
        PODS.default(manifest)
        assert manifest["status"] == {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}


def test_a6_a_container_status_shows_what_upstream_always_shows() -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": 1}}}
    manifest = {**pod(), "status": {"containerStatuses": [ended]}}
    PODS.default(manifest)
    assert manifest["status"]["containerStatuses"] == [
        {
            "name": "main",
            "ready": False,
            "restartCount": 0,
            "image": "",
            "imageID": "",
            "state": {"terminated": {"exitCode": 1, "startedAt": None, "finishedAt": None}},
            "lastState": {},
        }
    ]


def test_n1_the_status_that_a_client_sends_is_dropped() -> None:
    manifest = {**pod(), "status": {"phase": "Running"}}
    PODS.prepare_create(manifest)
    assert manifest["status"] == {"phase": "Pending", "qosClass": "BestEffort"}


def test_n32_a_gated_pod_says_so_from_the_start() -> None:
    manifest = pod(schedulingGates=[{"name": "a.example/b"}])
    manifest["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
    PODS.prepare_create(manifest)
    (condition,) = manifest["status"]["conditions"]
    assert (condition["type"], condition["reason"]) == ("PodScheduled", "SchedulingGated")
    assert condition["lastTransitionTime"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ({}, "BestEffort"),
        ({"requests": {"cpu": "0"}}, "BestEffort"),
        ({"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "1"}}, "BestEffort"),
        ({"requests": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1"}}, "Burstable"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}, "Guaranteed"),
        ({"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}, "Burstable"),
    ],
)
def test_n140_classes_of_service(resources: Manifest, expected: str) -> None:
    manifest = pod({"resources": resources})
    PODS.prepare_create(manifest)
    assert manifest["status"]["qosClass"] == expected


def test_n140_an_init_container_without_limits_makes_the_pod_burstable() -> None:
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}}
    manifest = pod({"resources": limits}, initContainers=[{"name": "i", "image": "a"}])
    PODS.prepare_create(manifest)
    assert manifest["status"]["qosClass"] == "Burstable"


# -- validation


def test_a_plain_pod_is_valid() -> None:
    assert errors() == []


@pytest.mark.parametrize(
    ("container", "refusal"),
    [
        ({"image": ""}, "image: Required value"),
        ({"image": " a"}, 'image: Invalid value: " a": must not have leading or trailing whitespace'),
        ({"name": "A"}, f'name: Invalid value: "A": {LABEL}'),
        ({"ports": [{"containerPort": 0}]}, "ports[0].containerPort: Required value"),
        (
            {"ports": [{"containerPort": 1, "name": "a--b"}]},
            'ports[0].name: Invalid value: "a--b": must not contain consecutive hyphens',
        ),
        ({"env": [{"name": ""}]}, "env[0].name: Required value"),
        (
            {"env": [{"name": "A", "valueFrom": {}}]},
            'env[0].valueFrom: Invalid value: "": must specify one of: `fieldRef`, `resourceFieldRef`, '
            "`configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.phase"}}}]},
            'env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: '
            '"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", '
            '"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": ""}}}]},
            "env[0].valueFrom.secretKeyRef.key: Required value",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "", "path": "a", "key": "k"}}}]},
            "env[0].valueFrom.fileKeyRef.volumeName: Required value",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "", "key": "k"}}}]},
            "env[0].valueFrom.fileKeyRef.path: Required value",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "../a", "key": "k"}}}]},
            "env[0].valueFrom.fileKeyRef.path: Invalid value: \"../a\": must not contain '..'",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "a", "key": ""}}}]},
            "env[0].valueFrom.fileKeyRef.key: Required value",
        ),
        (
            {"envFrom": [{"prefix": "A_"}]},
            'envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]},
            'env[0].valueFrom.resourceFieldRef.resource: Unsupported value: "limits.gpu": supported values: '
            '"limits.cpu", "limits.ephemeral-storage", "limits.memory", "requests.cpu", '
            '"requests.ephemeral-storage", "requests.memory"',
        ),
        (
            {"lifecycle": {"preStop": {}}},
            "lifecycle.preStop: Required value: must specify a handler type",
        ),
        (
            {"lifecycle": {"preStop": {"exec": {}}}},
            "lifecycle.preStop.exec.command: Required value",
        ),
        (
            {"startupProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}},
            "startupProbe.successThreshold: Invalid value: 2: must be 1",
        ),
        (
            {"readinessProbe": {"tcpSocket": {"port": 1}, "terminationGracePeriodSeconds": 5}},
            "readinessProbe.terminationGracePeriodSeconds: Invalid value: 5: must not be set for readinessProbes",
        ),
        (
            {"resources": {"requests": {"example.com/gpu": "1"}, "limits": {"example.com/gpu": "2"}}},
            'resources.requests: Invalid value: "1": must be equal to example.com/gpu limit of 2',
        ),
        (
            {"securityContext": {"privileged": True, "allowPrivilegeEscalation": False}},
            'securityContext: Invalid value: {"Capabilities":null,"Privileged":true,"SELinuxOptions":null,'
            '"WindowsOptions":null,"RunAsUser":null,"RunAsGroup":null,"RunAsNonRoot":null,'
            '"ReadOnlyRootFilesystem":null,"AllowPrivilegeEscalation":false,"ProcMount":null,'
            '"SeccompProfile":null,"AppArmorProfile":null}: '
            "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
        ),
    ],
)
def test_a_container_is_refused_with_upstreams_words(container: Manifest, refusal: str) -> None:
    found = errors(container)
    assert [error.removeprefix("spec.containers[0].") for error in found] == [refusal]


@pytest.mark.parametrize(
    ("volume", "refusal"),
    [
        ({"hostPath": {}}, "hostPath.path: Required value"),
        ({"hostPath": {"path": "/a", "type": "Pipe"}}, None),
        ({"secret": {}}, "secret.secretName: Required value"),
        (
            {"secret": {"secretName": "a", "defaultMode": 0o1000}},
            "secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ),
        ({"configMap": {"name": "a", "items": [{"key": "k"}]}}, "configMap.items[0].path: Required value"),
        (
            {"configMap": {"name": "a", "items": [{"key": "k", "path": "..x"}]}},
            "configMap.items[0].path: Invalid value: \"..x\": must not start with '..'",
        ),
        (
            {"configMap": {"name": "a", "items": [{"key": "k", "path": "/x"}]}},
            'configMap.items[0].path: Invalid value: "/x": must be a relative path',
        ),
        (
            {"downwardAPI": {"items": [{"path": "a"}]}},
            "downwardAPI: Required value: one of fieldRef and resourceFieldRef is required",
        ),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 5}}]}},
            "projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: "
            "may not specify a duration less than 10 minutes",
        ),
        (
            {"emptyDir": {"sizeLimit": "-1"}},
            "emptyDir.sizeLimit: Forbidden: SizeLimit field must be a valid resource quantity",
        ),
        ({"ephemeral": {}}, "ephemeral.volumeClaimTemplate: Required value"),
    ],
)
def test_a_volume_is_refused_with_upstreams_words(volume: Manifest, refusal: str | None) -> None:
    found = errors(volumes=[{"name": "v", **volume}])
    if refusal is None:
        assert found == [
            'spec.volumes[0].hostPath.type: Unsupported value: "Pipe": supported values: "", "BlockDevice", '
            '"CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"'
        ]
    else:
        assert [error.removeprefix("spec.volumes[0].") for error in found] == [refusal]


def test_two_containers_may_not_share_a_port_of_the_host() -> None:
    port = {"containerPort": 80, "hostPort": 80}
    both = [{"name": name, "image": "a", "ports": [port]} for name in ("a", "b")]
    assert errors(containers=both) == ['spec.containers[1].ports[0].hostPort: Duplicate value: "TCP//80"']


def test_an_init_container_may_not_share_a_name_or_have_what_only_sidecars_have() -> None:
    assert errors(initContainers=[{"name": "main", "image": "a"}]) == [
        'spec.initContainers[0].name: Duplicate value: "main"'
    ]
    probe = {"tcpSocket": {"port": 1}}
    sidecar = {"name": "s", "image": "a", "restartPolicy": "Always", "readinessProbe": probe}
    assert errors(initContainers=[sidecar]) == []
    del sidecar["restartPolicy"]
    assert errors(initContainers=[sidecar]) == [
        "spec.initContainers[0].readinessProbe: Forbidden: "
        "may not be set for init containers without restartPolicy=Always"
    ]


def test_an_ephemeral_container_has_no_ports_or_probes_and_targets_one_that_is_there() -> None:
    debug = {"name": "debug", "image": "b", "targetContainerName": "nobody", "ports": [{"containerPort": 1}]}
    assert errors(ephemeralContainers=[debug]) == [
        'spec.ephemeralContainers[0].targetContainerName: Not found: "nobody"',
        "spec.ephemeralContainers[0].ports: Forbidden: cannot be set for an Ephemeral Container",
    ]


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"restartPolicy": "No"}, 'restartPolicy: Unsupported value: "No": supported values: "Always", "OnFailure", '
         '"Never"'),
        ({"activeDeadlineSeconds": 0}, "activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, "
         "inclusive"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
         "tolerations[0].operator: Invalid value: \"b\": value must be empty when `operator` is 'Exists'"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "tolerationSeconds": 5}]},
         "tolerations[0].effect: Invalid value: \"\": effect must be 'NoExecute' when `tolerationSeconds` is set"),
        ({"topologySpreadConstraints": [{"maxSkew": 0, "topologyKey": "a", "whenUnsatisfiable": "DoNotSchedule"}]},
         "topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero"),
        ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}},
         "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms: Required value: "
         "must have at least one node selector term"),
        ({"hostAliases": [{"ip": "here"}]}, 'hostAliases[0].ip: Invalid value: "here": must be a valid IP address, '
         "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ({"dnsPolicy": "None", "dnsConfig": {}}, "dnsConfig.nameservers: Required value: must provide at least one "
         "DNS nameserver when `dnsPolicy` is None"),
        ({"shareProcessNamespace": True, "hostPID": True}, "securityContext.shareProcessNamespace: Invalid value: "
         "true: ShareProcessNamespace and HostPID cannot both be enabled"),
    ],
)  # fmt: skip
def test_a_spec_is_refused_with_upstreams_words(spec: Manifest, refusal: str) -> None:
    assert errors(**spec) == [f"spec.{refusal}"]


# -- updates


def test_n6_the_image_may_change() -> None:
    assert update_errors(pod({"image": "app:2"}), pod()) == []


def test_n6_tolerations_may_be_added_but_not_changed() -> None:
    one, other = ({"key": key, "operator": "Exists", "effect": "NoExecute"} for key in ("a", "b"))
    assert update_errors(pod(tolerations=[one, other]), pod(tolerations=[one])) == []
    assert update_errors(pod(tolerations=[{**one, "tolerationSeconds": 5}]), pod(tolerations=[one])) == []
    assert update_errors(pod(tolerations=[other]), pod(tolerations=[one])) == [
        "spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"
    ]


def test_n6_a_deadline_may_appear_and_shrink() -> None:
    assert update_errors(pod(activeDeadlineSeconds=9), pod()) == []
    assert update_errors(pod(activeDeadlineSeconds=5), pod(activeDeadlineSeconds=9)) == []
    (error,) = update_errors(pod(), pod(activeDeadlineSeconds=9))
    assert (
        error == "spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value"
    )


def test_n6_scheduling_gates_only_go() -> None:
    gated = pod(schedulingGates=[{"name": "a.example/b"}])
    assert update_errors(pod(), gated) == []
    assert update_errors(gated, pod()) == [
        "spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gate 'a.example/b'"
    ]


def test_n6_a_gated_pod_may_be_narrowed_to_fewer_nodes() -> None:
    gates = [{"name": "a.example/b"}]
    old = pod(schedulingGates=gates, nodeSelector={"a": "b"})
    assert update_errors(pod(schedulingGates=gates, nodeSelector={"a": "b", "c": "d"}), old) == []
    assert update_errors(pod(schedulingGates=gates, nodeSelector={"c": "d"}), old) != []


def test_n6_all_else_is_refused_with_what_changed() -> None:
    (error,) = update_errors(pod(hostname="x"), pod())
    assert error.startswith("spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`")
    assert '\n- "Hostname": "",\n+ "Hostname": "x",\n' in error


def test_containers_do_not_come_or_go() -> None:
    two = [{"name": "main", "image": "app:1"}, {"name": "b", "image": "b"}]
    assert update_errors(pod(containers=two), pod()) == [
        "spec.containers: Forbidden: pod updates may not add or remove containers"
    ]


def test_n12_a_container_that_ended_for_good_does_not_run_again() -> None:
    ended = {"name": "main", "state": {"terminated": {"exitCode": 1}}}
    running = {"name": "main", "state": {"running": {}}}
    old = {**pod(restartPolicy="Never"), "status": {"containerStatuses": [ended]}}
    new = {**old, "status": {"containerStatuses": [running]}}
    (error,) = PODS.validate_status_update(new, old)
    assert str(error) == (
        "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    )
    always = {**old, "spec": {**old["spec"], "restartPolicy": "Always"}}
    assert PODS.validate_status_update({**new, "spec": always["spec"]}, always) == []


ON_42 = {"operator": "In", "values": [42]}


@pytest.mark.parametrize(
    ("action", "code", "is_refused"), [("Restart", 42, False), ("Restart", 1, True), ("RestartAllContainers", 1, False)]
)
def test_n85_n12_a_container_that_its_own_rules_restart_may_run_again(action, code, is_refused) -> None:
    rule = {"action": action, "exitCodes": ON_42}
    ruled = {"name": "main", "image": "app:1", "restartPolicy": "Never", "restartPolicyRules": [rule]}
    ended = {"name": "main", "state": {"terminated": {"exitCode": code}}}
    old = {**pod(restartPolicy="Never", containers=[ruled]), "status": {"containerStatuses": [ended]}}
    new = {**old, "status": {"containerStatuses": [{"name": "main", "state": {"waiting": {}}}]}}
    assert bool(PODS.validate_status_update(new, old)) is is_refused


def test_n205_an_ephemeral_container_that_ended_does_not_run_again() -> None:
    ended, running = ({"name": "debug", "state": {state: {}}} for state in ("terminated", "running"))
    old = {**pod(), "status": {"ephemeralContainerStatuses": [ended]}}
    (error,) = PODS.validate_status_update({**old, "status": {"ephemeralContainerStatuses": [running]}}, old)
    assert str(error).startswith("status.ephemeralContainerStatuses[0].state: Forbidden")


@pytest.mark.parametrize(
    ("members", "refusals"),
    [
        ({"restartPolicy": None}, ["restartPolicy: Required value: must specify restartPolicy when restart rules are "
         "used"]),
        ({"action": "Stop"}, ['restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart", '
         '"RestartAllContainers"']),
        ({"exitCodes": None}, ["restartPolicyRules[0].exitCodes: Required value: must be specified"]),
        ({"exitCodes": {"values": [1]}}, ['restartPolicyRules[0].exitCodes.operator: Unsupported value: "": '
         'supported values: "In", "NotIn"']),
        ({"exitCodes": {"operator": "In", "values": [1] * 256}}, ["restartPolicyRules[0].exitCodes.values: Too many: "
         "256: must have at most 255 items"]),
        ({}, []),
    ],
)  # fmt: skip
def test_n85_rules_for_restarts_are_whole(members, refusals) -> None:
    rule = {"action": "Restart", "exitCodes": ON_42, **members}
    rule = {key: value for key, value in rule.items() if value is not None and key != "restartPolicy"}
    ruled = {"name": "main", "image": "app:1", "restartPolicyRules": [rule]}
    if "restartPolicy" not in members:
        ruled["restartPolicy"] = "Never"
    assert errors(containers=[ruled]) == [f"spec.containers[0].{refusal}" for refusal in refusals]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("spec.nodeName", "n1"),
        ("spec.host", "n1"),
        ("spec.restartPolicy", "Always"),
        ("spec.hostNetwork", "false"),
        ("spec.serviceAccountName", ""),
        ("status.phase", "Running"),
        ("status.podIPs", "10.0.0.1,fd00::1"),
    ],
)
def test_a105_fields_that_pods_can_be_selected_by(field: str, expected: str) -> None:
    manifest = {**pod(nodeName="n1"), "status": {"phase": "Running", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}]}}
    assert PODS.fields[field](manifest) == expected


def test_a_volume_that_is_wrong_cannot_be_mounted() -> None:
    mount = {"volumeMounts": [{"name": "v", "mountPath": "/v"}]}
    both = [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/x"}}]
    assert errors(mount, volumes=both) == [
        "spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type",
        'spec.containers[0].volumeMounts[0].name: Not found: "v"',
    ]
