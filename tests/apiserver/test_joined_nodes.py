"""What the agent of a machine that has joined may do: its own work, and nothing of anybody else's (NodeRestriction)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from holdfast.apiserver.auth.user import User
from holdfast.apiserver.server import ApiServer, Config

ADMIN, NEAR, FAR = "admin-token", "near-token", "far-token"
NODES = ("system:nodes", "system:authenticated")
CONFIG = Config(
    tokens={
        ADMIN: User("admin", ("system:masters",)),
        NEAR: User("system:node:vm", NODES),
        FAR: User("system:node:far", NODES),
    },
    first_machine=("vm",),
)
PODS = "/api/v1/namespaces/default/pods"
CLAIMS = "/api/v1/namespaces/default/persistentvolumeclaims"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
PATCH = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def server(store: Any, world: Any) -> AsyncIterator[ApiServer]:
    server = ApiServer(store, world, CONFIG)
    await server.open()
    yield server
    await server.close()


@pytest.fixture
async def far(web: Any) -> Any:
    """Sends a request as the agent of `far`, of a cluster with that node, another one, and a pod and a volume on each;
    tells the status of the answer."""
    made = await web("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})
    assert made.code == 201
    for name in ("far", "vm"):
        assert (await web("POST", "/api/v1/nodes", {"metadata": {"name": name}})).code == 201
        lease = {"metadata": {"name": name}, "spec": {"holderIdentity": name}}
        assert (await web("POST", LEASES, lease)).code == 201
        spec = {"nodeName": name, "containers": [{"name": "main", "image": "app:1"}]}
        assert (await web("POST", PODS, {"metadata": {"name": f"on-{name}"}, "spec": spec})).code == 201
        assert (await web("POST", "/api/v1/persistentvolumes", volume(f"at-{name}", name))).code == 201
        assert (await web("POST", CLAIMS, claim(f"of-{name}", f"at-{name}"))).code == 201

    async def send(method: str, path: str, body: Any = None, **more: Any) -> int:
        code: int = (await web(method, path, body, token=FAR, **more)).code
        return code

    return send


def volume(name: str, machine: str) -> Any:
    return {
        "metadata": {"name": name, "annotations": {"holdfast.dev/machine": machine}},
        "spec": {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/v"}},
    }


def claim(name: str, volume_name: str) -> Any:
    resources = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources, "volumeName": volume_name}
    return {"metadata": {"name": name}, "spec": spec}


async def change(send: Any, path: str, **members: Any) -> int:
    code: int = await send("PATCH", path, {"metadata": {"labels": {"a": "b"}}, **members}, headers=PATCH)
    return code


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nodes",
        "/api/v1/pods",
        "/api/v1/services",
        "/api/v1/namespaces",
        "/api/v1/persistentvolumeclaims",
        "/apis/discovery.k8s.io/v1/endpointslices",
        "/apis/networking.k8s.io/v1/networkpolicies",
        "/apis/storage.k8s.io/v1/storageclasses",
    ],
)
async def test_it_follows_what_its_pods_services_and_names_are_made_of(far: Any, path: str) -> None:
    assert await far("GET", path) == 200


@pytest.mark.parametrize(
    "path",
    [
        "/apis/apps/v1/statefulsets",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles",
        "/api/v1/events",
        f"{LEASES}/vm",
        f"{PODS}/on-far/log",
        "/api/v1/nodes/far/proxy/pods",
        "/metrics",
    ],
)
async def test_it_reads_nothing_else(far: Any, path: str) -> None:
    assert await far("GET", path) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/nodes/{}",
        "/api/v1/nodes/{}/status",
        f"{LEASES}/{{}}",
        f"{PODS}/on-{{}}/status",
        "/api/v1/persistentvolumes/at-{}",
        f"{CLAIMS}/of-{{}}/status",
    ],
)
async def test_it_changes_what_is_its_own_and_nothing_that_is_anothers(far: Any, path: str) -> None:
    assert await change(far, path.format("far")) == 200
    assert await change(far, path.format("vm")) == 403


async def test_it_does_not_change_what_a_pod_or_a_claim_is(far: Any) -> None:
    assert await change(far, f"{PODS}/on-far") == 403
    assert await change(far, f"{CLAIMS}/of-far") == 403
    assert await change(far, f"{CLAIMS}/none/status") == 403


@pytest.mark.parametrize("path", ["/api/v1/nodes/{}", f"{PODS}/on-{{}}", "/api/v1/persistentvolumes/at-{}"])
async def test_it_deletes_its_own_only(far: Any, path: str) -> None:
    assert await far("DELETE", path.format("vm")) == 403
    assert await far("DELETE", path.format("far")) in (200, 202)
    assert await far("DELETE", path.rpartition("/")[0]) == 403


async def test_it_makes_no_pods_no_roles_and_no_node_but_its_own(far: Any) -> None:
    spec = {"containers": [{"name": "main", "image": "app:1"}]}
    assert await far("POST", PODS, {"metadata": {"name": "x"}, "spec": spec}) == 403
    assert await far("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", {"metadata": {"name": "x"}}) == 403
    assert await far("POST", "/api/v1/nodes", {"metadata": {"name": "third"}}) == 403
    await far("DELETE", "/api/v1/nodes/far")
    assert await far("POST", "/api/v1/nodes", {"metadata": {"name": "far"}}) == 201


async def test_it_makes_volumes_and_events(far: Any) -> None:
    assert await far("POST", "/api/v1/persistentvolumes", volume("new", "far")) == 201
    event = {
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "on-far", "namespace": "default"},
        "reason": "R",
        "message": "m",
        "type": "Normal",
    }
    assert await far("POST", "/api/v1/namespaces/default/events", event) == 201


async def test_a_pod_is_anothers_as_soon_as_it_is_on_another_node(far: Any, web: Any) -> None:
    assert await change(far, f"{PODS}/on-far/status") == 200
    await web("DELETE", f"{PODS}/on-far?gracePeriodSeconds=0")
    spec = {"nodeName": "vm", "containers": [{"name": "main", "image": "app:1"}]}
    assert (await web("POST", PODS, {"metadata": {"name": "on-far"}, "spec": spec})).code == 201
    assert await change(far, f"{PODS}/on-far/status") == 403


async def test_it_impersonates_nobody(far: Any) -> None:
    assert await far("GET", "/api/v1/nodes", headers={"impersonate-user": "admin"}) == 403


async def test_the_first_machines_agents_are_not_held_to_their_pods(far: Any, web: Any) -> None:
    assert (await web("DELETE", f"{PODS}/on-far", token=NEAR)).code == 200
    assert (await web("DELETE", "/api/v1/nodes/vm", token=NEAR)).code == 403


CONTENTS = ("secrets", "configmaps")
TOKENS = "/api/v1/namespaces/default/serviceaccounts/{}/token"
ATTACHMENTS = "/apis/storage.k8s.io/v1/volumeattachments"


def at(plural: str, name: str = "", namespace: str = "default") -> str:
    return f"/api/v1/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


@pytest.fixture
async def with_contents(web: Any, far: Any) -> Any:
    """The same, with a Secret, a ConfigMap and an account for a pod on each node."""
    for name in ("far", "vm"):
        for plural in (*CONTENTS, "serviceaccounts"):
            assert (await web("POST", at(plural), {"metadata": {"name": f"of-{name}"}})).code == 201
        volumes = [
            {"name": "s", "secret": {"secretName": f"of-{name}"}},
            {"name": "c", "configMap": {"name": f"of-{name}"}},
        ]
        containers = [{"name": "main", "image": "app:1"}]
        spec = {"nodeName": name, "containers": containers, "volumes": volumes, "serviceAccountName": f"of-{name}"}
        assert (await web("POST", PODS, {"metadata": {"name": f"with-{name}"}, "spec": spec})).code == 201
    return far


@pytest.mark.parametrize("plural", CONTENTS)
async def test_it_reads_what_its_pods_draw_on_one_by_one_and_nothing_else(with_contents, plural):
    assert await with_contents("GET", at(plural, "of-far")) == 200
    assert await with_contents("GET", at(plural, "of-vm")) == 403
    assert await with_contents("GET", at(plural, "absent")) == 403
    assert await with_contents("GET", at(plural, "of-far", "kube-system")) == 403
    assert await with_contents("GET", at(plural)) == 403
    assert await with_contents("GET", f"{at(plural)}?fieldSelector=metadata.name%3Dof-vm") == 403
    assert await with_contents("GET", f"/api/v1/{plural}?watch=1") == 403
    assert await change(with_contents, at(plural, "of-far")) == 403


async def test_a_name_among_config_maps_opens_no_secret_and_the_other_way_round(with_contents, web):
    containers = [{"name": "main", "image": "app:1", "envFrom": [{"configMapRef": {"name": "of-vm"}}]}]
    spec = {"nodeName": "far", "containers": containers}
    assert (await web("POST", PODS, {"metadata": {"name": "more"}, "spec": spec})).code == 201
    assert await with_contents("GET", at("configmaps", "of-vm")) == 200
    assert await with_contents("GET", at("secrets", "of-vm")) == 403


async def test_it_reads_the_authority_that_its_pods_tokens_come_with(far, web):
    made = await web("POST", at("configmaps"), {"metadata": {"name": "kube-root-ca.crt"}})
    assert made.code == 201
    assert await far("GET", at("configmaps", "kube-root-ca.crt")) == 200


async def test_it_reads_what_a_machine_has_to_know_of_the_cluster(far, web):
    for name in ("holdfast-config", "other"):
        assert (await web("POST", at("configmaps", "", "kube-system"), {"metadata": {"name": name}})).code == 201
    assert await far("GET", at("configmaps", "holdfast-config", "kube-system")) == 200
    assert await far("GET", at("configmaps", "other", "kube-system")) == 403
    assert await far("GET", at("configmaps", "holdfast-config")) == 403


async def test_it_reads_attachments_to_its_node_one_by_one_and_no_others(far, web):
    for name in ("far", "vm"):
        spec = {"attacher": "ebs.csi.aws.com", "nodeName": name, "source": {"persistentVolumeName": f"at-{name}"}}
        assert (await web("POST", ATTACHMENTS, {"metadata": {"name": f"a-{name}"}, "spec": spec})).code == 201
    assert await far("GET", f"{ATTACHMENTS}/a-far") == 200
    assert await far("GET", f"{ATTACHMENTS}/a-vm") == 403
    assert await far("GET", f"{ATTACHMENTS}/absent") == 404, "its name says whose it would be"
    assert await far("GET", ATTACHMENTS) == 403


async def test_it_has_tokens_of_accounts_of_its_pods_and_no_others(with_contents, web):
    uid = (await web("GET", f"{PODS}/with-far"))["metadata"]["uid"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "with-far", "uid": uid}
    request = {"spec": {"audiences": [], "expirationSeconds": 3600, "boundObjectRef": bound}}
    assert await with_contents("POST", TOKENS.format("of-far"), request) == 201
    assert await with_contents("POST", TOKENS.format("of-vm"), request) == 403


@pytest.mark.parametrize("plural", CONTENTS)
async def test_what_it_may_read_ends_with_its_pod(with_contents, web, plural):
    assert await with_contents("GET", at(plural, "of-far")) == 200
    assert (await web("DELETE", f"{PODS}/with-far?gracePeriodSeconds=0")).code == 200
    assert await with_contents("GET", at(plural, "of-far")) == 403


async def test_a_pod_that_is_bound_later_brings_its_contents(with_contents, web):
    drawn = [{"secretRef": {"name": "of-vm"}}, {"configMapRef": {"name": "of-vm"}}]
    containers = [{"name": "main", "image": "app:1", "envFrom": drawn}]
    assert (await web("POST", PODS, {"metadata": {"name": "late"}, "spec": {"containers": containers}})).code == 201
    assert [await with_contents("GET", at(plural, "of-vm")) for plural in CONTENTS] == [403, 403]
    binding = {"metadata": {"name": "late"}, "target": {"kind": "Node", "name": "far"}}
    assert (await web("POST", f"{PODS}/late/binding", binding)).code == 201
    assert [await with_contents("GET", at(plural, "of-vm")) for plural in CONTENTS] == [200, 200]
