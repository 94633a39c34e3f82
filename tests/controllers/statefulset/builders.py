"""Sets, pods, claims and revisions in a few words, and a cluster in miniature that carries plans out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.times import format_time
from holdfast.controllers import revisions
from holdfast.controllers.actions import (
    Action,
    Confirm,
    Create,
    Delete,
    Each,
    Emit,
    Fail,
    Patch,
    Plan,
    Report,
    Update,
    Waves,
)
from holdfast.controllers.content_hash import canonical, hash_of
from holdfast.controllers.statefulset import identity, ownership
from holdfast.controllers.statefulset.observed import Observed
from holdfast.controllers.statefulset.plan import plan
from holdfast.controllers.statefulset.replicas import Replicas
from holdfast.controllers.statefulset.revisions import HASH_LABEL
from holdfast.controllers.statefulset.views import Pod, StatefulSet

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "default"
Manifest = dict[str, Any]


def statefulset(
    replicas: int = 3,
    *,
    name: str = "web",
    uid: str = "set-uid",
    parallel: bool = False,
    claims: tuple[str, ...] = (),
    when_deleted: str = "Retain",
    when_scaled: str = "Retain",
    strategy: str = "RollingUpdate",
    partition: int | None = 0,
    min_ready_s: int = 0,
    start: int | None = None,
    image: str = "app:1",
    generation: int = 1,
    status: Manifest | None = None,
    history_limit: int = 10,
    service: str = "web",
    annotations: Manifest | None = None,
    template_volumes: list[Manifest] | None = None,
) -> Manifest:
    """A set as the API server serves it. `partition` None leaves `rollingUpdate` out."""
    template: Manifest = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "containers": [{"image": image, "name": "main", "imagePullPolicy": "IfNotPresent", "resources": {}}],
            "restartPolicy": "Always",
        },
    }
    if template_volumes:
        template["spec"]["volumes"] = template_volumes
    spec: Manifest = {
        "replicas": replicas,
        "serviceName": service,
        "selector": {"matchLabels": {"app": "web"}},
        "podManagementPolicy": "Parallel" if parallel else "OrderedReady",
        "template": template,
        "updateStrategy": {"type": strategy},
        "revisionHistoryLimit": history_limit,
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": when_deleted, "whenScaled": when_scaled},
    }
    if strategy == "RollingUpdate" and partition is not None:
        spec["updateStrategy"]["rollingUpdate"] = {"partition": partition}
    if min_ready_s:
        spec["minReadySeconds"] = min_ready_s
    if start is not None:
        spec["ordinals"] = {"start": start}
    if claims:
        spec["volumeClaimTemplates"] = [claim_template(claim) for claim in claims]
    metadata: Manifest = {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid,
        "generation": generation,
        "resourceVersion": "1",
    }
    if annotations:
        metadata["annotations"] = annotations
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata,
        "spec": spec,
        "status": status if status is not None else {"replicas": 0, "availableReplicas": 0},
    }


def claim_template(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "labels": {"tier": "disk", "app": "other"}, "annotations": {"a": "b"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"phase": "Pending"},
    }


def owner(kind: str, name: str, uid: str, controller: bool = True) -> Manifest:
    api_version = {"StatefulSet": "apps/v1", "Pod": "v1"}.get(kind, "example.com/v1")
    reference: Manifest = {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}
    return reference | ({"controller": True, "blockOwnerDeletion": True} if controller else {})


def claim(name: str, *owners: Manifest, uid: str = "") -> Manifest:
    metadata: Manifest = {"name": name, "namespace": NAMESPACE, "uid": uid or f"uid of {name}", "resourceVersion": "1"}
    if owners:
        metadata["ownerReferences"] = list(owners)
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {}}


class Forbidden(Exception):
    """A write that the miniature refuses; the text is the error's."""


