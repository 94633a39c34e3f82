"""What a namespace is given, and how it goes: W92 to W96, W105, W108, A256 to A258."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.api.admissionregistration.validating_admission_policy_binding import (
    VALIDATING_ADMISSION_POLICY_BINDINGS,
)
from holdfast.api.core.config_map import CONFIG_MAPS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import Forbidden, InternalError
from holdfast.client import ObjectList
from holdfast.controllers.namespaces.controller import NamespaceDeletion
from holdfast.controllers.namespaces.plan import ObservedNamespace
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import web
from holdfast.world import real_world


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


def test_w95_kinds_that_remain_are_told_of_in_the_order_of_their_names():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        for kind, api in (("Secret", "v1"), ("Deployment", "apps/v1"), ("ConfigMap", "v1")):
            manifest = {"apiVersion": api, "kind": kind, "metadata": {"name": "held", "finalizers": ["b.c/d", "a.b/c"]}}
            if kind == "Deployment":
                manifest["spec"] = {**web(0)["spec"]}
                del manifest["spec"]["volumeClaimTemplates"], manifest["spec"]["serviceName"]
            manifest["metadata"]["namespace"] = "x"
            cluster.apply(manifest)
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(5)
        left = (
            "configmaps. has 1 resource instances, deployments.apps has 1 resource instances, secrets. has 1 resource"
        )
        _, _, told = conditions(cluster)["NamespaceContentRemaining"]
        assert told == f"Some resources are remaining: {left} instances"
        held = "a.b/c in 3 resource instances, b.c/d in 3 resource instances"
        _, _, told = conditions(cluster)["NamespaceFinalizersRemaining"]
        assert told == f"Some content in the namespace has finalizers remaining: {held}"


def test_w97_what_cannot_be_deleted_is_told_of_and_tried_again():
    """One refusal for each kind."""
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        for name in ("a", "b"):
            cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "x"}})
        cluster.apply(*_no_deletions("configmaps", "secrets"))
        cluster.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "x"}})
        cluster.run_for(1)
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(5)
        status, reason, told = conditions(cluster)["NamespaceDeletionContentFailure"]
        assert (status, reason) == ("True", "ContentDeletionFailed")
        refusal = "is forbidden: ValidatingAdmissionPolicy 'keep' with binding 'keep' denied request: it is to stay"
        assert (
            told == f'Failed to delete all resource types, 2 remaining: configmaps "a" {refusal}, secrets "s" {refusal}'
        )
        assert conditions(cluster)["NamespaceContentRemaining"][1] == "ContentRemoved"
        cluster.delete(VALIDATING_ADMISSION_POLICY_BINDINGS, "keep")
        cluster.run_until(lambda: cluster.get(NAMESPACES, "x") is None, within_s=300)


def _no_deletions(*plurals):
    version = "admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["DELETE"], "resources": list(plurals)}
    validation = {"expression": "false", "message": "it is to stay", "reason": "Forbidden"}
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
    binding = {"policyName": "keep", "validationActions": ["Deny"]}
    return (
        {"apiVersion": version, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "keep"}, "spec": policy},
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "keep"},
            "spec": binding,
        },
    )


async def test_w97_a_kind_that_cannot_be_read_keeps_the_namespace_and_is_told_of():
    going = {"name": "x", "uid": "u", "resourceVersion": "1", "deletionTimestamp": "2026-01-01T12:00:00Z"}
    live = {"metadata": going, "spec": {"finalizers": ["kubernetes"]}}
    error = "conversion webhook for example.com/v1, Kind=Gear failed: no answer"

    class Reader:
        async def list(self, resource, namespace=""):
            if resource is CONFIG_MAPS:
                raise InternalError(error)
            return ObjectList([], "1")

        async def get(self, resource, name):
            return live

    controller = NamespaceDeletion(real_world().clock)
    observed = await controller.verify(ObservedNamespace(live, {}, datetime(2026, 1, 1, 12, tzinfo=UTC)), Reader())
    plan = controller.plan(observed)
    (write,) = plan.actions
    told = {each["type"]: each["message"] for each in write.patch["status"]["conditions"]}
    assert told["NamespaceDeletionContentFailure"] == f"Failed to delete all resource types, 1 remaining: {error}"
    assert plan.again_after_s == 5


def test_w95_pods_that_do_not_go_in_their_time_are_not_expected():
    with simulate(0) as cluster:
        namespace(cluster)
        cluster.apply({**web(1), "metadata": {"name": "web", "namespace": "x"}})
        cluster.run_for(20)
        for node in cluster.nodes:
            cluster.kill(node.process)
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(5)
        assert conditions(cluster)["NamespaceDeletionContentFailure"][1] == "ContentDeleted"
        cluster.run_for(40)
        left = "unexpected items still remain in namespace: x for gvr: /v1, Resource=pods"
        assert conditions(cluster)["NamespaceDeletionContentFailure"] == (
            "True",
            "ContentDeletionFailed",
            f"Failed to delete all resource types, 1 remaining: {left}",
        )
        remaining = "Some resources are remaining: pods. has 1 resource instances"
        assert conditions(cluster)["NamespaceContentRemaining"] == ("True", "SomeResourcesRemain", remaining)


def test_another_finalizer_keeps_the_empty_namespace():
    with simulate(0, nodes=0) as cluster:
        namespace(cluster)
        found = cluster.get(NAMESPACES, "x")
        held = {**found, "spec": {"finalizers": ["kubernetes", "a.b/c"]}}
        cluster.do(cluster.client.update(NAMESPACES, held, subresource="finalize"))
        cluster.delete(NAMESPACES, "x")
        cluster.run_for(5)
        assert cluster.get(NAMESPACES, "x")["spec"]["finalizers"] == ["a.b/c"]
        removed = ("False", "ContentRemoved", "All content successfully removed")
        assert conditions(cluster)["NamespaceContentRemaining"] == removed


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
