"""The group metrics.k8s.io, from agents' answers to clients' (A277)."""

from __future__ import annotations

import asyncio
import json

import pytest

from holdfast.api.core.node import NODES
from holdfast.api.core.pod import PODS
from holdfast.api.errors import NotFound
from holdfast.apiserver.metrics import Metrics
from holdfast.wire.client import ConnectionFailed, HttpResponse

GROUP = "/apis/metrics.k8s.io/v1beta1"
TABLE = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1,application/json"}


class Agents:
    """Agents whose containers keep a quarter of a core busy each, as a dialer knows them."""

    def __init__(self, clock):
        self.clock = clock
        self.pods = {}
        self.silent = set()
        self.asked = []

    def client(self, name):
        if name not in self.pods:
            raise NotFound(f'nodes "{name}" not found')
        return Agent(self, name)

    def text(self, name):
        at_s = self.clock.moment.timestamp()
        lines = [f"node_cpu_usage_seconds_total {at_s} {round(at_s * 1000)}"]
        lines += [f"node_memory_working_set_bytes {1 << 30} {round(at_s * 1000)}"]
        for pod, containers in self.pods[name].items():
            for container, started_s in containers.items():
                if started_s > at_s:
                    continue
                labels = f'{{container="{container}",namespace="ns",pod="{pod}"}}'
                lines += [
                    f"container_cpu_usage_seconds_total{labels} {(at_s - started_s) / 4} {round(at_s * 1000)}",
                    f"container_memory_working_set_bytes{labels} {12 << 20} {round(at_s * 1000)}",
                    f"container_start_time_seconds{labels} {started_s}",
                ]
        return "\n".join(lines)


class Agent:
    def __init__(self, agents, name):
        self.agents, self.name = agents, name

    async def request(self, method, target, timeout):
        assert (method, target) == ("GET", "/metrics/resource")
        self.agents.asked.append(self.name)
        await asyncio.sleep(0)
        if self.name in self.agents.silent:
            raise ConnectionFailed("connecting: refused")
        return HttpResponse(200, {}, self.agents.text(self.name).encode())


@pytest.fixture
async def agents(server, world, clock):
    """Two nodes; `p` with two containers, `q` and `new` on them, `done` has ended."""

    async def sleep(seconds):
        until = clock.seconds + seconds
        for _ in range(5):  # the other nodes fall asleep as well
            await asyncio.sleep(0)
        clock.advance(max(0.0, until - clock.seconds))

    clock.sleep = sleep
    made, client = Agents(clock), server.client("test")
    for name in ("n1", "n2"):
        await client.create(NODES, {"metadata": {"name": name, "labels": {"zone": name}}})
    for name, node, phase in (("p", "n1", "Running"), ("q", "n2", "Running"), ("done", "n1", "Succeeded")):
        spec = {"nodeName": node, "containers": [{"name": "c", "image": "i"}]}
        pod = await client.create(
            PODS, {"metadata": {"name": name, "namespace": "ns", "labels": {"app": name}}, "spec": spec}
        )
        await client.update(PODS, {**pod, "status": {"phase": phase}}, subresource="status")
    long_ago = clock.moment.timestamp() - 3600
    made.pods = {"n1": {"p": {"a": long_ago, "b": long_ago}, "done": {"c": long_ago}}, "n2": {"q": {"c": long_ago}}}
    server.metrics = Metrics(server.api, made, clock)
    return made


