"""What the server does for kinds beyond storing them: who asked, who may sign, addresses, versions, warnings."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from .conftest import until

CERTIFICATES = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
ADDRESSES = "/apis/networking.k8s.io/v1/ipaddresses"
SERVICES = "/api/v1/namespaces/ns/services"
PODS = "/api/v1/namespaces/ns/pods"
CLASSES = "/apis/node.k8s.io/v1/runtimeclasses"
COMPONENTS = "/api/v1/componentstatuses"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CLIENTS = "kubernetes.io/kube-apiserver-client"
APPROVED = {"type": "Approved", "status": "True", "reason": "Test"}
CONTAINERS = [{"name": "main", "image": "app:1"}]


def autoscalers(version: str) -> str:
    return f"/apis/autoscaling/{version}/namespaces/ns/horizontalpodautoscalers"


def pem(organization: str) -> str:
    """A request for a certificate, in base64."""
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return base64.b64encode(signed.public_bytes(Encoding.PEM)).decode()


async def ask(web: Any, signer: str = "example.com/signer", organization: str = "dev", **spec: Any) -> Any:
    spec = {"request": pem(organization), "signerName": signer, "usages": ["client auth"], **spec}
    return await web("POST", CERTIFICATES, {"metadata": {"name": "a"}, "spec": spec})


async def allow(web: Any, *rules: Any) -> None:
    """Gives jane a role."""
    await web("DELETE", f"{RBAC}/clusterroles/jane")
    await web("POST", f"{RBAC}/clusterroles", {"metadata": {"name": "jane"}, "rules": [*rules]})
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "jane"}
    subject = {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}
    binding = {"metadata": {"name": "jane"}, "roleRef": role, "subjects": [subject]}
    await web("POST", f"{RBAC}/clusterrolebindings", binding)


def rule(*verbs: str, resource: str, names: tuple[str, ...] = ()) -> Any:
    names_of = {"resourceNames": [*names]} if names else {}
    return {"apiGroups": ["certificates.k8s.io"], "resources": [resource], "verbs": [*verbs], **names_of}


# -- certificates


async def test_a_certificate_is_asked_for_by_the_user_of_the_call(web: Any) -> None:
    answer = await ask(web, username="somebody", groups=["else"], extra={"a": ["b"]})
    assert answer.code == 201, answer.body
    assert answer["spec"]["username"] == "admin"
    assert answer["spec"]["groups"] == ["system:masters", "system:authenticated"]
    assert "extra" not in answer["spec"]


async def test_nobody_becomes_a_master_by_certificate(web: Any) -> None:
    answer = await ask(web, CLIENTS, "system:masters")
    assert answer.code == 403
    assert answer["message"].endswith(f"use of {CLIENTS} signer with system:masters group is not allowed")


async def test_approval_changes_conditions_and_nothing_else(web: Any) -> None:
    made = (await ask(web)).body
    changed = {**made, "spec": {**made["spec"], "usages": ["any"]}}
    answer = await web("PUT", f"{CERTIFICATES}/a/approval", {**changed, "status": {"conditions": [APPROVED]}})
    assert answer.code == 200, answer.body
    assert answer["spec"] == made["spec"]
    moment = "2026-01-02T03:04:05Z"
    assert answer["status"] == {"conditions": [{**APPROVED, "lastUpdateTime": moment, "lastTransitionTime": moment}]}
    again = await web("PUT", f"{CERTIFICATES}/a/approval", answer.body)
    assert again["metadata"]["resourceVersion"] == answer["metadata"]["resourceVersion"]
    unchanged = await web("PUT", f"{CERTIFICATES}/a", {**answer.body, "status": {}})
    assert unchanged["status"] == answer["status"]


async def test_a232_to_approve_takes_a_right_on_the_signer(web: Any, jane_token: str) -> None:
    await ask(web)
    patch = {"status": {"conditions": [APPROVED]}}

    async def approve() -> Any:
        headers = {"content-type": "application/merge-patch+json"}
        return await web("PATCH", f"{CERTIFICATES}/a/approval", patch, token=jane_token, headers=headers)

    on_requests = rule("patch", "update", resource="certificatesigningrequests/approval")
    await allow(web, on_requests)
    answer = await approve()
    assert answer.code == 403
    refusal = 'user not permitted to approve requests with signerName "example.com/signer"'
    assert answer["message"] == f'certificatesigningrequests.certificates.k8s.io "a" is forbidden: {refusal}'
    await allow(web, on_requests, rule("approve", resource="signers", names=("example.com/*",)))
    assert (await approve()).code == 200


async def test_a232_to_sign_takes_a_right_too(web: Any, jane_token: str) -> None:
    made = (await ask(web)).body
    await allow(web, rule("update", resource="certificatesigningrequests/status"))
    failed = {**made, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}
    answer = await web("PUT", f"{CERTIFICATES}/a/status", failed, token=jane_token)
    assert answer.code == 403
    assert 'not permitted to sign requests with signerName "example.com/signer"' in answer["message"]


async def test_a105_requests_are_selected_by_signer(web: Any) -> None:
    await ask(web)
    for signer, count in (("example.com/signer", 1), ("example.com/x", 0)):
        found = await web("GET", f"{CERTIFICATES}?fieldSelector=spec.signerName={signer}")
        assert len(found["items"]) == count


# -- autoscalers and events: one object, two names


async def test_an_autoscaler_is_one_object_in_two_versions(web: Any) -> None:
    watch = await web.watch(f"{autoscalers('v1')}?watch=1")
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    body = {"metadata": {"name": "a"}, "spec": {"maxReplicas": 3, "scaleTargetRef": target}}
    older = await web("POST", autoscalers("v1"), body)
    assert (older.code, older["spec"]["targetCPUUtilizationPercentage"]) == (201, 80)
    newer = await web("GET", f"{autoscalers('v2')}/a")
    assert newer["apiVersion"] == "autoscaling/v2"
    assert newer["spec"]["metrics"][0]["resource"]["target"] == {"type": "Utilization", "averageUtilization": 80}
    assert newer["status"] == {"currentMetrics": None, "desiredReplicas": 0}
    memory = {"name": "memory", "target": {"type": "AverageValue", "averageValue": "1Gi"}}
    newer.body["spec"]["metrics"].append({"type": "Resource", "resource": memory})
    await web("PUT", f"{autoscalers('v2')}/a", newer.body)
    (listed,) = (await web("GET", autoscalers("v1")))["items"]
    assert "autoscaling.alpha.kubernetes.io/metrics" in listed["metadata"]["annotations"]
    events = await watch.events(2)
    assert [event["object"]["apiVersion"] for event in events] == ["autoscaling/v1"] * 2
    assert (await web("DELETE", f"{autoscalers('v1')}/a")).code == 200
    assert (await web("GET", autoscalers("v2")))["items"] == []


async def test_an_update_in_the_older_version_keeps_what_it_cannot_say(web: Any) -> None:
    target = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 60}}
    spec = {"maxReplicas": 3, "scaleTargetRef": target, "behavior": behavior}
    before = await web("POST", autoscalers("v2"), {"metadata": {"name": "a"}, "spec": spec})
    headers = {"content-type": "application/merge-patch+json"}
    await web("PATCH", f"{autoscalers('v1')}/a", {"spec": {"maxReplicas": 5}}, headers=headers)
    after = await web("GET", f"{autoscalers('v2')}/a")
    assert after["spec"] == {**before["spec"], "maxReplicas": 5}


async def test_a261_a_new_event_is_a_whole_core_event(web: Any) -> None:
    event = {
        "metadata": {"name": "a"},
        "regarding": {"kind": "Pod", "name": "x", "namespace": "ns"},
        "eventTime": "2026-01-02T03:04:05.000000Z",
        "type": "Normal",
        "reason": "Tested",
        "action": "Test",
        "note": "hello",
        "reportingController": "test",
        "reportingInstance": "test-0",
    }
    assert (await web("POST", "/apis/events.k8s.io/v1/namespaces/ns/events", event)).code == 201
    core = (await web("GET", "/api/v1/namespaces/ns/events/a")).body
    assert (core["message"], core["reportingComponent"], core["source"]) == ("hello", "test", {})
    assert core["firstTimestamp"] is None


# -- addresses of services


async def test_the_range_of_services_is_an_object(web: Any) -> None:
    found = await web("GET", "/apis/networking.k8s.io/v1/servicecidrs/kubernetes")
    assert found["spec"] == {"cidrs": ["10.96.0.0/16"]}
    (condition,) = found["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("Ready", "True")


async def test_every_address_of_a_service_is_an_object_as_long_as_it_is_used(web: Any) -> None:
    spec = {"clusterIP": "10.96.0.77", "ports": [{"port": 80}]}
    await web("POST", SERVICES, {"metadata": {"name": "web"}, "spec": spec})

    async def answers(code: int) -> bool:
        return bool((await web("GET", f"{ADDRESSES}/10.96.0.77")).code == code)

    await until(lambda: answers(200))
    found = (await web("GET", f"{ADDRESSES}/10.96.0.77")).body
    assert found["spec"] == {"parentRef": {"resource": "services", "namespace": "ns", "name": "web"}}
    assert found["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"] == "ipallocator"
    assert (await web("GET", f"{ADDRESSES}/10.96.0.1"))["spec"]["parentRef"]["name"] == "kubernetes"
    await web("DELETE", f"{SERVICES}/web")
    await until(lambda: answers(404))


async def test_headless_services_have_no_address(web: Any) -> None:
    await web("POST", SERVICES, {"metadata": {"name": "web"}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}})
    await web("POST", SERVICES, {"metadata": {"name": "later"}, "spec": {"ports": [{"port": 80}]}})

    async def has_both() -> bool:
        return len((await web("GET", ADDRESSES))["items"]) == 2

    await until(has_both)


async def test_an_address_that_somebody_reserved_is_not_handed_out(web: Any) -> None:
    parent = {"group": "example.com", "resource": "gateways", "name": "g"}
    body = {"metadata": {"name": "10.96.0.88"}, "spec": {"parentRef": parent}}
    assert (await web("POST", ADDRESSES, body)).code == 201
    service = {"metadata": {"name": "web"}, "spec": {"clusterIP": "10.96.0.88", "ports": [{"port": 80}]}}
    answer = await web("POST", SERVICES, service)
    assert answer.code == 422
    assert answer["message"].endswith("failed to allocate IP 10.96.0.88: provided IP is already allocated")
    await web("DELETE", f"{ADDRESSES}/10.96.0.88")
    assert (await web("POST", SERVICES, service)).code == 201


# -- classes of runtimes


async def test_a245_a_pod_gets_what_its_runtime_class_says(web: Any) -> None:
    scheduling = {"nodeSelector": {"runtime": "vm"}, "tolerations": [{"key": "vm", "operator": "Exists"}]}
    body = {"metadata": {"name": "vm"}, "handler": "kata", "scheduling": scheduling}
    answer = await web("POST", CLASSES, {**body, "overhead": {"podFixed": {"cpu": "250m"}}})
    assert answer.code == 201, answer.body
    spec = {"containers": CONTAINERS, "runtimeClassName": "vm", "nodeSelector": {"a": "b"}}
    pod = (await web("POST", PODS, {"metadata": {"name": "a"}, "spec": spec})).body
    assert pod["spec"]["overhead"] == {"cpu": "250m"}
    assert pod["spec"]["nodeSelector"] == {"a": "b", "runtime": "vm"}
    assert {"key": "vm", "operator": "Exists"} in pod["spec"]["tolerations"]


@pytest.mark.parametrize(
    ("spec", "refusal"),
    [
        ({"runtimeClassName": "nope"}, 'pod rejected: RuntimeClass "nope" not found'),
        (
            {"overhead": {"cpu": "1"}},
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
        ),
        (
            {"runtimeClassName": "vm", "nodeSelector": {"runtime": "x"}},
            "conflict: runtimeClass.scheduling.nodeSelector[runtime] = vm; pod.spec.nodeSelector[runtime] = x",
        ),
    ],
)
async def test_a245_a_pod_that_contradicts_its_class_is_refused(web: Any, spec: Any, refusal: str) -> None:
    scheduling = {"nodeSelector": {"runtime": "vm"}}
    await web("POST", CLASSES, {"metadata": {"name": "vm"}, "handler": "kata", "scheduling": scheduling})
    answer = await web("POST", PODS, {"metadata": {"name": "a"}, "spec": {"containers": CONTAINERS, **spec}})
    assert (answer.code, answer["message"]) == (403, f'pods "a" is forbidden: {refusal}')


# -- what is not stored


async def test_components_are_as_those_who_run_them_say(web: Any) -> None:
    listed = await web("GET", COMPONENTS)
    assert listed["metadata"] == {}
    states = {one["metadata"]["name"]: one["conditions"][0]["status"] for one in listed["items"]}
    assert states == {"controller-manager": "False", "etcd-0": "True", "scheduler": "False"}
    assert listed.headers["Warning"] == ['299 - "v1 ComponentStatus is deprecated in v1.19+"']
    web.server.api.components["scheduler"] = lambda: ""
    one = await web("GET", f"{COMPONENTS}/scheduler")
    assert one["conditions"] == [{"type": "Healthy", "status": "True", "message": "ok"}]
    assert (await web("GET", f"{COMPONENTS}/nobody")).code == 404
    assert (await web("POST", COMPONENTS, {})).code == 405
