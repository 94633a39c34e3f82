"""Whatever a client sends, it gets an answer in Kubernetes' words, and the server goes on.

Valid requests are changed at random: values of other types, members missing or doubled, paths, queries, headers.
HOLDFAST_MUTATIONS sets how many (10,000 for a thorough run); a failure names its seed.
"""

from __future__ import annotations

import json
import os
import random
from typing import Any

import pytest

from holdfast.api import registry

COUNT = int(os.environ.get("HOLDFAST_MUTATIONS", "1500"))
SEEDS = range(3)

TEMPLATE = {
    "metadata": {"labels": {"app": "web"}},
    "spec": {
        "terminationGracePeriodSeconds": 5,
        "containers": [
            {
                "name": "main",
                "image": "app:1",
                "command": ["sleep", "1"],
                "env": [
                    {"name": "A", "value": "b"},
                    {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                ],
                "ports": [{"name": "http", "containerPort": 80}],
                "resources": {"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": 1}},
                "readinessProbe": {"httpGet": {"path": "/", "port": "http"}, "periodSeconds": 1},
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
            }
        ],
        "volumes": [{"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "c", "configMap": {"name": "m"}}],
        "tolerations": [{"key": "a", "operator": "Exists"}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {"labelSelector": {"matchLabels": {"app": "web"}}, "topologyKey": "kubernetes.io/hostname"}
                ]
            }
        },
    },
}
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
SPECS: dict[str, dict[str, Any]] = {
    "configmaps": {"data": {"a": "b"}, "binaryData": {"c": "AAAA"}},
    "secrets": {"stringData": {"a": "b"}, "type": "Opaque"},
    "pods": {"spec": TEMPLATE["spec"]},
    "services": {"spec": {"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": "http"}], "type": "NodePort"}},
    "statefulsets": {
        "spec": {
            "replicas": 2,
            "serviceName": "web",
            "selector": {"matchLabels": {"app": "web"}},
            "template": TEMPLATE,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": CLAIM}],
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        }
    },
    "deployments": {"spec": {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}},
    "persistentvolumeclaims": {"spec": CLAIM},
    "persistentvolumes": {
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
    },
    "storageclasses": {"provisioner": "x.example/y", "parameters": {"a": "b"}},
    "nodes": {"spec": {"podCIDR": "10.0.0.0/24"}, "status": {"capacity": {"cpu": "2"}}},
    "leases": {"spec": {"holderIdentity": "me", "renewTime": "2026-01-01T00:00:00.000000Z"}},
    "endpointslices": {
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 80}],
    },
    "endpoints": {"subsets": [{"addresses": [{"ip": "10.0.0.1"}], "ports": [{"port": 80}]}]},
    "events": {
        "involvedObject": {"kind": "Pod", "name": "a", "namespace": "ns"},
        "reason": "Tested",
        "message": "hello",
        "type": "Normal",
    },
    "roles": {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]},
    "rolebindings": {
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "User", "name": "u"}],
    },
    "namespaces": {},
    "serviceaccounts": {},
    "controllerrevisions": {"revision": 1, "data": {"a": [1, 2]}},
}
STRANGE: list[Any] = [
    None, True, 0, -1, 1 << 40, 1.5, "", "x" * 300, "a b", "Ä/..", "../../etc", "1Gi", "9e999", "2026-13-45T99:00:00Z",
    [], [None], [[]], {}, {"": ""}, {"a": {"b": {"c": []}}}, "0", "None", "$patch", "\u0000", "\ud83d\ude00",
]  # fmt: skip
PATCH_TYPES = ("application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json")
QUERIES = (
    "dryRun=All", "dryRun=x", "fieldValidation=Strict", "fieldValidation=Ignore", "limit=1", "limit=x", "pretty=1",
    "labelSelector=a%3Db", "labelSelector=%28", "fieldSelector=metadata.name%3Da", "fieldSelector=%3D%3D",
    "resourceVersion=0", "resourceVersion=x", "continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MSwic3RhcnQiOiIvYSJ9",
    "propagationPolicy=Foreground", "gracePeriodSeconds=0", "gracePeriodSeconds=x", "fieldManager=%00", "force=true",
    "timeoutSeconds=1", "%ff=%fe", "includeObject=Object",
)  # fmt: skip
ACCEPTS = (
    "application/json", "application/yaml", "*/*", "text/html", "", "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io", "application/json;q=x, ;;;=,",
)  # fmt: skip


