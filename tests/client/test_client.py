"""What every implementation of Client promises, in the server's process and over HTTP."""

import asyncio
from contextlib import aclosing

import pytest

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.node import NODES
from holdfast.api.errors import AlreadyExists, BadRequest, Conflict, Expired, Invalid, NotFound
from holdfast.client import PatchType, Unreachable
from holdfast.client.kubeconfig import Connection
from holdfast.client.remote import RemoteClient, error_of


def config_map(name, data=None, **metadata):
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "default", **metadata},
        "data": data or {},
    }


async def test_what_is_created_is_got_with_kind_and_version(client):
    made = await client.create(CONFIG_MAPS, config_map("a", {"x": "1"}))
    got = await client.get(CONFIG_MAPS, "a", "default")
    assert got == made
    assert (got["kind"], got["apiVersion"], got["data"]) == ("ConfigMap", "v1", {"x": "1"})
    assert got["metadata"]["uid"]
    assert got["metadata"]["resourceVersion"]


async def test_a_manifest_handed_in_is_neither_kept_nor_changed(client):
    manifest = config_map("a", {"x": "1"})
    await client.create(CONFIG_MAPS, manifest)
    assert manifest == config_map("a", {"x": "1"})
    manifest["data"]["x"] = "2"
    assert (await client.get(CONFIG_MAPS, "a", "default"))["data"] == {"x": "1"}


async def test_the_namespace_may_come_as_argument(client):
    manifest = {"metadata": {"name": "a"}, "data": {}}
    made = await client.create(CONFIG_MAPS, manifest, "default")
    assert made["metadata"]["namespace"] == "default"


async def test_cluster_wide_objects_have_no_namespace(client):
    await client.create(NODES, {"metadata": {"name": "n1"}})
    assert (await client.get(NODES, "n1"))["metadata"]["name"] == "n1"


async def test_refusals_are_named_for_their_reason(client):
    await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(AlreadyExists) as exists:
        await client.create(CONFIG_MAPS, config_map("a"))
    assert str(exists.value) == 'configmaps "a" already exists'
    assert (exists.value.name, exists.value.kind) == ("a", "configmaps")
    with pytest.raises(NotFound, match='configmaps "b" not found'):
        await client.get(CONFIG_MAPS, "b", "default")
    with pytest.raises(Invalid) as invalid:
        await client.create(CONFIG_MAPS, config_map("-"))
    assert [cause.field for cause in invalid.value.causes] == ["metadata.name"]
    with pytest.raises(BadRequest):
        await client.list(CONFIG_MAPS, "default", field_selector="nonsense=1")


async def test_an_update_is_conditional_on_the_resource_version_it_carries(client):
    made = await client.create(CONFIG_MAPS, config_map("a"))
    updated = await client.update(CONFIG_MAPS, {**made, "data": {"x": "2"}})
    assert updated["data"] == {"x": "2"}
    with pytest.raises(Conflict):
        await client.update(CONFIG_MAPS, {**made, "data": {"x": "3"}})


async def test_patches_of_each_kind(client):
    await client.create(CONFIG_MAPS, config_map("a", {"x": "1"}))
    await client.patch(CONFIG_MAPS, "a", {"data": {"y": "2"}}, "default")
    await client.patch(
        CONFIG_MAPS, "a", [{"op": "add", "path": "/data/z", "value": "3"}], "default", type=PatchType.JSON
    )
    reference = {"apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u"}
    patch = {"metadata": {"ownerReferences": [reference]}}
    patched = await client.patch(CONFIG_MAPS, "a", patch, "default", type=PatchType.STRATEGIC)
    assert patched["data"] == {"x": "1", "y": "2", "z": "3"}
    assert patched["metadata"]["ownerReferences"] == [reference]
    removal = {"metadata": {"ownerReferences": [{"$patch": "delete", "uid": "u"}]}}
    patched = await client.patch(CONFIG_MAPS, "a", removal, "default", type=PatchType.STRATEGIC)
    assert not patched["metadata"].get("ownerReferences")


async def test_status_is_written_through_its_subresource(client):
    spec = {
        "selector": {"matchLabels": {"app": "web"}},
        "serviceName": "web",
        "template": {
            "metadata": {"labels": {"app": "web"}},
            "spec": {"containers": [{"name": "c", "image": "app:1"}]},
        },
    }
    made = await client.create(STATEFUL_SETS, {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})
    status = {"replicas": 1, "availableReplicas": 0}
    written = await client.update(STATEFUL_SETS, {**made, "status": status}, subresource="status")
    assert written["status"] == status
    assert written["metadata"]["generation"] == 1


async def test_a_list_has_what_matches_and_a_revision_to_watch_from(client):
    for name in "abc":
        await client.create(CONFIG_MAPS, config_map(name, labels={"is": name}))
    found = await client.list(CONFIG_MAPS, "default", label_selector="is in (a,c)")
    assert [(one["metadata"]["name"], one["kind"], one["apiVersion"]) for one in found.items] == [
        ("a", "ConfigMap", "v1"),
        ("c", "ConfigMap", "v1"),
    ]
    assert int(found.resource_version) >= int(found.items[-1]["metadata"]["resourceVersion"])
    found = await client.list(CONFIG_MAPS, field_selector="metadata.name=b")
    assert [one["metadata"]["name"] for one in found.items] == ["b"]


