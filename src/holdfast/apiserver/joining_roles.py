"""The roles by which machines join, and approvers and signers work (A228): those of the API server and of kubeadm.

Source: Kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go,
cmd/kubeadm/app/phases/bootstraptoken.
"""

from __future__ import annotations

from holdfast.api.core.bootstrap_token import CLUSTER_INFO, CLUSTER_INFO_NAMESPACE, NODES_GROUP
from holdfast.api.resource import Manifest

from .auth.user import ANONYMOUS, NODES
from .bootstrap_roles import BOOTSTRAPPING, RBAC, autoupdated, rule

CERTIFICATES, REQUESTS = "certificates.k8s.io", "certificatesigningrequests"
BOOTSTRAPPER = "system:node-bootstrapper"
NODE_CLIENT, SELF_NODE_CLIENT = (
    f"system:{CERTIFICATES}:{REQUESTS}:{right}" for right in ("nodeclient", "selfnodeclient")
)
SIGNERS = ("legacy-unknown", "kubelet-serving", "kube-apiserver-client", "kube-apiserver-client-kubelet")
GET_NODES, INFO_ROLE = "kubeadm:get-nodes", "kubeadm:bootstrap-signer-clusterinfo"


def joining_roles() -> list[Manifest]:
    approvers = [
        _system(
            f"system:{CERTIFICATES}:{signer}-approver",
            {**rule(CERTIFICATES, ("approve",), "signers"), "resourceNames": [f"kubernetes.io/{signer}"]},
        )
        for signer in SIGNERS
    ]
    return [
        *approvers,
        _system(BOOTSTRAPPER, rule(CERTIFICATES, ("create", "get", "list", "watch"), REQUESTS)),
        _system(NODE_CLIENT, rule(CERTIFICATES, ("create",), f"{REQUESTS}/nodeclient")),
        _system(SELF_NODE_CLIENT, rule(CERTIFICATES, ("create",), f"{REQUESTS}/selfnodeclient")),
        {"metadata": {"name": GET_NODES}, "rules": [rule("", ("get",), "nodes")]},
    ]


def joining_role_bindings() -> list[Manifest]:
    return [
        _binding("kubeadm:kubelet-bootstrap", BOOTSTRAPPER, NODES_GROUP),
        _binding("kubeadm:node-autoapprove-bootstrap", NODE_CLIENT, NODES_GROUP),
        _binding("kubeadm:node-autoapprove-certificate-rotation", SELF_NODE_CLIENT, NODES),
        _binding(GET_NODES, GET_NODES, NODES_GROUP),
    ]


def for_newcomers() -> tuple[Manifest, Manifest]:
    """The role, and its binding, by which anybody may read what newcomers have to know. Both are public by intent."""
    metadata = {"name": INFO_ROLE, "namespace": CLUSTER_INFO_NAMESPACE}
    readable = {**rule("", ("get",), "configmaps"), "resourceNames": [CLUSTER_INFO]}
    return (
        {"metadata": metadata, "rules": [readable]},
        {
            "metadata": metadata,
            "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": INFO_ROLE},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": ANONYMOUS.name}],
        },
    )


def _system(name: str, *rules: Manifest) -> Manifest:
    return {"metadata": {"name": name, "labels": BOOTSTRAPPING, **autoupdated()}, "rules": [*rules]}


def _binding(name: str, role: str, group: str) -> Manifest:
    return {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}],
    }
