"""The objects that every cluster has from its first moment on (A228, A236, A238)."""

from __future__ import annotations

import asyncio
from typing import Any

from holdfast.api.core.endpoints import ENDPOINTS
from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.api.errors import AlreadyExists
from holdfast.api.networking.service_cidr import DEFAULT, SERVICE_CIDRS
from holdfast.api.rbac.cluster_role import CLUSTER_ROLES
from holdfast.api.rbac.cluster_role_binding import CLUSTER_ROLE_BINDINGS
from holdfast.api.resource import Manifest, Resource
from holdfast.api.scheduling.priority_class import PRIORITY_CLASSES

from .local import LocalClient, exists

NAMES = ("default", "kube-system", "kube-public", "kube-node-lease")
RBAC = "rbac.authorization.k8s.io"
BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
PUBLIC_PATHS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
DISCOVERY_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
                   "/version", "/version/"]  # fmt: skip

CRITICAL = (
    ("system-cluster-critical", 2000000000,
     "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."),
    ("system-node-critical", 2000001000,
     "Used for system critical pods that must not be moved from their current node."),
)  # fmt: skip


async def ensure(client: LocalClient, service_cidr: str, service_address: str, server_address: str) -> None:
    """Makes what is missing, and leaves what is there. All at once, so that they share a commit."""
    async with asyncio.TaskGroup() as group:
        for name in NAMES:
            group.create_task(_ensure(client, NAMESPACES, {"metadata": {"name": name}}))
    async with asyncio.TaskGroup() as group:
        for name, value, description in CRITICAL:
            manifest = {"metadata": {"name": name}, "value": value, "description": description}
            group.create_task(_ensure(client, PRIORITY_CLASSES, manifest))
        for role in cluster_roles():
            group.create_task(_ensure(client, CLUSTER_ROLES, role))
        for binding in cluster_role_bindings():
            group.create_task(_ensure(client, CLUSTER_ROLE_BINDINGS, binding))
        group.create_task(_ensure_service_cidr(client, service_cidr))
        group.create_task(_ensure_own_service(client, service_address, server_address))


async def _ensure(client: LocalClient, resource: Resource, manifest: Manifest) -> None:
    metadata = manifest["metadata"]
    if await exists(client, resource, metadata["name"], metadata.get("namespace", "")):
        return
    try:
        await client.create(resource, manifest)
    except AlreadyExists:
        return


async def _ensure_service_cidr(client: LocalClient, service_cidr: str) -> None:
    """The range that services' addresses come from, as an object."""
    await _ensure(client, SERVICE_CIDRS, {"metadata": {"name": DEFAULT}, "spec": {"cidrs": [service_cidr]}})
    made = await client.get(SERVICE_CIDRS, DEFAULT)
    if made["status"].get("conditions"):
        return
    ready = {"type": "Ready", "status": "True", "reason": "", "message": "Kubernetes default Service CIDR is ready"}
    condition = {**ready, "lastTransitionTime": made["metadata"]["creationTimestamp"]}
    await client.update(SERVICE_CIDRS, {**made, "status": {"conditions": [condition]}}, subresource="status")


async def _ensure_own_service(client: LocalClient, service_address: str, server_address: str) -> None:
    """`kubernetes.default` leads to this server."""
    host, _, port = server_address.rpartition(":")
    metadata = {"name": "kubernetes", "namespace": "default"}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    await _ensure(
        client,
        SERVICES,
        {
            "metadata": {**metadata, "labels": labels},
            "spec": {
                "clusterIP": service_address,
                "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": int(port)}],
            },
        },
    )
    if host.startswith("127.") or not host.replace(".", "").isdigit():
        return  # no address that pods could reach; endpoints may not lie in the loopback range
    ports = [{"name": "https", "port": int(port), "protocol": "TCP"}]
    skip_mirror = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    await _put(
        client,
        ENDPOINTS,
        {"metadata": {**metadata, "labels": skip_mirror}, "subsets": [{"addresses": [{"ip": host}], "ports": ports}]},
    )
    await _put(
        client,
        ENDPOINT_SLICES,
        {
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}}],
            "ports": ports,
        },
    )


async def _put(client: LocalClient, resource: Resource, manifest: Manifest) -> None:
    """Makes it, or brings it up to date: the server's address may be another one today."""
    metadata = manifest["metadata"]
    if await exists(client, resource, metadata["name"], metadata["namespace"]):
        await client.update(resource, manifest)
    else:
        await client.create(resource, manifest)


