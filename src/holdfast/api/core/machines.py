"""Which machine a node, or a volume, is on: the first one of the cluster, or one that has joined it."""

from __future__ import annotations

from holdfast.api.resource import Manifest

MACHINE = "holdfast.dev/machine"
"""A label of the nodes of machines that have joined, and an annotation of volumes that are there: the node's name."""


def machine_of(manifest: Manifest | None) -> str:
    """Of a Node or a PersistentVolume; empty for the first machine, where the API server is."""
    metadata = (manifest or {}).get("metadata") or {}
    found = (metadata.get("labels") or {}).get(MACHINE) or (metadata.get("annotations") or {}).get(MACHINE)
    return str(found or "")


def name_of(machine: str) -> str:
    """As users are told of it."""
    return machine or "that of the API server"