@dataclass
class Cluster:
    """One set and what is around it. Writes of a plan take effect at once, unless `refuse` says no."""

    set: Manifest
    pods: dict[str, Manifest] = field(default_factory=dict)
    claims: dict[str, Manifest] = field(default_factory=dict)
    revisions: dict[str, Manifest] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    now: datetime = NOW
    refuse: Any = None
    gates: frozenset[str] = frozenset()
    """Feature gates that are on."""
    _counter: Iterator[int] = field(default_factory=lambda: count(2))

    # What is there

    @property
    def statefulset(self) -> StatefulSet:
        return StatefulSet(self.set)

    def observed(self) -> Observed:
        the_set = self.statefulset
        pods = [Pod(pod) for pod in self.pods.values() if self._is_candidate(pod)]
        members = [pod for pod in pods if ownership.is_member(the_set, pod)]
        return Observed(
            the_set,
            Replicas(the_set, self.claims.get, self.now, members),
            [pod for pod in pods if pod not in members],
            revisions.in_order([one for one in self.revisions.values() if self._is_candidate(one, by_labels=True)]),
            self.claims.get,
            self.revisions.get,
            self.now,
            self.gates,
        )

    def _is_candidate(self, manifest: Manifest, *, by_labels: bool = False) -> bool:
        controller = identity.controller_uid(manifest)
        matches = self.statefulset.selector.matches(manifest["metadata"].get("labels"))
        return (controller == self.statefulset.uid and (matches or not by_labels)) or (not controller and matches)

    # Making it so

    def with_revision(self, image: str = "app:1", number: int = 1) -> Cluster:
        """Adds the revision of the set's template with that image; it is the current one if there was none."""
        name = self.revision(image)
        made = revisions.build(STATEFUL_SETS, self._with_image(image).manifest, name, number, (HASH_LABEL, "hash"))
        self.revisions[name] = self._stored(made)
        self.set["status"].setdefault("currentRevision", name)
        return self

    def _with_image(self, image: str) -> StatefulSet:
        spec = self.set["spec"]
        container = {**spec["template"]["spec"]["containers"][0], "image": image}
        template = {**spec["template"], "spec": {**spec["template"]["spec"], "containers": [container]}}
        return StatefulSet({**self.set, "spec": {**spec, "template": template}})

    def _data(self, image: str) -> Manifest:
        return revisions.data_of(self._with_image(image).template)

    def revision(self, image: str = "app:1") -> str:
        """The name of the revision of that image."""
        return f"{self.statefulset.name}-{hash_of(canonical(self._data(image)), 0)}"

    def change_image(self, image: str) -> None:
        self.change(template=self._with_image(image).template)

    def change(self, **spec: Any) -> None:
        metadata = {**self.set["metadata"], "generation": self.set["metadata"]["generation"] + 1}
        self.set = {**self.set, "metadata": metadata, "spec": {**self.set["spec"], **spec}}

    def add(self, ordinal: int, state: str = "ready", image: str = "app:1", **changes: Any) -> Manifest:
        """A pod of the set as it would have made it: pending, running, ready, failed, succeeded; or terminating."""
        template = self._with_image(image).template
        made = self._stored(identity.build_pod(self.statefulset, ordinal, template, self.revision(image)))
        self.pods[made["metadata"]["name"]] = made
        self.move(ordinal, state)
        metadata = {**self.pods[made["metadata"]["name"]]["metadata"], **changes}
        self.pods[made["metadata"]["name"]] = {**self.pods[made["metadata"]["name"]], "metadata": metadata}
        return self.pods[made["metadata"]["name"]]

    def move(self, ordinal: int, state: str, *, since: datetime | None = None) -> None:
        name = identity.pod_name(self.statefulset, ordinal)
        pod = self.pods[name]
        if state == "terminating":
            self.pods[name] = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": format_time(self.now)}}
            return
        phase = {"ready": "Running"}.get(state, state.capitalize())
        is_ready = "True" if state == "ready" else "False"
        condition = {"type": "Ready", "status": is_ready, "lastTransitionTime": format_time(since or self.now)}
        self.pods[name] = {**pod, "status": {"phase": phase, "conditions": [condition]}}

    def gone(self, ordinal: int) -> None:
        """The pod leaves the store, and with it the claims that nobody else owns."""
        del self.pods[identity.pod_name(self.statefulset, ordinal)]
        self.collect_garbage()

    def collect_garbage(self) -> None:
        uids = {pod["metadata"]["uid"] for pod in self.pods.values()} | {self.set["metadata"]["uid"]}
        for name, one in list(self.claims.items()):
            owners = one["metadata"].get("ownerReferences")
            if owners and not any(reference["uid"] in uids for reference in owners):
                del self.claims[name]

    def _stored(self, manifest: Manifest) -> Manifest:
        number = next(self._counter)
        stamps = {"uid": f"uid-{number}", "resourceVersion": str(number), "creationTimestamp": format_time(self.now)}
        stored = {**manifest, "metadata": {**manifest["metadata"], **stamps}}
        return {**stored, "status": {"phase": "Pending"}} if manifest["kind"] == "Pod" else stored

    # Carrying plans out

    def step(self, *, stop_after: int | None = None) -> Plan:
        """Plans and acts; `stop_after` so many writes the controller dies."""
        made = plan(self.observed())
        budget = count() if stop_after is None else iter(range(stop_after))
        status: list[Action] = [made.status] if made.status else []
        try:
            self._all(made.before, budget)
        except Forbidden:
            return made
        except StopIteration:
            return made
        for actions in (made.actions, status, made.cleanup):
            try:
                self._all(actions, budget)
            except Forbidden:
                continue
            except StopIteration:
                break
        return made

    def _all(self, actions: Any, budget: Iterator[int]) -> None:
        for action in actions:
            self._do(action, budget)

    def _do(self, action: Action, budget: Iterator[int]) -> None:
        match action:
            case Emit(report):
                self._report(report)
            case Fail(error, on_failure):
                self._report(on_failure, error)
                raise Forbidden(error)
            case Each(actions, on_failure):
                self._each(actions, on_failure, budget)
            case Waves(lists):
                for actions in lists:
                    self._all(actions, budget)
            case Confirm(uid=uid):
                if uid != self.set["metadata"]["uid"]:
                    raise Forbidden("gone")
            case _:
                next(budget)
                self._write(action)

    def _each(self, actions: Any, on_failure: Report | None, budget: Iterator[int]) -> None:
        errors = []
        for action in actions:
            try:
                self._do(action, budget)
            except Forbidden as error:
                errors.append(str(error))
        if errors:
            text = errors[0] if len(errors) == 1 else f"[{', '.join(errors)}]"
            self._report(on_failure, text)
            raise Forbidden(text)

    def _write(self, action: Create | Update | Patch | Delete) -> None:
        text = describe(action)
        self.writes.append(text)
        if self.refuse is not None and (error := self.refuse(text)):
            self._report(action.on_failure, error)
            raise Forbidden(action.error.replace("{error}", error))
        objects = self._objects(action)
        match action:
            case Create(manifest=manifest):
                assert manifest["metadata"]["name"] not in objects, f"created twice: {text}"
                objects[manifest["metadata"]["name"]] = self._stored(manifest)
            case Delete(name=name, uid=uid):
                if name in objects and objects[name]["metadata"]["uid"] == uid:
                    self._delete(objects, name)
            case Patch(resource=resource, patch=patch) if resource is STATEFUL_SETS:
                self.set = self._newer(_patched(self.set, patch))
            case Patch(name=name, patch=patch):
                objects[name] = self._newer(_patched(objects[name], patch))
            case Update(subresource="status", manifest=manifest):
                self.set = {**self.set, "status": manifest["status"]}
            case Update(manifest=manifest):
                name, seen = manifest["metadata"]["name"], manifest["metadata"]["resourceVersion"]
                if objects[name]["metadata"]["resourceVersion"] != seen:
                    raise Forbidden("the object has been modified")  # by this very step; nobody is told
                objects[name] = self._newer(manifest)
        self._report(action.on_success)

    def _newer(self, manifest: Manifest) -> Manifest:
        metadata = {**manifest["metadata"], "resourceVersion": str(next(self._counter))}
        return {**manifest, "metadata": metadata}

    def _objects(self, action: Create | Update | Patch | Delete) -> dict[str, Manifest]:
        return {
            "pods": self.pods,
            "persistentvolumeclaims": self.claims,
            "controllerrevisions": self.revisions,
            "statefulsets": {self.set["metadata"]["name"]: self.set},
        }[action.resource.plural]

    def _delete(self, objects: dict[str, Manifest], name: str) -> None:
        one = objects[name]
        if one["kind"] != "Pod" or one["status"]["phase"] in ("Failed", "Succeeded"):
            del objects[name]
            self.collect_garbage()
        else:
            objects[name] = {**one, "metadata": {**one["metadata"], "deletionTimestamp": format_time(self.now)}}

    def _report(self, report: Report | None, error: str = "") -> None:
        if report is not None:
            self.events.append(f"{report.type} {report.reason} {report.message.replace('{error}', error)}")

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


