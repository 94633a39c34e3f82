"""The roles that every cluster has, and who they are given to (A228).

Source: Kubernetes, plugin/pkg/auth/authorizer/rbac/bootstrappolicy/policy.go.
"""

from __future__ import annotations

from typing import Any

from holdfast.api.rbac.aggregation import aggregated
from holdfast.api.resource import Manifest

RBAC = "rbac.authorization.k8s.io"
AGGREGATE_TO = "rbac.authorization.k8s.io/aggregate-to-"
BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
PUBLIC_PATHS = ["/healthz", "/livez", "/readyz", "/version", "/version/"]
DISCOVERY_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/openapi", "/openapi/*", "/readyz",
                   "/version", "/version/"]  # fmt: skip


def cluster_roles() -> list[Manifest]:
    """Without the groups that are not served, such as extensions, as nothing in them could be asked for."""
    roles = [*_system_roles(), METRICS_READER, *_gathered_roles()]
    return [*roles, *_gathering_roles(roles)]


def _system_roles() -> list[Manifest]:
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
    ]


def _gathering_roles(roles: list[Manifest]) -> list[Manifest]:
    """`view` reads, `edit` also writes, `admin` also grants: each has what is labelled for it, the lesser one too."""
    made: list[Manifest] = []
    for name, greater in (("view", "edit"), ("edit", "admin"), ("admin", "")):
        role = _role(name, [], {f"{AGGREGATE_TO}{greater}": "true"} if greater else None)
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{AGGREGATE_TO}{name}": "true"}}]}
        role["rules"] = aggregated(role, [*roles, *made])
        made.append(role)
    return made


def _gathered_roles() -> list[Manifest]:
    view = [
        rule("", READ, "configmaps", "endpoints", "persistentvolumeclaims", "persistentvolumeclaims/status", "pods",
              "replicationcontrollers", "replicationcontrollers/scale", "serviceaccounts", "services",
              "services/status"),
        rule("", READ, "bindings", "events", "limitranges", "namespaces/status", "pods/log", "pods/status",
              "replicationcontrollers/status", "resourcequotas", "resourcequotas/status"),
        rule("", READ, "namespaces"),
        rule("discovery.k8s.io", READ, "endpointslices"),
        rule("apps", READ, "controllerrevisions", *WORKLOADS, "daemonsets/status", "deployments/status",
              "replicasets/status", "statefulsets/status"),
        rule("policy", READ, "poddisruptionbudgets", "poddisruptionbudgets/status"),
        rule("autoscaling", READ, "horizontalpodautoscalers", "horizontalpodautoscalers/status"),
        rule("batch", READ, "cronjobs", "cronjobs/status", "jobs", "jobs/status"),
        rule("networking.k8s.io", READ, "ingresses", "ingresses/status", "networkpolicies"),
    ]  # fmt: skip
    edit = [
        rule("", READ, "pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"),
        rule("", ("impersonate",), "serviceaccounts"),
        rule("", WRITE, "pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"),
        rule("", ("create",), "pods/eviction"),
        rule("", WRITE, "configmaps", "events", "persistentvolumeclaims", "replicationcontrollers",
              "replicationcontrollers/scale", "secrets", "serviceaccounts", "services", "services/proxy"),
        rule("", ("create",), "serviceaccounts/token"),
        rule("apps", WRITE, *WORKLOADS, "deployments/rollback"),
        rule("policy", WRITE, "poddisruptionbudgets"),
        rule("autoscaling", WRITE, "horizontalpodautoscalers"),
        rule("batch", WRITE, "cronjobs", "jobs"),
        rule("networking.k8s.io", WRITE, "ingresses", "networkpolicies"),
        rule("coordination.k8s.io", (*WRITE, *READ), "leases"),
    ]  # fmt: skip
    admin = [
        rule("authorization.k8s.io", ("create",), "localsubjectaccessreviews"),
        rule(RBAC, (*WRITE, *READ), "rolebindings", "roles"),
    ]
    parts = (("admin", admin), ("edit", edit), ("view", view))
    return [_role(f"system:aggregate-to-{name}", rules, {f"{AGGREGATE_TO}{name}": "true"}) for name, rules in parts]


READ = ("get", "list", "watch")
WRITE = ("create", "delete", "deletecollection", "patch", "update")
WORKLOADS = ("daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale", "statefulsets",
             "statefulsets/scale")  # fmt: skip


def rule(group: str, verbs: tuple[str, ...], *resources: str) -> Manifest:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def _role(name: str, rules: list[Any], labels: dict[str, str] | None = None) -> Manifest:
    return {"metadata": {"name": name, "labels": {**BOOTSTRAPPING, **(labels or {})}, **autoupdated()}, "rules": rules}


METRICS_READER: Manifest = {
    "metadata": {
        "name": "system:aggregated-metrics-reader",
        "labels": {
            "k8s-app": "metrics-server",
            **{f"{AGGREGATE_TO}{role}": "true" for role in ("admin", "edit", "view")},
        },
    },
    "rules": [rule("metrics.k8s.io", READ, "pods", "nodes")],
}
"""As metrics-server's manifests have it."""


def autoupdated() -> Manifest:
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
        "metadata": {"name": role, "labels": BOOTSTRAPPING, **autoupdated()},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group} for group in groups],
    }
