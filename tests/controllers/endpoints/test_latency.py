"""How soon slices follow the pods (D32), on simulated time."""

from __future__ import annotations

from holdfast.api.core.pod import PODS
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.controllers.endpoints.controller import MANY
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import NGINX


def ready_in_slices(cluster):
    slices = [one for one in cluster.objects(ENDPOINT_SLICES, "default") if one["metadata"]["name"] != "kubernetes"]
    return sum(endpoint["conditions"]["ready"] for one in slices for endpoint in one.get("endpoints") or ())


def make_pods(cluster, count):
    for number in range(count):
        metadata = {"name": f"p{number}", "namespace": "default", "labels": {"app": "nginx"}}
        spec = {"containers": [{"name": "main", "image": "host"}]}
        cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        set_ready(cluster, number, True, ip=f"10.244.{number // 250}.{number % 250 + 1}")


def set_ready(cluster, number, is_ready, ip=None):
    conditions = [{"type": "Ready", "status": str(is_ready)}]
    status = {"phase": "Running", "conditions": conditions, **({"podIP": ip, "podIPs": [{"ip": ip}]} if ip else {})}
    cluster.do(cluster.client.patch(PODS, f"p{number}", {"status": status}, "default", subresource="status"))


def test_d32_a_change_of_readiness_is_published_at_once():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(NGINX)
        make_pods(cluster, 3)
        cluster.run_for(0.2)
        assert ready_in_slices(cluster) == 3
        set_ready(cluster, 1, False)
        cluster.run_for(0.05)
        assert ready_in_slices(cluster) == 2


def test_d32_changes_that_never_pause_do_not_hold_up_what_they_change():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(NGINX)
        make_pods(cluster, MANY + 1)
        cluster.run_for(1)
        set_ready(cluster, 0, False)
        for number in range(1, 40):
            set_ready(cluster, number, number % 2 == 0)
            cluster.run_for(0.02)  # the next change comes before the changes of the last moment were taken together
        assert ready_in_slices(cluster) <= MANY


def test_d62_a_pod_that_is_not_ready_is_published_only_where_the_service_says_so():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(NGINX)
        make_pods(cluster, 1)
        set_ready(cluster, 0, False)
        cluster.run_for(0.2)
        assert ready_in_slices(cluster) == 0
        cluster.apply({**NGINX, "spec": {**NGINX["spec"], "publishNotReadyAddresses": True}})
        cluster.run_for(0.2)
        assert ready_in_slices(cluster) == 1