def _patched(manifest: Manifest, patch: Manifest) -> Manifest:
    """What the patches the controller sends do: an owner put in or taken out, annotations, a number, a size."""
    metadata = dict(manifest["metadata"])
    annotations = {**metadata.get("annotations", {}), **patch.get("metadata", {}).get("annotations", {})}
    if annotations:
        metadata["annotations"] = {name: value for name, value in annotations.items() if value is not None}
    for reference in patch.get("metadata", {}).get("ownerReferences", ()):
        others = [one for one in metadata.get("ownerReferences", ()) if one["uid"] != reference["uid"]]
        metadata["ownerReferences"] = others if "$patch" in reference else [*others, reference]
    return {**manifest, "metadata": metadata, **{name: patch[name] for name in ("revision", "spec") if name in patch}}


def flat(actions: Any) -> Iterator[Action]:
    for action in actions:
        match action:
            case Each(inner):
                yield from flat(inner)
            case Waves(lists):
                for inner in lists:
                    yield from flat(inner)
            case _:
                yield action


def describe(action: Action) -> str:
    match action:
        case Create(resource, manifest):
            return f"create {resource.singular} {manifest['metadata']['name']}"
        case Update(resource, manifest, subresource):
            return " ".join(filter(None, ["update", resource.singular, manifest["metadata"]["name"], subresource]))
        case Patch(resource, name=name):
            return f"patch {resource.singular} {name}"
        case Delete(resource, name=name):
            return f"delete {resource.singular} {name}"
        case Emit(report):
            return f"emit {report.reason}"
        case Fail(error):
            return f"fail: {error}"
        case Confirm(resource, name=name):
            return f"confirm {resource.singular} {name}"
    raise AssertionError(action)


