"""Claims outlive pods, and belong to whom the retention policy says (chapters 3 and 5)."""

from __future__ import annotations

import re

from holdfast.api.resource import Manifest
from holdfast.controllers.statefulset.claims import claim_name
from holdfast.simulation.observation import Facts, Observation

from .moments import CONTROLLER, Moment, moments

COLLECTOR = "garbage-collector-controller"

_CLAIM_NAME = re.compile(r"(.+)-([0-9]+)", re.ASCII)


class ClaimsAreKept:
    """A claim is deleted only by its user, or because all its owners are gone; a bound volume keeps its claim
    (DESIGN 4.3, S49, S204)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind == "PersistentVolumeClaim":
            return self._claim(seen, facts)
        return self._volume(seen) if seen.kind == "PersistentVolume" else ""

    def _claim(self, seen: Observation, facts: Facts) -> str:
        if seen.old is None:
            return ""
        metadata = seen.manifest["metadata"]
        if seen.starts_to_go and metadata["uid"] not in facts.by_user:
            if seen.by != COLLECTOR or not _references(seen.old):
                return f"claim {seen.key} was deleted by nobody who may"
            if owner := _living_owner(seen.old, facts):
                return f"claim {seen.key} was deleted, and its owner {owner} lives"
        before, after = seen.old["spec"].get("volumeName"), seen.manifest["spec"].get("volumeName")
        return f"claim {seen.key} went from {before} to {after}" if before and before != after else ""

    def _volume(self, seen: Observation) -> str:
        if seen.old is None or seen.new is None:
            return ""
        before, after = (_claim_uid(each) for each in (seen.old, seen.new))
        if before and after and before != after:
            return f"volume {seen.key} went from claim {before} to {after}"
        return ""


def _living_owner(claim: Manifest, facts: Facts) -> str:
    """An owner that is there and not waiting for its dependents to go (S114, S115)."""
    namespace = claim["metadata"]["namespace"]
    for reference in _references(claim):
        owner = facts.past.now(reference["kind"], f"{namespace}/{reference['name']}")
        if owner is None or owner["metadata"]["uid"] != reference["uid"]:
            continue
        if "foregroundDeletion" not in (owner["metadata"].get("finalizers") or ()):
            return f"{reference['kind']} {reference['name']}"
    return ""


class ClaimsBelongAsThePolicySays:
    """What the controller writes as owners of a claim is what the retention policy asks for (S50-S55, S204)."""

    def check(self, seen: Observation, facts: Facts) -> str:
        if seen.kind != "PersistentVolumeClaim" or seen.by != CONTROLLER:
            return ""
        if seen.old is None or seen.new is None or _references(seen.old) == _references(seen.new):
            return ""
        match = _CLAIM_NAME.fullmatch(seen.manifest["metadata"]["name"])
        prefix, ordinal = (match[1], int(match[2])) if match else ("", -1)
        reason = ""
        for statefulset in facts.past.all_now("StatefulSet"):
            key = f"{statefulset['metadata']['namespace']}/{statefulset['metadata']['name']}"
            if not prefix.endswith(f"-{statefulset['metadata']['name']}"):
                continue
            for moment in moments(seen, facts, key):
                wrong = _why_wrong(moment, seen.new, ordinal)
                if not wrong:
                    return ""
                reason = reason or wrong
        return f"claim {seen.key} {reason}" if reason else ""


def _why_wrong(moment: Moment, claim: Manifest, ordinal: int) -> str:
    statefulset, metadata = moment.set, claim["metadata"]
    if all(claim_name(one, statefulset, ordinal) != metadata["name"] for one in statefulset.claim_templates):
        return "is none of the set's"
    pod = moment.pods.get(ordinal)
    wanted: tuple[str, str] | None = None
    if statefulset.deletes_claims_when_scaled and ordinal not in statefulset.slots:
        wanted = ("Pod", pod.uid if pod is not None else "")
    elif statefulset.deletes_claims_when_deleted:
        wanted = ("StatefulSet", statefulset.uid)
    ours = {"StatefulSet": statefulset.name, "Pod": f"{statefulset.name}-{ordinal}"}
    owners = {
        (reference["kind"], reference["uid"])
        for reference in _references(claim)
        if ours.get(reference["kind"]) == reference["name"]
    }
    has_others = len(owners) < len(_references(claim))
    if owners == ({wanted} if wanted else set()) or (not owners and has_others):
        return ""
    return f"was given the owners {sorted(owners)}, wanted was {wanted or 'none'}"


def _references(claim: Manifest) -> list[Manifest]:
    return claim["metadata"].get("ownerReferences") or []


def _claim_uid(volume: Manifest) -> str:
    return str((volume["spec"].get("claimRef") or {}).get("uid") or "")
