"""Service accounts: their tokens, and what pods are given (A216-A221, A234)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from holdfast.apiserver.auth.signing import SigningKey, decode, encode
from holdfast.apiserver.auth.user import User
from holdfast.apiserver.server import Config

ISSUER = "https://kubernetes.default.svc"
ACCOUNTS = "/api/v1/namespaces/ns/serviceaccounts"
PODS = "/api/v1/namespaces/ns/pods"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
MOUNT_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"


def claims_of(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = json.loads(decode(token.split(".")[1]))
    return claims


async def token_of(web: Any, account: str = "default", **spec: Any) -> str:
    answer = await web("POST", f"{ACCOUNTS}/{account}/token", {"spec": spec})
    assert answer.code == 201, answer.body
    token: str = answer["status"]["token"]
    return token


async def make_pod(web: Any, name: str = "a", **spec: Any) -> Any:
    container = {"name": "main", "image": "app:1"}
    answer = await web("POST", PODS, {"metadata": {"name": name}, "spec": {"containers": [container], **spec}})
    assert answer.code == 201, answer.body
    return answer.body


def bound_to(pod: Any) -> dict[str, str]:
    metadata = pod["metadata"]
    return {"kind": "Pod", "apiVersion": "v1", "name": metadata["name"], "uid": metadata["uid"]}


async def who(web: Any, token: str) -> Any:
    return await web("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {}, token=token)


# -- what pods are given


async def test_a_pod_gets_a_token_the_certificate_and_its_namespace(web: Any) -> None:
    """W106."""
    spec = (await make_pod(web))["spec"]
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert volume["projected"] == {
        "defaultMode": 420,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
                    ]
                }
            },
        ],
    }
    assert spec["containers"][0]["volumeMounts"] == [
        {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    ]


async def test_it_comes_behind_the_pods_own_volumes_and_mounts(web: Any) -> None:
    own = {"name": "main", "image": "app:1", "volumeMounts": [{"name": "x", "mountPath": "/x"}]}
    spec = (await make_pod(web, containers=[own], volumes=[{"name": "x", "emptyDir": {}}]))["spec"]
    assert [volume["name"][:4] for volume in spec["volumes"]] == ["x", "kube"]
    assert [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]] == ["/x", MOUNT_PATH]


async def test_init_containers_get_it_too_and_whoever_has_something_there_does_not(web: Any) -> None:
    taken = [{"name": "x", "mountPath": MOUNT_PATH}]
    spec = (
        await make_pod(
            web,
            initContainers=[{"name": "init", "image": "app:1"}],
            containers=[{"name": "main", "image": "app:1", "volumeMounts": taken}],
            volumes=[{"name": "x", "emptyDir": {}}],
        )
    )["spec"]
    assert spec["initContainers"][0]["volumeMounts"][0]["name"] == spec["volumes"][1]["name"]
    assert spec["containers"][0]["volumeMounts"] == taken


@pytest.mark.parametrize(
    ("of_account", "of_pod", "is_mounted"),
    [
        (None, None, True),
        (None, False, False),
        (False, None, False),
        (False, True, True),
        (True, False, False),
    ],
)
async def test_the_pod_has_the_first_word_then_its_account(
    web: Any, of_account: bool | None, of_pod: bool | None, is_mounted: bool
) -> None:
    account = {} if of_account is None else {"automountServiceAccountToken": of_account}
    assert (await web("POST", ACCOUNTS, {"metadata": {"name": "bot"}, **account})).code == 201
    said = {} if of_pod is None else {"automountServiceAccountToken": of_pod}
    pod = await make_pod(web, serviceAccountName="bot", **said)
    assert ("volumes" in pod["spec"]) is is_mounted


async def test_a_volume_of_that_kind_is_not_given_twice(web: Any) -> None:
    """A pod made from another one's manifest."""
    first = (await make_pod(web))["spec"]
    again = (await make_pod(web, "b", containers=first["containers"], volumes=first["volumes"]))["spec"]
    assert (again["volumes"], again["containers"]) == (first["volumes"], first["containers"])