def doing(made: Plan) -> list[str]:
    """What a plan would do before its status, in words."""
    return [describe(action) for action in flat((*made.before, *made.actions))]


def running(replicas: int = 3, **options: Any) -> Cluster:
    """A set at rest, all pods ready."""
    cluster = Cluster(statefulset(replicas, **options)).with_revision()
    for ordinal in cluster.statefulset.slots:
        cluster.add(ordinal)
        for template in cluster.statefulset.claim_templates:
            name = f"{template['metadata']['name']}-web-{ordinal}"
            cluster.claims[name] = claim(name)
    settle(cluster)
    cluster.events.clear()
    cluster.writes.clear()
    return cluster


def settle(cluster: Cluster, *, steps: int = 100, environment: Callable[[Cluster], None] | None = None) -> None:
    """Steps until nothing is left to do, with pods that become ready and leave as soon as they can."""
    for _ in range(steps):
        before = (cluster.set, dict(cluster.pods), dict(cluster.claims), dict(cluster.revisions))
        cluster.step()
        (environment or obey)(cluster)
        if before == (cluster.set, cluster.pods, cluster.claims, cluster.revisions):
            return
    raise AssertionError(f"not at rest after {steps} steps; last writes: {cluster.writes[-10:]}")


def obey(cluster: Cluster) -> None:
    """What the node agent does: every pending pod becomes ready, every terminating one leaves."""
    for pod in list(cluster.pods.values()):
        name = pod["metadata"]["name"]
        ordinal = Pod(pod).ordinal
        if ordinal is None or name != identity.pod_name(cluster.statefulset, ordinal):
            continue
        if "deletionTimestamp" in pod["metadata"]:
            cluster.gone(ordinal)
        elif pod["status"]["phase"] == "Pending":
            cluster.move(ordinal, "ready")
