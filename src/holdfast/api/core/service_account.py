"""ServiceAccounts."""

from __future__ import annotations

from holdfast.api.resource import Manifest, Resource, Subresource

_ENFORCE = "kubernetes.io/enforce-mountable-secrets"


def warnings(account: Manifest) -> list[str]:
    if _ENFORCE not in (account["metadata"].get("annotations") or {}):
        return []
    text = "deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
    return [f"metadata.annotations[{_ENFORCE}]: {text}"]


SERVICE_ACCOUNTS = Resource(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
    subresources=(
        Subresource("token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io", version="v1"),
    ),
    warnings=warnings,
    delete_returns_object=True,
)
