"""ServiceAccounts."""

from __future__ import annotations

from holdfast.api.resource import Resource, Subresource

SERVICE_ACCOUNTS = Resource(
    group="",
    version="v1",
    kind="ServiceAccount",
    plural="serviceaccounts",
    short_names=("sa",),
    subresources=(
        Subresource("token", verbs=("create",), kind="TokenRequest", group="authentication.k8s.io", version="v1"),
    ),
    delete_returns_object=True,
)
