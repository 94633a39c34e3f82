"""What users do to a set: each step is data, says how it is drawn, and is taken on a cluster.

A step that finds nothing to act on does nothing: a story stays playable when others are left out of it.
"""

from __future__ import annotations

from contextlib import suppress
from random import Random
from typing import ClassVar, Literal

import msgspec

from holdfast.api.apps.controller_revision import CONTROLLER_REVISIONS
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.persistent_volume_claim import PERSISTENT_VOLUME_CLAIMS
from holdfast.api.core.pod import PODS
from holdfast.api.errors import Conflict, Invalid, NotFound
from holdfast.api.resource import Manifest
from holdfast.client import PatchType
from holdfast.controllers.revisions import in_order
from holdfast.simulation.cluster import Cluster
from holdfast.simulation.machines import BAD_IMAGES, GOOD_IMAGES

from .shape import LABELS, NAME, Retention, Shape, Strategy, draw_retention, draw_strategy

HIGHEST = 7
"""Ordinals that are worth naming end here."""


class Step(msgspec.Struct, frozen=True, tag_field="do", kw_only=True):
    after_s: float = 0.0
    """Time that passes before it."""
    likes: ClassVar[int] = 1
    """How often it is drawn, compared with others."""

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls()

    def take(self, cluster: Cluster) -> None:
        raise NotImplementedError


def change(cluster: Cluster, spec: Manifest) -> None:
    """Changes the set's spec, if there is a set and the server agrees."""
    try:
        cluster.patch(STATEFUL_SETS, NAME, {"spec": spec})
    except (NotFound, Conflict, Invalid):
        return


def pod_name(ordinal: int) -> str:
    return f"{NAME}-{ordinal}"


class Scale(Step, frozen=True, tag="scale"):
    likes: ClassVar[int] = 4
    replicas: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(replicas=chance.randint(0, 5))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"replicas": self.replicas})


class Annotate(Step, frozen=True, tag="annotate the template"):
    """A rolling restart, or a return to a template that was before."""

    likes: ClassVar[int] = 4
    version: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(version=chance.randint(1, 4))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"template": {"metadata": {"annotations": {"version": str(self.version)}}}})


class ChangeImage(Step, frozen=True, tag="change the image"):
    """For a good one, or one that cannot be had, ends at once, never becomes ready or is never alive."""

    likes: ClassVar[int] = 4
    image: str = GOOD_IMAGES[0]

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(image=chance.choice([*GOOD_IMAGES, *GOOD_IMAGES, *BAD_IMAGES]))

    def take(self, cluster: Cluster) -> None:
        set_image(cluster, self.image)


def set_image(cluster: Cluster, image: str) -> None:
    """By a strategic merge patch: the other fields of the container stay."""
    template = {"spec": {"containers": [{"name": "main", "image": image}]}}
    try:
        cluster.patch(STATEFUL_SETS, NAME, {"spec": {"template": template}}, type=PatchType.STRATEGIC)
    except (NotFound, Conflict):
        return


class RollBack(Step, frozen=True, tag="roll back"):
    """As `kubectl rollout undo` does (S190)."""

    likes: ClassVar[int] = 2

    def take(self, cluster: Cluster) -> None:
        revisions = in_order(cluster.objects(CONTROLLER_REVISIONS, "default"))
        if len(revisions) > 1 and cluster.get(STATEFUL_SETS, NAME):
            cluster.patch(STATEFUL_SETS, NAME, revisions[-2]["data"], type=PatchType.STRATEGIC)


class ChangeStrategy(Step, frozen=True, tag="change the strategy"):
    """Its type or its partition."""

    likes: ClassVar[int] = 3
    strategy: Strategy = Strategy()

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(strategy=draw_strategy(chance))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"updateStrategy": self.strategy.manifest()})


class MoveStart(Step, frozen=True, tag="move the start"):
    start: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(start=chance.choice([0, 1, 2, 4]))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"ordinals": {"start": self.start} if self.start else None})


class ChangeMinReady(Step, frozen=True, tag="change minReadySeconds"):
    seconds: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(seconds=chance.choice([0, 3, 20]))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"minReadySeconds": self.seconds})


class ChangeRetention(Step, frozen=True, tag="change the retention policy"):
    likes: ClassVar[int] = 2
    retention: Retention = Retention()

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(retention=draw_retention(chance))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"persistentVolumeClaimRetentionPolicy": self.retention.manifest()})


