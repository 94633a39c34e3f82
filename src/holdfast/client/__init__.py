"""The one interface by which every part reads and writes objects, and what builds on it.

`Client` has two implementations: in the API server's own process (`apiserver/local.py`), and over HTTPS
(`client/remote.py`). Beside them: informers (local, indexed, read-only views), work queues, events, leases.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal, Protocol

from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest, Resource


class PatchType(StrEnum):
    JSON = "application/json-patch+json"
    MERGE = "application/merge-patch+json"
    STRATEGIC = "application/strategic-merge-patch+json"
    APPLY = "application/apply-patch+yaml"


class Unreachable(ApiError):
    """No answer: the server is down, the connection broke, or the reply was lost. The call may have taken effect."""

    code, reason = 0, "Unreachable"


@dataclass(frozen=True, slots=True)
class ObjectList:
    """The objects of one list call; each carries kind and apiVersion."""

    items: list[Manifest]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Manifest


class Client(Protocol):
    """Every call raises ApiError, named for the Kubernetes reason, or Unreachable.

    Manifests handed in are not kept or changed; manifests that come back are shared and read-only.
    """

    async def get(self, resource: Resource, name: str, namespace: str = "", *, subresource: str = "") -> Manifest: ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
        limit: int = 0,
        continue_token: str = "",
    ) -> ObjectList:
        """An empty `namespace` means all of them."""

    async def create(
        self, resource: Resource, manifest: Manifest, namespace: str = "", *, name: str = "", subresource: str = ""
    ) -> Manifest:
        """POST. The namespace is the argument's, else the manifest's. `name` goes with `subresource` (binding)."""

    async def update(self, resource: Resource, manifest: Manifest, *, subresource: str = "") -> Manifest:
        """PUT, of `metadata.name` in `metadata.namespace`; conditional if it carries a resourceVersion."""

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
    ) -> Manifest: ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        resource_version: str = "",
        grace_period_s: int | None = None,
        propagation: str = "",
    ) -> Manifest: ...

    def watch(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        resource_version: str = "",
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Changes after `resource_version`, with bookmarks. Ends when the server ends it; raises Expired for 410."""
