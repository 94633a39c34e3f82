"""Histories made by hand, told to a checker change by change."""

from __future__ import annotations

from holdfast.simulation.observation import Facts, Observation

CONTROLLER = "statefulset-controller"
COLLECTOR = "garbage-collector-controller"
UID = "set-uid"


class History:
    """What happens, and what a checker says to it. The views of whoever acts lag only since `views_stop`."""

    def __init__(self, checker):
        self.checker = checker
        self.revision = 0
        self.at_s = 0.0
        self._stopped = None
        self.facts = Facts(lambda identity: [], lambda kind: self.revision if self._stopped is None else self._stopped)

    def views_stop(self):
        """From here on nobody need have seen anything."""
        self._stopped = self.revision

    def put(self, manifest, by="user"):
        """The object is like that from now on. Returns what is broken."""
        return self._happens(manifest, manifest, by)

    def remove(self, manifest, by="user"):
        return self._happens(manifest, None, by)

    def _happens(self, manifest, new, by):
        metadata = manifest["metadata"]
        key = f"{metadata['namespace']}/{metadata['name']}"
        old = self.facts.past.now(manifest["kind"], key)
        self.revision += 1
        problem = self.checker.check(Observation(self.at_s, old, new, by, self.revision), self.facts)
        self.facts.past.note(manifest["kind"], key, self.revision, new)
        return problem


def template(version=1):
    return {"metadata": {"labels": {"app": "web"}, "annotations": {"version": str(version)}}, "spec": {}}


def a_set(version=1, *, going=False, generation=1, status=None, **spec):
    whole = {
        "replicas": 3,
        "selector": {"matchLabels": {"app": "web"}},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        "template": template(version),
        "volumeClaimTemplates": [{"metadata": {"name": "data"}}],
        **spec,
    }
    metadata = _metadata("web", UID, going) | {"generation": generation}
    status = {"currentRevision": "web-1", **(status or {})}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": metadata, "spec": whole, "status": status}


def _metadata(name, uid, going=False):
    metadata = {"namespace": "default", "name": name, "uid": uid}
    return metadata | ({"deletionTimestamp": "2026-01-01T00:00:00Z"} if going else {})


def owned_by(kind="StatefulSet", name="web", uid=UID):
    api_version = "apps/v1" if kind == "StatefulSet" else "v1"
    return [{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid, "controller": True}]


def revision(version, number=None):
    data = {"spec": {"template": {**template(version), "$patch": "replace"}}}
    metadata = _metadata(f"web-{version}", f"revision-{version}")
    metadata |= {"labels": {"app": "web"}, "ownerReferences": owned_by()}
    return {"kind": "ControllerRevision", "metadata": metadata, "data": data, "revision": number or version}


def pod(ordinal, version=1, *, ready=True, going=False, phase="Running", owners=None, labels=None):
    metadata = _metadata(f"web-{ordinal}", f"pod-{ordinal}", going)
    metadata["labels"] = {"app": "web", "controller-revision-hash": f"web-{version}"} if labels is None else labels
    metadata["ownerReferences"] = owned_by() if owners is None else owners
    condition = {"type": "Ready", "status": str(ready), "lastTransitionTime": "2026-01-01T00:00:00Z"}
    return {"kind": "Pod", "metadata": metadata, "spec": {}, "status": {"phase": phase, "conditions": [condition]}}


def claim(ordinal, owners=(), *, going=False, volume=""):
    metadata = _metadata(f"data-web-{ordinal}", f"claim-{ordinal}", going) | {"ownerReferences": list(owners)}
    return {"kind": "PersistentVolumeClaim", "metadata": metadata, "spec": {"volumeName": volume}}
