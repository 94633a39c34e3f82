import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.errors import ApiError, BadRequest
from holdfast.api.resource import Resource
from holdfast.apiserver.patch.strategic import Unappliable, strategic_merge

DEPLOYMENTS = Resource(group="apps", version="v1", kind="Deployment", plural="deployments")
SERVICES = Resource(group="", version="v1", kind="Service", plural="services")
NODES = Resource(group="", version="v1", kind="Node", plural="nodes")


def start() -> dict:
    """The object that A321-A330 begin with."""
    c1 = {
        "name": "c1",
        "image": "i1",
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "args": ["p", "q"],
    }
    return {
        "metadata": {"name": "d", "labels": {"x": "y"}, "finalizers": ["a.b/1", "a.b/2"]},
        "spec": {
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%"}},
            "template": {
                "spec": {
                    "containers": [c1, {"name": "c2", "image": "i2"}, {"name": "c3", "image": "i3"}],
                    "volumes": [{"name": "v1", "emptyDir": {}}, {"name": "v2", "configMap": {"name": "z"}}],
                    "nodeSelector": {"x": "1", "y": "2"},
                }
            },
        },
    }


def merged(patch: dict, original: dict | None = None) -> dict:
    original = original or start()
    before, patch_before = json.dumps(original), json.dumps(patch)
    result = strategic_merge(original, patch, DEPLOYMENTS)
    assert (json.dumps(original), json.dumps(patch)) == (before, patch_before), "inputs must not change"
    return result


def pod(patch: dict) -> dict:
    return merged({"spec": {"template": {"spec": patch}}})["spec"]["template"]["spec"]


def names(items: list[dict]) -> list[str]:
    return [item["name"] for item in items]


def named(*container_names: str) -> list[dict]:
    return [{"name": name} for name in container_names]


def test_new_items_come_first_a321() -> None:
    assert names(pod({"containers": [{"name": "c4"}]})["containers"]) == ["c4", "c1", "c2", "c3"]


def test_items_of_the_patch_keep_their_order_a322() -> None:
    containers = pod({"containers": [{"name": "c3", "image": "n3"}, {"name": "c1", "image": "n1"}]})["containers"]
    assert names(containers) == ["c2", "c3", "c1"]
    assert [item["image"] for item in containers] == ["i2", "n3", "n1"]


def test_set_element_order_orders_a323() -> None:
    patch = {"$setElementOrder/containers": named("c3", "c4", "c1"), "containers": [{"name": "c4"}]}
    assert names(pod(patch)["containers"]) == ["c2", "c3", "c4", "c1"]


def test_items_are_deleted_and_lists_inside_merged_a324() -> None:
    patch = {
        "containers": [
            {"name": "c2", "$patch": "delete"},
            {"name": "c1", "env": [{"name": "A", "$patch": "delete"}, {"name": "C", "value": "3"}], "args": ["z"]},
        ]
    }
    c1, c3 = pod(patch)["containers"]
    assert c1["env"] == [{"name": "C", "value": "3"}, {"name": "B", "value": "2"}]
    assert (c1["args"], c1["image"], c3["name"]) == (["z"], "i1", "c3")


def test_a_list_is_replaced_a325() -> None:
    assert pod({"containers": [{"$patch": "replace"}, {"name": "only"}]})["containers"] == [{"name": "only"}]


def test_retain_keys_drops_what_is_not_listed_a326() -> None:
    volume = {"name": "v1", "hostPath": {"path": "/x"}}
    retained = pod({"volumes": [{**volume, "$retainKeys": ["name", "hostPath"]}]})["volumes"]
    assert {item["name"]: item for item in retained}["v1"] == volume
    without = pod({"volumes": [volume]})["volumes"]
    assert {item["name"]: item for item in without}["v1"] == {**volume, "emptyDir": {}}


def test_maps_are_replaced_or_lose_keys_a327() -> None:
    assert pod({"nodeSelector": {"$patch": "replace", "z": "3"}})["nodeSelector"] == {"z": "3"}
    assert pod({"nodeSelector": {"x": None, "z": "3"}})["nodeSelector"] == {"y": "2", "z": "3"}
    assert pod({"nodeSelector": {"$patch": "delete"}})["nodeSelector"] == {}


