"""Pods, samples and autoscalers for the tests here."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from holdfast.api.times import format_time
from holdfast.controllers.autoscaling.replicas import Sample

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
WINDOW = timedelta(seconds=15)


def ago(seconds):
    return NOW - timedelta(seconds=seconds)


def pod(number, *, ready=True, phase="Running", age_s=3600, ready_for_s=None, request="1", labels=None, **metadata):
    """Of one container, `main`; it is as it is since its start if nothing else is said."""
    name = f"web-{number}"
    since = ago(age_s if ready_for_s is None else ready_for_s)
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": format_time(since)}
    resources = {"requests": {"cpu": request, "memory": "1Gi"}} if request else {}
    return {
        "metadata": {"name": name, "namespace": "default", "labels": labels or {"app": "web"}, **metadata},
        "spec": {"containers": [{"name": "main", "resources": resources}]},
        "status": {"phase": phase, "startTime": format_time(ago(age_s)), "conditions": [condition]},
    }


def sample(amount):
    return Sample(amount, NOW, WINDOW)


def samples(*amounts):
    return {f"web-{number}": sample(amount) for number, amount in enumerate(amounts) if amount is not None}


def measured(number, cpu, memory="64Mi", container="main"):
    """PodMetrics."""
    return {
        "metadata": {"name": f"web-{number}", "namespace": "default"},
        "timestamp": format_time(NOW),
        "window": "15.004s",
        "containers": [{"name": container, "usage": {"cpu": cpu, "memory": memory}}],
    }


def cpu(percent=50):
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": "cpu", "target": target}}


def autoscaler(*metrics, least=1, most=10, status=None, **spec):
    reference = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "web"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {
            "scaleTargetRef": reference,
            "minReplicas": least,
            "maxReplicas": most,
            "metrics": list(metrics) or [cpu()],
            **spec,
        },
        "status": status or {"currentMetrics": None, "desiredReplicas": 0},
    }
