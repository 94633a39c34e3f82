"""Images for containers: pull policy, back-off, events (N60-N68)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta

from holdfast.world import World

from .backoff import Backoff
from .pod import Container, Pod
from .runtime import ImageRecord, Runtime, RuntimeFailure

Tell = Callable[[Container, str, str, str], None]
"""(container, event type, reason, message)."""

_REFERENCE = re.compile(
    r"(?:(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9.-]*[a-zA-Z0-9]|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[\w][\w.-]{0,127})?(?:@[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,})?",
    re.ASCII,
)


class ImageUnavailable(Exception):
    """The container waits with this reason and message (N44), to be tried again at `again_at`."""

    def __init__(self, reason: str, message: str, again_at: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.again_at = again_at


class ImagePulls:
    """The pulls of one node: an image is fetched once for all who wait for it (N67)."""

    def __init__(self, runtime: Runtime, world: World) -> None:
        self._runtime = runtime
        self._world = world
        self._backoff = Backoff()
        self._failures: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._flying: dict[str, asyncio.Task[ImageRecord]] = {}

    async def ensure(self, pod: Pod, container: Container, tell: Tell) -> ImageRecord:
        """The image, here. Raises ImageUnavailable."""
        reference = container.image
        if not _REFERENCE.fullmatch(reference):
            message = f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}"'
            tell(container, "Warning", "InspectFailed", f"{message}: invalid reference format")
            raise ImageUnavailable("InvalidImageName", f"{message}: invalid reference format")
        policy = container.manifest.get("imagePullPolicy") or _default_policy(reference)
        if policy != "Always" and (image := await self._here(container, tell)) is not None:
            tell(
                container,
                "Normal",
                "Pulled",
                f'Container image "{reference}" already present on machine and can be accessed by the pod',
            )
            return image
        if policy == "Never":
            message = f'Container image "{reference}" is not present with pull policy of Never'
            tell(container, "Warning", "ErrImageNeverPull", message)
            raise ImageUnavailable("ErrImageNeverPull", message)
        self._refuse_while_backing_off(pod, container, tell)
        return await self._pull(pod, container, tell)

    def forget(self, pod: Pod) -> None:
        """The pod is gone."""
        for key in [key for key in self._failures if key[0] == pod.uid]:
            del self._failures[key]
            self._backoff.forget(key)

    async def _here(self, container: Container, tell: Tell) -> ImageRecord | None:
        try:
            return await self._runtime.image(container.image)
        except RuntimeFailure as error:
            message = f'Failed to inspect image "{container.image}": {error.message}'
            tell(container, "Warning", "InspectFailed", message)
            raise ImageUnavailable("ImageInspectError", message) from error

    def _refuse_while_backing_off(self, pod: Pod, container: Container, tell: Tell) -> None:
        key = (pod.uid, container.image)
        failed = self._failures.get(key)
        if failed is None:
            return
        now = self._world.clock.now()
        wait_s = self._backoff.remaining_s(key, failed[0], now)
        if wait_s <= 0:
            return
        message = f'Back-off pulling image "{container.image}"'
        tell(container, "Normal", "BackOff", message)
        raise ImageUnavailable("ImagePullBackOff", f"{message}: {failed[1]}", now + timedelta(seconds=wait_s))

    async def _pull(self, pod: Pod, container: Container, tell: Tell) -> ImageRecord:
        reference, key = container.image, (pod.uid, container.image)
        tell(container, "Normal", "Pulling", f'Pulling image "{reference}"')
        began_s = self._world.clock.monotonic_s()
        try:
            image = await self._once(reference)
        except RuntimeFailure as error:
            now = self._world.clock.now()
            self._failures[key] = (now, f"{error.reason}: {error.message}")
            self._backoff.next(key, now, now)
            tell(container, "Warning", "Failed", f'Failed to pull image "{reference}": {error.message}')
            raise ImageUnavailable("ErrImagePull", error.message) from error
        self._failures.pop(key, None)
        self._backoff.forget(key)
        took = _took(self._world.clock.monotonic_s() - began_s)
        tell(
            container,
            "Normal",
            "Pulled",
            f'Successfully pulled image "{reference}" in {took} ({took} including waiting). '
            f"Image size: {image.size_bytes} bytes.",
        )
        return image

    async def _once(self, reference: str) -> ImageRecord:
        """Shared by all who ask meanwhile; one who stops waiting does not stop it for the others."""
        task = self._flying.get(reference)
        if task is None:
            task = self._flying[reference] = asyncio.ensure_future(self._runtime.pull(reference))
            task.add_done_callback(lambda done: self._landed(reference, done))
        return await asyncio.shield(task)

    def _landed(self, reference: str, task: asyncio.Task[ImageRecord]) -> None:
        self._flying.pop(reference, None)
        if not task.cancelled():
            task.exception()  # seen, even where nobody waits any more

    async def close(self) -> None:
        """Gives up the pulls that are under way."""
        for task in list(self._flying.values()):
            task.cancel()


def _default_policy(reference: str) -> str:
    """N60, for pods that came without one."""
    name = reference.rpartition("/")[2]
    if "@" in name or (":" in name and not name.endswith(":latest")):
        return "IfNotPresent"
    return "Always"


def _took(seconds: float) -> str:
    """As Go prints a duration cut to milliseconds."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    whole, fraction = divmod(round(seconds, 3), 60)
    text = f"{fraction:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(whole)}m{text}" if whole else text