# -- tokens


async def test_a_token_says_whose_it_is_for_whom_and_until_when(web: Any, clock: Any) -> None:
    """A217, A218."""
    answer = await web("POST", f"{ACCOUNTS}/default/token", {"spec": {"expirationSeconds": 900}})
    account = (await web("GET", f"{ACCOUNTS}/default")).body["metadata"]
    claims = claims_of(answer["status"]["token"])
    now = int(clock.now().timestamp())
    assert claims.pop("jti")
    assert claims == {
        "aud": [ISSUER],
        "exp": now + 900,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "sub": "system:serviceaccount:ns:default",
        "kubernetes.io": {"namespace": "ns", "serviceaccount": {"name": "default", "uid": account["uid"]}},
    }
    assert answer["spec"] == {"audiences": [ISSUER], "expirationSeconds": 900, "boundObjectRef": None}
    assert answer["metadata"] == {**answer["metadata"], "name": "default", "namespace": "ns", "uid": account["uid"]}
    assert answer["status"]["expirationTimestamp"] == "2026-01-02T03:19:05Z"


async def test_anybody_can_check_it_with_the_published_key(web: Any) -> None:
    token = await token_of(web)
    configuration = await web("GET", "/.well-known/openid-configuration", token=token)
    assert (configuration["issuer"], configuration["jwks_uri"]) == (ISSUER, "https://192.0.2.1:6443/openid/v1/jwks")
    answer = await web("GET", "/openid/v1/jwks", token=token)
    assert answer.content_type == "application/jwk-set+json"
    (key,) = json.loads(answer.body)["keys"]
    header, claims, signature = token.split(".")
    assert json.loads(decode(header)) == {"alg": "RS256", "kid": key["kid"]}
    number = {name: int.from_bytes(decode(key[name]), "big") for name in ("n", "e")}
    public = RSAPublicNumbers(number["e"], number["n"]).public_key()
    public.verify(decode(signature), f"{header}.{claims}".encode(), PKCS1v15(), SHA256())


async def test_strangers_are_not_told_the_key(web: Any, jane_token: str) -> None:
    assert (await web("GET", "/openid/v1/jwks", token=jane_token)).code == 403


async def test_its_bearer_is_the_account(web: Any) -> None:
    """A219."""
    token = await token_of(web)
    user = (await who(web, token))["status"]["userInfo"]
    assert user["username"] == "system:serviceaccount:ns:default"
    assert user["groups"] == ["system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"]
    assert user["extra"] == {"authentication.kubernetes.io/credential-id": [f"JTI={claims_of(token)['jti']}"]}
    refused = await web("GET", PODS, token=token)
    assert (refused.code, refused["message"].split('"')[1]) == (403, "system:serviceaccount:ns:default")