async def test_discovery_says_what_metrics_server_registers(web):
    assert (await web("GET", "/apis/metrics.k8s.io"))["preferredVersion"] == {
        "groupVersion": "metrics.k8s.io/v1beta1",
        "version": "v1beta1",
    }
    assert (await web("GET", GROUP)).body == {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": "metrics.k8s.io/v1beta1",
        "resources": [
            {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": ["get", "list"]},
            {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": ["get", "list"]},
        ],
    }
    aggregated = (
        await web(
            "GET", "/apis", headers={"accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"}
        )
    ).body["items"]
    assert aggregated[-1]["metadata"]["name"] == "metrics.k8s.io", "what others have is found first"
    assert [one["resource"] for one in aggregated[-1]["versions"][0]["resources"]] == ["nodes", "pods"]


async def test_pods_are_listed_with_what_their_containers_use(web, agents):
    answer = await web("GET", f"{GROUP}/namespaces/ns/pods")
    assert (answer["kind"], answer["apiVersion"], answer["metadata"]) == (
        "PodMetricsList",
        "metrics.k8s.io/v1beta1",
        {},
    )
    usage = {"cpu": "250m", "memory": "12Mi"}
    assert answer["items"][0] == {
        "metadata": {
            "name": "p",
            "namespace": "ns",
            "labels": {"app": "p"},
            "creationTimestamp": "2026-01-02T03:04:06Z",
        },
        "timestamp": "2026-01-02T03:04:06Z",
        "window": "1s",
        "containers": [{"name": "a", "usage": usage}, {"name": "b", "usage": usage}],
    }
    assert [item["metadata"]["name"] for item in answer["items"]] == ["p", "q"], "what does not run is left out"
    everywhere = await web("GET", f"{GROUP}/pods?labelSelector=app%3Dq")
    assert [item["metadata"]["name"] for item in everywhere["items"]] == ["q"]


async def test_nodes_are_listed_and_selected(web, agents):
    answer = await web("GET", f"{GROUP}/nodes")
    assert answer["kind"] == "NodeMetricsList"
    assert [item["metadata"]["name"] for item in answer["items"]] == ["n1", "n2"]
    assert answer["items"][0]["usage"] == {"cpu": "1", "memory": "1Gi"}
    assert answer["items"][0]["metadata"]["labels"]["zone"] == "n1"
    chosen = await web("GET", f"{GROUP}/nodes?labelSelector=zone%3Dn2")
    assert [item["metadata"]["name"] for item in chosen["items"]] == ["n2"]


async def test_one_can_be_asked_for(web, agents):
    answer = await web("GET", f"{GROUP}/namespaces/ns/pods/q")
    assert (answer["kind"], answer["metadata"]["name"]) == ("PodMetrics", "q")
    assert (await web("GET", f"{GROUP}/nodes/n2"))["kind"] == "NodeMetrics"
    for path, text in (
        ("namespaces/ns/pods/x", 'pods "x" not found'),
        ("namespaces/ns/pods/done", 'pods.metrics.k8s.io "ns/done" not found'),
        ("nodes/x", 'nodes "x" not found'),
    ):
        answer = await web("GET", f"{GROUP}/{path}")
        assert (answer.code, answer["message"]) == (404, text)


async def test_they_are_printed_in_metrics_servers_columns(web, agents):
    answer = await web("GET", f"{GROUP}/namespaces/ns/pods", headers=TABLE)
    assert [(column["name"], column["format"]) for column in answer["columnDefinitions"]] == [
        ("Name", "name"), ("cpu", "quantity"), ("memory", "quantity"), ("Window", "duration"),
    ]  # fmt: skip
    assert [row["cells"] for row in answer["rows"]] == [["p", "500m", "24Mi", "1s"], ["q", "250m", "12Mi", "1s"]]
    assert answer["rows"][0]["object"]["kind"] == "PartialObjectMetadata"
    whole = await web("GET", f"{GROUP}/nodes?includeObject=Object", headers=TABLE)
    assert whole["rows"][0]["object"]["kind"] == "NodeMetrics"
    assert whole["rows"][0]["cells"] == ["n1", "1", "1Gi", "1s"]
    empty = await web("GET", f"{GROUP}/pods?labelSelector=app%3Dnone", headers=TABLE)
    assert (empty["rows"], empty["columnDefinitions"]) == ([], None)
    wrong = await web("GET", f"{GROUP}/nodes?includeObject=All", headers=TABLE)
    assert wrong.code == 400


async def test_a_pod_too_young_for_a_rate_is_left_out_until_it_has_one(web, agents, clock):
    agents.pods["n2"]["q"]["c"] = clock.moment.timestamp() + 0.5
    assert [item["metadata"]["name"] for item in (await web("GET", f"{GROUP}/pods"))["items"]] == ["p"]
    clock.advance(15)
    assert [item["metadata"]["name"] for item in (await web("GET", f"{GROUP}/pods"))["items"]] == ["p", "q"]


async def test_nobody_is_asked_while_nobody_asks_and_once_for_all_who_do(web, agents, clock):
    await web("GET", "/api/v1/nodes")
    assert agents.asked == []
    await asyncio.gather(*(web("GET", f"{GROUP}/nodes") for _ in range(5)), web("GET", f"{GROUP}/pods"))
    assert sorted(agents.asked) == ["n1", "n1", "n2", "n2"], "two samples of each"
    await web("GET", f"{GROUP}/nodes")
    assert len(agents.asked) == 4, "the last answer is still fresh"
    clock.advance(5)
    assert (await web("GET", f"{GROUP}/nodes"))["items"][0]["window"] == "5s"
    assert len(agents.asked) == 6, "the last sample is where the new window begins"
    clock.advance(3600)
    assert (await web("GET", f"{GROUP}/nodes"))["items"][0]["window"] == "1s", "not the average of an hour"


async def test_only_nodes_of_the_wanted_pods_are_asked(web, agents):
    await web("GET", f"{GROUP}/namespaces/ns/pods/q")
    assert set(agents.asked) == {"n2"}


async def test_a_node_that_does_not_answer_is_left_out(web, agents, caplog):
    agents.silent.add("n1")
    assert [item["metadata"]["name"] for item in (await web("GET", f"{GROUP}/nodes"))["items"]] == ["n2"]
    assert [item["metadata"]["name"] for item in (await web("GET", f"{GROUP}/pods"))["items"]] == ["q"]
    assert "node not measured node=n1" in caplog.text
    answer = await web("GET", f"{GROUP}/nodes/n1")
    assert (answer.code, answer["message"]) == (404, 'nodes.metrics.k8s.io "n1" not found')
    agents.silent.clear()
    assert len((await web("GET", f"{GROUP}/nodes"))["items"]) == 2


async def test_metrics_are_only_read(web, agents, jane_token):
    for method, path in (("POST", "nodes"), ("DELETE", "nodes/n1"), ("GET", "pods?watch=1"), ("PATCH", "nodes/n1")):
        assert (await web(method, f"{GROUP}/{path}", {})).code == 405
    answer = await web("GET", f"{GROUP}/nodes", token=jane_token)
    assert answer.code == 403
    assert 'cannot list resource "nodes" in API group "metrics.k8s.io"' in answer["message"]
    assert (await web("GET", f"{GROUP}/nodes?labelSelector=%3D%3D")).code == 400


async def test_without_anybody_to_ask_the_group_is_unavailable(web):
    assert (await web("GET", f"{GROUP}/nodes")).code == 503


@pytest.mark.parametrize("role", ["view", "edit", "admin", "system:aggregated-metrics-reader"])
async def test_whoever_may_view_may_see_what_is_used(web, role):
    """As metrics-server's manifests aggregate it."""
    found = (await web("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{role}")).body
    rule = {"apiGroups": ["metrics.k8s.io"], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}
    assert rule in found["rules"]
    if role.startswith("system:"):
        labels = found["metadata"]["labels"]
        assert all(
            labels[f"rbac.authorization.k8s.io/aggregate-to-{each}"] == "true" for each in ("view", "edit", "admin")
        )
    assert json.dumps(found)
