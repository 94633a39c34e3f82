"""What a set of a story is like at first."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from holdfast.api.resource import Manifest

NAME = "web"
LABELS = {"app": "nginx"}


class Strategy(msgspec.Struct, frozen=True):
    """How it is updated."""

    type: str = "RollingUpdate"
    partition: int | None = None
    """None: `rollingUpdate` is absent, which is not the same as 0 (S88, S94)."""

    def manifest(self) -> Manifest:
        rolling = {"partition": self.partition} if self.partition is not None else None
        return {"type": self.type, "rollingUpdate": rolling}


class Retention(msgspec.Struct, frozen=True):
    when_deleted: str = "Retain"
    when_scaled: str = "Retain"

    def manifest(self) -> Manifest:
        return {"whenDeleted": self.when_deleted, "whenScaled": self.when_scaled}


class Shape(msgspec.Struct, frozen=True):
    replicas: int = 3
    policy: str = "OrderedReady"
    claims: tuple[str, ...] = ("www",)
    """Names of the claim templates."""
    strategy: Strategy = Strategy(partition=0)
    retention: Retention = Retention()
    min_ready_s: int = 0
    start: int = 0
    history_limit: int = 10
    probe_period_s: int = 2
    """0: there is no readiness probe."""
    grace_period_s: int = 10

    def manifest(self) -> Manifest:
        container: dict[str, Any] = {"name": "main", "image": "host"}
        if self.probe_period_s:
            probe = {"exec": {"command": ["true"]}, "periodSeconds": self.probe_period_s}
            container |= {"readinessProbe": probe, "livenessProbe": {**probe, "failureThreshold": 2}}
        resources = {"requests": {"storage": "1Gi"}}
        template = {
            "metadata": {"labels": LABELS},
            "spec": {"terminationGracePeriodSeconds": self.grace_period_s, "containers": [container]},
        }
        spec = {
            "serviceName": "nginx",
            "replicas": self.replicas,
            "podManagementPolicy": self.policy,
            "selector": {"matchLabels": LABELS},
            "updateStrategy": {name: value for name, value in self.strategy.manifest().items() if value is not None},
            "persistentVolumeClaimRetentionPolicy": self.retention.manifest(),
            "minReadySeconds": self.min_ready_s,
            "revisionHistoryLimit": self.history_limit,
            "template": template,
            "volumeClaimTemplates": [
                {
                    "metadata": {"name": name},
                    "spec": {"accessModes": ["ReadWriteOnce"], "resources": resources},
                }
                for name in self.claims
            ],
        }
        if self.start:
            spec["ordinals"] = {"start": self.start}
        metadata = {"name": NAME, "namespace": "default"}
        return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": spec}


def draw_strategy(chance: Random) -> Strategy:
    partition = chance.choice([None, 0, 0, 1, 2, 4])
    return Strategy("OnDelete") if chance.random() < 0.2 else Strategy(partition=partition)


def draw_retention(chance: Random) -> Retention:
    return Retention(chance.choice(["Retain", "Delete"]), chance.choice(["Retain", "Delete"]))


def draw_shape(chance: Random) -> Shape:
    return Shape(
        replicas=chance.randint(1, 5),
        policy=chance.choice(["OrderedReady", "OrderedReady", "Parallel"]),
        claims=chance.choice([(), ("www",), ("www",), ("www", "log")]),
        strategy=draw_strategy(chance) if chance.random() < 0.6 else Strategy(partition=0),
        retention=draw_retention(chance) if chance.random() < 0.6 else Retention(),
        min_ready_s=chance.choice([0, 0, 0, 5, 15]),
        start=chance.choice([0, 0, 0, 1, 3]),
        history_limit=chance.choice([10, 10, 2, 1, 0]),
        probe_period_s=chance.choice([0, 2, 2, 5]),
        grace_period_s=chance.choice([1, 10, 10, 30]),
    )
