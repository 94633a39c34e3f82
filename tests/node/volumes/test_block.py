"""Block volumes on the node: which kinds there are, and what is said where there are none (V78-V80, V86, V108)."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.errors import NotFound
from holdfast.node.pod import Pod
from holdfast.node.volumes import Mounted, MountFailure
from holdfast.node.volumes.pod_volumes import Volumes
from holdfast.node.volumes.sized import SizedVolumes
from holdfast.world import real_world, user_namespace

NODE = {"metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1"}}}
OURS = {"driver": "local.holdfast.dev", "volumeHandle": "pvc-1", "volumeAttributes": {"holdfast.dev/backing": "image"}}
ELSEWHERE = {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]}


class Objects:
    """A claim and its volume."""

    def __init__(self, **spec: Any) -> None:
        self.claim = {
            "metadata": {"name": "data", "uid": "data-uid"},
            "spec": {"volumeName": "pv-1"},
            "status": {"phase": "Bound"},
        }
        accessible = {"accessModes": ["ReadWriteOnce"], "claimRef": {"uid": "data-uid"}}
        self.volume = {"metadata": {"name": "pv-1"}, "spec": {"volumeMode": "Block", **accessible, **spec}}

    async def get(self, resource: Any, name: str, namespace: str = "") -> dict[str, Any]:
        found = {"data": self.claim, "pv-1": self.volume}.get(name)
        if found is None:
            raise NotFound(name)
        return found


def pod(uid: str = "uid-1", **context: Any) -> Pod:
    devices = [{"name": "v0", "devicePath": "/dev/xvda"}]
    claim = {"name": "v0", "persistentVolumeClaim": {"claimName": "data"}}
    spec = {"containers": [{"name": "app", "volumeDevices": devices}], "volumes": [claim], "securityContext": context}
    return Pod({"metadata": {"name": "web-0", "namespace": "default", "uid": uid}, "spec": spec})


class NoGrowth:
    """Fails whoever has a file system grow in a block volume."""

    async def finish(self, *words: Any) -> None:
        raise AssertionError(words)


@pytest.fixture
def volumes(tmp_path):
    def make(objects: Objects) -> Volumes:
        top = tmp_path / "volumes"
        top.mkdir(exist_ok=True)
        plugins = {"csi": SizedVolumes(top, NoGrowth())}
        lookup: Any = objects
        places = (tmp_path / "disk", tmp_path / "memory")
        return Volumes(lookup, lookup, real_world(), *places, lambda: NODE, plugins)

    return make


async def refusal(volumes: Volumes, one: Pod | None = None) -> MountFailure:
    with pytest.raises(MountFailure) as caught:
        await volumes.mount(one or pod())
    return caught.value


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"local": {"path": "/nowhere"}}, 'path "/nowhere" does not exist'),
        ({"local": {"path": "/dev/null"}}, 'path "/dev/null" is not a block device'),
        ({"hostPath": {"path": "/dev/null"}}, 'no block volume plugin matched: "hostPath" is not supported'),
        ({"nfs": {"server": "s", "path": "/"}}, 'no block volume plugin matched: "nfs" is not supported'),
        (
            {"csi": {"driver": "csi.example.com", "volumeHandle": "h"}},
            "blockMapper.SetUpDevice failed to get CSI client: driver name csi.example.com not found in the list of "
            "registered CSI drivers",
        ),
    ],
)
async def test_v80_what_cannot_be_a_device_is_told_as_a_failed_map(volumes, source, words):
    failure = await refusal(volumes(Objects(**source)))
    assert failure.reason == "FailedMapVolume"
    assert failure.text == f'MapVolume.SetUpDevice failed for volume "pv-1" : {words}'


async def test_v78_a_block_volume_of_another_node_is_refused_as_one(volumes, tmp_path):
    terms = {"required": {"nodeSelectorTerms": [{"matchExpressions": [ELSEWHERE]}]}}
    failure = await refusal(volumes(Objects(local={"path": str(tmp_path)}, nodeAffinity=terms)))
    assert 'MapVolume.NodeAffinity check failed for volume "pv-1"' in failure.text


async def test_a_directory_where_the_image_should_be_is_not_given_out(volumes, tmp_path):
    failure = await refusal(volumes(Objects(csi=OURS)))
    assert failure.text.startswith('MapVolume.SetUpDevice failed for volume "pv-1" : No such file or directory')
    (tmp_path / "volumes" / "pvc-1").mkdir()
    (tmp_path / "volumes" / "pvc-1" / "image").touch()
    failure = await refusal(volumes(Objects(csi=OURS)))
    assert "a file system, not a block volume" in failure.text


async def test_without_root_it_is_said_that_there_are_no_devices(volumes, monkeypatch):
    monkeypatch.setattr(user_namespace, "is_inside", lambda: True)
    failure = await refusal(volumes(Objects(csi=OURS)))
    assert failure.text.endswith("without root there are no devices for containers")


def a_block_device() -> str:
    """Any of this machine."""
    for path in Path("/dev").glob("loop[0-9]*"):
        if path.is_block_device():
            return str(path)
    pytest.skip("no block device")


async def test_v86_v108_a_disk_is_handed_on_as_it_is_and_left_as_it_is(volumes):
    path = a_block_device()
    before = os.stat(path)
    made = volumes(Objects(local={"path": path}))
    mounted: dict[str, Mounted] = await made.mount(pod(fsGroup=before.st_gid + 1))
    assert mounted["v0"].path == Path(path)
    after = os.stat(path)
    assert (after.st_gid, stat.S_IMODE(after.st_mode)) == (before.st_gid, stat.S_IMODE(before.st_mode))
    assert await made.usage(pod()) == []
    await made.grow(pod(), "data")
    await made.unmount("uid-1")
    assert Path(path).is_block_device()


async def test_v79_one_pod_alone_has_a_block_volume_that_says_so(volumes):
    made = volumes(Objects(local={"path": a_block_device()}, accessModes=["ReadWriteOncePod"]))
    await made.mount(pod())
    failure = await refusal(made, pod("uid-2"))
    assert failure.text == (
        'MapVolume.SetUpDevice failed for volume "pv-1" : volume uses the ReadWriteOncePod access mode and is already '
        "in use by another pod"
    )
