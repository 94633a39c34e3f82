"""What is served, as clients ask for it: group by group, or all at once (A15-A25)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Any

import msgspec

from holdfast.api import registry
from holdfast.api.resource import Resource, Subresource

GROUP_ORDER = (
    "", "apps", "events.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "autoscaling", "batch",
    "certificates.k8s.io", "networking.k8s.io", "policy", "rbac.authorization.k8s.io", "storage.k8s.io",
    "admissionregistration.k8s.io", "apiextensions.k8s.io", "scheduling.k8s.io", "coordination.k8s.io", "node.k8s.io",
    "discovery.k8s.io", "resource.k8s.io",
)  # fmt: skip
"""Upstream's order of preference (A19); groups it does not know come last."""


class Discovery:
    """The documents for a set of resources that does not change."""

    def __init__(self, server_address: str) -> None:
        self._server_address = server_address

    @cached_property
    def groups(self) -> dict[str, tuple[str, ...]]:
        served = registry.groups()
        known = [group for group in GROUP_ORDER if group in served]
        return {group: served[group] for group in [*known, *(group for group in served if group not in known)]}

    @cached_property
    def versions(self) -> bytes:
        """`/api`."""
        address = {"clientCIDR": "0.0.0.0/0", "serverAddress": self._server_address}
        return _encode({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [address]})

    @cached_property
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
        entries = [entry for resource in _sorted(group, version) for entry in _entries(resource)]
        entries.sort(key=lambda entry: entry["name"])
        if not group:
            entries.insert(0, BINDINGS)
        return _encode({**head, "groupVersion": f"{group}/{version}" if group else version, "resources": entries})

    def aggregated(self, *, is_legacy: bool, version: str) -> tuple[bytes, str]:
        """The document of all groups below /api or /apis, and its ETag (A18, A20)."""
        key = (is_legacy, version)
        if key not in self._aggregated:
            self._aggregated[key] = self._aggregate(*key)
        return self._aggregated[key]

    @cached_property
    def _aggregated(self) -> dict[tuple[bool, str], tuple[bytes, str]]:
        return {}

    def _aggregate(self, is_legacy: bool, form: str) -> tuple[bytes, str]:
        items = [
            {
                "metadata": {"name": group} if group else {},
                "versions": [_version(group, version) for version in versions],
            }
            for group, versions in self.groups.items()
            if bool(group) != is_legacy
        ]
        document = {"kind": "APIGroupDiscoveryList", "apiVersion": f"apidiscovery.k8s.io/{form}", "metadata": {}}
        body = _encode({**document, "items": items})
        return body, f'"{hashlib.sha256(body).hexdigest().upper()}"'


BINDINGS = {"name": "bindings", "singularName": "binding", "namespaced": True, "kind": "Binding", "verbs": ["create"]}
AGGREGATED_BINDINGS = {
    "resource": "bindings",
    "responseKind": {"group": "", "version": "", "kind": "Binding"},
    "scope": "Namespaced",
    "singularResource": "binding",
    "verbs": ["create"],
}


def _sorted(group: str, version: str) -> list[Resource]:
    return sorted(registry.in_group_version(group, version), key=lambda resource: resource.plural)


def _entries(resource: Resource) -> Iterable[dict[str, Any]]:
    entry: dict[str, Any] = {
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": sorted(resource.verbs),
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
    digest = hashlib.sha256(f"{stored.group}/{stored.version}/{stored.kind}".encode()).digest()
    return base64.b64encode(digest[:8]).decode()


def _version(group: str, version: str) -> dict[str, Any]:
    resources = [_aggregated_entry(resource) for resource in _sorted(group, version)]
    if not group:
        resources.insert(0, AGGREGATED_BINDINGS)
    return {"version": version, "resources": resources, "freshness": "Current"}


def _aggregated_entry(resource: Resource) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "resource": resource.plural,
        "responseKind": {"group": "", "version": "", "kind": resource.kind},
        "scope": "Namespaced" if resource.namespaced else "Cluster",
        "singularResource": resource.singular,
        "verbs": sorted(resource.verbs),
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
