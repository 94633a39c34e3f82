"""What the agent of a node may do, and what it may not."""

from __future__ import annotations

import pytest

from holdfast.apiserver.auth.authorization import Attributes
from holdfast.apiserver.auth.node_rights import node_may

CERTIFICATES, RBAC = "certificates.k8s.io", "rbac.authorization.k8s.io"


@pytest.mark.parametrize(
    "asked",
    [
        Attributes("watch", "", "pods"),
        Attributes("patch", "", "pods", "status", "ns", "p"),
        Attributes("delete", "", "pods", "", "ns", "p"),
        Attributes("create", "", "nodes"),
        Attributes("patch", "", "nodes", "status", "", "n1"),
        Attributes("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n1"),
        Attributes("create", "", "serviceaccounts", "token", "ns", "default"),
        Attributes("patch", "", "services", "status", "ns", "s"),
        Attributes("watch", "networking.k8s.io", "networkpolicies"),
        Attributes("create", CERTIFICATES, "certificatesigningrequests"),
        Attributes("get", "storage.k8s.io", "volumeattachments", "", "", "a"),
    ],
)
def test_a_node_does_its_work(asked: Attributes) -> None:
    assert node_may("n1", asked)


@pytest.mark.parametrize(
    "asked",
    [
        Attributes("approve", CERTIFICATES, "signers", name="kubernetes.io/kube-apiserver-client"),
        Attributes("update", CERTIFICATES, "certificatesigningrequests", "approval", name="r"),
        Attributes("update", CERTIFICATES, "certificatesigningrequests", "status", name="r"),
        Attributes("create", CERTIFICATES, "certificatesigningrequests", "nodeclient"),
        Attributes("create", RBAC, "clusterrolebindings"),
        Attributes("create", "", "secrets", namespace="kube-system"),
        Attributes("impersonate", "", "users", name="admin"),
        Attributes("create", "apps", "statefulsets", namespace="ns"),
        Attributes("create", "", "pods", "exec", "ns", "p"),
        Attributes("patch", "", "nodes", "", "", "n2"),
        Attributes("patch", "", "nodes", "status", "", "n2"),
        Attributes("delete", "", "nodes", "", "", "n1"),
        Attributes("update", "coordination.k8s.io", "leases", "", "kube-node-lease", "n2"),
        Attributes("delete", "coordination.k8s.io", "leases", "", "kube-system", "n2"),
    ],
)
def test_a_node_decides_nothing_for_others(asked: Attributes) -> None:
    assert not node_may("n1", asked)
