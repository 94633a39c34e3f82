"""Images for containers: pull policy, back-off, events (N60-N68)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NoReturn

from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest
from holdfast.world import World

from .backoff import Backoff
from .images.references import HOST, InvalidReference, parse
from .pod import Container, Pod
from .pull_secrets import BadPullSecret, Keyring
from .runtime import (
    Credentials,
    ImageRecord,
    PullProgress,
    RegistryUnreachable,
    Runtime,
    RuntimeFailure,
)

MOST_PULLS = 3
"""At a time; the others wait (N67)."""
FIRST_PROGRESS_S = 5.0
"""When a pull that takes long is first told about; then after twice, four times ... as long."""
SILENT_FOR = timedelta(seconds=60)
"""For how long a registry that could not be reached is not asked for what is here, loaded by hand."""

Tell = Callable[[Container | None, str, str, str], None]
"""(container, or None for the pod; event type, reason, message)."""
Secrets = Callable[[str, Iterable[str]], Awaitable[Mapping[str, Manifest]]]
"""(namespace, names): those that exist. Raises ApiError."""

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


@dataclass(eq=False)
class _Flight:
    """A pull under way."""

    task: asyncio.Task[ImageRecord] | None = None
    progress: PullProgress | None = None
    took_s: float = 0.0
    """Without waiting for others."""


async def _no_secrets(namespace: str, names: Iterable[str]) -> Mapping[str, Manifest]:
    return {}


class ImagePulls:
    """The pulls of one node: an image is fetched once for all who wait for it (N67)."""

    def __init__(self, runtime: Runtime, world: World, secrets: Secrets = _no_secrets) -> None:
        self._runtime = runtime
        self._world = world
        self._secrets = secrets
        self._slots = asyncio.Semaphore(MOST_PULLS)
        self._backoff = Backoff()
        self._failures: dict[tuple[str, str], tuple[datetime, str]] = {}
        self._silent: dict[str, tuple[datetime, RegistryUnreachable]] = {}
        self._flying: dict[tuple[str, Sequence[Credentials]], _Flight] = {}

    async def ensure(self, pod: Pod, container: Container, tell: Tell) -> ImageRecord:
        """The image, here. Raises ImageUnavailable."""
        reference = container.image
        if not _REFERENCE.fullmatch(reference):
            message = f'Failed to apply default image tag "{reference}": couldn\'t parse image name "{reference}"'
            tell(container, "Warning", "InspectFailed", f"{message}: invalid reference format")
            raise ImageUnavailable("InvalidImageName", f"{message}: invalid reference format")
        secrets = await self._pull_secrets(pod, tell)
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
        return await self._pull(pod, container, secrets, tell)

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

    async def _pull_secrets(self, pod: Pod, tell: Tell) -> list[Manifest]:
        """Those of the pod that exist; a missing one is told and does no harm (N65)."""
        names = [entry["name"] for entry in pod.spec.get("imagePullSecrets") or () if entry.get("name")]
        if not names:
            return []
        try:
            found = await self._secrets(pod.namespace, set(names))
        except ApiError:
            found = {}
        if missing := [name for name in names if name not in found]:
            message = (
                f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
                "attempting to pull the image may not succeed."
            )
            tell(None, "Warning", "FailedToRetrieveImagePullSecret", message)
        return [found[name] for name in dict.fromkeys(names) if name in found]

    async def _pull(self, pod: Pod, container: Container, secrets: Iterable[Manifest], tell: Tell) -> ImageRecord:
        reference, key = container.image, (pod.uid, container.image)
        silence = self._silence(reference)
        if silence is not None and (image := await self._loaded(container, silence, tell)) is not None:
            return image
        tell(container, "Normal", "Pulling", f'Pulling image "{reference}"')
        began_s = self._world.clock.monotonic_s()
        try:
            flight = self._fly(reference, _credentials(reference, secrets))
            image = await self._land(container, flight, tell)
        except RegistryUnreachable as error:
            self._silent[_registry(reference)] = (self._world.clock.now(), error)
            image = await self._loaded(container, error, tell) or self._fail(container, key, error, tell)
        except RuntimeFailure as error:
            self._fail(container, key, error, tell)
        else:
            took, waited = _took(flight.took_s), _took(self._world.clock.monotonic_s() - began_s)
            tell(
                container,
                "Normal",
                "Pulled",
                f'Successfully pulled image "{reference}" in {took} ({waited} including waiting). '
                f"Image size: {image.size_bytes} bytes.",
            )
        self._failures.pop(key, None)
        self._backoff.forget(key)
        return image

    def _fail(self, container: Container, key: tuple[str, str], error: RuntimeFailure, tell: Tell) -> NoReturn:
        now = self._world.clock.now()
        self._failures[key] = (now, f"{error.reason}: {error.message}")
        self._backoff.next(key, now, now)
        tell(container, "Warning", "Failed", f'Failed to pull image "{container.image}": {error.message}')
        raise ImageUnavailable("ErrImagePull", error.message) from error

    def _silence(self, reference: str) -> RegistryUnreachable | None:
        """Why the image's registry could not be reached a moment ago: a network without a way out answers slowly."""
        at, error = self._silent.get(_registry(reference), (None, None))
        return error if at is not None and self._world.clock.now() - at < SILENT_FOR else None

    async def _loaded(self, container: Container, error: RegistryUnreachable, tell: Tell) -> ImageRecord | None:
        """The image if it was brought by hand: nobody can say that there is a newer one (X4.1)."""
        image = await self._here(container, tell)
        if image is None or not image.is_local:
            return None
        message = f'Container image "{container.image}" already present on machine, loaded from an archive; '
        tell(container, "Normal", "Pulled", f"{message}its registry cannot be reached: {error.message}")
        return image

    def _fly(self, reference: str, credentials: Sequence[Credentials]) -> _Flight:
        """The pull under way for all who ask meanwhile with the same rights, else a new one."""
        key = (reference, credentials)
        flight = self._flying.get(key)
        if flight is None:
            flight = self._flying[key] = _Flight()
            flight.task = asyncio.ensure_future(self._run(flight, reference, credentials))
            flight.task.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def _run(self, flight: _Flight, reference: str, credentials: Sequence[Credentials]) -> ImageRecord:
        def told(progress: PullProgress) -> None:
            flight.progress = progress

        async with self._slots:
            began_s = self._world.clock.monotonic_s()
            image = await self._runtime.pull(reference, credentials, told)
            flight.took_s = self._world.clock.monotonic_s() - began_s
            return image

    async def _land(self, container: Container, flight: _Flight, tell: Tell) -> ImageRecord:
        """Waits for the end, telling how far it is; one who stops waiting does not stop it for the others."""
        assert flight.task is not None
        pause_s, told = FIRST_PROGRESS_S, None
        while not flight.task.done():
            await asyncio.wait({flight.task}, timeout=pause_s)
            if not flight.task.done() and flight.progress not in (None, told):
                told = flight.progress
                tell(container, "Normal", "Pulling", f'Pulling image "{container.image}": {in_words(told)}')
            pause_s *= 2
        return flight.task.result()

    def _landed(self, key: tuple[str, Sequence[Credentials]], task: asyncio.Task[ImageRecord]) -> None:
        self._flying.pop(key, None)
        if not task.cancelled():
            task.exception()  # seen, even where nobody waits any more

    async def close(self) -> None:
        """Gives up the pulls that are under way."""
        tasks = [flight.task for flight in self._flying.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


def in_words(progress: PullProgress) -> str:
    """`12.5 of 80.1 MB, 2 of 5 layers ready`."""
    received, total = progress.received_bytes / 1e6, progress.total_bytes / 1e6
    return f"{received:.1f} of {total:.1f} MB, {progress.layers_ready} of {progress.layers} layers ready"


def _registry(reference: str) -> str:
    """Empty for what comes from none."""
    try:
        return "" if reference == HOST else parse(reference).registry
    except InvalidReference:
        return ""


def _credentials(reference: str, secrets: Iterable[Manifest]) -> Sequence[Credentials]:
    """What the secrets have for the image's repository. Raises RuntimeFailure."""
    try:
        return tuple(Keyring(secrets).lookup(parse(reference).name))
    except (BadPullSecret, InvalidReference) as error:
        raise RuntimeFailure("ErrImagePull", str(error)) from error


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
