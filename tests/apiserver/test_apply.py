"""Server-side apply and managed fields as clients see them (A133-A150)."""

from __future__ import annotations

import asyncio
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.pod import PODS as PODS_RESOURCE
from holdfast.client import PatchType
from holdfast.wire.http import serve
from holdfast.wire.messages import Request

MAPS = "/api/v1/namespaces/ns/configmaps"
PODS = "/api/v1/namespaces/ns/pods"
SETS = "/apis/apps/v1/namespaces/ns/statefulsets"
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def config_map(name: str = "a", data: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}}
    return {**config, "data": data} if data is not None else config


def owners(manifest: Any) -> dict[tuple[str, ...], Any]:
    """FieldsV1 by manager, operation, and subresource if there is one."""
    entries = manifest["metadata"].get("managedFields", [])
    return {
        (one["manager"], one["operation"], *([one["subresource"]] if "subresource" in one else [])): one["fieldsV1"]
        for one in entries
    }


async def apply(web: Any, config: Any, query: str = "fieldManager=one", path: str = "", **options: Any) -> Any:
    return await web("PATCH", f"{path or f'{MAPS}/a'}?{query}", config, headers=APPLY, **options)


async def test_an_apply_creates_and_then_changes(web: Any) -> None:
    """A133."""
    assert (await apply(web, config_map(data={"a": "1"}))).code == 201
    answer = await apply(web, config_map(data={"a": "2"}))
    assert (answer.code, answer["data"]) == (200, {"a": "2"})
    assert owners(answer) == {("one", "Apply"): {"f:data": {"f:a": {}}}}


async def test_applying_the_same_again_changes_nothing(web: Any, clock: Any) -> None:
    """A2, A150."""
    config = config_map(data={"a": "1"}, labels={"x": "y"})
    first = await apply(web, config)
    watch = await web.watch(f"{MAPS}?watch=1&resourceVersion={first['metadata']['resourceVersion']}")
    clock.advance(5)
    assert (await apply(web, config)).body == first.body
    assert not watch.content


async def test_the_default_of_a_pod_belongs_to_nobody_that_applied_it(web: Any) -> None:
    """A137, A139."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    made = await apply(web, pod, path=f"{PODS}/p")
    assert made["spec"]["restartPolicy"] == "Always"
    item = {".": {}, "f:image": {}, "f:name": {}}
    assert owners(made) == {("one", "Apply"): {"f:spec": {"f:containers": {'k:{"name":"c"}': item}}}}


async def test_to_create_by_applying_needs_the_permission_to_create(web: Any, jane_token: str) -> None:
    """A133."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]}]
    role = "/apis/rbac.authorization.k8s.io/v1/namespaces/ns"
    await web("POST", f"{role}/roles", {"metadata": {"name": "r"}, "rules": rules})
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"}
    subjects = [{"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"}]
    await web("POST", f"{role}/rolebindings", {"metadata": {"name": "b"}, "roleRef": reference, "subjects": subjects})
    refused = await apply(web, config_map(), token=jane_token)
    assert (refused.code, refused["message"]) == (
        403,
        'configmaps "a" is forbidden: User "jane" cannot create resource "configmaps" in API group "" '
        'in the namespace "ns"',
    )
    await apply(web, config_map())
    assert (await apply(web, config_map(data={"a": "1"}), token=jane_token)).code == 200


async def test_preconditions_of_an_apply_are_in_its_metadata(web: Any) -> None:
    """A133."""
    none = await apply(web, config_map(uid="gone"))
    assert (none.code, none["message"]) == (
        409,
        'Operation cannot be fulfilled on configmaps "a": uid mismatch: the provided object specified uid gone, '
        "and no existing object was found",
    )
    made = await apply(web, config_map(data={"a": "1"}))
    assert (await apply(web, config_map(data={"a": "2"}, resourceVersion="1"))).code == 409
    version = made["metadata"]["resourceVersion"]
    assert (await apply(web, config_map(data={"a": "2"}, resourceVersion=version))).code == 200
    assert (await apply(web, config_map(data={"a": "3"}, uid="other"))).code == 409


async def test_a_dry_run_of_an_apply_shows_ownership_and_stores_nothing(web: Any) -> None:
    before = await apply(web, config_map(data={"a": "1"}))
    tried = await apply(web, config_map(data={"a": "2"}), "fieldManager=two&force=true&dryRun=All")
    assert owners(tried) == {("two", "Apply"): {"f:data": {"f:a": {}}}}
    assert (await web("GET", f"{MAPS}/a")).body == before.body