class Mutator:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.resources = [resource for resource in registry.RESOURCES if resource.plural in SPECS]

    def request(self) -> tuple[str, str, bytes, dict[str, str]]:
        choose, chance = self.random.choice, self.random.random
        resource = choose(self.resources)
        name = choose("abc") + choose("0123456789")
        body = {"metadata": {"name": name, "labels": {"a": "b"}, "annotations": {"x": "y"}}, **SPECS[resource.plural]}
        if chance() < 0.1:
            body["metadata"]["finalizers"] = ["x.example/y"]
        method = choose(("POST", "POST", "POST", "PUT", "PATCH", "PATCH", "GET", "DELETE"))
        sub = choose(resource.subresources).name if resource.subresources and chance() < 0.2 else ""
        path = resource.path("ns", "" if method == "POST" and not sub else name, sub)
        headers = {"content-type": "application/json", "accept": choose(ACCEPTS) if chance() < 0.3 else ""}
        content: Any = body
        if method == "PATCH":
            headers["content-type"] = choose(PATCH_TYPES)
            content = self._patch(body, headers["content-type"])
        for _ in range(self.random.randrange(4)):
            content = self._mutated(content)
        encoded = json.dumps(content).encode()
        if chance() < 0.1:
            encoded = self._broken(encoded)
        if chance() < 0.05:
            headers["content-type"] = choose(
                ("application/yaml", "text/plain", "", "application/vnd.kubernetes.protobuf")
            )
        if chance() < 0.05:
            path = self._broken_path(path)
        query = "&".join(choose(QUERIES) for _ in range(self.random.randrange(3))) if chance() < 0.5 else ""
        return method, f"{path}?{query}" if query else path, encoded, {k: v for k, v in headers.items() if v}

    def _patch(self, body: Any, media_type: str) -> Any:
        if media_type != "application/json-patch+json":
            return body
        operation = self.random.choice(("add", "remove", "replace", "test", "move", "copy"))
        path = self.random.choice(
            ("/metadata/labels/a", "/spec", "/spec/replicas", "/data/-", "/status", "", "/metadata")
        )
        return [{"op": operation, "path": path, "from": "/metadata", "value": self.random.choice(STRANGE)}]

    def _mutated(self, node: Any) -> Any:
        """A copy with one place changed."""
        choose, chance = self.random.choice, self.random.random
        if chance() < 0.15 or not node or not isinstance(node, dict | list):
            return choose(STRANGE)
        if isinstance(node, list):
            copy = list(node)
            index = self.random.randrange(len(copy))
            if chance() < 0.2:
                return copy[:index] + copy[index + 1 :]
            if chance() < 0.2:
                return [*copy, copy[index]]
            copy[index] = self._mutated(copy[index])
            return copy
        copied = dict(node)
        key = choose(sorted(copied))
        if chance() < 0.15:
            del copied[key]
        elif chance() < 0.1:
            copied[choose(("extra", "", "$patch", "$setElementOrder/containers", key.upper()))] = choose(STRANGE)
        else:
            copied[key] = self._mutated(copied[key])
        return copied

    def _broken(self, body: bytes) -> bytes:
        at = self.random.randrange(len(body) + 1)
        return self.random.choice((body[:at], body[:at] + b"\xff" + body[at:], body + body, b"", b"k8s\x00\x0a" + body))

    def _broken_path(self, path: str) -> str:
        at = self.random.randrange(len(path))
        return path[:at] + self.random.choice(("/", "%", "%2F", "..", "x", "%00")) + path[at:]


@pytest.mark.parametrize("seed", SEEDS)
async def test_no_mutation_of_a_valid_request_breaks_the_server(web: Any, seed: int, caplog: Any) -> None:
    mutator = Mutator(seed)
    codes: dict[int, int] = {}
    for number in range(COUNT // len(SEEDS)):
        method, target, body, headers = mutator.request()
        answer = await web(method, target, body, headers=headers)
        codes[answer.code] = codes.get(answer.code, 0) + 1
        context = f"seed {seed}, request {number}: {method} {target} {headers} {body[:2000]!r}: {answer.body}"
        assert not [record for record in caplog.records if record.levelname == "ERROR"], context
        assert answer.code < 500 or _is_upstreams(answer.body), context
    _check_the_cache(web.server)
    assert codes[201] >= 20, codes
    assert len([code for code in codes if 400 <= code < 500]) >= 6, codes


def _check_the_cache(server: Any) -> None:
    """What is shared was changed by nobody: every manifest still says what its bytes say, in order of the keys."""
    for cache in server.cache.all():
        assert cache.keys == sorted(cache.objects)
        for stored in cache.objects.values():
            assert json.loads(stored.value) == stored.manifest, stored.key
        assert server.store.range(cache.prefix).revision == server.cache.revision
        assert [entry.value for entry in server.store.range(cache.prefix).entries] == [
            cache.objects[key].value for key in cache.keys
        ]


def _is_upstreams(body: Any) -> bool:
    """Kubernetes itself answers some mistakes with a 500 that has no reason (A65, A129), and the future with a 504."""
    return "InternalError" not in json.dumps(body)
