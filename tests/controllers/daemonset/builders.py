"""Daemon sets, nodes and their pods in a few words, and what a plan says."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from holdfast.api.apps.daemon_set import TEMPLATE_GENERATION
from holdfast.api.times import format_time
from holdfast.controllers.actions import Create, Delete, Each, Emit, Waves
from holdfast.controllers.daemonset import history
from holdfast.controllers.daemonset.plan import Observed, plan
from holdfast.controllers.daemonset.views import HASH_LABEL, DaemonSet

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
ROLLING = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}


def ago(seconds):
    return format_time(NOW - timedelta(seconds=seconds))


def rolling(unavailable=0, surge=0):
    return {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": unavailable, "maxSurge": surge}}


def template(image="new", **spec):
    containers = [{"name": "main", "image": image}]
    return {"metadata": {"labels": {"app": "agent"}}, "spec": {"containers": containers, **spec}}


def daemon_set(image="new", *, pods=None, status=None, deleted=False, **spec):
    metadata = {
        "name": "agent",
        "namespace": "default",
        "uid": "set-uid",
        "generation": 3,
        "annotations": {TEMPLATE_GENERATION: "2"},
    }
    if deleted:
        metadata["deletionTimestamp"] = ago(0)
    whole = {
        "selector": {"matchLabels": {"app": "agent"}},
        "template": template(image, **(pods or {})),
        "updateStrategy": ROLLING,
        "revisionHistoryLimit": 10,
        **spec,
    }
    return DaemonSet({"metadata": metadata, "spec": whole, "status": status or {}})


def node(name="n1", *taints, **labels):
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": key, "effect": effect} for key, effect in taints]},
    }


def owned(name, labels, uid="set-uid"):
    reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "agent", "uid": uid, "controller": True}
    return {
        "name": name,
        "namespace": "default",
        "uid": f"{name}-uid",
        "labels": {"app": "agent", **labels},
        "ownerReferences": [reference],
    }


def revision(image="new", number=1, name=None, **labels):
    """As the controller makes them."""
    cut = history.decide(daemon_set(image), [], [], lambda name: None).current
    name = name or cut["metadata"]["name"]
    labels = labels or {HASH_LABEL: cut["metadata"]["labels"][HASH_LABEL]}
    return {**cut, "metadata": owned(name, labels), "revision": number}


NEW, OLD = (revision(image)["metadata"]["labels"][HASH_LABEL] for image in ("new", "old"))


def pod(
    on="n1", *, name=None, hash=None, ready=True, age=100, since=100, phase=None, leaving=False, bound=True, **more
):
    """A ready pod of the new template, bound to its node."""
    metadata = {**owned(name or f"agent-{on}", {HASH_LABEL: hash or NEW}), "creationTimestamp": ago(age), **more}
    if leaving:
        metadata["deletionTimestamp"] = ago(0)
    required = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [on]}]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": ago(since)}
    return {
        "metadata": metadata,
        "spec": {"affinity": affinity, **({"nodeName": on} if bound else {})},
        "status": {"phase": phase or "Running", "conditions": [condition] if ready and not phase else []},
    }


def observed(one, nodes=(), pods=(), revisions=None, **more):
    kept = [revision()] if revisions is None else list(revisions)
    named = {each["metadata"]["name"]: each for each in kept}
    return replace(Observed(one, list(nodes), list(pods), kept, named.get, {}, False, NOW), **more)


def look(one, nodes=(), pods=(), revisions=None, **more):
    return plan(observed(one, nodes, pods, revisions, **more))


def flat(actions):
    for action in actions:
        match action:
            case Each(inner):
                yield from flat(inner)
            case Waves(lists):
                for each in lists:
                    yield from flat(each)
            case _:
                yield action


def created(planned):
    """Pods to be made, by node."""
    made = [one.manifest for one in flat(planned.actions) if isinstance(one, Create)]
    return {node_named(one): one for one in made}


def node_named(manifest):
    required = manifest["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return required["nodeSelectorTerms"][0]["matchFields"][0]["values"][0]


def deleted(planned):
    return [one.name for one in flat(planned.actions) if isinstance(one, Delete) and one.resource.kind == "Pod"]


def trimmed(planned):
    return [one.name for one in flat(planned.actions) if isinstance(one, Delete) and one.resource.kind != "Pod"]


def told(planned):
    return [one.report for one in flat(planned.actions) if isinstance(one, Emit)]


def counts(planned):
    return planned.status.manifest["status"]