async def test_a_writer_that_names_no_manager_is_its_user_agent(web: Any) -> None:
    """A72, A143."""
    agent = {"user-agent": "Kubernetes-client/1.0 (linux)"}
    made = await web("POST", MAPS, config_map(data={"a": "1"}), headers=agent)
    assert owners(made) == {("Kubernetes-client", "Update"): {"f:data": {".": {}, "f:a": {}}}}


async def test_a_part_of_this_process_writes_under_its_own_name(server: Any) -> None:
    """A143."""
    client = server.client("some-controller")
    made = await client.create(CONFIG_MAPS, config_map(data={"a": "1"}, namespace="ns"))
    assert set(owners(made)) == {("some-controller", "Update")}
    applied = await client.patch(CONFIG_MAPS, "b", config_map("b"), "ns", type=PatchType.APPLY)
    assert applied["metadata"]["name"] == "b"


async def test_a_put_that_leaves_managed_fields_out_or_makes_nonsense_of_them_keeps_them(web: Any) -> None:
    """A149."""
    before = owners(await apply(web, config_map(data={"a": "1"})))
    for metadata in ({}, {"managedFields": [{"manager": "x", "operation": "Bad", "fieldsType": "FieldsV1"}]}):
        body = config_map(data={"a": "1"}, labels={"n": str(len(metadata))}, **metadata)
        put = await web("PUT", f"{MAPS}/a?fieldManager=putter", body)
        assert owners(put) == {
            **before,
            ("putter", "Update"): {"f:metadata": {"f:labels": {".": {}, "f:n": {}}}},
        }


async def test_after_a_reset_nothing_is_tracked_until_the_next_apply(web: Any) -> None:
    """A144."""
    await apply(web, config_map(data={"a": "1"}))
    reset = await web("PATCH", f"{MAPS}/a", {"metadata": {"managedFields": [{}]}}, headers=MERGE)
    assert "managedFields" not in reset["metadata"]
    patched = await web("PATCH", f"{MAPS}/a", {"data": {"b": "2"}}, headers=MERGE)
    assert "managedFields" not in patched["metadata"]
    again = await apply(web, config_map(data={"c": "3"}))
    assert owners(again) == {
        ("one", "Apply"): {"f:data": {"f:c": {}}},
        ("before-first-apply", "Update"): {"f:data": {".": {}, "f:a": {}, "f:b": {}}},
    }


async def test_what_kubectl_applied_by_itself_it_may_take_over(web: Any) -> None:
    """A145."""
    text = '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"1"}}'
    data = {"a": "1", "b": "2"}
    await web("POST", f"{MAPS}?fieldManager=client-side", config_map(data=data, annotations={LAST_APPLIED: text}))
    conflict = await apply(web, config_map(data={"a": "x", "b": "x"}), "fieldManager=kubectl")
    assert conflict["message"] == 'Apply failed with 1 conflict: conflict with "client-side" using v1: .data.b'
    assert (await apply(web, config_map(data={"a": "x"}), "fieldManager=other")).code == 409
    taken = await apply(web, config_map(data={"a": "x"}), "fieldManager=kubectl")
    assert taken["data"] == {"a": "x", "b": "2"}
    assert '"data":{"a":"x"}' in taken["metadata"]["annotations"][LAST_APPLIED]


