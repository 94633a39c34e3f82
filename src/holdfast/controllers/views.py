"""What the views of all workloads have in common: a frozen view on a shared manifest, read with Kubernetes' names."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.api.resource import Manifest


@dataclass(frozen=True)
class Workload:
    """An object that owns others, as one sync sees it, already defaulted by the API server."""

    manifest: Manifest

    @property
    def name(self) -> str:
        return str(self.manifest["metadata"]["name"])

    @property
    def namespace(self) -> str:
        return str(self.manifest["metadata"]["namespace"])

    @property
    def uid(self) -> str:
        return str(self.manifest["metadata"]["uid"])

    @property
    def generation(self) -> int:
        return int(self.manifest["metadata"].get("generation") or 0)

    @property
    def is_being_deleted(self) -> bool:
        return "deletionTimestamp" in self.manifest["metadata"]

    @property
    def spec(self) -> Manifest:
        spec: Manifest = self.manifest["spec"]
        return spec

    @property
    def status(self) -> Manifest:
        """As stored; empty if there is none yet."""
        return self.manifest.get("status") or {}
