"""Which ReplicaSet is the new one, what it is called, and the annotations sets carry (W21, W22, W30)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from holdfast.api.apps.deployment import DEPLOYMENTS
from holdfast.api.core.pod_defaults import default_template
from holdfast.api.resource import Manifest
from holdfast.controllers.content_hash import canonical, hash_of
from holdfast.controllers.owners import owner_reference

from .views import Deployment, ReplicaSet

HASH_LABEL = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = frozenset(
    {
        "kubectl.kubernetes.io/last-applied-configuration",
        REVISION,
        HISTORY,
        DESIRED,
        MAXIMUM,
        "deprecated.deployment.rollback.to",
    }
)
LONGEST_HISTORY = 2000
LONGEST_NAME = 253

Find = Callable[[str], Manifest | None]
"""The ReplicaSet of that name in the namespace, whoever owns it."""


def newest_first_match(deployment: Deployment, sets: Sequence[ReplicaSet]) -> ReplicaSet | None:
    """The oldest set of the Deployment's template: all others are old (W21).

    If none is of it as it is stored, templates are defaulted as by today's server before they are compared, so
    that a server that learns a new default does not restart every pod (W117).
    """
    oldest_first = sorted(sets, key=lambda one: one.created)
    wanted = _without_hash(deployment.template)
    for one in oldest_first:
        if _without_hash(one.manifest["spec"]["template"]) == wanted:
            return one
    encoded = canonical(_defaulted(wanted))
    for one in oldest_first:
        if canonical(_defaulted(_without_hash(one.manifest["spec"]["template"]))) == encoded:
            return one
    return None


def _without_hash(template: Manifest) -> Manifest:
    metadata = template.get("metadata") or {}
    labels = {name: value for name, value in (metadata.get("labels") or {}).items() if name != HASH_LABEL}
    return {**template, "metadata": {**metadata, "labels": labels}}


def _defaulted(template: Manifest) -> Manifest:
    copied: Manifest = msgspec.json.decode(msgspec.json.encode(template))
    default_template(copied)
    return copied


def build(deployment: Deployment, taken: Find, collisions: int) -> tuple[ReplicaSet, int]:
    """A set of the Deployment's template, without pods yet, and how often a name was found taken so far."""
    encoded = canonical(deployment.template)
    while True:
        suffix = hash_of(encoded, collisions)
        name = f"{deployment.name[: LONGEST_NAME - len(suffix) - 1]}-{suffix}"
        if taken(name) is None:
            break
        collisions += 1
    template = deployment.template
    metadata = template.get("metadata") or {}
    labels = {**(metadata.get("labels") or {}), HASH_LABEL: suffix}
    selector: dict[str, Any] = dict(deployment.spec.get("selector") or {})
    selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH_LABEL: suffix}
    spec: dict[str, Any] = {
        "replicas": 0,
        "selector": selector,
        "template": {**template, "metadata": {**metadata, "labels": labels}},
    }
    if deployment.min_ready_s:
        spec["minReadySeconds"] = deployment.min_ready_s
    manifest = {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": name,
            "namespace": deployment.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(DEPLOYMENTS, deployment.manifest)],
        },
        "spec": spec,
    }
    return ReplicaSet(manifest, is_new=True), collisions


def number(one: ReplicaSet) -> int:
    """Its revision; 0 if it has none."""
    return _number(one.annotations.get(REVISION, ""))


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def annotate_new(deployment: Deployment, new: ReplicaSet, old: Iterable[ReplicaSet]) -> None:
    """The Deployment's own annotations, and a revision above all others; an earlier one goes into the history."""
    for name, value in deployment.annotations.items():
        if name not in NOT_COPIED:
            new.annotations[name] = value
    revision = max(map(number, old), default=0) + 1
    former = new.annotations.get(REVISION)
    if number(new) < revision:
        new.annotations[REVISION] = str(revision)
        if former is not None:
            new.annotations[HISTORY] = _with_former(new.annotations.get(HISTORY, ""), former)


def _with_former(history: str, former: str) -> str:
    revisions = [*(history.split(",") if history else ()), former]
    while len(",".join(revisions)) > LONGEST_HISTORY:
        revisions.pop(0)
    return ",".join(revisions)


def annotate_sizes(deployment: Deployment, one: ReplicaSet) -> None:
    """What the Deployment wanted when it last sized the set: how a change of its size is noticed (W24)."""
    one.annotations[DESIRED] = str(deployment.replicas)
    one.annotations[MAXIMUM] = str(deployment.replicas + deployment.max_surge)


def desired(one: ReplicaSet) -> int | None:
    text = one.annotations.get(DESIRED, "")
    return _number(text) if text else None


def maximum(one: ReplicaSet) -> int:
    """0 if it does not say."""
    return _number(one.annotations.get(MAXIMUM, ""))


def superfluous(deployment: Deployment, old: Iterable[ReplicaSet]) -> list[ReplicaSet]:
    """The oldest revisions beyond the limit, of those that have no pods and know of it (W29)."""
    limit = deployment.history_limit
    kept = sorted((one for one in old if not one.is_being_deleted), key=number)
    if limit is None or len(kept) <= limit:
        return []
    return [
        one
        for one in kept[: len(kept) - limit]
        if one.replicas == one.stored_replicas == one.reports("replicas") == 0
        and int(one.manifest["metadata"].get("generation") or 0) <= one.reports("observedGeneration")
    ]
