"""Wrong rules of the StatefulSet controller, made by hand: what `scripts/mutations.py` puts in, one at a time.

Each is a slip that somebody could make and a reader could miss. Each must be caught by a rule's test, else by the
simulation; `docs/mutations.md` says by which.
"""

from __future__ import annotations

from dataclasses import dataclass

ROOT = "src/holdfast/controllers/statefulset"


@dataclass(frozen=True, slots=True)
class Mutant:
    """`old`, which occurs once in the file, becomes `new`."""

    file: str
    breaks: str
    """The rule, and what goes wrong."""
    old: str
    new: str


MUTANTS = (
    # plan
    Mutant(
        "plan.py",
        "S7: a set that is being deleted still works on its pods",
        "    if not statefulset.is_being_deleted:\n        done = work",
        "    if True:\n        done = work",
    ),
    Mutant(
        "plan.py",
        "S7, S124: a set that is being deleted adopts, and makes revisions",
        "before=() if statefulset.is_being_deleted else before,",
        "before=before,",
    ),
    Mutant(
        "plan.py",
        "S42, S47: an ordered set scales down and updates while a slot waits",
        "    if slots.ends_here:",
        "    if False:",
    ),
    Mutant(
        "plan.py",
        "S99: OnDelete deletes outdated pods",
        "    if statefulset.is_updated_by_deletion:\n        return Work()\n    if statefulset.beyond",
        "    if statefulset.beyond",
    ),
    Mutant(
        "status.py",
        "S107: a pod that was not at the current revision is subtracted from those that are",
        "sum(pod.revision == self.current_revision for pod in updated)",
        "sum(1 for pod in updated)",
    ),
    Mutant(
        "plan.py",
        "S96: the pod that goes for the update still counts as current",
        "counted.without(done.updated)",
        "counted",
    ),
    Mutant(
        "plan.py",
        "S133: a rollout never completes",
        "counted = status.completed(statefulset, counted.without(done.updated))",
        "counted = counted.without(done.updated)",
    ),
    Mutant(
        "plan.py",
        "S84: revisions that pods still stand on are trimmed",
        "live = {history.current_name, history.update_name} | of_pods",
        "live = {history.current_name, history.update_name}",
    ),
    Mutant(
        "plan.py",
        "S14: the set does not look again when a pod becomes available by itself",
        "if min_ready_s == 0 or replicas.ready == replicas.available:",
        "if True:",
    ),
    Mutant(
        "plan.py",
        "S14: it looks again only after the whole of minReadySeconds",
        "min(wait_s, float(min_ready_s))",
        "float(min_ready_s)",
    ),
    Mutant(
        "plan.py",
        "S94, S130: every status may wait, also the one the next sync decides by",
        "status_may_wait=is_on_the_way and told is None and status.only_counts(statefulset, counted),",
        "status_may_wait=is_on_the_way,",
    ),
    # ordering
    Mutant(
        "ordering.py",
        "S45: parallel slots wait as ordered ones do",
        "if statefulset.is_ordered and (waits := _wait_reason(replicas, ordinal, pod)):",
        "if waits := _wait_reason(replicas, ordinal, pod):",
    ),
    Mutant(
        "ordering.py",
        "S41.4: a pod that leaves is not waited for",
        '    if pod.is_terminating:\n        return f"waiting for pod {ordinal} to leave"\n',
        "",
    ),
    Mutant(
        "ordering.py",
        "S41.6: ready is enough, minReadySeconds or not",
        "    if not replicas.is_available(ordinal):",
        "    if False:",
    ),
    Mutant(
        "ordering.py",
        "S41.1: what has ended is deleted again while it leaves",
        '        if pod.is_terminating:\n            return Work(reason=f"waiting for pod {ordinal}, which has ended',
        '        if False:\n            return Work(reason=f"waiting for pod {ordinal}, which has ended',
    ),
    Mutant(
        "ordering.py",
        "S57: a pod is made on the claim of an earlier one",
        "if claim is not None and claims.is_on_its_way_out(claim, name):",
        "if False:",
    ),
    Mutant(
        "ordering.py",
        "S44: the lowest broken surplus pod may not go either",
        "if lowest_broken != highest and highest in replicas.condemned_unavailable:",
        "if highest in replicas.condemned_unavailable:",
    ),
    Mutant(
        "ordering.py",
        "S44: broken surplus pods go as healthy ones do",
        "if lowest_broken != highest and highest in replicas.condemned_unavailable:",
        "if False:",
    ),
    Mutant(
        "ordering.py",
        "S43: the next surplus pod goes before the one above it has left",
        '    if pod.is_terminating:\n        return Work(reason=f"waiting for surplus pod',
        '    if False:\n        return Work(reason=f"waiting for surplus pod',
    ),
    Mutant(
        "ordering.py",
        "S45: a surplus pod that leaves is deleted again",
        "(pod := replicas.get(ordinal)) and not pod.is_terminating]",
        "(pod := replicas.get(ordinal))]",
    ),
    Mutant(
        "ordering.py",
        "S61: the surplus pod is deleted before its claims name it",
        "return Work([*actions, *work.actions], work.reason, ends_here=True)",
        "return Work([*work.actions, *actions], work.reason, ends_here=True)",
    ),
    Mutant(
        "ordering.py",
        "S47: an ordered set updates while surplus pods are there",
        "return Work([*actions, *work.actions], work.reason, ends_here=True)",
        "return Work([*actions, *work.actions], work.reason)",
    ),
    Mutant(
        "ordering.py",
        "S42: an ordered set makes all its pods at once",
        'return Work(actions, f"pod {ordinal} is missing", ends_here=True)',
        'return Work(actions, f"pod {ordinal} is missing")',
    ),
    # update
    Mutant(
        "update.py",
        "S93: one slot too many stays at the current revision",
        "statefulset.slots.index(ordinal) < staying",
        "statefulset.slots.index(ordinal) <= staying",
    ),
    Mutant(
        "update.py",
        "S89: the partition is taken for an ordinal",
        "statefulset.slots.index(ordinal) < staying",
        "ordinal < staying",
    ),
    Mutant(
        "update.py",
        "S92: with OnDelete a new pod gets the old template",
        "        return history.update\n",
        "        return history.current\n",
    ),
    Mutant(
        "update.py",
        "S94: rollingUpdate absent is taken for partition 0",
        "    if not statefulset.has_partition:",
        "    if False:",
    ),
    Mutant(
        "update.py",
        "S96: the slot at the partition is never updated",
        "statefulset.slots.index(ordinal) < statefulset.partition:",
        "statefulset.slots.index(ordinal) <= statefulset.partition:",
    ),
    Mutant(
        "update.py",
        "S89: the update's partition is taken for an ordinal",
        "statefulset.slots.index(ordinal) < statefulset.partition:",
        "ordinal < statefulset.partition:",
    ),
    Mutant(
        "update.py",
        "S96: an outdated pod that leaves is deleted again",
        "if pod.revision != history.update_name and not pod.is_terminating:",
        "if pod.revision != history.update_name:",
    ),
    Mutant(
        "update.py",
        "S97: a broken outdated pod is waited for",
        "if pod.revision != history.update_name and not pod.is_terminating:",
        "if pod.revision != history.update_name and not pod.is_terminating and pod.is_ready:",
    ),
    # replicas
    Mutant(
        "replicas.py",
        "S41.4, S96: a terminating pod counts as fit while it is ready",
        "self.unfit.put(ordinal, mark.pod.is_terminating or not mark.is_available)",
        "self.unfit.put(ordinal, not mark.is_available)",
    ),
    Mutant(
        "replicas.py",
        "S127: terminating pods count as current and updated",
        "            if not pod.is_terminating:\n                self.staying",
        "            if True:\n                self.staying",
    ),
    Mutant(
        "replicas.py",
        "S43: surplus pods go from the bottom",
        "self.condemned = Ordinals(highest=True)",
        "self.condemned = Ordinals()",
    ),
    Mutant(
        "replicas.py",
        "S96, S100: the update begins at the bottom",
        "self._not_updated = Ordinals(highest=True, untouched=slots.span, left_out=slots.left_out)",
        "self._not_updated = Ordinals(untouched=slots.span, left_out=slots.left_out)",
    ),
    Mutant(
        "replicas.py",
        "S44: the highest broken surplus pod may go, not the lowest",
        "self.condemned_unavailable = Ordinals()",
        "self.condemned_unavailable = Ordinals(highest=True)",
    ),
    Mutant(
        "replicas.py",
        "S34: a pending pod's missing claims are no reason to act",
        "if pod.is_pending and writes.complete_claims(self, ordinal, pod):",
        "if False:",
    ),
    Mutant(
        "replicas.py",
        "S14: a pod that waits for minReadySeconds is forgotten",
        "if pod.is_ready and not mark.is_available and pod.ready_since is not None:",
        "if False:",
    ),
    # status
    Mutant(
        "status.py",
        "S99: with OnDelete the current revision advances",
        "    if statefulset.is_updated_by_deletion:\n        return status\n",
        "",
    ),
    Mutant(
        "status.py",
        "S133: leftover pods do not postpone completion",
        "status.updated_replicas == status.ready_replicas == status.replicas == statefulset.replicas",
        "status.updated_replicas == status.ready_replicas == statefulset.replicas",
    ),
    Mutant(
        "status.py",
        "S133: nor does one that is not ready",
        "status.updated_replicas == status.ready_replicas == status.replicas == statefulset.replicas",
        "status.updated_replicas == status.replicas == statefulset.replicas",
    ),
    Mutant(
        "status.py",
        "S131: a new generation alone is no reason to write",
        'is_observed = int(stored.get("observedGeneration") or 0) >= statefulset.generation',
        "is_observed = True",
    ),
    Mutant(
        "status.py",
        "S134: members that are empty are written",
        "for name, value in rest.items() if value}",
        "for name, value in rest.items()}",
    ),
    Mutant(
        "status.py",
        "S94: how many pods are current may be written late",
        'or int(stored.get("currentReplicas") or 0) == status.current_replicas',
        "or True",
    ),
    # claims
    Mutant(
        "claims.py",
        "S30: the template's labels win over the selector's",
        '"labels": {**(template_metadata.get("labels") or {}), **match_labels},',
        '"labels": {**match_labels, **(template_metadata.get("labels") or {})},',
    ),
    Mutant(
        "claims.py",
        "S31: a template's volume of a claim's name stays",
        'if volume["name"] not in taken]',
        "]",
    ),
    Mutant(
        "claims.py",
        "S50: whenScaled Delete gives the claims of pods in slots to the pods",
        "if statefulset.deletes_claims_when_scaled and is_condemned:",
        "if statefulset.deletes_claims_when_scaled:",
    ),
    Mutant(
        "claims.py",
        "S53: a claim of an earlier set or pod is taken over",
        "    if any(_is_stale(reference, owners) for reference in references):\n        return True\n",
        "",
    ),
    Mutant(
        "claims.py",
        "S54: a claim that somebody else controls gets our reference as well",
        "        and not has_unexpected_controller(claim, owners)\n",
        "",
    ),
    Mutant(
        "claims.py",
        "S55: a reference of ours that is not marked controller will do",
        'if reference["uid"] in (owners.set_uid, owners.pod_uid) and not reference.get("controller"):',
        "if False:",
    ),
    Mutant(
        "claims.py",
        "S35: any volume of the name will do",
        'if claim.get("claimName") != claim_name(template, statefulset, ordinal):',
        "if volume is None:",
    ),
    # revisions
    Mutant(
        "revisions.py",
        "S72: a new revision has the number of the last one",
        "number = number_of(revisions[-1]) + 1 if revisions else 1",
        "number = number_of(revisions[-1]) if revisions else 1",
    ),
    Mutant(
        "revisions.py",
        "S81: a server that defaults more makes a new revision",
        "if revisions and means(STATEFUL_SETS, statefulset.manifest, revisions[-1], encoded):",
        "if False:",
    ),
    Mutant(
        "revisions.py",
        "S74: of several equal revisions the oldest is taken",
        "for revision in reversed(revisions):",
        "for revision in revisions:",
    ),
    Mutant(
        "revisions.py",
        "S84: the newest of the history go, not the oldest",
        "history[: len(history) - limit]",
        "history[limit:]",
    ),
    Mutant(
        "revisions.py",
        "S84: a negative limit keeps nothing",
        "if 0 <= limit < len(history)",
        "if limit < len(history)",
    ),
    Mutant(
        "revisions.py",
        "S78: the current revision is always the update revision",
        "if name_of(revision) == wanted), update)",
        "if False), update)",
    ),
    # ownership
    Mutant(
        "ownership.py",
        "S109: a pod that leaves is adopted",
        "elif not (pod.is_terminating or statefulset.is_being_deleted):",
        "elif not statefulset.is_being_deleted:",
    ),
    Mutant(
        "ownership.py",
        "S16, S27: labels alone make a pod the set's",
        "return statefulset.selector.matches(pod.labels) and split_pod_name(pod.name)[0] == statefulset.name",
        "return statefulset.selector.matches(pod.labels)",
    ),
    Mutant(
        "ownership.py",
        "S109: pods are adopted on a view that may be old",
        "    if revisions or adopted:",
        "    if revisions:",
    ),
    Mutant(
        "ownership.py",
        "S124: a set that is being deleted releases pods",
        "elif is_ours and not statefulset.is_being_deleted:",
        "elif is_ours:",
    ),
    # writes
    Mutant(
        "writes.py",
        "S32: the pod is made before its claims",
        "        return [*actions, pod]\n",
        "        return [pod, *actions]\n",
    ),
    Mutant(
        "writes.py",
        "S33: a claim that is being deleted will do",
        'elif "deletionTimestamp" in claim["metadata"]:',
        "elif False:",
    ),
    Mutant(
        "writes.py",
        "S48: whatever pod has the name is deleted",
        "        pod.name,\n        pod.uid,\n",
        '        pod.name,\n        "",\n',
    ),
    Mutant(
        "writes.py",
        "S148: that a pod's name is taken is told in an event",
        "pod = Create(PODS, manifest, on_success=success, on_failure=failed, quiet=(AlreadyExists,))",
        "pod = Create(PODS, manifest, on_success=success, on_failure=failed)",
    ),
    Mutant(
        "writes.py",
        "S118: claims whose owners are wrong are no reason for a repair",
        "has_owners = pod.is_pending or are_claims_right(seen, ordinal, owners)",
        "has_owners = True",
    ),
    Mutant(
        "writes.py",
        "S56: surplus pods' claims keep their owners",
        "return _own_claims(seen, ordinal, owners, are_made=False) if not are_claims_right(seen, ordinal, owners) "
        "else []",
        "return []",
    ),
    # identity
    Mutant(
        "identity.py",
        "S17: the index label counts from the first slot",
        "POD_INDEX_LABEL: str(ordinal),\n            REVISION_LABEL",
        "POD_INDEX_LABEL: str(ordinal - statefulset.start),\n            REVISION_LABEL",
    ),
    Mutant(
        "identity.py",
        "S20: without serviceName the template's subdomain stays",
        '    spec.pop("subdomain", None)\n',
        "",
    ),
    Mutant(
        "identity.py",
        "S25: a pod without its name's label is as it should be",
        "return pod.name == name and pod.labels.get(POD_NAME_LABEL) == name",
        "return pod.name == name",
    ),
    Mutant(
        "identity.py",
        "S17: the revision label has the hash alone",
        "REVISION_LABEL: revision,",
        'REVISION_LABEL: revision.rpartition("-")[2],',
    ),
    Mutant(
        "identity.py",
        "S18: finalizers of the template are dropped",
        'for member in ("annotations", "finalizers"):',
        'for member in ("annotations",):',
    ),
)
