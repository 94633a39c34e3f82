"""Watches every change of the store: fingerprint, last changes, past, and what the checkers say."""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from holdfast.api.resource import Manifest
from holdfast.store import Change

from .checkers import all_checkers
from .machines import Node
from .observation import Facts, InvariantBroken, Observation
from .past import Views

HEARTBEATS = ("/registry/coordination.k8s.io/leases/", "/registry/leases/", "/registry/nodes/", "/registry/core/nodes/")
EVENTS = "/registry/core/events/"
"""They expire: that they go is nobody's doing."""
CHECKED = ("pods", "statefulsets", "jobs", "persistentvolumeclaims", "persistentvolumes", "controllerrevisions")
TRACE_LENGTH = 40


class Witness:
    """Listens to a store. What it finds broken it tells in `check`, since a listener must not raise."""

    def __init__(
        self,
        now_s: Callable[[], float],
        nodes: Sequence[Node],
        views: Callable[[], Mapping[str, int]],
        acting_s: float,
    ) -> None:
        """`views` says how new the control plane's view of each kind is, as a revision."""
        self.trace: deque[str] = deque(maxlen=TRACE_LENGTH)
        self.last_write_s = 0.0
        """When anything but a heartbeat was written."""
        self._now_s = now_s
        self._nodes = nodes
        self._revisions = views
        self._views = Views(acting_s)
        self._digest = hashlib.blake2b(digest_size=16)
        self._decoded: dict[str, Manifest] = {}
        self._identities: dict[str, list[str]] = {}
        """Uids of all pods that ever had a name."""
        self._broken: list[str] = []
        self._checkers = all_checkers()
        self.facts = Facts(self._running, self._oldest, acting_s)

    @property
    def fingerprint(self) -> str:
        return self._digest.hexdigest()

    def on_changes(self, changes: Sequence[Change]) -> None:
        if self._broken:
            return  # the trace ends where it broke
        now_s = self._now_s()
        self._views.note(now_s, self._revisions())
        for change in changes:
            self._digest.update(f"{now_s:.6f} {change.key} {change.is_delete} ".encode() + change.value)
            if not change.key.startswith(HEARTBEATS):
                is_expiry = change.is_delete and change.key.startswith(EVENTS)
                self.last_write_s = self.last_write_s if is_expiry else now_s
                self._observe(change, now_s)

    def _observe(self, change: Change, now_s: float) -> None:
        author = _author()
        what = "deleted" if change.is_delete else "written" if change.previous else "created"
        line = f"{now_s:10.3f} {what} {change.key.removeprefix('/registry/')} by {author}"
        if change.key.split("/", 4)[3] not in CHECKED:
            self.trace.append(line)
            return
        old = self._decoded.pop(change.key, None)
        new: Manifest | None = None
        if not change.is_delete:
            new = self._decoded[change.key] = msgspec.json.decode(change.value)
        seen = Observation(now_s, old, new, author, change.revision)
        self.trace.append(f"{line}{_described(seen)}")
        if seen.kind == "Pod" and old is None:
            self._identities.setdefault(seen.key, []).append(seen.manifest["metadata"]["uid"])
        for checker in self._checkers:
            if problem := checker.check(seen, self.facts):
                self._broken.append(f"{type(checker).__name__}: {problem}")
        self.facts.past.note(seen.kind, seen.key, change.revision, new, self._views.oldest(seen.kind, now_s))

    def _oldest(self, kind: str) -> int:
        return self._views.oldest(kind, self._now_s())

    def _running(self, identity: str) -> Iterator[str]:
        for uid in self._identities.get(identity, ()):
            if uid not in self.facts.by_force and any(node.runs(uid) for node in self._nodes):
                yield uid

    def running_pods(self) -> list[str]:
        """`namespace/name` of each pod of which a container runs, by the word of the machines."""
        return [
            identity
            for identity, uids in self._identities.items()
            if any(node.runs(uid) for uid in uids for node in self._nodes)
        ]

    def check(self) -> None:
        """Raises InvariantBroken."""
        if self._broken:
            raise InvariantBroken("\n".join([*self._broken, "last changes:", *self.trace]))


def _author() -> str:
    """The name of the task that writes: a controller's, without the number of its worker."""
    task = asyncio.current_task()
    name = task.get_name() if task is not None else ""
    author, _, number = name.rpartition(" ")
    return author if number.isdigit() else name


def _described(seen: Observation) -> str:
    """What is worth knowing of a pod or a set in a list of changes."""
    manifest = seen.new
    if manifest is None or seen.kind not in ("Pod", "StatefulSet"):
        return ""
    status: Manifest = manifest.get("status") or {}
    words: Iterable[Any]
    if seen.kind == "Pod":
        conditions = status.get("conditions") or ()
        is_ready = any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
        revision = (manifest["metadata"].get("labels") or {}).get("controller-revision-hash", "")
        words = (status.get("phase"), "ready" if is_ready else "", f"revision {revision.rpartition('-')[2]}")
    else:
        counts = ("replicas", "readyReplicas", "availableReplicas", "currentReplicas", "updatedReplicas")
        words = (f"generation {manifest['metadata'].get('generation')}", *(status.get(count, 0) for count in counts))
    going = ("going",) if "deletionTimestamp" in manifest["metadata"] else ()
    return ": " + " ".join(str(word) for word in (*words, *going) if word != "")
