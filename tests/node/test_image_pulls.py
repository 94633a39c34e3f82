"""Pulls as the agent does them: secrets, several at a time, progress, images that were loaded by hand."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.errors import Forbidden
from holdfast.node.image_pulls import ImagePulls, ImageUnavailable
from holdfast.node.runtime import (
    Credentials,
    ImageMissing,
    ImageRecord,
    Progress,
    PullProgress,
    RegistryUnreachable,
)

sys.path.insert(0, str(Path(__file__).parent))
from pods import pod

RECORD = ImageRecord("sha256:1", ("docker.io/library/app:1",), (), 1234)
Act = Callable[[Progress], Awaitable[ImageRecord]]


async def at_once(progress: Progress) -> ImageRecord:
    return RECORD


@dataclass
class Registry:
    """As the runtime driver shows it: every pull does what `act` says."""

    act: Act = at_once
    here: ImageRecord | None = None
    asked: list[tuple[str, Sequence[Credentials]]] = field(default_factory=list)
    at_work: int = 0
    most_at_work: int = 0

    async def image(self, reference: str) -> ImageRecord | None:
        return self.here

    async def pull(self, reference: str, credentials: Sequence[Credentials], progress: Progress) -> ImageRecord:
        self.asked.append((reference, credentials))
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            return await self.act(progress)
        finally:
            self.at_work -= 1


def failing(error: Exception) -> Act:
    async def act(progress: Progress) -> ImageRecord:
        raise error

    return act


class Events(list[tuple[str, str, str, str]]):
    def tell(self, container: Any, type: str, reason: str, message: str) -> None:
        self.append((container.name if container else "", type, reason, message))


def secret(name: str, user: str, text: str = "") -> dict[str, Any]:
    document = text or json.dumps({"auths": {"docker.io": {"username": user, "password": "p"}}})
    data = {".dockerconfigjson": base64.b64encode(document.encode()).decode()}
    return {"metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson", "data": data}


def having(*secrets: dict[str, Any]):
    async def get(namespace: str, names: Any) -> dict[str, Any]:
        assert namespace == "default"
        return {one["metadata"]["name"]: one for one in secrets if one["metadata"]["name"] in names}

    return get


def wanting(*secrets: str):
    return pod(imagePullSecrets=[{"name": name} for name in secrets])


def ensure(world, on_jumping_time, registry: Registry, one=None, secrets=None) -> tuple[Any, Events]:
    """The image or the refusal, and what was told."""
    one, events = one or pod(), Events()

    async def scenario() -> Any:
        pulls = ImagePulls(registry, world, secrets or having())
        try:
            return await pulls.ensure(one, one.app_containers[0], events.tell)
        except ImageUnavailable as error:
            return error

    return on_jumping_time(scenario()), events


def test_n66_a_pull_is_told_with_its_time_and_size(world, on_jumping_time):
    async def slowly(progress: Progress) -> ImageRecord:
        await asyncio.sleep(1.25)
        return RECORD

    image, events = ensure(world, on_jumping_time, Registry(slowly))
    assert image is RECORD
    assert events == [
        ("app", "Normal", "Pulling", 'Pulling image "app:1"'),
        (
            "app",
            "Normal",
            "Pulled",
            'Successfully pulled image "app:1" in 1.25s (1.25s including waiting). Image size: 1234 bytes.',
        ),
    ]


def test_n65_the_credentials_of_the_pods_secrets_are_handed_on_in_their_order(world, on_jumping_time):
    registry = Registry()
    secrets = having(secret("one", "first"), secret("two", "second"))
    ensure(world, on_jumping_time, registry, wanting("two", "one"), secrets)
    assert registry.asked == [("app:1", (Credentials("second", "p"), Credentials("first", "p")))]


def test_n65_a_missing_secret_is_told_on_the_pod_and_does_no_harm(world, on_jumping_time):
    registry = Registry()
    image, events = ensure(world, on_jumping_time, registry, wanting("there", "gone"), having(secret("there", "u")))
    assert image is RECORD
    assert events[0] == (
        "",
        "Warning",
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (gone); attempting to pull the image may not succeed.",
    )
    assert registry.asked == [("app:1", (Credentials("u", "p"),))]


def test_n65_secrets_that_may_not_be_read_are_missing(world, on_jumping_time):
    async def refusing(namespace: str, names: Any) -> dict[str, Any]:
        raise Forbidden("no")

    image, events = ensure(world, on_jumping_time, Registry(), wanting("mine"), refusing)
    assert image is RECORD
    assert events[0][2] == "FailedToRetrieveImagePullSecret"


def test_n65_a_secret_that_cannot_be_read_fails_the_pull_and_is_not_shown(world, on_jumping_time):
    secrets = having(secret("broken", "", '{"auths": {"docker.io": {"auth": "hidden"}}}'))
    error, events = ensure(world, on_jumping_time, Registry(), wanting("broken"), secrets)
    assert error.reason == "ErrImagePull"
    assert 'secret "broken": .dockerconfigjson holds no credentials that can be read' in events[-1][3]
    assert "hidden" not in str(events)


def test_n64_a_failure_is_told_and_waits_ten_seconds_then_twenty(world, on_jumping_time):
    one, events = pod(), Events()
    registry = Registry(failing(ImageMissing("ErrImagePull", "why")))

    async def scenario() -> list[str]:
        pulls = ImagePulls(registry, world, having())
        reasons = []
        for _ in range(35):
            with pytest.raises(ImageUnavailable) as caught:
                await pulls.ensure(one, one.app_containers[0], events.tell)
            reasons.append(f"{caught.value.reason}: {caught.value.message}")
            await asyncio.sleep(1)
        return reasons

    reasons = on_jumping_time(scenario())
    failed = [second for second, reason in enumerate(reasons) if reason == "ErrImagePull: why"]
    assert failed == [0, 10, 30]
    assert reasons[1] == 'ImagePullBackOff: Back-off pulling image "app:1": ErrImagePull: why'
    assert ("app", "Warning", "Failed", 'Failed to pull image "app:1": why') in events
    assert ("app", "Normal", "BackOff", 'Back-off pulling image "app:1"') in events


def test_a_pull_that_takes_long_is_told_about_more_and_more_rarely(world, on_jumping_time):
    async def slowly(progress: Progress) -> ImageRecord:
        for second in range(60):
            progress(PullProgress(second * 1_000_000, 60_000_000, second // 20, 3))
            await asyncio.sleep(1)
        return RECORD

    _, events = ensure(world, on_jumping_time, Registry(slowly))
    assert [message for _, _, reason, message in events if reason == "Pulling"] == [
        'Pulling image "app:1"',
        'Pulling image "app:1": 4.0 of 60.0 MB, 0 of 3 layers ready',
        'Pulling image "app:1": 14.0 of 60.0 MB, 0 of 3 layers ready',
        'Pulling image "app:1": 34.0 of 60.0 MB, 1 of 3 layers ready',
    ]


def test_a_pull_that_stands_still_is_not_told_again(world, on_jumping_time):
    async def stuck(progress: Progress) -> ImageRecord:
        progress(PullProgress(1, 2, 0, 1))
        await asyncio.sleep(500)
        return RECORD

    _, events = ensure(world, on_jumping_time, Registry(stuck))
    assert [reason for _, _, reason, _ in events] == ["Pulling", "Pulling", "Pulled"]


def test_n67_three_images_are_pulled_at_a_time_and_waiting_is_told(world, on_jumping_time):
    async def slowly(progress: Progress) -> ImageRecord:
        await asyncio.sleep(10)
        return RECORD

    registry, events = Registry(slowly), Events()
    pods = [pod(containers=[{"name": "app", "image": f"app:{number}"}]) for number in range(1, 6)]

    async def scenario() -> None:
        pulls = ImagePulls(registry, world, having())
        await asyncio.gather(*(pulls.ensure(one, one.app_containers[0], events.tell) for one in pods))

    on_jumping_time(scenario())
    assert registry.most_at_work == 3
    times = [message.partition(" in ")[2].partition(".")[0] for _, _, reason, message in events if reason == "Pulled"]
    assert times == [*["10s (10s including waiting)"] * 3, *["10s (20s including waiting)"] * 2]


def test_n67_other_credentials_are_another_pull(world, on_jumping_time):
    registry = Registry()
    secrets = having(secret("one", "first"), secret("two", "second"))

    async def scenario() -> None:
        pulls = ImagePulls(registry, world, secrets)
        pods = [wanting("one"), wanting("two"), wanting("one")]
        await asyncio.gather(*(pulls.ensure(one, one.app_containers[0], Events().tell) for one in pods))

    on_jumping_time(scenario())
    assert [credentials[0].username for _, credentials in registry.asked] == ["first", "second"]


ALWAYS = pod(containers=[{"name": "app", "image": "app:1", "imagePullPolicy": "Always"}])
UNREACHABLE = failing(RegistryUnreachable("ErrImagePull", "nobody answers"))


def test_x4_1_an_image_loaded_by_hand_is_used_where_its_registry_cannot_be_reached(world, on_jumping_time):
    loaded = ImageRecord("sha256:1", ("docker.io/library/app:1",), (), 1234, is_local=True)
    image, events = ensure(world, on_jumping_time, Registry(UNREACHABLE, here=loaded), ALWAYS)
    assert image is loaded
    assert events[1:] == [
        (
            "app",
            "Normal",
            "Pulled",
            'Container image "app:1" already present on machine, loaded from an archive; '
            "its registry cannot be reached: nobody answers",
        )
    ]


def test_x4_1_a_silent_registry_is_not_asked_again_for_a_minute(world, on_jumping_time):
    registry = Registry(UNREACHABLE, here=ImageRecord("sha256:1", (), (), 1, is_local=True))

    async def scenario() -> None:
        pulls = ImagePulls(registry, world, having())
        for _ in range(3):
            await pulls.ensure(ALWAYS, ALWAYS.app_containers[0], Events().tell)
        assert len(registry.asked) == 1
        await asyncio.sleep(61)
        await pulls.ensure(ALWAYS, ALWAYS.app_containers[0], Events().tell)
        assert len(registry.asked) == 2

    on_jumping_time(scenario())


def test_the_image_host_is_of_no_registry_that_could_be_silent(world, on_jumping_time):
    registry = Registry(UNREACHABLE, here=ImageRecord("sha256:1", (), (), 1, is_local=True))
    host = pod(containers=[{"name": "app", "image": "host", "imagePullPolicy": "Always"}])

    async def scenario() -> None:
        pulls, events = ImagePulls(registry, world, having()), Events()
        await pulls.ensure(ALWAYS, ALWAYS.app_containers[0], Events().tell)
        registry.act = at_once
        await pulls.ensure(host, host.app_containers[0], events.tell)
        assert [reason for _, _, reason, _ in events] == ["Pulling", "Pulled"]
        assert events[-1][3].startswith('Successfully pulled image "host"')

    on_jumping_time(scenario())


@pytest.mark.parametrize(
    "registry",
    [
        pytest.param(Registry(UNREACHABLE, here=RECORD), id="n62 pulled before"),
        pytest.param(Registry(UNREACHABLE), id="not here"),
        pytest.param(
            Registry(failing(ImageMissing("ErrImagePull", "denied")), here=ImageRecord("1", (), (), 1, is_local=True)),
            id="the registry says no",
        ),
    ],
)
def test_n62_always_needs_the_registrys_word(world, on_jumping_time, registry):
    error, events = ensure(world, on_jumping_time, registry, ALWAYS)
    assert error.reason == "ErrImagePull"
    assert events[-1][2] == "Failed"
