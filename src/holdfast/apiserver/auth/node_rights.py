"""What agents of nodes may do.

Upstream's rules for nodes, and what more is asked of our agents: they route services and enforce network policies, so
they follow endpoints and policies, and write where a load balancer answers; they see all secrets, config maps, claims
and volumes, since they do not ask one by one. A machine that joins is trusted with that, and not with deciding who
else may do what.

Source: Kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go (NodeRules).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .authorization import Attributes

_READ = frozenset(("get", "list", "watch"))
_WRITE = frozenset(("update", "patch"))
_KEEP = frozenset(("get", "create", "update", "patch", "delete"))
_CREATE = frozenset(("create",))

RIGHTS: Mapping[tuple[str, str], frozenset[str]] = {
    ("", "nodes"): _READ | _CREATE | _WRITE,
    ("", "nodes/status"): _WRITE,
    ("", "pods"): _READ | {"create", "delete"},
    ("", "pods/status"): _WRITE,
    ("", "pods/eviction"): _CREATE,
    ("", "events"): _CREATE | _WRITE,
    ("events.k8s.io", "events"): _CREATE | _WRITE,
    ("", "services"): _READ,
    ("", "services/status"): _WRITE,
    ("", "endpoints"): _READ,
    ("discovery.k8s.io", "endpointslices"): _READ,
    ("networking.k8s.io", "networkpolicies"): _READ,
    ("", "namespaces"): _READ,
    ("", "secrets"): _READ,
    ("", "configmaps"): _READ,
    ("", "serviceaccounts"): _READ,
    ("", "serviceaccounts/token"): _CREATE,
    ("", "persistentvolumeclaims"): _READ,
    ("", "persistentvolumeclaims/status"): _READ | _WRITE,
    ("", "persistentvolumes"): _READ,
    ("storage.k8s.io", "volumeattachments"): _READ,
    ("storage.k8s.io", "csidrivers"): _READ,
    ("storage.k8s.io", "csinodes"): _KEEP,
    ("node.k8s.io", "runtimeclasses"): _READ,
    ("coordination.k8s.io", "leases"): _KEEP,
    ("certificates.k8s.io", "certificatesigningrequests"): _READ | _CREATE,
    ("authentication.k8s.io", "tokenreviews"): _CREATE,
    ("authorization.k8s.io", "subjectaccessreviews"): _CREATE,
    ("authorization.k8s.io", "localsubjectaccessreviews"): _CREATE,
}
"""By group and resource, with its subresource."""


OWN = frozenset(
    (("", "nodes"), ("", "nodes/status"), ("coordination.k8s.io", "leases"), ("storage.k8s.io", "csinodes"))
)
"""What bears a node's name, and is written by that node alone."""


def node_may(name: str, asked: Attributes) -> bool:
    """Whether the agent of the node `name` may."""
    kind = (asked.group, asked.full_resource)
    if asked.verb not in RIGHTS.get(kind, ()):
        return False
    return kind not in OWN or asked.verb in _READ or asked.verb == "create" or asked.name == name
