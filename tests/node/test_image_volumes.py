"""Volumes that show an image: brought before the container that wants it, by the rules for images (V75, N60-N66)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from holdfast.api.core.event import EVENTS
from holdfast.node.runtime.simulated import Script

sys.path.insert(0, str(Path(__file__).parent))

from machines import APP, is_ready, waits_for

MOUNT = {"name": "data", "mountPath": "/data"}
SPEC = {
    "containers": [{**APP, "volumeMounts": [MOUNT]}, {"name": "other", "image": "app:1"}],
    "volumes": [{"name": "data", "image": {"reference": "data:1"}}],
}


async def told(machine) -> list[tuple[str, str, str]]:
    await machine.events()
    found = (await machine.client.list(EVENTS, "default")).items
    return [(e["reason"], e["message"], e["involvedObject"].get("fieldPath", "")) for e in found]


def test_v75_n66_a_volume_s_image_is_pulled_first_and_told_of_as_the_pod_s(scenario):
    mounted = []

    async def body(machine):
        async def mount_image(image_id: str, directory: Path) -> None:
            mounted.append((image_id, directory))

        machine.runtime.mount_image = mount_image
        await machine.create(SPEC)
        await machine.until(is_ready)
        images = {image.references[0]: image.id for image in await machine.runtime.images()}
        [(image_id, directory)] = mounted
        assert image_id == images["data:1"]
        specs = {one.spec.name: one.spec for one in machine.runtime._containers.values()}
        [mount] = [mount for mount in specs["app"].mounts if mount.container_path == "/data"]
        assert (mount.host_path, mount.read_only) == (str(directory), True)
        pulls = [one for one in await told(machine) if one[0] == "Pulling"]
        assert pulls[0] == ("Pulling", 'Pulling image "data:1"', "")
        assert pulls[1] == ("Pulling", 'Pulling image "app:1"', "spec.containers{app}")

    scenario(body)


def test_v75_n44_a_volume_s_image_that_is_not_to_be_had_holds_back_who_mounts_it_only(scenario):
    async def body(machine):
        await machine.create(SPEC)
        pod: Any = await machine.until(waits_for("ImagePullBackOff"))
        states = {entry["name"]: entry["state"] for entry in pod["status"]["containerStatuses"]}
        assert states["app"]["waiting"]["message"].startswith('Back-off pulling image "data:1": ErrImagePull')
        assert "running" in states["other"]
        events = await told(machine)
        assert ("Failed", "Error: ErrImagePull", "spec.containers{app}") in events
        assert any(reason == "Failed" and "data:1" in text and not path for reason, text, path in events)

    scenario(body, {"data:1": Script(has_image=False)})