async def test_status_and_scale_are_owned_apart(web: Any) -> None:
    """A148."""
    spec = {
        "replicas": 3,
        "serviceName": "w",
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    }
    config = {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web"}, "spec": spec}
    await apply(web, config, path=f"{SETS}/web")
    await web("PATCH", f"{SETS}/web/scale?fieldManager=sc", {"spec": {"replicas": 1}}, headers=MERGE)
    scaled = await web("GET", f"{SETS}/web")
    assert owners(scaled)["sc", "Update", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert "f:replicas" not in owners(scaled)["one", "Apply"]["f:spec"]
    conflict = await apply(web, config, path=f"{SETS}/web")
    assert conflict["message"] == (
        'Apply failed with 1 conflict: conflict with "sc" with subresource "scale" using apps/v1: .spec.replicas'
    )
    status = {**config, "status": {"replicas": 2}, "spec": {**spec, "replicas": 9}}
    applied = await apply(web, status, "fieldManager=st", path=f"{SETS}/web/status")
    assert (applied["spec"]["replicas"], applied["status"]["replicas"]) == (1, 2)
    assert owners(applied)["st", "Apply", "status"] == {"f:status": {"f:replicas": {}}}
    scale = {"apiVersion": "autoscaling/v1", "kind": "Scale", "metadata": {"name": "web"}, "spec": {"replicas": 4}}
    answer = await apply(web, scale, "fieldManager=hpa&force=true", path=f"{SETS}/web/scale")
    assert (answer["kind"], answer["spec"]) == ("Scale", {"replicas": 4})
    parent = await web("GET", f"{SETS}/web")
    assert owners(parent)["hpa", "Apply", "scale"] == {"f:spec": {"f:replicas": {}}}
    assert ("sc", "Update", "scale") not in owners(parent)


async def test_what_an_apply_makes_must_be_valid(web: Any) -> None:
    """A142."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    answer = await apply(web, pod, path=f"{PODS}/p")
    assert (answer.code, answer["reason"]) == (422, "Invalid")
    assert (await web("GET", f"{PODS}/p")).code == 404


async def test_binding_and_deleting_are_nobodys_fields(web: Any, server: Any) -> None:
    pod = {"metadata": {"name": "a", "finalizers": ["x.y/z"]}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    made = owners(await web("POST", f"{PODS}?fieldManager=m", pod))
    await web("POST", f"{PODS}/a/binding", {"metadata": {"name": "a"}, "target": {"kind": "Node", "name": "n"}})
    await web("DELETE", f"{PODS}/a")
    assert owners(await server.client("x").get(PODS_RESOURCE, "a", "ns")) == made


async def test_managed_fields_that_a_client_read_and_wrote_back_stay(web: Any) -> None:
    """A145: what was read may be put back, changed by the rules."""
    await apply(web, config_map(data={"a": "1"}))
    read = await web("GET", f"{MAPS}/a")
    put = await web("PUT", f"{MAPS}/a?fieldManager=p", {**read.body, "data": {"a": "1", "b": "2"}})
    assert owners(put) == {("one", "Apply"): {"f:data": {"f:a": {}}}, ("p", "Update"): {"f:data": {"f:b": {}}}}


async def test_an_apply_in_yaml_says_what_it_has_twice(web: Any) -> None:
    text = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v, k: w}\n"
    answer = await apply(web, text)
    assert (answer.code, answer["data"]) == (201, {"k": "w"})
    assert answer.headers["Warning"] == ['299 - "line 4: key \\"k\\" already set in map"']
    strict = await apply(web, text, "fieldManager=one&fieldValidation=Strict")
    assert (strict.code, strict["message"]) == (
        400,
        "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n"
        '  line 4: key "k" already set in map',
    )


@pytest.mark.parametrize(
    "body", [b"[]", b"5", b"", b"{", b"\x00", b"{}", b'{"metadata":5}', b'{"apiVersion":1,"kind":[]}']
)
async def test_anything_at_all_is_refused_politely(web: Any, body: bytes) -> None:
    assert (await apply(web, body)).code == 400


@pytest.mark.kubectl
@pytest.mark.skipif(not shutil.which("kubectl"), reason="there is no kubectl on the PATH")
async def test_kubectl_applies_meets_conflicts_and_forces(server: Any, admin_token: str, tmp_path: Path) -> None:
    """A133, A140, A141."""

    def as_admin(request: Request) -> Any:
        request.headers["authorization"] = f"Bearer {admin_token}"
        return server.handler(request)

    serving = await serve(as_admin, too_large=server.too_large, failed=server.failed)

    async def run(*arguments: str, data: str) -> str:
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a, namespace: ns}}\ndata: {{a: '{data}'}}\n"
        process = await asyncio.create_subprocess_exec(
            "kubectl",
            *("--server", f"http://127.0.0.1:{serving.port}", "apply", "--server-side", "-f", "-", *arguments),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"HOME": str(tmp_path), "PATH": os.environ["PATH"]},
        )
        output, _ = await asyncio.wait_for(process.communicate(text.encode()), 30)
        return output.decode()

    try:
        assert await run(data="1") == "configmap/a serverside-applied\n"
        refused = await run("--field-manager=two", data="2")
        assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in refused
        assert "--force-conflicts" in refused
        assert await run("--field-manager=two", "--force-conflicts", data="2") == "configmap/a serverside-applied\n"
    finally:
        await serving.close()


@pytest.mark.parametrize("depth", [90, 500, 3000])
async def test_deep_documents_break_nothing(web: Any, depth: int) -> None:
    data = b'{"a":' * depth + b"{}" + b"}" * depth
    text = b'{"apiVersion":"apps/v1","kind":"ControllerRevision","metadata":{"name":"r"},"revision":1,"data":%s}' % data
    path = "/apis/apps/v1/namespaces/ns/controllerrevisions"
    assert (await apply(web, text, path=f"{path}/r")).code == (201 if depth < 100 else 500 if depth < 900 else 400)
    posted = await web("POST", path, text.replace(b'"name":"r"', b'"name":"p"'))
    assert posted.code == (201 if depth < 900 else 400)