async def test_a_role_bound_to_the_account_lets_it_in(web: Any) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns"
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    await web("POST", f"{rbac}/roles", {"metadata": {"name": "r"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": "ns"}]
    await web("POST", f"{rbac}/rolebindings", {"metadata": {"name": "b"}, "roleRef": reference, "subjects": subjects})
    token = await token_of(web)
    assert (await web("GET", PODS, token=token)).code == 200
    assert (await web("DELETE", f"{PODS}/x", token=token)).code == 403


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        ({"expirationSeconds": 60}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 2**32 + 1}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": "none"}}, 404, 'pods "none" not found'),
        ({"boundObjectRef": {"kind": "Moon"}}, 400, "cannot bind token to object of type /, Kind=Moon"),
    ],
)
async def test_not_every_token_is_to_be_had(web: Any, spec: Any, code: int, message: str) -> None:
    answer = await web("POST", f"{ACCOUNTS}/default/token", {"spec": spec})
    assert (answer.code, answer["message"].endswith(message)) == (code, True)


async def test_of_nobody_there_is_none(web: Any) -> None:
    answer = await web("POST", f"{ACCOUNTS}/none/token", {})
    assert (answer.code, answer["message"]) == (404, 'serviceaccounts "none" not found')


async def test_the_pod_it_is_bound_to_must_be_the_very_one_and_of_that_account(web: Any) -> None:
    pod = await make_pod(web)
    other = {"spec": {"boundObjectRef": {**bound_to(pod), "uid": "x"}}}
    assert (await web("POST", f"{ACCOUNTS}/default/token", other)).code == 409
    await web("POST", ACCOUNTS, {"metadata": {"name": "bot"}})
    answer = await web("POST", f"{ACCOUNTS}/bot/token", {"spec": {"boundObjectRef": bound_to(pod)}})
    assert (answer.code, "different serviceaccount" in answer["message"]) == (400, True)


async def test_a_pods_token_names_pod_and_node_and_holds_for_a_year(web: Any, clock: Any) -> None:
    """A220."""
    await web("POST", "/api/v1/nodes", {"metadata": {"name": "n1"}})
    pod = await make_pod(web, nodeName="n1")
    answer = await web(
        "POST",
        f"{ACCOUNTS}/default/token",
        {"spec": {"expirationSeconds": 3607, "boundObjectRef": bound_to(pod)}},
    )
    token, now = answer["status"]["token"], int(clock.now().timestamp())
    claims = claims_of(token)
    assert (claims["exp"] - now, claims["kubernetes.io"]["warnafter"] - now) == (365 * 24 * 3600, 3607)
    assert answer["status"]["expirationTimestamp"] == "2026-01-02T04:04:12Z"
    extra = (await who(web, token))["status"]["userInfo"]["extra"]
    named = {key.partition("/")[2]: values for key, values in extra.items()}
    assert (named["pod-name"], named["pod-uid"], named["node-name"]) == (["a"], [pod["metadata"]["uid"]], ["n1"])


# -- what is refused


@pytest.mark.parametrize("seconds", [600, 3600])
async def test_it_ends(web: Any, clock: Any, seconds: int) -> None:
    token = await token_of(web, expirationSeconds=seconds)
    clock.advance(seconds - 1)
    assert (await who(web, token)).code == 201
    clock.advance(1)
    assert (await who(web, token)).code == 401
    review = await web("POST", REVIEWS, {"spec": {"token": token}})
    assert review["status"]["error"] == "[invalid bearer token, service account token has expired]"


async def test_one_for_others_is_not_good_here_but_there(web: Any) -> None:
    token = await token_of(web, audiences=["moon"])
    assert (await who(web, token)).code == 401
    here = await web("POST", REVIEWS, {"spec": {"token": token}})
    assert here["status"]["error"] == (
        f'[invalid bearer token, token audiences ["moon"] is invalid for the target audiences ["{ISSUER}"]]'
    )
    there = await web("POST", REVIEWS, {"spec": {"token": token, "audiences": ["sun", "moon"]}})
    assert (there["status"]["authenticated"], there["status"]["audiences"]) == (True, ["moon"])


async def test_it_goes_with_its_account_and_does_not_come_back_with_the_name(web: Any) -> None:
    await web("POST", ACCOUNTS, {"metadata": {"name": "bot"}})
    token = await token_of(web, "bot")
    assert (await who(web, token)).code == 201
    await web("DELETE", f"{ACCOUNTS}/bot")
    assert (await who(web, token)).code == 401
    await web("POST", ACCOUNTS, {"metadata": {"name": "bot"}})
    assert (await who(web, token)).code == 401


async def test_it_goes_with_the_pod_it_is_bound_to(web: Any, clock: Any) -> None:
    """W107. A pod that is being deleted may use it for a minute beyond its grace period."""
    pod = await make_pod(web, nodeName="n1")
    token = await token_of(web, boundObjectRef=bound_to(pod))
    await web("DELETE", f"{PODS}/a")
    clock.advance(30 + 60)
    assert (await who(web, token)).code == 201
    clock.advance(1)
    assert (await who(web, token)).code == 401
    await web("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    await make_pod(web)
    assert (await who(web, token)).code == 401


def altered(token: str, **claims: Any) -> str:
    header, payload, signature = token.split(".")
    changed = {**json.loads(decode(payload)), **claims}
    return f"{header}.{encode(json.dumps(changed).encode())}.{signature}"


def unsigned(token: str) -> str:
    header = encode(json.dumps({"alg": "none"}).encode())
    return f"{header}.{token.split('.')[1]}."


def by_another_key(token: str) -> str:
    return SigningKey().sign(decode(token.split(".")[1]))


def signed_with_the_public_key(token: str) -> str:
    """HS256 with what everybody knows."""
    return f"{encode(json.dumps({'alg': 'HS256'}).encode())}.{token.split('.')[1]}.{encode(b'x' * 32)}"


@pytest.mark.parametrize(
    "forged",
    [
        lambda token: altered(token, sub="system:serviceaccount:kube-system:admin"),
        unsigned,
        by_another_key,
        signed_with_the_public_key,
        lambda token: token[:-8],
        lambda token: f"{token}=",
        lambda token: "eyJ..",
        lambda token: f"eyJhbGciOiJSUzI1NiJ9.{base64.b64encode(b'[]').decode()}.AA",
        lambda token: "eyJ\u00e9.x.y",
    ],
)
async def test_what_this_server_did_not_sign_is_nobodys(web: Any, forged: Any) -> None:
    token = await token_of(web)
    assert (await who(web, token)).code == 201
    assert (await who(web, forged(token))).code == 401


async def test_a_node_gets_tokens_for_the_pods_on_it_only(web: Any, server: Any) -> None:
    """NodeRestriction."""
    node = User("system:node:n1", ("system:nodes", "system:authenticated"))
    server.tokens.known["node-token"] = node
    here, there = await make_pod(web, "here", nodeName="n1"), await make_pod(web, "there", nodeName="n2")

    async def ask(reference: Any) -> Any:
        spec = {"boundObjectRef": reference} if reference else {}
        return await web("POST", f"{ACCOUNTS}/default/token", {"spec": spec}, token="node-token")

    assert (await ask(bound_to(here))).code == 201
    for reference in (bound_to(there), None, {**bound_to(here), "uid": ""}):
        answer = await ask(reference)
        assert answer.code == 403
        assert answer["message"].startswith('serviceaccounts "default" is forbidden: node requested token')


# -- the key


def test_the_key_is_not_made_before_it_is_needed() -> None:
    made: list[int] = []
    key = SigningKey(lambda: made.append(1) or b"")  # type: ignore[func-returns-value]
    assert (Config(signing_key=key).signing_key.is_loaded, made) == (False, [])


# -- tokens in secrets


async def test_a_token_in_a_secret_holds_as_long_as_the_secret(web: Any, server: Any) -> None:
    """A220."""
    secrets = "/api/v1/namespaces/ns/secrets"
    annotations = {"kubernetes.io/service-account.name": "default"}
    secret = {"metadata": {"name": "s", "annotations": annotations}, "type": "kubernetes.io/service-account-token"}
    made = (await web("POST", secrets, secret)).body
    account = (await web("GET", f"{ACCOUNTS}/default")).body
    token = server.tokens.accounts.legacy(made, account)
    assert (await who(web, token)).code == 401
    data = {"token": base64.b64encode(token.encode()).decode()}
    await web("PUT", f"{secrets}/s", {**made, "data": data})
    user = (await who(web, token))["status"]["userInfo"]
    assert (user["username"], user["uid"]) == ("system:serviceaccount:ns:default", account["metadata"]["uid"])
    await web("DELETE", f"{secrets}/s")
    assert (await who(web, token)).code == 401
