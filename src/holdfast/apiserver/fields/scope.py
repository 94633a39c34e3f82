"""What a write through an endpoint may own at all (A138, A148)."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.resource import Manifest, Resource

from .nodes import Tree, tree_of

KEPT_METADATA = {"Pod": ("ownerReferences", "deletionTimestamp"), "Deployment": ("labels",)}
"""What a write through /status may not own of an object's metadata, by kind."""

METADATA = "f:metadata"


@dataclass(frozen=True, slots=True)
class Scope:
    """A kind, and the part of it that an endpoint writes."""

    resource: Resource
    subresource: str = ""

    @property
    def tree(self) -> Tree:
        return tree_of(self.resource)

    def reduced(self, manifest: Manifest) -> Manifest:
        """The object without what this endpoint does not write. Shares the rest."""
        if self.subresource == "status":
            reduced = {name: value for name, value in manifest.items() if name != "spec"}
            kept = KEPT_METADATA.get(self.resource.kind, ())
            if kept and (metadata := manifest.get("metadata")):
                reduced["metadata"] = {name: value for name, value in metadata.items() if name not in kept}
            return reduced
        if not self.subresource and self.resource.has_status and "status" in manifest:
            return {name: value for name, value in manifest.items() if name != "status"}
        return manifest

    def owned(self, paths: set[str]) -> frozenset[str]:
        """The paths that anybody may own."""
        paths.discard(METADATA)
        return frozenset(paths)
