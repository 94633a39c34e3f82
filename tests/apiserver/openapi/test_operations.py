"""Operations, held against a client that was generated from upstream's own documents, and against what is served.

The client is of a newer minor version and has what is not served here: its additions are named below.
"""

import inspect
import json
import re
from collections.abc import Iterator
from typing import Any

import kubernetes.client
import pytest

from holdfast.api import registry
from holdfast.apiserver import openapi, routing
from holdfast.apiserver.openapi import operations as table

GROUP_VERSIONS = [
    (group, version)
    for group, versions in registry.groups().items()
    for version in versions
    if group not in ("metrics.k8s.io", "snapshot.storage.k8s.io")  # the client knows Kubernetes' own
]
NOT_SERVED_QUERIES = {"ignoreStoreReadErrorWithClusterBreakingPotential", "shardSelector"}
NOT_SERVED = r"get_api_resources|.*(cluster_trust_bundle|pod_certificate_request|csi_node_status).*"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch")


def operations(group: str, version: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    document = json.loads(openapi.v3_document(group, version))
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                operation = item[method]
                parameters = [resolved(one, document) for one in operation["parameters"]]
                yield path, method, {**operation, "parameters": [*item.get("parameters", []), *parameters]}


def resolved(parameter: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    reference = parameter.get("$ref")
    return document["components"]["parameters"][reference.rpartition("/")[2]] if reference else parameter


def by_id(group: str, version: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    return {
        operation["operationId"]: (path, method, operation) for path, method, operation in operations(group, version)
    }


def interface(tag: str) -> type:
    """The client's class, which is named for the tag: AppsV1Api for `apps_v1`."""
    group, _, version = tag.rpartition("_")
    return getattr(kubernetes.client, f"{group[0].upper()}{group[1:]}{version.capitalize()}Api")


def method_name(operation: dict[str, Any]) -> str:
    """`list_namespaced_stateful_set` for `listAppsV1NamespacedStatefulSet`."""
    group_version = interface(operation["tags"][0]).__name__.removesuffix("Api")
    name = operation["operationId"].replace(group_version, "", 1)
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Recording:
    """Stands where the client hands on what it is about to send."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.types: dict[str, str | None] = {}

    def param_serialize(self, **asked: Any) -> None:
        self.asked = asked

    def select_header_accept(self, accepts: list[str]) -> str:
        return accepts[0]

    def select_header_content_type(self, types: list[str], *_: Any) -> str:
        return types[0]

    def _call_with_legacy_options(self, sent: Any, types: dict[str, str | None], *_: Any) -> None:
        self.types = types


def upstreams(operation: dict[str, Any]) -> Recording:
    recording = Recording()
    function = inspect.unwrap(getattr(interface(operation["tags"][0]), f"{method_name(operation)}_with_http_info"))
    taken = [name for name in inspect.signature(function).parameters if name[0] != "_" or name == "_continue"]
    values = {name: {} if name == "body" else "x" for name in taken if name not in ("self", "async_req", "kwargs")}
    function(interface(operation["tags"][0])(recording), **values)
    return recording


def model(response: dict[str, Any]) -> str | None:
    """The last part of the definition's name."""
    for content in response.get("content", {}).values():
        schema = content["schema"]
        return schema["$ref"].rpartition(".")[2] if "$ref" in schema else "str"
    return None


def matches(ours: str | None, theirs: str | None) -> bool:
    """The client calls a Status an object, and puts versions and groups before names."""
    if ours is None or theirs is None:
        return ours == theirs
    return re.fullmatch(r"([A-Z][a-z]+)?(V\d)?" + ours, theirs) is not None or (ours, theirs) == ("Status", "object")


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_every_operation_is_upstreams_by_name_path_parameters_and_answers(group: str, version: str) -> None:
    for path, method, operation in operations(group, version):
        name = operation["operationId"]
        asked, types = (recording := upstreams(operation)).asked, recording.types
        assert (asked["method"].lower(), asked["resource_path"]) == (method, path), name
        queries = {one["name"] for one in operation["parameters"] if one["in"] == "query"}
        assert queries == {query for query, _ in asked["query_params"]} - NOT_SERVED_QUERIES, name
        assert {one["name"] for one in operation["parameters"] if one["in"] == "path"} == set(asked["path_params"]), (
            name
        )
        assert ("requestBody" in operation) == (asked["body"] is not None), name
        assert set(operation["responses"]) == set(types), name
        for code, response in operation["responses"].items():
            if name != "deleteCoreV1Namespace":  # answers with the namespace, upstream too, whose document says Status
                assert matches(model(response), types[code]), (name, code, response, types[code])


@pytest.mark.parametrize(("group", "version"), GROUP_VERSIONS)
def test_no_operation_of_upstreams_on_the_served_kinds_is_missing(group: str, version: str) -> None:
    ours = [operation for _, _, operation in operations(group, version)]
    offered = {
        name.removesuffix("_with_http_info")
        for name in dir(interface(ours[0]["tags"][0]))
        if name.endswith("_with_http_info") and not re.fullmatch(f"({NOT_SERVED})_with_http_info", name)
    }
    assert offered == {method_name(operation) for operation in ours}


@pytest.mark.parametrize("resource", [*registry.RESOURCES, *registry.MEASURED], ids=repr)
def test_exactly_what_is_served_is_described(resource: Any) -> None:
    """Both ways between the table of verbs and the router: no operation that would be 405, no verb without one."""
    described = set()
    for operation in table.operations([resource]):
        route = routing.parse(operation.path.replace("{path}", "x"))
        assert isinstance(route, routing.Route), operation
        verb = routing.verb_of(operation.method.upper(), route, wants_watch=False)
        assert verb, operation
        described.add((route.subresource, verb))
    served = {("", verb) for verb in resource.verbs if verb != "watch"}
    served |= {(sub.name, verb) for sub in resource.subresources for verb in sub.verbs}
    assert described == served


def test_connections_are_described_by_method_and_tail() -> None:
    found = by_id("", "v1")
    path, method, operation = found["connectCoreV1PostNamespacedPodExec"]
    assert (path, method) == ("/api/v1/namespaces/{namespace}/pods/{name}/exec", "post")
    assert operation["x-kubernetes-action"] == "connect"
    assert operation["x-kubernetes-group-version-kind"] == {"group": "", "version": "v1", "kind": "PodExecOptions"}
    assert found["connectCoreV1HeadNodeProxyWithPath"][:2] == ("/api/v1/nodes/{name}/proxy/{path}", "head")
    assert operation["responses"]["200"]["content"] == {"*/*": {"schema": {"type": "string"}}}


@pytest.mark.parametrize(
    ("name", "action", "kind"),
    [
        ("listAppsV1StatefulSetForAllNamespaces", "list", ("apps", "v1", "StatefulSet")),
        ("createAppsV1NamespacedStatefulSet", "post", ("apps", "v1", "StatefulSet")),
        ("deleteAppsV1CollectionNamespacedStatefulSet", "deletecollection", ("apps", "v1", "StatefulSet")),
        ("readAppsV1NamespacedStatefulSetScale", "get", ("autoscaling", "v1", "Scale")),
        ("replaceAppsV1NamespacedStatefulSetStatus", "put", ("apps", "v1", "StatefulSet")),
        ("deleteAppsV1NamespacedStatefulSet", "delete", ("apps", "v1", "StatefulSet")),
    ],
)
def test_operations_carry_action_and_kind_a31(name: str, action: str, kind: tuple[str, str, str]) -> None:
    operation = by_id("apps", "v1")[name][2]
    assert operation["x-kubernetes-action"] == action
    assert tuple(operation["x-kubernetes-group-version-kind"].values()) == kind


def test_queries_have_their_types_and_bodies_their_schemas() -> None:
    _, _, listing = by_id("apps", "v1")["listAppsV1NamespacedStatefulSet"]
    types = {one["name"]: one["schema"]["type"] for one in listing["parameters"]}
    assert (types["limit"], types["watch"], types["labelSelector"]) == ("integer", "boolean", "string")
    _, _, creation = by_id("apps", "v1")["createAppsV1NamespacedStatefulSet"]
    reference = {"$ref": "#/components/schemas/io.k8s.api.apps.v1.StatefulSet"}
    assert creation["requestBody"]["content"]["application/json"] == {"schema": reference}
    assert creation["requestBody"]["required"]


def test_ids_are_unique_in_the_whole_older_document() -> None:
    paths = json.loads(openapi.v2_json())["paths"]
    names = [operation["operationId"] for item in paths.values() for operation in item.values()]
    assert len(names) == len(set(names))


def test_what_is_measured_is_described_as_by_whoever_measures_a277() -> None:
    assert {name: found[0] for name, found in by_id("metrics.k8s.io", "v1beta1").items()} == {
        "listMetricsV1beta1NodeMetrics": "/apis/metrics.k8s.io/v1beta1/nodes",
        "readMetricsV1beta1NodeMetrics": "/apis/metrics.k8s.io/v1beta1/nodes/{name}",
        "listMetricsV1beta1NamespacedPodMetrics": "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods",
        "listMetricsV1beta1PodMetricsForAllNamespaces": "/apis/metrics.k8s.io/v1beta1/pods",
        "readMetricsV1beta1NamespacedPodMetrics": "/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods/{name}",
    }
