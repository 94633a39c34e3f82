"""Numbers, names, queries, paths and headers that no honest client sends: a Status each, and soon (A51)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"
REVISIONS = "/apis/apps/v1/namespaces/ns/controllerrevisions"
CLAIMS = "/api/v1/namespaces/ns/persistentvolumeclaims"

YAML = {"content-type": "application/yaml"}
JSON_PATCH = {"content-type": "application/json-patch+json"}
MERGE = {"content-type": "application/merge-patch+json"}
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
PROTOBUF = {"content-type": "application/vnd.kubernetes.protobuf"}


# -- numbers at their edges

EDGES: list[Any] = [
    0,
    -1,
    1 << 31,
    (1 << 31) - 1,
    -(1 << 31),
    (1 << 53) + 1,
    (1 << 63) - 1,
    1 << 63,
    -(1 << 63),
    -(1 << 63) - 1,
    (1 << 64) - 1,
    1 << 64,
    -(1 << 64),
    1 << 200,
    1.5,
    1e18,
    1e300,
    -0.0,
    1e-300,
    True,
    "1",
    "",
]


@pytest.mark.parametrize("edge", EDGES, ids=str)
async def test_a_number_at_the_edge_of_its_type_is_taken_or_refused(ask: Any, edge: Any) -> None:
    def pod(**spec: Any) -> dict[str, Any]:
        return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}], **spec}}

    container = {"name": "c", "image": "i"}
    for spec in (
        {"terminationGracePeriodSeconds": edge},
        {"activeDeadlineSeconds": edge},
        {"priority": edge},
        {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": edge}]},
        {"securityContext": {"runAsUser": edge, "fsGroup": edge}},
        {"containers": [{**container, "ports": [{"containerPort": edge, "hostPort": edge}]}]},
        {"containers": [{**container, "resources": {"requests": {"cpu": edge, "memory": edge}}}]},
        {"containers": [{**container, "livenessProbe": {"tcpSocket": {"port": edge}, "periodSeconds": edge}}]},
    ):
        created = await ask("POST", PODS, pod(**spec))
        await ask("DELETE", f"{PODS}/p", {"gracePeriodSeconds": edge})
        await ask("DELETE", f"{PODS}/p?gracePeriodSeconds={edge}")
        await ask("DELETE", f"{PODS}/p?gracePeriodSeconds=0")
        assert created.code < 500
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": edge}}}
    await ask("POST", CLAIMS, {"metadata": {"name": "c"}, "spec": claim})
    await ask("POST", REVISIONS, {"metadata": {"name": "r"}, "revision": edge, "data": {"a": edge, "b": [edge]}})
    await ask("GET", f"{REVISIONS}/r", headers={"accept": "application/yaml"})
    await ask("PATCH", f"{REVISIONS}/r", {"data": {"c": edge}}, headers=MERGE)
    await ask("PATCH", f"{REVISIONS}/r", {"data": {"d": edge}}, headers=STRATEGIC)
    await ask("PATCH", f"{REVISIONS}/r", [{"op": "test", "path": "/data/c", "value": edge}], headers=JSON_PATCH)
    service = {"ports": [{"port": edge, "nodePort": edge, "targetPort": edge}], "type": "NodePort"}
    await ask("POST", "/api/v1/namespaces/ns/services", {"metadata": {"name": "s"}, "spec": service})
    await ask("POST", "/api/v1/namespaces/ns/serviceaccounts/default/token", {"spec": {"expirationSeconds": edge}})
    lease = {"leaseDurationSeconds": edge, "leaseTransitions": edge}
    await ask("POST", "/apis/coordination.k8s.io/v1/namespaces/ns/leases", {"metadata": {"name": "l"}, "spec": lease})
    statefulset = {
        "serviceName": "s",
        "replicas": edge,
        "minReadySeconds": edge,
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}},
    }
    await ask("POST", "/apis/apps/v1/namespaces/ns/statefulsets", {"metadata": {"name": "s"}, "spec": statefulset})
    await ask("PATCH", "/apis/apps/v1/namespaces/ns/statefulsets/s/scale", {"spec": {"replicas": edge}}, headers=MERGE)
    for name in ("limit", "timeoutSeconds", "resourceVersion", "gracePeriodSeconds"):
        await ask("GET", f"{MAPS}?{name}={edge}")


QUANTITIES = (
    "9" * 5000,
    "0" * 5000 + "1",
    "1." + "1" * 5000,
    "1e9999",
    "1e-9999",
    "1E",
    "1e",
    "1e+",
    "--1",
    "+-1",
    "1ki",
    "1KI",
    "Ki",
    ".",
    "-.",
    "+",
    "1e99999999999999999999",
    "9999999999999Ei",
    "-9999999999999Ei",
    "１",
    "1\u0000",
    " 1",
    "1 ",
    "0x10",
    "1_000",
    "NaN",
    "Infinity",
    "1n",
    "1e3Ki",
    "1,5",
    "9223372036854775807",
    "9223372036854775808",
)


@pytest.mark.parametrize("text", QUANTITIES, ids=lambda text: text[:12].encode("unicode_escape").decode())
async def test_a_strange_quantity_is_taken_or_refused(ask: Any, text: str) -> None:
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": text}}}
    await ask("POST", CLAIMS, {"metadata": {"name": "c"}, "spec": claim})
    resources = {"requests": {"cpu": text, "example.com/x": text}, "limits": {"cpu": text, "memory": text}}
    spec = {"containers": [{"name": "c", "image": "i", "resources": resources}]}
    await ask("POST", PODS, {"metadata": {"name": "p"}, "spec": spec})
    quota = {"hard": {"requests.cpu": text, "pods": text}}
    await ask("POST", "/api/v1/namespaces/ns/resourcequotas", {"metadata": {"name": "q"}, "spec": quota})


TIMES = (
    "2026-01-02T03:04:05Z",
    "0000-01-01T00:00:00Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "9999-12-31T23:59:59-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-02-30T00:00:00Z",
    "2026-13-01T00:00:00Z",
    "2026-01-02T24:00:00Z",
    "2026-01-02T03:04:60Z",
    "2026-01-02T03:04:05",
    "2026-01-02",
    "",
    "now",
    "２０２６-01-02T03:04:05Z",
    "2026-01-02T03:04:05.123456789123456789Z",
    "2026-01-02t03:04:05z",
    "2026-01-02T03:04:05+99:99",
)


@pytest.mark.parametrize("text", TIMES)
async def test_a_strange_time_is_taken_or_refused(ask: Any, text: str) -> None:
    lease = {"acquireTime": text, "renewTime": text}
    await ask("POST", "/apis/coordination.k8s.io/v1/namespaces/ns/leases", {"metadata": {"name": "l"}, "spec": lease})
    times = {"creationTimestamp": text, "deletionTimestamp": text}
    managed = [{"manager": "m", "operation": "Update", "apiVersion": "v1", "time": text, "fieldsType": "FieldsV1"}]
    await ask("POST", MAPS, {"metadata": {"name": "m", "managedFields": managed, **times}})
    event = {"involvedObject": {"namespace": "ns"}, "firstTimestamp": text, "lastTimestamp": text, "eventTime": text}
    await ask("POST", "/api/v1/namespaces/ns/events", {"metadata": {"name": "e"}, **event})
    table = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
    await ask("GET", "/api/v1/namespaces/ns/events", headers=table)
    await ask("GET", MAPS, headers=table)


# -- names

LETTERS = {
    "upper": "ABC",
    "digit of another script": "a\u0663",
    "letter of another script": "\u0436",
    "title": "\u01c5",
    "combining": "a\u0301",
    "mark": "\u0903",
    "number": "\u2167",
    "connector": "a\u203fb",
    "dash": "a\u2014b",
    "open": "\u00ab",
    "math": "\u2211",
    "currency": "\u20ac",
    "modifier": "\u02b0",
    "symbol": "\U0001f600",
    "no-break space": "a\u00a0b",
    "line": "a\u2028b",
    "control": "a\u0007b",
    "format": "a\u200bb",
    "right to left": "a\u202eb",
    "private": "\ue000",
    "unassigned": "\U000e0fff",
    "noncharacter": "\uffff",
    "dotless": "\u0131",
    "sharp s": "\u00df",
    "long": "a" * 100_000,
    "slash": "a/b",
    "dots": "..",
    "dot": ".",
    "percent": "a%b",
    "percent encoded": "%2e%2e",
    "NUL": "a\x00b",
    "line feed": "a\nb",
    "quote": "a'\"b",
    "backslash": "a\\b",
    "pattern": "(a+)+$",
    "many dashes": "a" + "-" * 60_000 + "!",
    "many dots": "a." * 50_000,
    "blank": " ",
    "leading dash": "-a",
    "plus": "a+b",
    "ampersand": "a&b=c",
    "question": "a?b",
    "hash": "a#b",
}


@pytest.mark.parametrize("name", LETTERS.values(), ids=LETTERS)
async def test_a_name_of_any_letters_is_taken_or_refused(ask: Any, name: str) -> None:
    in_path = quote(name, safe="")
    await ask("POST", MAPS, {"metadata": {"name": name}})
    await ask("POST", MAPS, {"metadata": {"generateName": name}})
    await ask("POST", MAPS, {"metadata": {"name": "m", "labels": {name: name}, "annotations": {name: name}}})
    await ask("POST", MAPS, {"metadata": {"name": "m", "finalizers": [name], "ownerReferences": [{"name": name}]}})
    await ask("POST", MAPS, {"metadata": {"name": "n"}, "data": {name: name}})
    await ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    await ask(
        "POST", "/apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles", {"metadata": {"name": name}, "rules": []}
    )
    for target in (
        f"{MAPS}/{in_path}",
        f"/api/v1/namespaces/{in_path}/configmaps",
        f"/apis/{in_path}",
        f"/api/v1/{in_path}",
    ):
        await ask("GET", target)
    await ask("PATCH", f"{MAPS}/{in_path}?fieldManager={in_path}", {"data": {"a": "b"}}, headers=MERGE)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
    await ask("PATCH", f"{MAPS}/{in_path}?fieldManager={in_path}", config, headers=APPLY)
    await ask("DELETE", f"{MAPS}/{in_path}")
    for parameter in (
        "labelSelector",
        "fieldSelector",
        "continue",
        "resourceVersion",
        "fieldManager",
        "dryRun",
        "pretty",
    ):
        await ask("GET", f"{MAPS}?{parameter}={in_path}")
        await ask("POST", f"{MAPS}?{parameter}={in_path}", {"metadata": {"name": "q"}})
    spec = {
        "containers": [{"name": name, "image": name, "env": [{"name": name, "value": "x"}], "workingDir": name}],
        "nodeSelector": {name: name},
        "hostname": name,
        "volumes": [{"name": name, "emptyDir": {}}],
    }
    await ask("POST", PODS, {"metadata": {"name": "p"}, "spec": spec})


# -- queries

SELECTORS = {
    "25,000 equalities": ",".join(f"k{number}=v" for number in range(8000)),
    "one equality 25,000 times": ",".join(["a=b"] * 25_000),
    "a set of 30,000": f"a in ({','.join(f'v{number}' for number in range(15_000))})",
    "10,000 sets": ",".join(f"a{number} notin (x,y)" for number in range(6000)),
    "commas": "," * 100_000,
    "brackets": "a in " + "(" * 100_000,
    "negations": "!" * 100_000,
    "equals signs": "=" * 100_000,
    "blanks": " " * 100_000,
    "blanks before a letter": " " * 100_000 + "a",
    "a long key": "k" * 100_000,
    "a long value": "a=" + "v" * 100_000,
    "a long comparison": "a>" + "9" * 100_000,
    "a comparison with little": "a<-" + "9" * 5000,
    "a key with slashes": "/" * 50_000,
    "a pattern": "(a+)+$",
    "words": "in notin in (in) notin (notin)",
    "an open set": "a in (",
    "an empty set": "a in ()",
    "a set of nothing": "a notin (,,,)",
    "escapes": "metadata.name=\\",
    "escaped commas": "metadata.name=a\\,b\\=c\\\\",
}


@pytest.mark.parametrize("text", SELECTORS.values(), ids=SELECTORS)
async def test_a_selector_of_any_length_is_answered_soon(ask: Any, text: str) -> None:
    await ask("POST", MAPS, {"metadata": {"name": "a", "labels": {"a": "1"}}})
    for parameter in ("labelSelector", "fieldSelector"):
        await ask("GET", f"{MAPS}?{parameter}={quote(text)}")
        await ask("DELETE", f"{MAPS}?dryRun=All&{parameter}={quote(text)}")


async def test_a_selector_in_an_object_may_be_long(ask: Any) -> None:
    expressions = [{"key": f"k{number}", "operator": "In", "values": ["a", "b"]} for number in range(5000)]
    budget = {"selector": {"matchExpressions": expressions, "matchLabels": {f"l{n}": "v" for n in range(5000)}}}
    await ask("POST", "/apis/policy/v1/namespaces/ns/poddisruptionbudgets", {"metadata": {"name": "b"}, "spec": budget})


NUMBERS = (
    "9" * 5000,
    "-" + "9" * 5000,
    "+1",
    "１",
    "0x1",
    "1e3",
    "1_0",
    " 1",
    "",
    "-",
    "+",
    "1.0",
    "NaN",
    str(1 << 63),
)


@pytest.mark.parametrize("text", NUMBERS, ids=lambda text: text[:8])
async def test_a_number_in_a_query_is_taken_or_refused(ask: Any, text: str) -> None:
    value = quote(text)
    for name in ("limit", "timeoutSeconds", "resourceVersion", "gracePeriodSeconds"):
        await ask("GET", f"{MAPS}?{name}={value}")
        await ask("GET", f"{MAPS}/none?{name}={value}")
        await ask("DELETE", f"{MAPS}/none?{name}={value}")
        await ask("DELETE", f"{MAPS}?{name}={value}")
    await ask("GET", f"{MAPS}?resourceVersion={value}&resourceVersionMatch=Exact")
    await ask("POST", MAPS, {"metadata": {"name": "n", "resourceVersion": text}})
    await ask("POST", MAPS, {"metadata": {"name": "n"}})
    await ask("PUT", f"{MAPS}/n", {"metadata": {"name": "n", "resourceVersion": text}})
    await ask("PATCH", f"{MAPS}/n", {"metadata": {"resourceVersion": text}}, headers=MERGE)
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "n", "resourceVersion": text}}
    await ask("PATCH", f"{MAPS}/n?fieldManager=m", config, headers=APPLY)
    await ask("DELETE", f"{MAPS}/n", {"preconditions": {"resourceVersion": text, "uid": text}})
    operations = [{"op": "replace", "path": f"/metadata/finalizers/{text}", "value": "a.b/c"}]
    await ask("POST", MAPS, {"metadata": {"name": "f", "finalizers": ["a.b/c"]}})
    await ask("PATCH", f"{MAPS}/f", operations, headers=JSON_PATCH)


def tokens() -> Iterator[str]:
    for content in (
        {},
        [],
        None,
        1,
        "x",
        {"v": "meta.k8s.io/v1"},
        {"v": 1, "rv": 1, "start": "/a"},
        {"v": "meta.k8s.io/v1", "rv": "1", "start": "a"},
        {"v": "meta.k8s.io/v1", "rv": 1 << 70, "start": "/a"},
        {"v": "meta.k8s.io/v1", "rv": -1, "start": "/a"},
        {"v": "meta.k8s.io/v1", "rv": 1.5, "start": "/a"},
        {"v": "meta.k8s.io/v1", "rv": 1, "start": None},
        {"v": "meta.k8s.io/v1", "rv": 1, "start": "../../secrets"},
        {"v": "meta.k8s.io/v1", "rv": 1, "start": "\x00" * 1000},
        {"v": "meta.k8s.io/v1", "rv": True, "start": "/a"},
        {"v": "meta.k8s.io/v1", "rv": 1, "start": ["/a"]},
    ):
        yield base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    yield from ("=", "====", "a", "\u00e4", "!!!!", "A" * 100_000, base64.urlsafe_b64encode(b"\xff\xfe").decode())
    yield base64.urlsafe_b64encode(b"[" * 50_000).decode()


@pytest.mark.parametrize("token", list(tokens()), ids=lambda token: token[:30])
async def test_a_forged_continue_token_is_refused(ask: Any, token: str) -> None:
    for target in (MAPS, "/api/v1/configmaps", "/api/v1/namespaces"):
        await ask("GET", f"{target}?limit=1&continue={quote(token)}")


@pytest.mark.parametrize(
    "query",
    [
        "%",
        "%%",
        "%zz=1",
        "limit=%",
        "limit=%ff",
        "%6cimit=x",
        "&&&",
        "=",
        "==",
        "&=&=",
        "limit",
        "watch",
        "watch=%00",
        "a=b;c=d",
        "limit=1&limit=x",
        "pretty=%f0%9f%98%80",
        "labelSelector=%ed%a0%80",
        "x=" + "y" * 500_000,
        "&".join(["a=b"] * 50_000),
        "fieldManager=%80",
        "fieldValidation=%ff",
        "dryRun=All&dryRun=x",
        "propagationPolicy=%00",
        "+",
        "?",
    ],
    ids=lambda query: query[:20],
)
async def test_a_malformed_query_is_read_as_well_as_can_be(ask: Any, query: str) -> None:
    if "watch" not in query:
        await ask("GET", f"{MAPS}?{query}")
    await ask("POST", f"{MAPS}?{query}", {"metadata": {"name": "a"}})
    await ask("PATCH", f"{MAPS}/a?{query}", {"data": {"a": "b"}}, headers=MERGE)
    await ask("DELETE", f"{MAPS}/a?{query}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "*",
        "/",
        "//",
        "///api",
        "/api//v1",
        "/api/v1/",
        "/api/v1//",
        "/api/v1/namespaces//configmaps",
        "/api/v1/namespaces/ns//",
        "/apis//v1",
        "/apis/apps//",
        "/api/v1/namespaces/ns/configmaps/a/b/c/d",
        "/%61pi/v1",
        "/api%2fv1",
        "/api/v1/%00",
        "/api/v1/%",
        "/api/v1/watch",
        "/api/v1/watch/",
        "/api/v1/watch/watch/pods",
        "/apis/apps/v1/watch",
        "/api/v1/namespaces/ns/pods/a/proxy/" + "x/" * 5000,
        "/openapi/v3/",
        "/openapi/v3/api/v9",
        "/openapi/v3/../../etc/passwd",
        "/openapi/v2?x",
        "/healthz/%00",
        "/readyz//",
        "/version/x",
        "example.com:443",
        "http:",
        "/api/v1/namespaces/\xe4/configmaps",
        "/.well-known/x",
        "/" + "a/" * 50_000,
    ],
    ids=lambda path: path[:40],
)
@pytest.mark.parametrize(
    "method", ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "CONNECT", "TRACE", "QUERY"]
)
async def test_a_malformed_path_names_nothing(ask: Any, path: str, method: str) -> None:
    await ask(method, path, b"{}" if method in ("POST", "PUT", "PATCH") else None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accept", ";" * 100_000),
        ("accept", "," * 100_000),
        ("accept", "application/json;q=" + "9" * 5000),
        ("accept", "application/json;q=nan"),
        ("accept", "a/b;as=" + "T" * 1000),
        ("accept", "application/json;as=Table;v=v9;g=x, */*"),
        ("content-type", ";" * 1000),
        ("content-type", "application/json; charset=utf-16"),
        ("content-type", "application/json;" + "a=b;" * 20_000),
        ("authorization", "Bearer"),
        ("authorization", "Bearer " + "a." * 50_000),
        ("authorization", "Bearer \xe4.\xe4.\xe4"),
        ("authorization", "Bearer e30.e30.e30"),
        ("authorization", "Bearer W10.W10.W10"),
        ("authorization", "Bearer bnVsbA.bnVsbA.bnVsbA"),
        ("authorization", "Basic =="),
        ("authorization", "Bearer " + base64.urlsafe_b64encode(b"[" * 50_000).decode() + ".e30.e30"),
        ("user-agent", "\xff" * 5000),
        ("user-agent", "/"),
        ("impersonate-user", "\xe4"),
        ("impersonate-user", ""),
        ("impersonate-group", "g"),
        ("impersonate-extra-", "x"),
        ("impersonate-extra-%zz%ff", "x"),
        ("impersonate-uid", "x"),
        ("if-none-match", "\xff"),
        ("content-encoding", "gzip"),
        ("accept-encoding", "gzip;q=x, *;q=-1"),
        ("cookie", "a=b; " * 10_000),
    ],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)
async def test_a_strange_header_is_understood_or_refused(ask: Any, name: str, value: str) -> None:
    for target in (MAPS, "/api", "/apis", "/openapi/v3"):
        await ask("GET", target, headers={name: value})
    await ask("POST", MAPS, {"metadata": {"name": "a"}}, headers={name: value})
    await ask("PATCH", f"{MAPS}/a", {"data": {"a": "b"}}, headers={**MERGE, name: value})
    await ask("DELETE", f"{MAPS}/a", headers={name: value})


PATCHES: list[tuple[str, Any]] = [
    ("far", [{"op": "add", "path": f"/data/{'9' * 5000}", "value": "x"}]),
    ("a far index", [{"op": "add", "path": f"/metadata/finalizers/{'9' * 5000}", "value": "x"}]),
    ("a deep pointer", [{"op": "add", "path": "/a" * 100_000, "value": "x"}]),
    ("copies that double", [{"op": "copy", "from": "/data", "path": f"/data/x{number}"} for number in range(60)]),
    ("copies of the whole", [{"op": "copy", "from": "", "path": f"/data/x{number}"} for number in range(60)]),
    ("as many as are allowed", [{"op": "add", "path": "/data/a", "value": "x"}] * 10_000),
    ("too many", [{"op": "test", "path": ""}] * 10_001),
    ("a deep value", [{"op": "add", "path": "/data/a", "value": json.loads("[" * 400 + "]" * 400)}]),
    ("a tilde", [{"op": "add", "path": "/data/~2", "value": "x"}]),
    ("operations that are none", [1, None, [], "x"]),
    ("an operation of lists", [{"op": ["add"], "path": ["a"], "value": 1}]),
]


@pytest.mark.parametrize("patch", [patch for _, patch in PATCHES], ids=[name for name, _ in PATCHES])
async def test_a_json_patch_cannot_be_a_bomb(ask: Any, patch: Any) -> None:
    await ask("POST", MAPS, {"metadata": {"name": "a", "finalizers": ["a.b/c"]}, "data": {"a": "b"}})
    await ask("PATCH", f"{MAPS}/a", patch, headers=JSON_PATCH)
    await ask("POST", REVISIONS, {"metadata": {"name": "a"}, "revision": 1, "data": {"a": "b"}})
    await ask("PATCH", f"{REVISIONS}/a", patch, headers=JSON_PATCH)