def test_lists_of_scalars_are_united_a328() -> None:
    deleted = merged({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a.b/1"], "finalizers": ["a.b/3"]}})
    assert deleted["metadata"]["finalizers"] == ["a.b/3", "a.b/2"]
    order = {"$setElementOrder/finalizers": ["a.b/3", "a.b/2"], "finalizers": ["a.b/3"]}
    assert merged({"metadata": order})["metadata"]["finalizers"] == ["a.b/3", "a.b/1", "a.b/2"]


def test_retain_keys_of_the_strategy_a329() -> None:
    strategy = merged({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})["spec"]["strategy"]
    assert strategy == {"type": "Recreate"}


def test_the_order_must_name_what_the_patch_has_a330() -> None:
    with pytest.raises(Unappliable) as raised:
        pod({"$setElementOrder/containers": named("c1"), "containers": [{"name": "c9"}]})
    assert raised.value.message == (
        "The order in patch list:\n[map[name:c9]]\n doesn't match $setElementOrder list:\n[map[name:c1]]\n"
    )
    assert "containers" not in pod({"containers": None})


@pytest.mark.parametrize(
    ("patch", "error", "message"),
    [
        (
            {"spec": {"template": {"spec": {"containers": [{"image": "x:1"}]}}}},
            Unappliable,
            "map: map[image:x:1] does not contain declared merge key: name",
        ),
        (
            {"metadata": {"labels": {"$patch": "explode"}}},
            Unappliable,
            "unknown patch type: explode in map: map[$patch:explode]",
        ),
        (
            {"spec": {"strategy": {"$retainKeys": ["type"], "rollingUpdate": {}}}},
            BadRequest,
            "invalid patch format of retainKeys",
        ),
        ({"spec": {"strategy": {"$retainKeys": "type"}}}, BadRequest, "invalid patch format of retainKeys"),
        (
            {"metadata": {"$deleteFromPrimitiveList/finalizers": "a.b/1"}},
            BadRequest,
            "invalid patch format of primitive list",
        ),
        (
            {"metadata": {"$setElementOrder/finalizers": {}}},
            Unappliable,
            "expected a []interface {}, but received a map[string]interface {}",
        ),
        (
            {"spec": {"template": {"spec": {"containers": ["c1"]}}}},
            Unappliable,
            "list element types are not identical",
        ),
    ],
)
def test_contradictions_are_refused_a129_a130(patch: dict, error: type[ApiError], message: str) -> None:
    with pytest.raises(error) as raised:
        merged(patch)
    assert raised.value.message.startswith(message)
    if error is Unappliable:
        assert raised.value.status()["code"] == 500
        assert "reason" not in raised.value.status()


def test_single_merge_keys_even_where_server_side_apply_has_two_a128() -> None:
    service = {"spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 80}]}}
    ports = strategic_merge(service, {"spec": {"ports": [{"port": 80, "name": "web"}]}}, SERVICES)["spec"]["ports"]
    assert ports == [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}, {"port": 80, "name": "web"}]
    ports = strategic_merge(service, {"spec": {"ports": [{"port": 53, "name": "dns"}]}}, SERVICES)["spec"]["ports"]
    assert {"port": 53, "protocol": "UDP", "name": "dns"} in ports
    node = strategic_merge({"spec": {"podCIDRs": ["a"]}}, {"spec": {"podCIDRs": ["b", "a"]}}, NODES)
    assert sorted(node["spec"]["podCIDRs"]) == ["a", "b"]


def test_lists_without_a_strategy_are_replaced_a128() -> None:
    original = {"spec": {"template": {"spec": {"tolerations": [{"key": "a"}]}}}}
    patch = {"spec": {"template": {"spec": {"tolerations": [{"key": "b"}]}}}}
    assert merged(patch, original) == patch


def test_the_patch_wins_where_types_differ_a128() -> None:
    assert merged({"spec": {"strategy": "x"}})["spec"]["strategy"] == "x"
    assert merged({"spec": {"template": []}})["spec"]["template"] == []


def test_directives_and_nulls_never_end_up_in_the_object_a296() -> None:
    patch = {
        "spec": {
            "new": {"$retainKeys": ["a"], "a": {"$patch": "replace", "b": None, "c": 1}},
            "template": {
                "spec": {
                    "$setElementOrder/initContainers": named("i"),
                    "initContainers": [
                        {"name": "i", "$setElementOrder/env": [], "env": [{"$patch": "delete", "name": "x"}]}
                    ],
                }
            },
        }
    }
    result = merged(patch)
    assert result["spec"]["new"] == {"a": {"c": 1}}
    assert result["spec"]["template"]["spec"]["initContainers"] == [{"name": "i", "env": []}]


def test_what_is_not_touched_is_shared() -> None:
    original = start()
    assert merged({"metadata": {"labels": {"a": "b"}}}, original)["spec"] is original["spec"]


_CONTAINER_NAMES = st.lists(st.sampled_from("abcdef"), unique=True, max_size=6)


@given(_CONTAINER_NAMES, _CONTAINER_NAMES)
def test_merged_lists_hold_each_item_once_in_both_orders_a131(live: list[str], patch: list[str]) -> None:
    original = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": "old"} for name in live]}}}}
    change = {"spec": {"template": {"spec": {"containers": [{"name": name, "image": "new"} for name in patch]}}}}
    containers = merged(change, original)["spec"]["template"]["spec"]["containers"]
    assert sorted(names(containers)) == sorted({*live, *patch})
    assert [item["name"] for item in containers if item["image"] == "new"] == patch
    assert [item["name"] for item in containers if item["image"] == "old"] == [
        name for name in live if name not in patch
    ]


@given(_CONTAINER_NAMES, _CONTAINER_NAMES)
def test_what_kubectl_apply_sends_gives_the_wanted_list_a132(live: list[str], wanted: list[str]) -> None:
    """Items that went are deleted, new ones are in the patch, and the order names them all."""
    original = {"spec": {"template": {"spec": {"containers": named(*live)}}}}
    changes = [{"name": name} for name in wanted if name not in live]
    changes += [{"name": name, "$patch": "delete"} for name in live if name not in wanted]
    patch = {"$setElementOrder/containers": named(*wanted), "containers": changes}
    result = merged({"spec": {"template": {"spec": patch}}}, original)
    assert names(result["spec"]["template"]["spec"]["containers"]) == wanted
