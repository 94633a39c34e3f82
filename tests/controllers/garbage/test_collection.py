"""Owners and dependents on an API server: W85 to W89, A251 to A254."""

from __future__ import annotations

from typing import Any

from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.event import EVENTS
from holdfast.api.core.secret import SECRETS
from holdfast.controllers.garbage.controller import GarbageCollector
from holdfast.controllers.garbage.plan import Object, ObservedObject, Owner
from holdfast.simulation.cluster import simulate
from holdfast.simulation.faults import Faults


def thing(name: str, *owners: dict[str, Any], kind: str = "ConfigMap", namespace: str = "default", **metadata: Any):
    metadata |= {"name": name, "namespace": namespace}
    if owners:
        metadata["ownerReferences"] = [
            {
                "apiVersion": "v1",
                "kind": owner["kind"],
                "name": owner["metadata"]["name"],
                "uid": owner["metadata"]["uid"],
                "blockOwnerDeletion": True,
            }
            for owner in owners
        ]
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


def make(cluster, manifest):
    resource = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}[manifest["kind"]]
    return cluster.do(cluster.client.create(resource, manifest))


def names(cluster, namespace="default"):
    found = [each["metadata"]["name"] for each in cluster.objects(CONFIG_MAPS, namespace)]
    return [name for name in found if name != "kube-root-ca.crt"]


def test_dependents_follow_their_owner_through_generations():
    with simulate(0, nodes=0) as cluster:
        owner = make(cluster, thing("a"))
        child = make(cluster, thing("b", owner))
        make(cluster, thing("c", child))
        make(cluster, thing("d"))
        cluster.delete(CONFIG_MAPS, "a")
        cluster.run_for(2)
        assert names(cluster) == ["d"]


def test_an_object_made_for_an_absent_owner_goes_within_seconds():
    with simulate(0, nodes=0) as cluster:
        absent = {"kind": "ConfigMap", "metadata": {"name": "nobody", "uid": "11111111-1111-1111-1111-111111111111"}}
        make(cluster, thing("lost", absent))
        cluster.run_for(2)
        assert names(cluster) == []


def test_one_of_the_name_is_not_the_owner_if_its_uid_is_another():
    with simulate(0, nodes=0) as cluster:
        former = make(cluster, thing("a"))
        cluster.delete(CONFIG_MAPS, "a")
        make(cluster, thing("a"))
        make(cluster, thing("b", former))
        cluster.run_for(2)
        assert names(cluster) == ["a"]


def test_s125_an_object_stays_for_its_last_owner():
    with simulate(0, nodes=0) as cluster:
        one, other = make(cluster, thing("a")), make(cluster, thing("b"))
        make(cluster, thing("child", one, other))
        cluster.delete(CONFIG_MAPS, "a")
        cluster.run_for(2)
        child = cluster.get(CONFIG_MAPS, "child")
        assert [each["name"] for each in child["metadata"]["ownerReferences"]] == ["b"]
        cluster.delete(CONFIG_MAPS, "b")
        cluster.run_for(2)
        assert names(cluster) == []


def test_in_the_foreground_the_owner_goes_last():
    with simulate(0, nodes=0) as cluster:
        owner = make(cluster, thing("a"))
        make(cluster, thing("blocker", owner, finalizers=["a.example/x"]))
        cluster.delete(CONFIG_MAPS, "a", propagation="Foreground")
        cluster.run_for(5)
        assert cluster.get(CONFIG_MAPS, "blocker")["metadata"]["deletionTimestamp"]
        assert cluster.get(CONFIG_MAPS, "a")["metadata"]["finalizers"] == ["foregroundDeletion"]
        cluster.patch(CONFIG_MAPS, "blocker", {"metadata": {"finalizers": None}})
        cluster.run_for(2)
        assert names(cluster) == []


def test_orphans_stay_without_a_reference():
    with simulate(0, nodes=0) as cluster:
        owner = make(cluster, thing("a"))
        make(cluster, thing("b", owner, kind="Secret"))
        cluster.run_for(1)
        cluster.delete(CONFIG_MAPS, "a", propagation="Orphan")
        cluster.run_for(2)
        assert names(cluster) == []
        assert "ownerReferences" not in cluster.get(SECRETS, "b")["metadata"]


def test_an_owner_elsewhere_is_none():
    with simulate(0, nodes=0) as cluster:
        cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "x"}})
        owner = make(cluster, thing("a", namespace="x"))
        make(cluster, thing("b", owner))
        cluster.run_for(2)
        assert names(cluster) == []
        reasons = [each["reason"] for each in cluster.objects(EVENTS, "default")]
        assert "OwnerRefInvalidNamespace" in reasons


def test_a_view_that_lags_deletes_nothing_that_is_owned():
    """The owner exists before its dependent, but a slow watch may show them the other way round."""
    for seed in range(10):
        with simulate(seed, Faults(watch_delay_s=20, crash_every_s=15), nodes=0) as cluster:
            for number in range(5):
                make(cluster, thing(f"child-{number}", make(cluster, thing(f"owner-{number}"))))
                cluster.run_for(3)
            cluster.run_for(40)
            assert len(names(cluster)) == 10


def test_w86_a_view_that_lags_deletes_nothing_whose_owner_is_orphaning_by_now():
    """Its user asked for the foreground first, and thought better of it before anybody looked."""
    for seed in range(10):
        with simulate(seed, nodes=0) as cluster:
            owner = make(cluster, thing("a"))
            make(cluster, thing("child", owner))
            cluster.run_for(2)
            cluster.faults = Faults(watch_delay_s=20)
            cluster.delete(CONFIG_MAPS, "a", propagation="Foreground")
            cluster.delete(CONFIG_MAPS, "a", propagation="Orphan")
            cluster.run_for(60)
            assert names(cluster) == ["child"]


def test_nobody_is_asked_about_the_owners_of_what_is_on_its_way_out_already():
    """Each of a set's pods changes several times as it goes."""
    with simulate(0, nodes=0) as cluster:
        owner = make(cluster, thing("a"))
        make(cluster, thing("child", owner, finalizers=["a.example/x"]))
        cluster.delete(CONFIG_MAPS, "a", propagation="Foreground")
        cluster.run_for(2)
        collector = GarbageCollector()
        of = Object(CONFIG_MAPS, cluster.get(CONFIG_MAPS, "child"))
        assert of.is_going
        reference = of.metadata["ownerReferences"][0]
        observed = ObservedObject(of, [(reference, Owner.WAITING)])
        assert cluster.do(collector.verify(observed, client=None)) is observed
