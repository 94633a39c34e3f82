"""The pods of a set, kept so that a change of one costs the same in a set of ten and of ten thousand.

A plan asks questions: which ordinals want work, what holds up the rest, how many are there of each sort. The
answers are kept up to date pod by pod; slots that never had a pod are not even counted.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from . import writes
from .views import Find, Pod, StatefulSet


class Ordinals:
    """A set of ordinals that knows its lowest one, or its highest.

    Those of `untouched` are members until they are first put: a set of a billion missing pods costs nothing. Once
    half of them were put, the rest is noted one by one: nobody walks over what was put to find it.
    """

    def __init__(self, *, highest: bool = False, untouched: range = range(0)) -> None:
        self._sign = -1 if highest else 1
        self._members: set[int] = set()
        self._heap: list[int] = []
        """Signed; may hold ordinals that have left."""
        self._untouched = untouched
        self._touched: set[int] = set()
        """Exceptions within `_untouched`."""

    def __contains__(self, ordinal: int) -> bool:
        return ordinal in self._members or (ordinal in self._untouched and ordinal not in self._touched)

    def __iter__(self) -> Iterator[int]:
        """From the first on."""
        untouched = (ordinal for ordinal in self._untouched[:: self._sign] if ordinal not in self._touched)
        return heapq.merge(sorted(self._members, reverse=self._sign < 0), untouched, reverse=self._sign < 0)

    def __bool__(self) -> bool:
        return self.first is not None

    def put(self, ordinal: int, is_member: bool) -> None:
        if ordinal in self._untouched:
            self._touched.add(ordinal)
            if 2 * len(self._touched) >= len(self._untouched):
                self._note_the_rest()
        if not is_member:
            self._members.discard(ordinal)
        elif ordinal not in self._members:
            self._members.add(ordinal)
            heapq.heappush(self._heap, self._sign * ordinal)
            if len(self._heap) > 2 * len(self._members) + 64:
                self._heap = sorted(self._sign * member for member in self._members)

    def _note_the_rest(self) -> None:
        self._members.update(ordinal for ordinal in self._untouched if ordinal not in self._touched)
        self._heap = sorted(self._sign * member for member in self._members)
        self._untouched = range(0)
        self._touched.clear()

    @property
    def first(self) -> int | None:
        """The lowest, or the highest; None if there is none."""
        put, untouched = self._first_put(), self._first_untouched()
        if put is None or untouched is None:
            return untouched if put is None else put
        return min(put, untouched, key=lambda ordinal: self._sign * ordinal)

    def _first_put(self) -> int | None:
        while self._heap:
            ordinal = self._sign * self._heap[0]
            if ordinal in self._members:
                return ordinal
            heapq.heappop(self._heap)
        return None

    def _first_untouched(self) -> int | None:
        while self._untouched:
            ordinal = self._untouched[0 if self._sign > 0 else -1]
            if ordinal not in self._touched:
                return ordinal
            self._touched.discard(ordinal)
            self._untouched = self._untouched[1:] if self._sign > 0 else self._untouched[:-1]
        return None


@dataclass(frozen=True, slots=True)
class _Mark:
    """How a pod was counted."""

    pod: Pod
    is_available: bool


class Replicas:
    """The pods that are the set's by owner, labels and exact name, distributed into slots and condemned (S6).

    Valid for one generation of the set. Time stands still between calls of `advance`.
    """

    def __init__(self, statefulset: StatefulSet, claim_named: Find, now: datetime, pods: Iterable[Pod] = ()) -> None:
        self.statefulset = statefulset
        self.claim_named = claim_named
        self.now = now
        self.created = 0
        self.ready = 0
        self.available = 0
        self.staying: Counter[str] = Counter()
        """Pods that are created and not terminating, by revision."""
        self.labels: Counter[str] = Counter()
        """All pods, by revision."""
        self.wanting = Ordinals(untouched=statefulset.slots)
        """Slots in which something is to be done: fill, delete, complete, repair."""
        self.unfit = Ordinals(untouched=statefulset.slots)
        """Slots that hold up an ordered set: without a pod that is available and stays."""
        self.condemned = Ordinals(highest=True)
        self.condemned_unavailable = Ordinals()
        self.condemned_wanting = Ordinals(highest=True)
        """Those whose claims have to change hands."""
        self._not_updated = Ordinals(highest=True, untouched=statefulset.slots)
        """Slots that are unfit or not of `_update_revision`."""
        self._update_revision = ""
        self._marks: dict[int, _Mark] = {}
        self._ripening: list[tuple[datetime, int]] = []
        for pod in pods:
            self.put(pod)

    # Questions

    def get(self, ordinal: int) -> Pod | None:
        mark = self._marks.get(ordinal)
        return mark.pod if mark is not None else None

    @property
    def pods(self) -> list[Pod]:
        return [mark.pod for mark in self._marks.values()]

    def is_available(self, ordinal: int) -> bool:
        """Whether there is an available pod of that ordinal, terminating or not."""
        mark = self._marks.get(ordinal)
        return mark is not None and mark.is_available

    def highest_not_updated(self, update_revision: str) -> int | None:
        """The highest slot that is missing, unfit, or of another revision."""
        if update_revision != self._update_revision:
            self._update_revision = update_revision
            for ordinal in self._marks:
                if ordinal in self.statefulset.slots:
                    self._judge_update(ordinal)
        return self._not_updated.first

    def next_available_in_s(self) -> float | None:
        """Seconds until the next ready pod becomes available by the passing of time alone."""
        self._drop_stale_times()
        return (self._ripening[0][0] - self.now).total_seconds() if self._ripening else None

    def with_pods(self, pods: Iterable[Pod]) -> Replicas:
        """These and further ones, counted anew; of two with the same ordinal ours stays."""
        return Replicas(self.statefulset, self.claim_named, self.now, (*pods, *self.pods))

    def summary(self) -> dict[str, object]:
        """Everything that plans depend on; equal for equal pods, however they came about."""
        return {
            "pods": {ordinal: (mark.pod.manifest, mark.is_available) for ordinal, mark in self._marks.items()},
            "counts": (self.created, self.ready, self.available, +self.staying, +self.labels),
            "wanting": list(self.wanting),
            "unfit": list(self.unfit),
            "condemned": list(self.condemned),
            "condemned unavailable": list(self.condemned_unavailable),
            "condemned wanting": list(self.condemned_wanting),
            "next available": self.next_available_in_s(),
        }

    # Changes

    def put(self, pod: Pod) -> None:
        """A pod came, or changed."""
        if pod.ordinal is not None:
            self._leave(pod.ordinal)
            self._enter(pod.ordinal, pod)

    def remove(self, ordinal: int) -> None:
        """The pod of that ordinal is gone."""
        self._leave(ordinal)
        if ordinal in self.statefulset.slots:
            self._judge_missing(ordinal)
        else:
            for ordinals in (self.condemned, self.condemned_unavailable, self.condemned_wanting):
                ordinals.put(ordinal, False)

    def recheck(self, ordinal: int) -> None:
        """Something around the pod changed: one of its claims, or the time."""
        if mark := self._marks.get(ordinal):
            self.put(mark.pod)

    def advance(self, now: datetime) -> None:
        """Time passed: ready pods may have become available."""
        self.now = now
        while self._ripening and self._ripening[0][0] <= now:
            self.recheck(heapq.heappop(self._ripening)[1])

    # Bookkeeping

    def _leave(self, ordinal: int) -> None:
        mark = self._marks.pop(ordinal, None)
        if mark is not None:
            self._count(mark, -1)

    def _enter(self, ordinal: int, pod: Pod) -> None:
        min_ready_s = self.statefulset.min_ready_s
        mark = _Mark(pod, pod.is_available(min_ready_s, self.now))
        self._marks[ordinal] = mark
        self._count(mark, 1)
        if pod.is_ready and not mark.is_available and pod.ready_since is not None:
            heapq.heappush(self._ripening, (pod.ready_since + timedelta(seconds=min_ready_s), ordinal))
        if ordinal in self.statefulset.slots:
            self._judge_slot(ordinal, mark)
        else:
            self._judge_condemned(ordinal, mark)

    def _count(self, mark: _Mark, by: int) -> None:
        pod = mark.pod
        self.labels[pod.revision] += by
        if not self.labels[pod.revision]:
            del self.labels[pod.revision]
        if pod.is_created:
            self.created += by
            self.ready += by * pod.is_ready
            self.available += by * mark.is_available
            if not pod.is_terminating:
                self.staying[pod.revision] += by

    def _judge_missing(self, ordinal: int) -> None:
        self.wanting.put(ordinal, True)
        self.unfit.put(ordinal, True)
        self._not_updated.put(ordinal, True)

    def _judge_slot(self, ordinal: int, mark: _Mark) -> None:
        self.wanting.put(ordinal, self._wants(ordinal, mark.pod))
        self.unfit.put(ordinal, mark.pod.is_terminating or not mark.is_available)
        self._judge_update(ordinal)

    def _wants(self, ordinal: int, pod: Pod) -> bool:
        if not pod.is_created:
            return True
        if pod.has_ended:
            return not pod.is_terminating
        if pod.is_pending and writes.complete_claims(self, ordinal, pod):
            return True
        return bool(writes.repair_pod(self, ordinal, pod))

    def _judge_update(self, ordinal: int) -> None:
        pod = self.get(ordinal)
        is_updated = pod is not None and pod.revision == self._update_revision and ordinal not in self.unfit
        self._not_updated.put(ordinal, not is_updated)

    def _judge_condemned(self, ordinal: int, mark: _Mark) -> None:
        self.condemned.put(ordinal, True)
        self.condemned_unavailable.put(ordinal, mark.pod.is_terminating or not mark.is_available)
        self.condemned_wanting.put(ordinal, bool(writes.condemn_claims(self, ordinal, mark.pod)))

    def _drop_stale_times(self) -> None:
        """Drops from the top what is there of pods that left, changed or are counted already."""
        while self._ripening:
            due, ordinal = self._ripening[0]
            mark = self._marks.get(ordinal)
            since = mark.pod.ready_since if mark is not None and not mark.is_available else None
            if since is not None and since + timedelta(seconds=self.statefulset.min_ready_s) == due:
                return
            heapq.heappop(self._ripening)