async def test_lists_come_in_pages_if_asked(client):
    for name in "abc":
        await client.create(CONFIG_MAPS, config_map(name))
    first = await client.list(CONFIG_MAPS, "default", limit=2)
    rest = await client.list(CONFIG_MAPS, "default", limit=2, continue_token=first.continue_token)
    assert [one["metadata"]["name"] for one in (*first.items, *rest.items)] == ["a", "b", "c"]
    assert (bool(first.continue_token), rest.continue_token) == (True, "")


async def test_deletion_is_of_exactly_the_object_meant(client):
    made = await client.create(CONFIG_MAPS, config_map("a"))
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, "a", "default", uid="another")
    with pytest.raises(Conflict):
        await client.delete(CONFIG_MAPS, "a", "default", resource_version="1")
    await client.delete(CONFIG_MAPS, "a", "default", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAPS, "a", "default")
    with pytest.raises(NotFound):
        await client.delete(CONFIG_MAPS, "a", "default")


async def test_a_watch_tells_each_change_once_and_in_order(client):
    await client.create(CONFIG_MAPS, config_map("before"))
    start = (await client.list(CONFIG_MAPS)).resource_version
    async with aclosing(client.watch(CONFIG_MAPS, "default", resource_version=start)) as events:
        made = await client.create(CONFIG_MAPS, config_map("a"))
        await client.update(CONFIG_MAPS, {**made, "data": {"x": "é\n"}})
        await client.delete(CONFIG_MAPS, "a", "default")
        seen = []
        while len(seen) < 3:
            event = await asyncio.wait_for(anext(events), 5)
            if event.type != "BOOKMARK":
                seen.append(event)
    assert [event.type for event in seen] == ["ADDED", "MODIFIED", "DELETED"]
    assert seen[0].object == made
    assert [event.object["data"] for event in seen[1:]] == [{"x": "é\n"}] * 2
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in seen]
    assert versions == sorted(set(versions))
    assert all(event.object["kind"] == "ConfigMap" for event in seen)


async def test_a_watch_with_a_selector_sees_objects_come_and_go(client):
    start = (await client.list(CONFIG_MAPS)).resource_version
    watch = client.watch(CONFIG_MAPS, "default", resource_version=start, label_selector="on=yes")
    async with aclosing(watch) as events:
        await client.create(CONFIG_MAPS, config_map("a"))
        await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"on": "yes"}}}, "default")
        await client.patch(CONFIG_MAPS, "a", {"metadata": {"labels": None}}, "default")
        types = [(await asyncio.wait_for(anext(events), 5)).type for _ in range(2)]
    assert types == ["ADDED", "DELETED"]


async def test_a_watch_from_a_revision_that_is_gone_is_expired(client, server):
    for number in range(5):
        await client.create(CONFIG_MAPS, config_map(f"m{number}"))
    objects = server.cache.of(CONFIG_MAPS)
    objects.history.clear()
    objects.oldest = server.store.revision
    with pytest.raises(Expired):
        async with aclosing(client.watch(CONFIG_MAPS, resource_version="1")) as events:
            await asyncio.wait_for(anext(events), 5)


async def test_big_objects_survive_the_way(client):
    text = "x" * 500_000
    await client.create(CONFIG_MAPS, config_map("big", {"x": text}))
    start = (await client.list(CONFIG_MAPS)).resource_version
    async with aclosing(client.watch(CONFIG_MAPS, resource_version=start)) as events:
        await client.patch(CONFIG_MAPS, "big", {"data": {"y": "1"}}, "default")
        event = await asyncio.wait_for(anext(events), 5)
    assert event.object["data"]["x"] == text


async def test_a_server_that_is_not_there_is_unreachable(remote):
    nobody = RemoteClient(Connection("http://127.0.0.1:1"))
    for call in (
        nobody.get(CONFIG_MAPS, "a", "default"),
        nobody.list(CONFIG_MAPS),
        nobody.create(CONFIG_MAPS, config_map("a")),
        anext(nobody.watch(CONFIG_MAPS)),
    ):
        with pytest.raises(Unreachable):
            await call
    await nobody.close()


async def test_a_watch_that_loses_its_server_is_unreachable(remote, server):
    start = (await remote.list(CONFIG_MAPS)).resource_version
    events = remote.watch(CONFIG_MAPS, resource_version=start)
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0.05)
    await remote.close()
    with pytest.raises(Unreachable):
        await asyncio.wait_for(waiting, 60)


async def test_a_wrong_token_is_unauthorized(remote, server):
    from holdfast.api.errors import Unauthorized
    from holdfast.wire.http import serve

    http = await serve(server.handler)
    stranger = RemoteClient(Connection(f"http://127.0.0.1:{http.port}", token="wrong"))
    with pytest.raises(Unauthorized):
        await stranger.list(CONFIG_MAPS)
    await stranger.close()
    await http.close()


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (409, b'{"kind":"Status","reason":"Conflict","message":"m","code":409}', Conflict),
        (409, b'{"kind":"Status","reason":"AlreadyExists","message":"m","code":409}', AlreadyExists),
        (409, b'{"kind":"Status","reason":"Unheard","message":"m","code":409}', Conflict),
        (404, b"m", NotFound),
        (410, b"", Expired),
        (422, b'{"kind":"Pod"}', Invalid),
    ],
)
def test_an_answer_becomes_the_refusal_it_stands_for(code, body, kind):
    assert type(error_of(code, body)) is kind
