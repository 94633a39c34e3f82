"""What a DaemonSet's status says (W43)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from holdfast.api.apps.daemon_set import DAEMON_SETS
from holdfast.api.resource import Manifest
from holdfast.controllers.actions import Update
from holdfast.controllers.replicaset.pods import is_ready

from .daemons import Judge
from .placement import Fit
from .views import DaemonSet

_ALWAYS = ("desiredNumberScheduled", "currentNumberScheduled", "numberMisscheduled", "numberReady")
_COUNTS = (*_ALWAYS, "updatedNumberScheduled", "numberAvailable", "numberUnavailable")


def count(judge: Judge, fits: Mapping[str, Fit], pods: Mapping[str, Sequence[Manifest]]) -> Manifest:
    """The counts of nodes. Of several pods on one, the first is looked at."""
    wanted = [node for node, fit in fits.items() if fit is Fit.WANTED]
    first = [pods[node][0] for node in wanted if pods.get(node)]
    available = sum(map(judge.is_available, first))
    return {
        "desiredNumberScheduled": len(wanted),
        "currentNumberScheduled": len(first),
        "numberMisscheduled": sum(fit is not Fit.WANTED and bool(pods.get(node)) for node, fit in fits.items()),
        "numberReady": sum(map(is_ready, first)),
        "updatedNumberScheduled": sum(map(judge.is_new, first)),
        "numberAvailable": available,
        "numberUnavailable": len(wanted) - available,
    }


def write(daemon_set: DaemonSet, counts: Manifest, collisions: int) -> Update | None:
    """The write; None if nothing changed."""
    stored = daemon_set.status
    written = {name: value for name, value in stored.items() if name not in _COUNTS}
    written |= {name: value for name, value in counts.items() if value or name in _ALWAYS}
    written["observedGeneration"] = daemon_set.generation
    if collisions:
        written["collisionCount"] = collisions
    if written == stored:
        return None
    return Update(DAEMON_SETS, {**daemon_set.manifest, "status": written}, subresource="status", insists=True)
