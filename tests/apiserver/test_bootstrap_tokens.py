"""Machines that show a bootstrap token: who they are, what they may, what they may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from holdfast.api.core.bootstrap_token import NODES_GROUP, Token, manifest
from holdfast.api.core.secret import SECRETS

TOKEN = Token("abcdef", "0123456789abcdef")
SECRET = "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


@pytest.fixture
async def made(server: Any, clock: Any) -> None:
    """The token, for an hour."""
    await server.client("test").create(SECRETS, manifest(TOKEN, clock.now() + timedelta(hours=1), ""))


async def who(ask: Any, token: str) -> Any:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    return (await ask("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)).body["status"]


async def test_a_token_stands_for_its_id_and_its_groups(ask: Any, made: None) -> None:
    status = await who(ask, str(TOKEN))
    assert status["authenticated"]
    assert status["user"] == {
        "username": "system:bootstrap:abcdef",
        "groups": ["system:bootstrappers", NODES_GROUP, "system:authenticated"],
    }


@pytest.mark.parametrize("token", ["abcdef.0123456789abcdeX".lower(), "bbbbbb.0123456789abcdef", "abcdef."])
async def test_another_token_is_nobodys(web: Any, made: None, token: str) -> None:
    assert (await web("GET", "/api", token=token)).code == 401


@pytest.mark.parametrize(
    "data",
    [
        {"usage-bootstrap-authentication": "false"},
        {"auth-extra-groups": "system:masters"},
        {"token-id": "bbbbbb"},
        {"expiration": "yesterday"},
    ],
)
async def test_a_secret_that_does_not_say_so_lets_nobody_in(ask: Any, web: Any, made: None, data: Any) -> None:
    stored = (await ask("GET", SECRET)).body
    assert (await ask("PUT", SECRET, {**stored, "stringData": data})).code == 200
    assert (await web("GET", "/api", token=str(TOKEN))).code == 401


async def test_a_secret_of_another_type_or_place_is_no_token(ask: Any, web: Any, clock: Any) -> None:
    for namespace, kind in (("kube-system", "Opaque"), ("default", "bootstrap.kubernetes.io/token")):
        made = manifest(TOKEN, None, "")
        placed = {**made, "type": kind, "metadata": {**made["metadata"], "namespace": namespace}}
        assert (await ask("POST", f"/api/v1/namespaces/{namespace}/secrets", placed)).code == 201
    assert (await web("GET", "/api", token=str(TOKEN))).code == 401


async def test_it_is_over_at_its_end_and_when_it_is_deleted(ask: Any, web: Any, made: None, clock: Any) -> None:
    assert (await web("GET", "/api", token=str(TOKEN))).code == 200
    clock.advance(3600)
    assert (await web("GET", "/api", token=str(TOKEN))).code == 401
    clock.advance(-3600)
    assert (await web("GET", "/api", token=str(TOKEN))).code == 200
    await ask("DELETE", SECRET)
    assert (await web("GET", "/api", token=str(TOKEN))).code == 401


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", REQUESTS, 200),
        ("GET", "/api/v1/nodes/n1", 404),
        ("GET", "/api/v1/nodes", 403),
        ("GET", "/api/v1/namespaces/kube-system/secrets", 403),
        ("GET", "/api/v1/pods", 403),
        ("PUT", f"{REQUESTS}/x/approval", 403),
    ],
)
async def test_it_may_ask_for_certificates_and_for_nodes_by_name(
    web: Any, made: None, method: str, path: str, code: int
) -> None:
    body = {} if method == "PUT" else None
    assert (await web(method, path, body, token=str(TOKEN))).code == code


async def test_only_nodes_tokens_may_ask_for_certificates(ask: Any, web: Any, made: None) -> None:
    stored = (await ask("GET", SECRET)).body
    await ask("PUT", SECRET, {**stored, "stringData": {"auth-extra-groups": "system:bootstrappers:others"}})
    assert (await web("GET", REQUESTS, token=str(TOKEN))).code == 403


async def test_anybody_may_read_what_newcomers_are_told_and_nothing_beside(ask: Any, web: Any) -> None:
    maps = "/api/v1/namespaces/kube-public/configmaps"
    for name in ("cluster-info", "other"):
        assert (await ask("POST", maps, {"metadata": {"name": name}, "data": {"kubeconfig": "x"}})).code == 201
    assert (await web("GET", f"{maps}/cluster-info", token="")).code == 200
    assert (await web("GET", f"{maps}/other", token="")).code == 403
    assert (await web("GET", maps, token="")).code == 403
