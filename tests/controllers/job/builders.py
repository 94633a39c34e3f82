"""A Job and its pods as the plan sees them, and a world that obeys plans one write at a time."""

from datetime import UTC, datetime, timedelta

from holdfast.api.batch.job import JOBS
from holdfast.api.core.pod import PODS
from holdfast.api.times import format_time
from holdfast.controllers.actions import Confirm, Create, Delete, Each, Emit, Patch, Update, Waves
from holdfast.controllers.job.backoff import remember
from holdfast.controllers.job.plan import Observed, plan
from holdfast.controllers.job.pods import INDEX, TRACKING
from holdfast.controllers.job.views import Job

START = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


def job(*, status=None, template=None, policy="Never", **spec):
    """As the server has it after defaulting; `template` adds to the pod's metadata."""
    labels = {"batch.kubernetes.io/controller-uid": "job-uid"}
    containers = [{"name": "main", "image": "app:1"}]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "once", "namespace": "default", "uid": "job-uid", "resourceVersion": "1"},
        "spec": {
            "parallelism": 1,
            "completions": 1,
            "backoffLimit": 2**31 - 1 if "backoffLimitPerIndex" in spec else 6,
            "completionMode": "NonIndexed",
            "suspend": False,
            "podReplacementPolicy": "Failed" if "podFailurePolicy" in spec else "TerminatingOrFailed",
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels, **(template or {})},
                "spec": {"restartPolicy": policy, "containers": containers},
            },
            **spec,
        },
        "status": status or {},
    }


def indexed(completions, **spec):
    return job(**{"completionMode": "Indexed", "completions": completions, "parallelism": completions, **spec})


