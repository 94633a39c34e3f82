"""Webhooks that cannot be reached, do not answer, or answer nonsense (A248)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

CONFIG_MAPS = "/api/v1/namespaces/ns/configmaps"
BODY = {"metadata": {"name": "a"}}
CALLED = 'Internal error occurred: failed calling webhook "check.example.com": '


def allow(request: dict[str, Any]) -> dict[str, Any]:
    return {"allowed": True}


async def told(web: Any) -> str:
    answer = await web("POST", CONFIG_MAPS, BODY)
    assert (answer.code, answer["reason"]) == (500, "InternalError"), answer.body
    message: str = answer["message"]
    assert message.startswith(CALLED)
    assert answer["details"]["causes"] == [{"message": message.removeprefix("Internal error occurred: ")}]
    return message.removeprefix(CALLED)


async def test_nobody_is_there(web: Any, cluster: Any, unused_tcp_port_of_ours: int) -> None:
    port = unused_tcp_port_of_ours
    config = {"url": f"https://127.0.0.1:{port}/x", "caBundle": cluster.hooks.ca}
    await cluster.validating(allow, clientConfig=config, timeoutSeconds=3)
    assert await told(web) == (
        f'failed to call webhook: Post "https://127.0.0.1:{port}/x?timeout=3s": '
        f"dial tcp 127.0.0.1:{port}: connect: connection refused"
    )


async def test_a_webhook_that_may_fail_is_passed_over(web: Any, cluster: Any, unused_tcp_port_of_ours: int) -> None:
    config = {"url": f"https://127.0.0.1:{unused_tcp_port_of_ours}/x"}
    for configure in (cluster.validating, cluster.mutating):
        await configure(allow, clientConfig=config, failurePolicy="Ignore")
    assert (await web("POST", CONFIG_MAPS, BODY)).code == 201


async def test_a_webhook_that_is_slow_has_failed(web: Any, cluster: Any) -> None:
    async def slow(request: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(30)
        return {"allowed": True}

    await cluster.validating(slow, timeoutSeconds=1)
    assert (await told(web)).endswith('?timeout=1s": context deadline exceeded')


async def test_a_certificate_of_somebody_else_is_not_trusted(web: Any, cluster: Any) -> None:
    config = {"url": f"https://127.0.0.1:{cluster.hooks.port}/x"}
    await cluster.validating(allow, clientConfig=config)
    assert (await told(web)).endswith(
        ": tls: failed to verify certificate: x509: certificate signed by unknown authority"
    )


async def test_a_bundle_that_is_none_is_told(web: Any, cluster: Any) -> None:
    config = {"url": f"https://127.0.0.1:{cluster.hooks.port}/x", "caBundle": "bm9uZQ=="}
    await cluster.validating(allow, clientConfig=config)
    assert "unable to load root certificates" in await told(web)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (404, "the server could not find the requested resource"),
        (500, 'an error on the server ("oh dear") has prevented the request from succeeding'),
        (503, "the server is currently unable to handle the request"),
    ],
)
async def test_an_answer_that_is_no_success(web: Any, cluster: Any, code: int, said: str) -> None:
    await cluster.validating(lambda request: {"raw": b"oh dear", "code": code})
    assert await told(web) == f"failed to call webhook: {said}"


GOOD = '"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"'


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"{%s}" % GOOD.encode(), "webhook response was absent"),
        (b'{%s, "response": {"uid": "x", "allowed": true}}' % GOOD.encode(), 'expected response.uid="UID", got "x"'),
        (
            b'{"response": {"uid": "UID", "allowed": true}}',
            "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /, Kind=",
        ),
        (
            b'{%s, "response": {"uid": "UID", "allowed": true, "patch": "W10="}}' % GOOD.encode(),
            "validating webhook may not return response.patch",
        ),
        (
            b'{%s, "response": {"uid": "UID", "allowed": true, "patchType": "JSONPatch"}}' % GOOD.encode(),
            "validating webhook may not return response.patchType",
        ),
    ],
)
async def test_an_answer_that_is_no_review(web: Any, cluster: Any, raw: bytes, said: str) -> None:
    uid = ""

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        nonlocal uid
        uid = request["uid"]
        return {"raw": raw.replace(b"UID", uid.encode())}

    await cluster.validating(answer)
    assert await told(web) == f"received invalid webhook response: {said.replace('UID', uid)}"


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (
            {"patch": "W10="},
            "received invalid webhook response: webhook returned response.patch but not response.patchType",
        ),
        (
            {"patchType": "JSONPatch"},
            "received invalid webhook response: webhook returned response.patchType but not response.patch",
        ),
        (
            {"patch": "W10=", "patchType": "Merge"},
            'received invalid webhook response: webhook returned invalid response.patchType of "Merge"',
        ),
        ({"patch": "bm8=", "patchType": "JSONPatch"}, "received undecodable patch in webhook response: "),
    ],
)
async def test_a_patch_that_is_none(web: Any, cluster: Any, response: dict[str, Any], said: str) -> None:
    await cluster.mutating(lambda request: {"allowed": True, **response}, name="check.example.com")
    assert (await told(web)).startswith(said)


async def test_an_empty_patch_is_none(web: Any, cluster: Any) -> None:
    await cluster.mutating(lambda request: {"allowed": True, "patch": "W10=", "patchType": "JSONPatch"})
    assert (await web("POST", CONFIG_MAPS, BODY)).code == 201


async def test_no_version_in_common(web: Any, cluster: Any) -> None:
    """As one that only another server wrote: validation refuses such a configuration."""
    await cluster.validating(allow, admissionReviewVersions=["v1"])
    (hook,) = cluster.web.server.api.dynamic.asking._validating.all
    hook.webhook["admissionReviewVersions"] = ["v2"]
    assert await told(web) == (
        "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)"
    )


# -- services


async def test_a_service_leads_to_a_ready_endpoint_under_its_own_name(
    web: Any, cluster: Any, service: dict[str, Any], endpoints: Any
) -> None:
    await endpoints()
    config = {"service": service, "caBundle": cluster.hooks.ca}
    await cluster.validating(allow, clientConfig=config)
    assert (await web("POST", CONFIG_MAPS, BODY)).code == 201
    assert len(cluster.hooks.seen) == 1


async def test_a_service_without_endpoints(web: Any, cluster: Any, service: dict[str, Any], endpoints: Any) -> None:
    await endpoints(ready=False)
    await cluster.validating(allow, clientConfig={"service": service, "caBundle": cluster.hooks.ca})
    url = "https://hook.ns.svc:443/check.example.com?timeout=10s"
    assert await told(web) == f'failed to call webhook: Post "{url}": no endpoints available for service "hook"'


async def test_a_service_that_is_not_there(web: Any, cluster: Any) -> None:
    service = {"name": "none", "namespace": "ns", "path": "/", "port": 8443}
    await cluster.validating(allow, clientConfig={"service": service, "caBundle": cluster.hooks.ca})
    url = "https://none.ns.svc:8443/?timeout=10s"
    assert await told(web) == f'failed to call webhook: Post "{url}": service "none" not found'


async def test_a_port_that_the_service_has_not(web: Any, cluster: Any, service: dict[str, Any]) -> None:
    config = {"service": {**service, "port": 1}, "caBundle": cluster.hooks.ca}
    await cluster.validating(allow, clientConfig=config)
    assert (await told(web)).endswith(': no service port 1 found for service "hook"')


async def test_an_endpoint_where_nobody_listens(
    web: Any, cluster: Any, service: dict[str, Any], endpoints: Any, unused_tcp_port_of_ours: int
) -> None:
    cluster.hooks.port, port = unused_tcp_port_of_ours, cluster.hooks.port
    await endpoints()
    refused, cluster.hooks.port = cluster.hooks.port, port
    await cluster.validating(allow, clientConfig={"service": service, "caBundle": cluster.hooks.ca})
    assert (await told(web)).endswith(f": dial tcp 127.0.0.1:{refused}: connect: connection refused")


# -- connections


async def test_connections_are_kept_as_long_as_somebody_is_to_be_asked(web: Any, cluster: Any) -> None:
    await cluster.validating(allow)
    for name in ("a", "b"):
        assert (await web("POST", CONFIG_MAPS, {"metadata": {"name": name}})).code == 201
    await cluster.hooks.until_connected(1)
    await web("DELETE", "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/check.example.com")
    await cluster.hooks.until_connected(0)
