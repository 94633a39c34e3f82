"""What the node has granted one pod, which may be other than what its spec asks for by now (N148)."""

from __future__ import annotations

from . import resizing
from .amounts import amounts
from .container_spec import pod_resources
from .observed import Observed, Resizing, Waiting
from .pod import Pod
from .shared import Shared

IN_PROGRESS = "PodResizeInProgress"


class Allocation:
    """Grants and refuses what a resized pod asks for. What was granted is found again in the pod's status."""

    def __init__(self, pod: Pod, shared: Shared) -> None:
        self._shared = shared
        self._desired = pod
        self._granted = resizing.granted_before(pod)
        self._pending: Waiting | None = None
        self._is_in_progress = any(
            condition["type"] == IN_PROGRESS and condition.get("status") == "True"
            for condition in pod.status.get("conditions") or ()
        )
        self._error = ""

    @property
    def pod(self) -> Pod:
        """The pod as the node runs it."""
        return resizing.as_granted(self._desired, self._granted)

    @property
    def is_pending(self) -> bool:
        return self._pending is not None

    def update(self, desired: Pod) -> Pod:
        """The API has a newer state of the pod; the one before comes back."""
        before, self._desired = self._desired, desired
        return before

    def decide(self) -> None:
        """Grants what the spec asks for if the node has it, else says why not."""
        if self.pod is self._desired:
            self._pending = None
            return
        pod, shared = self._desired, self._shared
        refused = resizing.refusal(pod, amounts(shared.allocatable), shared.requested_beside(pod.uid))
        if refused is None:
            self._granted = resizing.granted_to(pod)
            self._pending, self._is_in_progress, self._error = None, True, ""
            shared.tell(pod, "Normal", "ResizeStarted", resizing.in_words("started", pod))
        elif refused != self._pending:
            self._pending = refused
            message = resizing.in_words(refused.reason, pod, refused.message)
            shared.tell(pod, "Warning", f"Resize{refused.reason}", message)

    def settle(self, observed: Observed) -> bool:
        """Whether a resize has just come to its end: every container that runs has what was granted."""
        if not self._is_in_progress:
            return False
        pod = self.pod
        group = observed.sandbox.resources if observed.sandbox else None
        if group is not None and group != pod_resources(pod):
            return False
        for container in pod.containers():
            seen = observed.seen(container.name)
            if seen.is_running and seen.resources is not None and resizing.changed(seen.resources, container.resources):
                return False
        self._is_in_progress, self._error = False, ""
        self._shared.tell(pod, "Normal", "ResizeCompleted", resizing.in_words("completed", pod))
        return True

    def failed(self, error: str) -> None:
        """Why a container could not be given what was granted, told once; empty if it was."""
        if error and error != self._error:
            self._shared.tell(self.pod, "Warning", "ResizeError", resizing.in_words("error", self.pod, error))
        self._error = error

    def shown(self) -> Resizing:
        """For the status."""
        progress = Waiting("Error" if self._error else "", self._error) if self._is_in_progress else None
        return Resizing(self._pending, progress)
