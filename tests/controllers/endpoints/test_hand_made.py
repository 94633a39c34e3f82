"""Endpoints that somebody else writes, as Patroni does, and the service of their name (D31, D34), on simulated time."""

from __future__ import annotations

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.service import SERVICES
from holdfast.simulation.cluster import simulate

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "db", "namespace": "default"},
    "spec": {"ports": [{"port": 5432}]},
}
HAND_MADE = {
    "apiVersion": "v1",
    "kind": "Endpoints",
    "metadata": {"name": "db", "namespace": "default"},
    "subsets": [{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 5432}]}],
}


def names(cluster):
    return [one["metadata"]["name"] for one in cluster.objects(ENDPOINTS, "default")]


def test_d34_they_go_with_their_service():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(SERVICE)
        cluster.apply(HAND_MADE)
        cluster.run_for(1)
        assert "db" in names(cluster)
        cluster.do(cluster.client.delete(SERVICES, "db", "default"))
        cluster.run_for(1)
        assert "db" not in names(cluster)


def test_those_that_never_had_a_service_stay_and_so_do_those_that_are_made_after_it():
    with simulate(0, nodes=0) as cluster:
        cluster.apply(SERVICE)
        cluster.run_for(1)
        cluster.do(cluster.client.delete(SERVICES, "db", "default"))
        cluster.run_for(1)
        cluster.apply(HAND_MADE)
        cluster.apply({**HAND_MADE, "metadata": {"name": "lock", "namespace": "default"}})
        cluster.run_for(10)
        assert {"db", "lock"} <= set(names(cluster))
