"""Tools find cluster DNS as the Service kube-dns (D69)."""

from ipaddress import IPv4Network

from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.cluster import dns_service
from holdfast.simulation.cluster import simulate

RANGES = [IPv4Network("10.96.0.0/16")]


def ensured(cluster, server_address):
    cluster.do(dns_service.ensure(cluster.client, RANGES, [server_address]))
    service = cluster.get(SERVICES, "kube-dns", "kube-system")
    (slice,) = cluster.objects(ENDPOINT_SLICES, "kube-system")
    return service, slice


def test_d12_d69_dns_is_the_service_kube_dns_at_the_tenth_address():
    with simulate(0, nodes=0) as cluster:
        service, slice = ensured(cluster, "10.244.0.1")
        assert service["metadata"]["labels"]["k8s-app"] == "kube-dns"
        assert service["spec"]["clusterIP"] == "10.96.0.10"
        assert [(port["name"], port["port"], port["protocol"]) for port in service["spec"]["ports"]] == [
            ("dns", 53, "UDP"),
            ("dns-tcp", 53, "TCP"),
        ]
        assert slice["metadata"]["labels"]["kubernetes.io/service-name"] == "kube-dns"
        assert slice["endpoints"][0]["addresses"] == ["10.244.0.1"]


def test_d69_it_leads_to_where_the_server_is_by_now_and_is_not_written_for_nothing():
    with simulate(0, nodes=0) as cluster:
        ensured(cluster, "10.244.0.1")
        service, slice = ensured(cluster, "10.245.0.1")
        assert slice["endpoints"][0]["addresses"] == ["10.245.0.1"]
        assert ensured(cluster, "10.245.0.1") == (service, slice)


def test_d69_a_service_that_has_the_tenth_address_keeps_it():
    with simulate(0, nodes=0) as cluster:
        spec = {"clusterIP": "10.96.0.10", "ports": [{"port": 80}]}
        cluster.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "first"}, "spec": spec})
        service, _ = ensured(cluster, "10.244.0.1")
        assert service["spec"]["clusterIP"] not in ("", "10.96.0.10")
