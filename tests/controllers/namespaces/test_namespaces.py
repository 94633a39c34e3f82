"""What a namespace is given, and how it goes: W92 to W96, W105, W108, A256 to A258."""

from __future__ import annotations

import pytest

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import Forbidden
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import web


def namespace(cluster, name="x"):
    cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    cluster.run_for(1)


def conditions(cluster, name="x"):
    found = cluster.get(NAMESPACES, name)["status"].get("conditions", [])
    return {each["type"]: (each["status"], each["reason"], each["message"]) for each in found}


def test_every_namespace_has_an_account_and_the_authority_and_gets_them_back():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        for _ in range(2):
            assert cluster.get(SERVICE_ACCOUNTS, "default", "x")
            assert cluster.get(CONFIG_MAPS, "kube-root-ca.crt", "x")["data"] == {"ca.crt": "simulated"}
            cluster.delete(SERVICE_ACCOUNTS, "default", "x")
            cluster.delete(CONFIG_MAPS, "kube-root-ca.crt", "x")
            cluster.run_for(1)
        cluster.patch(CONFIG_MAPS, "kube-root-ca.crt", {"data": {"ca.crt": "forged", "more": "x"}}, "x")
        cluster.run_for(1)
        assert cluster.get(CONFIG_MAPS, "kube-root-ca.crt", "x")["data"] == {"ca.crt": "simulated"}


def test_a_namespace_goes_with_everything_in_it_pods_first():
    with simulate(0) as cluster:
        namespace(cluster)
        cluster.apply({**web(2), "metadata": {"name": "web", "namespace": "x"}})
        cluster.run_for(20)
        assert len(cluster.objects(PODS, "x")) == 2
        for claim in _claims(cluster):
            cluster.permit(claim["metadata"]["uid"])
        cluster.delete(NAMESPACES, "x")
        cluster.run_until(lambda: cluster.get(NAMESPACES, "x") is None, within_s=60)
        assert cluster.objects(PODS, "x") == []
        assert _claims(cluster) == []
        cluster.run_for(30)
        assert not cluster.directories.present


def _claims(cluster):
    from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS

    return cluster.objects(PERSISTENT_VOLUME_CLAIMS, "x")


def test_an_empty_namespace_goes_at_once():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(1)
        assert cluster.get(NAMESPACES, "x") is None


def test_what_keeps_a_namespace_is_named_in_its_conditions():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        metadata = {"name": "held", "namespace": "x", "finalizers": ["a.b/c"]}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(5)
        assert cluster.get(NAMESPACES, "x")["status"]["phase"] == "Terminating"
        assert conditions(cluster) == {
            "NamespaceDeletionDiscoveryFailure": (
                "False",
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            "NamespaceDeletionGroupVersionParsingFailure": (
                "False",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            "NamespaceDeletionContentFailure": (
                "False",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            "NamespaceContentRemaining": (
                "True",
                "SomeResourcesRemain",
                "Some resources are remaining: configmaps. has 1 resource instances",
            ),
            "NamespaceFinalizersRemaining": (
                "True",
                "SomeFinalizersRemain",
                "Some content in the namespace has finalizers remaining: a.b/c in 1 resource instances",
            ),
        }
        cluster.run_for(60)
        last = cluster.trace[-1]
        cluster.run_for(60)
        assert cluster.trace[-1] == last  # nothing is written while nothing changes
        cluster.patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "x")
        cluster.run_for(5)
        assert cluster.get(NAMESPACES, "x") is None


def test_another_finalizer_keeps_the_empty_namespace():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        found = cluster.get(NAMESPACES, "x")
        held = {**found, "spec": {"finalizers": ["kubernetes", "a.b/c"]}}
        cluster.do(cluster.client.update(NAMESPACES, held, subresource="finalize"))
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(5)
        assert cluster.get(NAMESPACES, "x")["spec"]["finalizers"] == ["a.b/c"]


def test_nothing_new_comes_into_a_namespace_that_goes():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        metadata = {"name": "held", "namespace": "x", "finalizers": ["a.b/c"]}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
        cluster.delete(NAMESPACES, "x")
        new = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "new", "namespace": "x"}}
        call = cluster.client.create(CONFIG_MAPS, new)
        with pytest.raises(Forbidden, match="because it is being terminated"):
            cluster.do(call)
