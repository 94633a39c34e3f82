"""What the agents of machines that have joined may do: less than those beside the API server, and some things more.

As upstream's node authorizer and NodeRestriction have it, of pods they write only those that are on their node; they
read the Secrets and ConfigMaps, and have tokens of the accounts, of those pods alone, and attachments to their node.
They make the volumes of their machine themselves, so they write those; and they delete their own Node, since that is
how a machine leaves. Unlike upstream's they read all nodes, pods, claims and volumes, since routes, names and volumes
are made of those.

Source: Kubernetes, plugin/pkg/auth/authorizer/node/node_authorizer.go and
plugin/pkg/admission/noderestriction/admission.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

from holdfast.api.core.machines import machine_of
from holdfast.api.core.pod_contents import config_map_names, secret_names
from holdfast.api.resource import Manifest

from .node_rights import node_may

if TYPE_CHECKING:
    from .authorization import Attributes

LEASES_IN = "kube-node-lease"
FACTS = ("kube-system", "holdfast-config")
"""The ConfigMap of what a machine has to know of the cluster, by its namespace and name."""
_DRAWN: Mapping[str, Callable[[Manifest], set[str]]] = {"secrets": secret_names, "configmaps": config_map_names}
"""What pods draw on, by resource, and how a pod's spec names it."""

_READ, _WRITE = ("get", "list", "watch"), ("update", "patch")
_MORE = {
    ("", "persistentvolumes"): ("create", "delete", *_WRITE),
    ("", "persistentvolumes/status"): _WRITE,
    ("storage.k8s.io", "storageclasses"): _READ,
    ("snapshot.storage.k8s.io", "volumesnapshots"): _READ,
    ("snapshot.storage.k8s.io", "volumesnapshotcontents"): _READ,
}
"""By group and resource, with its subresource."""
_NOT_FROM_THERE = {("", "services/status"), ("", "pods/eviction")}
"""Load balancers have the first machine's address."""


class Objects(Protocol):
    """What the rights depend on, as it is now."""

    def find(self, resource: str, namespace: str, name: str) -> Manifest | None:
        """One of those that rights depend on, by its resource."""

    def pods_at(self, node: str, namespace: str) -> Iterable[Manifest]: ...


def joined_may(node: str, asked: Attributes, objects: Objects) -> bool:
    """Whether the agent of `node` may do that. Looks at objects: the answer may be another one at any time."""
    kind, find = (asked.group, asked.full_resource), objects.find
    if asked.verb not in _MORE.get(kind, ()) and kind != ("", "nodes") and not node_may(node, asked):
        return False
    match kind:
        case ("", "nodes"):
            return node_may(node, asked) or (asked.verb == "delete" and asked.name == node)
        case ("coordination.k8s.io", "leases"):
            return asked.namespace == LEASES_IN and (asked.verb == "create" or asked.name == node)
        case ("", "pods" | "pods/status"):
            return asked.verb in _READ or _is_at(node, find("pods", asked.namespace, asked.name))
        case ("", "secrets" | "configmaps"):
            return asked.verb == "get" and _is_drawn_on(node, asked, objects)
        case ("storage.k8s.io", "volumeattachments"):
            attachment = find("volumeattachments", "", asked.name)
            return asked.verb == "get" and (attachment is None or attachment["spec"]["nodeName"] == node)
        case ("", "serviceaccounts/token"):
            pods = objects.pods_at(node, asked.namespace)
            return any(asked.name == pod["spec"].get("serviceAccountName") for pod in pods)
        case ("", "persistentvolumes" | "persistentvolumes/status") if asked.verb not in (*_READ, "create"):
            return machine_of(find("persistentvolumes", "", asked.name)) == node
        case ("", "persistentvolumeclaims/status") if asked.verb in _WRITE:
            claim = find("persistentvolumeclaims", asked.namespace, asked.name)
            name = (claim or {"spec": {}})["spec"].get("volumeName")
            return bool(name) and machine_of(find("persistentvolumes", "", name)) == node
        case _:
            return kind not in _NOT_FROM_THERE


def _is_drawn_on(node: str, asked: Attributes, objects: Objects) -> bool:
    names = _DRAWN[asked.resource]
    if asked.resource == "configmaps" and (asked.namespace, asked.name) == FACTS:
        return True
    return any(asked.name in names(pod["spec"]) for pod in objects.pods_at(node, asked.namespace))


def _is_at(node: str, pod: Manifest | None) -> bool:
    return pod is not None and pod["spec"].get("nodeName") == node
