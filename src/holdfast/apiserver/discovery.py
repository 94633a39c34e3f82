"""What is served, as clients ask for it: group by group, or all at once (A15-A25)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec

from holdfast.api.kinds import BUILT_IN, Kinds
from holdfast.api.resource import Resource, Subresource

GROUP_ORDER = (
    "", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
    "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io",
    "discovery.k8s.io", "resource.k8s.io",
)  # fmt: skip
"""Upstream's order of preference (A19); groups it does not know come last."""


class Discovery:
    """The documents for what a server serves, which may grow and shrink."""

    def __init__(self, server_address: str, kinds: Kinds = BUILT_IN) -> None:
        self._server_address = server_address
        self._kinds = kinds
        self._aggregated: dict[tuple[bool, str], tuple[int, bytes, str]] = {}

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        served = self._kinds.groups()
        known = [group for group in GROUP_ORDER if group in served]
        return {group: served[group] for group in [*known, *(group for group in served if group not in known)]}

    @cached_property
    def versions(self) -> bytes:
        """`/api`."""
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}
        return _encode({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]})

    @property
    def paths(self) -> list[str]:
        """Of all that is told here."""
        groups = [f"/apis/{group}" for group in self.groups if group]
        versions = [f"/apis/{group}/{version}" for group in self.groups if group for version in self.groups[group]]
        return ["/api", "/api/v1", "/apis", "/apis/", *groups, *versions]

    @property
    def group_list(self) -> bytes:
        """`/apis`."""
        groups = [self._group(group) for group in self.groups if group]
        return _encode({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})

    def group(self, group: str) -> bytes:
        """`/apis/GROUP`."""
        return _encode({"kind": "APIGroup", "apiVersion": "v1", **self._group(group)})

    def _group(self, group: str) -> dict[str, Any]:
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in self.groups[group]]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def resources(self, group: str, version: str) -> bytes:
        """`/api/v1`, `/apis/GROUP/VERSION`."""
        head = {"kind": "APIResourceList", **({"apiVersion": "v1"} if group else {})}
        entries = [entry for resource in self._sorted(group, version) for entry in _entries(resource)]
        entries.sort(key=lambda entry: entry["name"])
        if not group:
            entries.insert(0, BINDINGS)
        return _encode({**head, "groupVersion": f"{group}/{version}" if group else version, "resources": entries})

    def aggregated(self, *, is_legacy: bool, version: str) -> tuple[bytes, str]:
        """The document of all groups below /api or /apis, and its ETag (A18, A20)."""
        key, revision = (is_legacy, version), self._kinds.revision
        known = self._aggregated.get(key)
        if known is None or known[0] != revision:
            known = self._aggregated[key] = (revision, *self._aggregate(*key))
        return known[1:]

    def _aggregate(self, is_legacy: bool, form: str) -> tuple[bytes, str]:
        items = [
            {
                "metadata": {"name": group} if group else {},
                "versions": [_version(version, self._sorted(group, version), is_legacy) for version in versions],
            }
            for group, versions in self.groups.items()
            if bool(group) != is_legacy
        ]
        document = {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{form}", "metadata": {}}
        body = _encode({**document, "items": items})
        return body, f'"{hashlib.sha256(body).hexdigest().upper()}"'

    def _sorted(self, group: str, version: str) -> list[Resource]:
        return sorted(self._kinds.in_group_version(group, version), key=lambda resource: resource.plural)


CUSTOM_VERBS = ("delete", "deletecollection", "get", "list", "patch", "create", "update", "watch")
"""In upstream's order, which is another for kinds that are defined."""

BINDINGS = {"name": "bindings", "singularName": "binding", "namespaced": True, "kind": "Binding", "verbs": ["create"]}
AGGREGATED_BINDINGS = {
    "resource": "bindings",
    "responseKind": {"group": "", "version": "", "kind": "Binding"},
    "scope": "Namespaced",
    "singularResource": "binding",
    "verbs": ["create"],
}


def _verbs(resource: Resource) -> list[str]:
    return list(CUSTOM_VERBS) if resource.custom is not None else sorted(resource.verbs)


def _entries(resource: Resource) -> Iterable[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if "watch" in resource.verbs:  # what is not stored cannot be watched
        entry["storageVersionHash"] = storage_version_hash(resource)
    yield entry
    for sub in resource.subresources:
        below: dict[str, Any] = {
            "name": f"{resource.plural}/{sub.name}",
            "singularName": "",
            "namespaced": resource.namespaced,
            "kind": sub.kind or resource.kind,
            "verbs": sorted(sub.verbs),
        }
        if sub.group:
            below |= {"group": sub.group, "version": sub.version}
        yield below


def storage_version_hash(resource: Resource) -> str:
    """Eight bytes in base64: changes when objects are stored as another kind."""
    stored = resource.stored_as.resource if resource.stored_as else resource
    name = f"{stored.group}/{stored.version}/{stored.kind}"
    if resource.custom is not None:
        name = f"{resource.custom.storage_api_version}/{resource.kind}"
    digest = hashlib.sha256(name.encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _version(version: str, served: list[Resource], is_legacy: bool) -> dict[str, Any]:
    resources = [_aggregated_entry(resource) for resource in served]
    if is_legacy:
        resources.insert(0, AGGREGATED_BINDINGS)
    return {"version": version, "resources": resources, "freshness": "Current"}


def _aggregated_entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": _verbs(resource),
    }
    if resource.short_names:
        entry["shortNames"] = list(resource.short_names)
    if resource.categories:
        entry["categories"] = list(resource.categories)
    if resource.subresources:
        subs = sorted(resource.subresources, key=lambda sub: sub.name)
        entry["subresources"] = [_aggregated_subresource(resource, sub) for sub in subs]
    return entry


def _aggregated_subresource(resource: Resource, sub: Subresource) -> dict[str, Any]:
    kind = {"group": sub.group, "version": sub.version, "kind": sub.kind or resource.kind}
    return {"subresource": sub.name, "responseKind": kind, "verbs": sorted(sub.verbs)}


def _encode(document: Any) -> bytes:
    return msgspec.json.encode(document)