class World:
    """What the API server and the nodes would do. Every write is applied at once, and can be the last one."""

    def __init__(self, the_job):
        self.job = the_job
        self.pods = {}
        self.now = START
        self.events = []
        self.writes = []
        self.crashes = 0
        self.truth = {"Succeeded": set(), "Failed": set()}
        """Uids of pods by how they ended while they were the job's: not when it had let go of them before."""
        self.is_namespace_terminating = False
        self._ended = {}
        self._made = 0
        self._left = None

    # The controller

    def look(self):
        self._ended = remember(Job(self.job), self.pods.values(), self._ended)
        ended = list(self._ended.values())
        pods = [dict(pod) for pod in self.pods.values()]
        return plan(Observed(Job(self.job), pods, ended, self.is_namespace_terminating, self.now))

    def step(self, stop_after=None):
        """One sync; with `stop_after` the controller dies after so many writes. Returns the plan."""
        planned = self.look()
        self._left = stop_after
        try:
            status = [planned.status] if planned.status else []
            for action in (*planned.before, *planned.actions, *status, *planned.cleanup):
                self._perform(action)
        except Crash:
            self.crash()
        self._left = None
        return planned

    def crash(self):
        self.crashes += 1
        self._ended = {}

    def settle(self, most=60):
        """Syncs until nothing is written any more."""
        for _ in range(most):
            before = len(self.writes)
            planned = self.step()
            if len(self.writes) == before:
                return planned
        raise AssertionError(f"no rest: {self.writes[-10:]}")

    def _perform(self, action):
        match action:
            case Each(actions):
                for each in actions:
                    self._perform(each)
            case Waves(lists):
                for each in lists:
                    self._perform(Each(each))
            case Emit(report):
                self._report(report)
            case Confirm():
                pass
            case _:
                if self._left == 0:
                    raise Crash
                self._left = None if self._left is None else self._left - 1
                self._write(action)

    def _write(self, action):
        match action:
            case Create(resource, manifest):
                assert resource is PODS
                name = self._create(manifest)
                self.writes.append(f"create {name}")
                self._report(action.on_success, name)
            case Patch(resource, _, name, patch):
                self.writes.append(f"patch {name}")
                if name in self.pods:
                    self._patch(name, patch["metadata"])
            case Delete(resource, _, name, uid):
                self.writes.append(f"delete {name}")
                if name in self.pods and self.pods[name]["metadata"]["uid"] == uid:
                    self.going(name)
                self._report(action.on_success)
            case Update(resource, manifest, subresource):
                assert (resource, subresource, action.insists) == (JOBS, "status", False)
                assert manifest["metadata"]["resourceVersion"] == self.job["metadata"]["resourceVersion"]
                self.writes.append("status")
                version = str(int(manifest["metadata"]["resourceVersion"]) + 1)
                metadata = {**self.job["metadata"], "resourceVersion": version}
                self.job = {**self.job, "metadata": metadata, "status": manifest["status"]}
                self._report(action.on_success)

    def _report(self, report, name=""):
        if report is not None:
            self.events.append(f"{report.type} {report.reason} {report.message.replace('{name}', name)}")

    # The server

    def _create(self, manifest):
        self._made += 1
        name = f"{manifest['metadata']['generateName']}{self._made:05}"
        metadata = {**manifest["metadata"], "name": name, "uid": f"uid-{self._made:05}"}
        metadata["creationTimestamp"] = format_time(self.now)
        self.pods[name] = {**manifest, "metadata": metadata, "status": {"phase": "Pending"}}
        return name

    def _patch(self, name, change):
        metadata = dict(self.pods[name]["metadata"])
        gone = change.get("$deleteFromPrimitiveList/finalizers", ())
        metadata["finalizers"] = [each for each in metadata.get("finalizers", ()) if each not in gone]
        metadata["finalizers"] += change.get("finalizers", ())
        for reference in change.get("ownerReferences", ()):
            kept = [each for each in metadata.get("ownerReferences", ()) if each["uid"] != reference["uid"]]
            metadata["ownerReferences"] = kept if "$patch" in reference else [*kept, reference]
        self.change(name, metadata=metadata)
        self._collect(name)

    def _collect(self, name):
        """A pod that is to go goes when it has ended and nobody holds it."""
        pod = self.pods[name]
        metadata, phase = pod["metadata"], pod["status"]["phase"]
        if "deletionTimestamp" in metadata and phase in ("Succeeded", "Failed") and not metadata["finalizers"]:
            del self.pods[name]

    # What happens to pods

    def add(self, phase="Running", index=None, name=None, **metadata):
        """A pod of the job that is there already. Returns its name."""
        self._made += 1
        name = name or f"once-{self._made:05}"
        annotations = {} if index is None else {INDEX: str(index)}
        owner = {"apiVersion": "batch/v1", "kind": "Job", "name": "once", "uid": "job-uid", "controller": True}
        metadata = {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "labels": {"batch.kubernetes.io/controller-uid": "job-uid"},
            "annotations": annotations | metadata.pop("annotations", {}),
            "finalizers": [TRACKING],
            "ownerReferences": [owner],
            "creationTimestamp": format_time(self.now),
            **metadata,
        }
        self.pods[name] = {"metadata": metadata, "spec": {"nodeName": "n"}, "status": {"phase": phase}}
        return name

    def change(self, name, **members):
        self.pods[name] = {**self.pods[name], **members}

    def end(self, name, phase="Succeeded", code=None, **status):
        """The pod's containers end."""
        self._note(name, phase)
        code = code if code is not None else 0 if phase == "Succeeded" else 1
        terminated = {"exitCode": code, "finishedAt": format_time(self.now)}
        containers = [{"name": "main", "restartCount": 0, "state": {"terminated": terminated}}]
        self.change(name, status={"phase": phase, "containerStatuses": containers, **status})
        self._collect(name)

    def ready(self, name):
        conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": format_time(self.now)}]
        self.change(name, spec={"nodeName": "n"}, status={"phase": "Running", "conditions": conditions})

    def going(self, name):
        """Its deletion begins: that alone counts as a failure, unless only ended pods are replaced."""
        if not Job(self.job).replaces_only_failed:
            self._note(name, "Failed")
        metadata = self.pods[name]["metadata"]
        grace = {"deletionTimestamp": format_time(self.now), "deletionGracePeriodSeconds": 0}
        self.change(name, metadata={**metadata, **grace})
        self._collect(name)

    def gone(self, name):
        """What is to go has ended."""
        self._note(name, "Failed")
        pod = self.pods[name]
        self.change(name, status={**pod["status"], "phase": "Failed"})
        self._collect(name)

    def _note(self, name, phase):
        pod = self.pods[name]
        uid = pod["metadata"]["uid"]
        is_new = not any(uid in uids for uids in self.truth.values())
        if is_new and TRACKING in pod["metadata"]["finalizers"] and pod["status"]["phase"] in ("Pending", "Running"):
            self.truth[phase].add(uid)

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)

    def spec(self, **spec):
        version = str(int(self.job["metadata"]["resourceVersion"]) + 1)
        metadata = {**self.job["metadata"], "resourceVersion": version}
        self.job = {**self.job, "metadata": metadata, "spec": {**self.job["spec"], **spec}}

    # What there is

    @property
    def status(self):
        return self.job["status"]

    def conditions(self):
        return [(each["type"], each["status"], each["reason"]) for each in self.status.get("conditions", ())]

    def active(self):
        """Names, in the order in which they were made."""
        return [
            name
            for name, pod in self.pods.items()
            if pod["status"]["phase"] in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]
        ]

    def terminating(self):
        return [
            name
            for name, pod in self.pods.items()
            if pod["status"]["phase"] in ("Pending", "Running") and "deletionTimestamp" in pod["metadata"]
        ]

    def indexes(self):
        """Of the active pods."""
        return sorted(int(self.pods[name]["metadata"]["annotations"][INDEX]) for name in self.active())

    def tracked(self):
        return [name for name, pod in self.pods.items() if TRACKING in pod["metadata"]["finalizers"]]


class Crash(Exception):
    """The controller is gone."""
