"""The history of a set's template (chapter 6)."""

from __future__ import annotations

from holdfast.api.resource import Manifest
from holdfast.controllers.revisions import in_order, name_of, number_of
from holdfast.controllers.statefulset.identity import controller_uid
from holdfast.controllers.statefulset.views import StatefulSet
from holdfast.simulation.observation import Facts, Observation

from .moments import CONTROLLER, Moment, moments, owner_key, records, sets

KIND = "ControllerRevision"


class RevisionsAreKept:
    """A template has one revision, the newest number is the highest by one, and what a pod or an update stands on
    is not trimmed, nor anything within the limit (S65-S86, S203, S205)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != KIND:
            return ""
        if seen.old is not None and seen.new is not None and seen.old["data"] != seen.new["data"]:
            return f"revision {seen.key} changed its data"
        key = owner_key(seen.manifest)
        if seen.by != CONTROLLER or not key:
            return ""
        if seen.starts_to_go:
            return self._trimmed(seen, facts, key)
        before = number_of(seen.old) if seen.old is not None else 0
        return self._numbered(seen, facts, key) if seen.new and number_of(seen.new) != before else ""

    def _numbered(self, seen: Observation, facts: Facts, key: str) -> str:
        """A new revision, or an old one that became the newest."""
        number, name = number_of(seen.manifest), name_of(seen.manifest)
        wrong = "is of no set's template"
        for statefulset in sets(facts, key):
            if not records(seen.manifest, statefulset.template):
                continue
            for revisions in _views(facts, statefulset):
                if number != max(map(number_of, revisions), default=0) + 1:
                    wrong = f"became number {number} after {sorted(map(number_of, revisions))}"
                elif seen.old is None and (same := _recording(revisions, statefulset)):
                    wrong = f"was made beside {name_of(same)}, which is the same"
                else:
                    return ""
        return f"revision {name} {wrong}"

    def _trimmed(self, seen: Observation, facts: Facts, key: str) -> str:
        wrong = "is of no set"
        for moment in moments(seen, facts, key):
            for revisions in _views(facts, moment.set):
                reason = _why_not_trimmed(moment, revisions, seen.manifest)
                if not reason:
                    return ""
                wrong = reason
        return f"revision {name_of(seen.manifest)} was deleted and {wrong}"


def _why_not_trimmed(moment: Moment, revisions: list[Manifest], revision: Manifest) -> str:
    statefulset, name = moment.set, name_of(revision)
    if any(pod.revision == name for pod in moment.pods.values()):
        return "a pod stands on it"
    if name == statefulset.status.get("currentRevision"):
        return "it was current"
    if records(revision, statefulset.template):
        return "it was the newest"
    live = {pod.revision for pod in moment.pods.values()} | {statefulset.status.get("currentRevision")}
    history = [
        one for one in in_order(revisions) if name_of(one) not in live and not records(one, statefulset.template)
    ]
    limit = statefulset.revision_history_limit
    superfluous = history[: len(history) - limit] if 0 <= limit < len(history) else []
    return "" if name in map(name_of, superfluous) else f"the limit is {limit} of {len(history)}"


def _views(facts: Facts, statefulset: StatefulSet) -> list[list[Manifest]]:
    """The set's revisions, as they may have been seen: those it controls, and those that it would adopt (S70)."""
    return [
        [
            one
            for one in view
            if controller_uid(one) in ("", statefulset.uid) and statefulset.selector.matches(one["metadata"]["labels"])
        ]
        for view in facts.past.views(KIND, f"{statefulset.namespace}/", facts.oldest(KIND))
    ]


def _recording(revisions: list[Manifest], statefulset: StatefulSet) -> Manifest | None:
    return next((one for one in revisions if records(one, statefulset.template)), None)
