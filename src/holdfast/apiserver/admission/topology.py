"""PodTopologyLabels: a pod that has a node is told in which zone and region that is, by labels (A233).

Source: Kubernetes, plugin/pkg/admission/podtopologylabels/admission.go.
"""

from __future__ import annotations

from holdfast.api.core.node import NODES
from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Cache
from holdfast.apiserver.call import Call

LABELS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")


def labels_of(cache: Cache, node: str) -> dict[str, str]:
    """Those of the node that its pods get; none if there is no such node."""
    stored = cache.of(NODES).get("", node)
    labels = (stored.manifest["metadata"].get("labels") or {}) if stored is not None else {}
    return {name: labels[name] for name in LABELS if name in labels}


def label(cache: Cache, call: Call, new: Manifest, old: Manifest | None) -> None:
    """For pods that come with a node; others are bound to one later."""
    node = (new.get("spec") or {}).get("nodeName")
    if old is None and node and (labels := labels_of(cache, node)):
        new["metadata"]["labels"] = {**(new["metadata"].get("labels") or {}), **labels}