class ChangeHistoryLimit(Step, frozen=True, tag="change the history limit"):
    limit: int = 10

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(limit=chance.choice([0, 1, 10]))

    def take(self, cluster: Cluster) -> None:
        change(cluster, {"revisionHistoryLimit": self.limit})


class DeletePod(Step, frozen=True, tag="delete a pod"):
    likes: ClassVar[int] = 5
    ordinal: int = 0
    by_force: bool = False

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, HIGHEST), by_force=chance.random() < 0.2)

    def take(self, cluster: Cluster) -> None:
        cluster.delete(PODS, pod_name(self.ordinal), grace_period_s=0 if self.by_force else None)


class FailPod(Step, frozen=True, tag="fail a pod"):
    """As a node that evicts it does: its phase says that it has ended (S41)."""

    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, HIGHEST))

    def take(self, cluster: Cluster) -> None:
        status = {"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory."}
        if found := cluster.get(PODS, pod_name(self.ordinal)):
            cluster.permit(found["metadata"]["uid"], by_force=True)  # its containers may run: it is only said to end
            cluster.patch(PODS, pod_name(self.ordinal), {"status": status}, subresource="status")


class DeleteSet(Step, frozen=True, tag="delete the set"):
    likes: ClassVar[int] = 2
    propagation: Literal["Background", "Foreground", "Orphan"] = "Background"

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(propagation=chance.choice(["Background", "Foreground", "Orphan", "Orphan"]))

    def take(self, cluster: Cluster) -> None:
        cluster.delete(STATEFUL_SETS, NAME, propagation=self.propagation)


class CreateSet(Step, frozen=True, tag="create the set"):
    """If there is none, as it was at first or with the other pod management."""

    likes: ClassVar[int] = 3
    shape: Shape = Shape()

    def take(self, cluster: Cluster) -> None:
        if not cluster.get(STATEFUL_SETS, NAME):
            cluster.apply(self.shape.manifest())


class Orphan(Step, frozen=True, tag="take a pod's labels"):
    """Its set releases it; the name stays taken (S110)."""

    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, 4))

    def take(self, cluster: Cluster) -> None:
        relabel(cluster, pod_name(self.ordinal), dict.fromkeys(LABELS))


class GiveBack(Step, frozen=True, tag="give a pod's labels back"):
    likes: ClassVar[int] = 2
    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, 4))

    def take(self, cluster: Cluster) -> None:
        relabel(cluster, pod_name(self.ordinal), LABELS)


def relabel(cluster: Cluster, name: str, labels: Manifest) -> None:
    with suppress(NotFound):
        cluster.patch(PODS, name, {"metadata": {"labels": labels}})


class TakeIdentity(Step, frozen=True, tag="take a pod's name label"):
    """It has to be put right (S25)."""

    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, 4))

    def take(self, cluster: Cluster) -> None:
        relabel(cluster, pod_name(self.ordinal), {"statefulset.kubernetes.io/pod-name": None})


class TakeOwner(Step, frozen=True, tag="take a pod's owner"):
    """It has to be adopted again (S122)."""

    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, 4))

    def take(self, cluster: Cluster) -> None:
        if cluster.get(PODS, pod_name(self.ordinal)):
            cluster.patch(PODS, pod_name(self.ordinal), {"metadata": {"ownerReferences": None}})


class DeleteClaim(Step, frozen=True, tag="delete a claim"):
    likes: ClassVar[int] = 2
    ordinal: int = 0

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(ordinal=chance.randint(0, HIGHEST))

    def take(self, cluster: Cluster) -> None:
        cluster.delete(PERSISTENT_VOLUME_CLAIMS, f"www-{pod_name(self.ordinal)}")


class DeleteRevision(Step, frozen=True, tag="delete a revision"):
    number: int = 0
    """Counted from the newest."""

    @classmethod
    def draw(cls, chance: Random) -> Step:
        return cls(number=chance.randint(0, 2))

    def take(self, cluster: Cluster) -> None:
        revisions = in_order(cluster.objects(CONTROLLER_REVISIONS, "default"))[::-1]
        if self.number < len(revisions):
            cluster.delete(CONTROLLER_REVISIONS, revisions[self.number]["metadata"]["name"])
