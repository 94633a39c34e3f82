"""One sync of a Deployment, from start to end. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.apps.replica_set import REPLICA_SETS
from holdfast.api.errors import AlreadyExists
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Action, Create, Delete, Emit, Plan, Report, Update
from holdfast.controllers.owners import claim
from holdfast.controllers.replicaset.pods import has_ended

from . import rollout, scaling, sets, status
from .conditions import PAUSED, PROGRESSING, RESUMED, TIMED_OUT, Conditions
from .sets import Find
from .views import Deployment, ReplicaSet

AFTER_DEADLINE_S = 1.0


@dataclass(frozen=True, slots=True)
class Observed:
    """All that the decision reads."""

    deployment: Deployment
    replica_sets: Sequence[Manifest]
    """Those it controls, and those of its namespace that nobody controls."""
    pods: Sequence[Manifest]
    """Those of the sets it controls; needed for Recreate only."""
    replica_set_named: Find
    now: datetime


def plan(observed: Observed) -> Plan:
    """The next step towards the spec, and the status as of now (W20-W31)."""
    deployment = observed.deployment
    claimed = claim(
        DEPLOYMENTS,
        deployment.manifest,
        lambda one: deployment.selector.matches(one["metadata"].get("labels")),
        REPLICA_SETS,
        observed.replica_sets,
    )
    sync = Sync(observed, [ReplicaSet(one) for one in claimed.kept])
    reason, cleanup = sync.work()
    return sync.planned(reason, claimed.before, cleanup)


class Sync:
    """One plan in the making: the sets as they shall be, and the conditions."""

    def __init__(self, observed: Observed, all_sets: list[ReplicaSet]) -> None:
        self._observed = observed
        self._deployment = observed.deployment
        self._new = sets.newest_first_match(observed.deployment, all_sets)
        self._old = [one for one in all_sets if one is not self._new]
        self._conditions = Conditions(observed.deployment.status.get("conditions") or (), observed.now)
        self._collisions: int | None = observed.deployment.status.get("collisionCount")
        self._rolls = False

    @property
    def _sets(self) -> list[ReplicaSet]:
        return [*self._old, *([self._new] if self._new else [])]

    def work(self) -> tuple[str, list[ReplicaSet]]:
        """Why, and the old sets to delete."""
        if self._deployment.is_being_deleted:
            return "being deleted", []
        self._note_pause()
        if self._new is not None:
            self._adopt_new(self._new)
        if self._deployment.is_paused:
            scaling.scale(self._deployment, self._new, self._old)
            return "paused", sets.superfluous(self._deployment, self._old)
        if scaling.is_due(self._deployment, self._sets):
            scaling.scale(self._deployment, self._new, self._old)
            return "scaled", []
        self._rolls = True
        steps = self._roll() if self._deployment.is_rolling else self._recreate()
        is_complete = status.is_complete(self._deployment, self._deployment.status)
        gone = sets.superfluous(self._deployment, self._old) if is_complete and not steps else []
        return steps or "all as wanted", gone

    def _note_pause(self) -> None:
        """A pause stops the clock of the deadline; a rollout found stuck stays so (W28)."""
        present = self._conditions.get(PROGRESSING)
        reason = present.get("reason") if present else ""
        if self._deployment.deadline_s is None or reason == TIMED_OUT:
            return
        if self._deployment.is_paused and reason != PAUSED:
            self._conditions.set(PROGRESSING, "Unknown", PAUSED, "Deployment is paused")
        elif not self._deployment.is_paused and reason == PAUSED:
            self._conditions.set(PROGRESSING, "Unknown", RESUMED, "Deployment is resumed")

    def _adopt_new(self, new: ReplicaSet) -> None:
        sets.annotate_new(self._deployment, new, self._old)
        new.min_ready_s = self._deployment.min_ready_s
        if self._deployment.deadline_s is not None and self._conditions.get(PROGRESSING) is None:
            message = f'Found new replica set "{new.name}"'
            self._conditions.set(PROGRESSING, "True", "FoundNewReplicaSet", message)

    def _create_new(self) -> ReplicaSet:
        new, collisions = sets.build(self._deployment, self._observed.replica_set_named, self._collisions or 0)
        if collisions:
            self._collisions = collisions
        new.replicas = rollout.first_size(self._deployment, new, self._old)
        sets.annotate_new(self._deployment, new, self._old)
        sets.annotate_sizes(self._deployment, new)
        if self._deployment.deadline_s is not None:
            message = f'Created new replica set "{new.name}"'
            self._conditions.set(PROGRESSING, "True", "NewReplicaSetCreated", message)
        self._new = new
        return new

    def _roll(self) -> str:
        if self._new is None:
            self._create_new()
            return "a template without a set"
        return "rolling on" if rollout.roll(self._deployment, self._new, self._old) else ""

    def _recreate(self) -> str:
        if rollout.stop_all(self._deployment, self._old):
            return "old sets are stopped"
        if self._are_old_pods_there():
            return "waiting for the old pods to end"
        if self._new is None:
            self._create_new()
            return "a template without a set"
        return (
            "the new set is started" if scaling.resize(self._deployment, self._new, self._deployment.replicas) else ""
        )

    def _are_old_pods_there(self) -> bool:
        """Terminating ones included (W25, W116)."""
        if any(one.reports("replicas") for one in self._old):
            return True
        new = self._new.uid if self._new else ""
        return any(not has_ended(pod) for pod in self._observed.pods if not _is_owned_by(pod, new))

    def planned(self, reason: str, before: Sequence[Action], gone: Sequence[ReplicaSet]) -> Plan:
        counts = status.count(self._deployment, self._sets, self._new, self._collisions)
        if self._rolls:
            status.judge_availability(self._deployment, counts, self._conditions)
            status.judge_progress(self._deployment, counts, self._new, self._conditions)
            status.pass_on_failures(self._sets, self._new, self._conditions)
        else:
            status.judge_availability(self._deployment, counts, self._conditions)
        revision = self._new.annotations.get(sets.REVISION, "") if self._new else ""
        return Plan(
            reason,
            before=before,
            actions=[action for one in self._sets if one.is_changed or one.is_new for action in self._write(one)],
            status=status.write(self._deployment, counts, self._conditions, revision),
            failed_status=self._failed_status(),
            cleanup=[_delete(one) for one in gone],
            subject=self._deployment.manifest,
            again_after_s=self._again_after_s(counts),
        )

    def _write(self, one: ReplicaSet) -> list[Action]:
        before = 0 if one.is_new else one.stored_replicas
        report = None
        if one.replicas != before:
            way = "up" if one.replicas > before else "down"
            message = f"Scaled {way} replica set {one.name} from {before} to {one.replicas}"
            report = Report("Normal", "ScalingReplicaSet", message)
        if not one.is_new:
            return [Update(REPLICA_SETS, one.wanted(), on_success=report)]
        failed = Report("Warning", "ReplicaSetCreateError", f'Failed to create new replica set "{one.name}": {{error}}')
        quiet = (AlreadyExists,)  # the view is late: the name is avoided as soon as it is seen to be taken
        created = Create(REPLICA_SETS, one.wanted(), on_failure=failed, quiet=quiet, error=failed.message)
        return [created, *([Emit(report)] if report else [])]

    def _failed_status(self) -> Update | None:
        """If the new set cannot be created, and only then, its failure is a condition; nothing else is told anew."""
        if self._new is None or not self._new.is_new or self._deployment.deadline_s is None:
            return None
        conditions = Conditions(self._deployment.status.get("conditions") or (), self._observed.now)
        conditions.set(PROGRESSING, "False", "ReplicaSetCreateError", "{error}")
        return status.write_always(self._deployment, self._deployment.status, conditions, "")

    def _again_after_s(self, counts: Manifest) -> float | None:
        """When the deadline will have passed."""
        deadline_s = self._deployment.deadline_s
        if not self._rolls or deadline_s is None or status.is_complete(self._deployment, counts):
            return None
        left_s = self._conditions.overdue_in_s(deadline_s)
        return None if left_s is None else max(left_s, 0.0) + AFTER_DEADLINE_S


def _is_owned_by(pod: Manifest, uid: str) -> bool:
    return bool(uid) and any(each["uid"] == uid for each in pod["metadata"].get("ownerReferences") or ())


def _delete(one: ReplicaSet) -> Delete:
    metadata = one.manifest["metadata"]
    return Delete(REPLICA_SETS, metadata["namespace"], metadata["name"], metadata["uid"])