# -- roles


def cluster_roles() -> list[Manifest]:
    everything = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, {"nonResourceURLs": ["*"], "verbs": ["*"]}]
    reviews = {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
               "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]}  # fmt: skip
    who = {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]}
    issuer = ["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks",
              "/openid/v1/jwks/"]  # fmt: skip
    auth = [
        {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"]},
        {"verbs": ["create"], "apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"]},
    ]
    return [
        _role("cluster-admin", everything),
        _role("system:discovery", [{"verbs": ["get"], "nonResourceURLs": DISCOVERY_PATHS}]),
        _role("system:basic-user", [reviews, who]),
        _role("system:public-info-viewer", [{"verbs": ["get"], "nonResourceURLs": PUBLIC_PATHS}]),
        _role("system:service-account-issuer-discovery", [{"verbs": ["get"], "nonResourceURLs": issuer}]),
        _role("system:auth-delegator", auth),
        METRICS_READER,
        *_user_roles(),
    ]


def _user_roles() -> list[Manifest]:
    """`view` reads, `edit` also writes, `admin` also grants."""
    view = [
        _rule("", READ, "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
              "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services",
              "services/status"),
        _rule("", READ, "bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
              "replicationcontrollers/status", "resourcequotas", "resourcequotas/status"),
        _rule("", READ, "namespaces"),
        _rule("discovery.k8s.io", READ, "endpointslices"),
        _rule("apps", READ, "controllerrevisions", *WORKLOADS, "daemonsets/status", "deployments/status",
              "replicasets/status", "statefulsets/status"),
        _rule("policy", READ, "poddisruptionbudgets", "poddisruptionbudgets/status"),
        *METRICS_READER["rules"],
    ]  # fmt: skip
    edit = [
        _rule("", READ, "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
        _rule("", ("impersonate",), "serviceaccounts"),
        _rule("", WRITE, "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
        _rule("", ("create",), "pods/eviction"),
        _rule("", WRITE, "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers",
              "replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "services/proxy"),
        _rule("", ("create",), "serviceaccounts/token"),
        _rule("apps", WRITE, *WORKLOADS, "deployments/rollback"),
        _rule("policy", WRITE, "poddisruptionbudgets"),
        _rule("coordination.k8s.io", (*WRITE, *READ), "leases"),
    ]  # fmt: skip
    admin = [
        _rule("authorization.k8s.io", ("create",), "localsubjectaccessreviews"),
        _rule(RBAC, (*WRITE, *READ), "rolebindings", "roles"),
    ]
    return [
        _role("view", view, {"rbac.authorization.k8s.io/aggregate-to-edit": "true"}),
        _role("edit", [*edit, *view], {"rbac.authorization.k8s.io/aggregate-to-admin": "true"}),
        _role("admin", [*admin, *edit, *view]),
    ]


READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
WORKLOADS = ("daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
             "statefulsets/scale")  # fmt: skip


def _rule(group: str, verbs: tuple[str, ...], *resources: str) -> Manifest:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _role(name: str, rules: list[Any], labels: dict[str, str] | None = None) -> Manifest:
    return {"metadata": {"name": name, "labels": {**BOOTSTRAPPING, **(labels or {})}, **_updated()}, "rules": rules}


METRICS_READER: Manifest = {
    "metadata": {
        "name": "system:aggregated-metrics-reader",
        "labels": {
            "k8s-app": "metrics-server",
            **{f"rbac.authorization.k8s.io/aggregate-to-{role}": "true" for role in ("admin", "edit", "view")},
        },
    },
    "rules": [_rule("metrics.k8s.io", READ, "pods", "nodes")],
}
"""As metrics-server's manifests have it."""


def _updated() -> Manifest:
    return {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"}}


def cluster_role_bindings() -> list[Manifest]:
    return [
        _binding("cluster-admin", "system:masters"),
        _binding("system:discovery", "system:authenticated"),
        _binding("system:basic-user", "system:authenticated"),
        _binding("system:public-info-viewer", "system:authenticated", "system:unauthenticated"),
        _binding("system:service-account-issuer-discovery", "system:serviceaccounts"),
    ]


def _binding(role: str, *groups: str) -> Manifest:
    return {
        "metadata": {"name": role, "labels": BOOTSTRAPPING, **_updated()},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in groups],
    }
