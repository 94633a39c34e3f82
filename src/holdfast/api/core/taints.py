"""Taints of nodes, and the tolerations of pods.

Source: Kubernetes, staging/src/k8s.io/api/core/v1/toleration.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.api.resource import Manifest

Taint = Mapping[str, Any]


def tolerates(pod: Manifest, taint: Taint) -> bool:
    """Whether a toleration of the pod, or of a pod template, covers the taint, if only for a while."""
    return any(covers(toleration, taint) for toleration in pod["spec"].get("tolerations") or ())


def covers(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """An empty effect, or an empty key, stands for any."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    key = toleration.get("key") or ""
    if key and key != taint.get("key"):
        return False
    if (toleration.get("operator") or "Equal") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == (taint.get("value") or "")
