"""Volumes on a real directory (V75-V108, N201)."""

from __future__ import annotations

import asyncio
import os
import random
import stat
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.errors import NotFound
from holdfast.api.storage.attaching import attachment_name
from holdfast.node.pod import Pod
from holdfast.node.volumes import MountFailure, atomic, memory
from holdfast.node.volumes.atomic import File
from holdfast.node.volumes.attached import Attachments
from holdfast.node.volumes.ownership import give_to_group
from holdfast.node.volumes.pod_volumes import Volumes
from holdfast.node.volumes.subpath import SubpathFailure, resolve
from holdfast.world import World, mount_table, real_world

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NODE = {"metadata": {"name": "node-1", "labels": {"kubernetes.io/hostname": "node-1"}}, "status": {"allocatable": {}}}
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")


class Objects:
    """The API's objects, for `Volumes` and its lookup."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}

    def put(self, plural: str, name: str, manifest: dict[str, Any]) -> None:
        self.objects[plural, name] = {"metadata": {"name": name, "uid": f"{name}-uid"}, **manifest}

    async def get(self, resource: Any, name: str, namespace: str = "") -> dict[str, Any]:
        if found := self.objects.get((resource.plural, name)):
            return found
        raise NotFound(f'{resource.plural} "{name}" not found')

    async def config_map(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.objects.get(("configmaps", name))

    async def secret(self, namespace: str, name: str) -> dict[str, Any] | None:
        return self.objects.get(("secrets", name))

    async def token(self, pod: Pod, audience: str, expiration_s: int) -> str:
        if audience == "nobody":
            raise NotFound('serviceaccounts "default" not found')
        return f"token for {audience}"


@pytest.fixture
def objects() -> Objects:
    return Objects()


@pytest.fixture
def volumes(tmp_path, objects) -> Volumes:
    world: World = real_world()
    return Volumes(objects, objects, world, tmp_path / "disk", tmp_path / "memory", lambda: NODE)


def pod(*sources: dict[str, Any], **spec: Any) -> Pod:
    named = [{"name": f"v{number}", **source} for number, source in enumerate(sources)]
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in named]
    spec = {"containers": [{"name": "app", "volumeMounts": mounts}], "volumes": named, **spec}
    metadata = {"name": "web-0", "namespace": "default", "uid": "uid-1", "labels": {"app": "web"}}
    return Pod({"metadata": metadata, "spec": spec})


async def mounted(volumes: Volumes, *sources: dict[str, Any], **spec: Any) -> Path:
    return (await volumes.mount(pod(*sources, **spec)))["v0"].path


def files(directory: Path) -> dict[str, str]:
    """What a program sees: hidden names left out."""
    seen = {}
    for top in directory.iterdir():
        if not top.name.startswith(".."):
            found = [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file()]
            seen |= {str(path.relative_to(directory)): path.read_text() for path in found}
    return seen


# -- directories ------------------------------------------------------------------------------------


async def test_v87_an_empty_dir_is_the_pod_s_own_and_writable_by_all(volumes, tmp_path):
    path = await mounted(volumes, {"emptyDir": {}})
    assert path == tmp_path / "disk/pods/uid-1/volumes/v0"
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    (path / "kept").touch()
    assert await mounted(volumes, {"emptyDir": {}}) == path
    assert (path / "kept").exists()
    await volumes.unmount("uid-1")
    assert not path.exists()


async def test_v87_medium_memory_does_not_touch_the_disk(volumes, tmp_path):
    path = await mounted(volumes, {"emptyDir": {"medium": "Memory"}})
    assert path.is_relative_to(tmp_path / "memory")
    assert stat.S_IMODE(path.stat().st_mode) == 0o777
    (path / "kept").touch()
    assert await mounted(volumes, {"emptyDir": {"medium": "Memory"}}) == path
    assert (path / "kept").exists()
    await volumes.unmount("uid-1")
    assert list((tmp_path / "memory" / "pods").iterdir()) == []


@pytest.mark.live
@is_root
async def test_v87_medium_memory_has_a_size(volumes, tmp_path):
    path = await mounted(volumes, {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
    try:
        if not os.path.ismount(path):
            pytest.skip("mounting is not permitted here")
        assert os.statvfs(path).f_blocks * os.statvfs(path).f_frsize == 1 << 20
        with pytest.raises(OSError, match="No space left on device"):
            (path / "large").write_bytes(bytes(2 << 20))
    finally:
        await volumes.unmount("uid-1")
    assert mount_table.below(tmp_path) == []


@pytest.mark.parametrize(
    ("limit", "limits", "allocatable", "expected"),
    [
        ("", [], "", 0),
        ("", [], "8Gi", 8 << 30),
        ("", ["1Gi", "1Gi"], "8Gi", 2 << 30),
        ("1Gi", ["1Gi", "1Gi"], "8Gi", 1 << 30),
        ("64Mi", [], "8Gi", 64 << 20),
        ("16Gi", [""], "8Gi", 8 << 30),
    ],
)
def test_v87_how_large_it_is(limit, limits, allocatable, expected):
    containers = [{"name": "c", "resources": {"limits": {"memory": each} if each else {}}} for each in limits]
    node = {"status": {"allocatable": {"memory": allocatable} if allocatable else {}}}
    wanted = Pod({"metadata": {"name": "p", "namespace": "default", "uid": "u"}, "spec": {"containers": containers}})
    assert memory.size_bytes(wanted, {"sizeLimit": limit} if limit else {}, node) == expected


@pytest.mark.live
@is_root
def test_v101_the_files_of_pods_are_in_memory_unless_some_are_there_already(tmp_path):
    pods, used = tmp_path / "pods", tmp_path / "used"
    (used / "uid-1").mkdir(parents=True)
    try:
        for _ in range(2):
            memory.prepare(pods)
            memory.prepare(used)
        if mount_table.below(tmp_path) == []:
            pytest.skip("mounting is not permitted here")
        assert mount_table.below(tmp_path) == [str(pods)]
    finally:
        memory.take_down(tmp_path)
    assert mount_table.below(tmp_path) == []


async def test_n78_volumes_that_no_container_uses_are_ignored(volumes):
    one = pod({"emptyDir": {}})
    one.spec["volumes"].append({"name": "unused", "configMap": {"name": "none"}})
    assert (await volumes.mount(one)).keys() == {"v0"}


@pytest.mark.parametrize(
    ("type", "words"),
    [
        ("Directory", "is not a directory"),
        ("File", "is not a file"),
        ("Socket", "is not a socket file"),
        ("CharDevice", "is not a character device"),
        ("BlockDevice", "is not a block device"),
    ],
)
async def test_v85_host_path_types_are_checked(volumes, tmp_path, type, words):
    path = tmp_path / "missing"
    with pytest.raises(MountFailure) as caught:
        await mounted(volumes, {"hostPath": {"path": str(path), "type": type}})
    message = f'MountVolume.SetUp failed for volume "v0" : hostPath type check failed: {path} {words}'
    assert caught.value.text == message


@pytest.mark.parametrize(("type", "is_directory"), [("", True), ("DirectoryOrCreate", True), ("FileOrCreate", False)])
async def test_v85_some_types_make_what_is_missing(volumes, tmp_path, type, is_directory):
    path = tmp_path / "made"
    assert await mounted(volumes, {"hostPath": {"path": str(path), "type": type}}) == path
    assert path.is_dir() is is_directory
    await volumes.unmount("uid-1")
    assert path.exists()


# -- claims -----------------------------------------------------------------------------------------


def bind(objects: Objects, path: Path, **spec: Any) -> None:
    objects.put("persistentvolumeclaims", "data", {"spec": {"volumeName": "pv-1"}, "status": {"phase": "Bound"}})
    spec = {"local": {"path": str(path)}, "claimRef": {"uid": "data-uid"}, "accessModes": ["ReadWriteOnce"], **spec}
    objects.put("persistentvolumes", "pv-1", {"spec": spec})


CLAIM = {"persistentVolumeClaim": {"claimName": "data"}}


async def test_v86_a_claim_leads_to_its_local_directory(volumes, objects, tmp_path):
    bind(objects, tmp_path)
    assert await mounted(volumes, CLAIM) == tmp_path
    await volumes.unmount("uid-1")
    assert tmp_path.exists()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"claimRef": {"uid": "other"}}, 'PV "pv-1" is bound to PVC with uid "other"'),
        ({"volumeMode": "Block"}, "volume v0 has volumeMode Block, but is specified in volumeMounts"),
        (
            {
                "nodeAffinity": {
                    "required": {
                        "nodeSelectorTerms": [
                            {
                                "matchExpressions": [
                                    {"key": "kubernetes.io/hostname", "operator": "In", "values": ["node-2"]}
                                ]
                            }
                        ]
                    }
                }
            },
            'MountVolume.NodeAffinity check failed for volume "pv-1"',
        ),
    ],
)
async def test_v78_a_volume_that_does_not_fit_is_refused(volumes, objects, tmp_path, spec, words):
    bind(objects, tmp_path, **spec)
    with pytest.raises(MountFailure) as caught:
        await mounted(volumes, CLAIM)
    assert words in caught.value.text


async def test_n78_an_unbound_claim_is_waited_for(volumes, objects):
    objects.put("persistentvolumeclaims", "data", {"spec": {}, "status": {"phase": "Pending"}})
    with pytest.raises(MountFailure) as caught:
        await mounted(volumes, CLAIM)
    assert caught.value.text == (
        "Unable to attach or mount volumes: unmounted volumes=[v0], unattached volumes=[], "
        "failed to process volumes=[v0]: error processing PVC default/data: PVC is not bound"
    )


async def test_v110_an_ephemeral_claim_of_somebody_else_is_not_taken(volumes, objects):
    bind(objects, Path("/"))
    objects.put("persistentvolumeclaims", "web-0-v0", {"spec": {"volumeName": "pv-1"}, "status": {"phase": "Bound"}})
    with pytest.raises(MountFailure, match="was not created for pod default/web-0"):
        await mounted(volumes, {"ephemeral": {}})


async def test_v79_a_volume_for_one_pod_is_not_mounted_for_a_second(volumes, objects, tmp_path):
    bind(objects, tmp_path, accessModes=["ReadWriteOncePod"])
    second = pod(CLAIM)
    second.manifest["metadata"]["uid"] = "uid-2"
    for _ in range(2):  # again after a failure elsewhere
        await mounted(volumes, CLAIM)
    with pytest.raises(MountFailure) as caught:
        await volumes.mount(second)
    assert caught.value.text == (
        'MountVolume.SetUp failed for volume "pv-1" : volume uses the ReadWriteOncePod access mode and is already in'
        " use by another pod"
    )
    await volumes.unmount("uid-1")
    await volumes.mount(second)


@is_root
async def test_v86_a_nodes_directory_belongs_to_the_group_of_the_first_pod_that_has_it(objects, tmp_path):
    told: list[tuple[str, ...]] = []
    volumes = Volumes(
        *(objects, objects, real_world(), tmp_path / "disk", tmp_path / "memory", lambda: NODE),
        tell=lambda subject, *event: told.append(event),
    )
    place = tmp_path / "place"
    place.mkdir()
    bind(objects, place)

    async def mount(uid: str, gid: int) -> int:
        wanted = pod(CLAIM, securityContext={"fsGroup": gid})
        wanted.manifest["metadata"]["uid"] = uid
        await volumes.mount(wanted)
        return place.stat().st_gid

    assert await mount("uid-1", 4242) == 4242
    assert (await mount("uid-2", 4242), told) == (4242, [])
    assert await mount("uid-3", 7) == 4242
    refusal = "The requested fsGroup is 7, but the volume pv-1 has GID 4242. The volume may not be shareable."
    assert told == [("Warning", "AlreadyMountedVolume", refusal)]
    for uid in ("uid-1", "uid-2"):
        await volumes.unmount(uid)
    assert await mount("uid-3", 7) == 7


async def test_v4_a_volume_for_one_node_is_mounted_for_all_pods_of_the_node(volumes, objects, tmp_path):
    bind(objects, tmp_path)
    second = pod(CLAIM)
    second.manifest["metadata"]["uid"] = "uid-2"
    assert await mounted(volumes, CLAIM) == (await volumes.mount(second))["v0"].path == tmp_path


@is_root
@pytest.mark.parametrize(("marks", "gid"), [({"pv.kubernetes.io/provisioned-by": "holdfast.dev/local"}, 4242), ({}, 0)])
async def test_v109_v85_a_provisioned_directory_is_the_groups_a_hand_made_one_is_not(
    volumes, objects, tmp_path, marks, gid
):
    place = tmp_path / "pvc-1"
    place.mkdir()
    bind(objects, tmp_path)
    spec = {"hostPath": {"path": str(place)}, "claimRef": {"uid": "data-uid"}, "accessModes": ["ReadWriteOnce"]}
    objects.put("persistentvolumes", "pv-1", {"metadata": {"name": "pv-1", "annotations": marks}, "spec": spec})
    await mounted(volumes, CLAIM, securityContext={"fsGroup": 4242})
    assert place.stat().st_gid == gid


@pytest.mark.parametrize(
    "source",
    [
        {},
        {"emptyDir": {}},
        {"hostPath": {"path": "{here}", "type": "Directory"}},
        {"configMap": {"name": "cm"}},
        {"secret": {"secretName": "s"}},
        {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
        {"projected": {"sources": [{"configMap": {"name": "cm"}}]}},
        CLAIM,
        {"ephemeral": {"volumeClaimTemplate": {}}},
    ],
    ids=lambda source: next(iter(source), "nothing"),
)
async def test_v75_every_kind_of_volume_can_be_had(volumes, objects, tmp_path, source):
    objects.put("configmaps", "cm", {"data": {"a": "1"}})
    objects.put("secrets", "s", {"data": {"a": ""}})
    bind(objects, tmp_path)
    owner = {"controller": True, "uid": "uid-1"}
    metadata = {"name": "web-0-v0", "uid": "data-uid", "ownerReferences": [owner]}
    bound = {"metadata": metadata, "spec": {"volumeName": "pv-1"}, "status": {"phase": "Bound"}}
    objects.put("persistentvolumeclaims", "web-0-v0", bound)
    if "hostPath" in source:
        source = {"hostPath": {"path": str(tmp_path)}}
    assert (await mounted(volumes, source)).is_dir()


class Reports:
    """How often the node's status was written, at once and later."""

    def __init__(self) -> None:
        self.now, self.soon = 0, 0

    async def report(self) -> None:
        self.now += 1

    def report_soon(self) -> None:
        self.soon += 1


async def test_v48_what_is_in_use_is_told_before_it_is_mounted_and_known_to_the_next_agent(objects, tmp_path):
    reports, disk = Reports(), tmp_path / "disk"

    def agent() -> tuple[Volumes, Attachments]:
        attachments = Attachments(objects, "node-1", disk / "pods", reports.report, reports.report_soon)
        world = real_world()
        made = Volumes(objects, objects, world, disk, tmp_path / "memory", lambda: NODE, attachments=attachments)
        return made, attachments

    bind(objects, tmp_path)
    marks = {"pv.kubernetes.io/provisioned-by": "ebs.csi.aws.com"}
    objects.objects["persistentvolumes", "pv-1"]["metadata"]["annotations"] = marks
    name = "kubernetes.io/csi/ebs.csi.aws.com^pv-1"
    volumes, attachments = agent()
    with pytest.raises(MountFailure) as caught:
        await volumes.mount(pod(CLAIM))
    assert caught.value.text == (
        "Unable to attach or mount volumes: unmounted volumes=[v0], unattached volumes=[v0], failed to process"
        " volumes=[]: context deadline exceeded"
    )
    assert (reports.now, attachments.in_use()) == (1, [name])
    at = attachment_name("ebs.csi.aws.com", "pv-1", "node-1")
    objects.put("volumeattachments", at, {"status": {"attached": True}})
    await volumes.mount(pod(CLAIM))
    assert reports.now == 1
    volumes, attachments = agent()
    assert attachments.in_use() == [name]
    await volumes.unmount("uid-1")
    assert (reports.soon, attachments.in_use(), agent()[1].in_use()) == (1, [], [])


# -- contents ---------------------------------------------------------------------------------------


async def test_v100_v102_config_maps_show_data_and_binary_data(volumes, objects):
    objects.put("configmaps", "cm", {"data": {"a": "1"}, "binaryData": {"b": b64encode(b"2").decode()}})
    path = await mounted(volumes, {"configMap": {"name": "cm"}})
    assert files(path) == {"a": "1", "b": "2"}
    assert os.readlink(path / "a") == "..data/a"
    assert stat.S_IMODE((path / "a").stat().st_mode) == 0o644


async def test_v102_items_choose_keys_paths_and_modes(volumes, objects):
    objects.put("secrets", "s", {"data": {"k": b64encode(b"v").decode(), "other": ""}})
    source = {"secret": {"secretName": "s", "items": [{"key": "k", "path": "deep/file", "mode": 0o400}]}}
    path = await mounted(volumes, source)
    assert files(path) == {"deep/file": "v"}
    assert stat.S_IMODE((path / "deep/file").stat().st_mode) == 0o400


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"configMap": {"name": "none"}}, 'configmap "none" not found'),
        ({"secret": {"secretName": "none"}}, 'secret "none" not found'),
        ({"configMap": {"name": "cm", "items": [{"key": "x", "path": "x"}]}}, "non-existent config key: x"),
    ],
)
async def test_v102_what_is_missing_fails_unless_optional(volumes, objects, source, words):
    objects.put("configmaps", "cm", {"data": {}})
    with pytest.raises(MountFailure, match=words):
        await mounted(volumes, source)
    [[kind, details]] = source.items()
    assert files(await mounted(volumes, {kind: {**details, "optional": True}})) == {}


async def test_v103_v104_a_change_switches_all_files_at_once(volumes, objects):
    objects.put("configmaps", "cm", {"data": {"a": "1", "b": "1"}})
    source = {"configMap": {"name": "cm"}}
    path = await mounted(volumes, source)
    before = os.readlink(path / "..data")
    await volumes.refresh(pod(source))
    assert os.readlink(path / "..data") == before  # nothing changed, nothing is rewritten
    objects.put("configmaps", "cm", {"data": {"a": "2", "c": "2"}})
    await volumes.refresh(pod(source))
    assert files(path) == {"a": "2", "c": "2"}
    assert not (path / before).exists()


async def test_v105_projected_sources_are_merged_and_later_ones_win(volumes, objects):
    objects.put("configmaps", "cm", {"data": {"a": "1", "b": "1"}})
    objects.put("secrets", "s", {"data": {"b": b64encode(b"2").decode()}})
    label = {"path": "labels/app", "fieldRef": {"fieldPath": "metadata.labels['app']"}}
    sources = [
        {"configMap": {"name": "cm"}},
        {"secret": {"name": "s"}},
        {"downwardAPI": {"items": [label]}},
        {"serviceAccountToken": {"path": "token", "audience": "vault"}},
    ]
    path = await mounted(volumes, {"projected": {"sources": sources}})
    assert files(path) == {"a": "1", "b": "2", "labels/app": "web", "token": "token for vault"}


async def test_v105_sources_are_asked_for_together_and_the_first_that_fails_is_told(volumes, objects):
    asked = asyncio.Event()
    token, config_map = objects.token, objects.config_map

    async def token_later(*question):
        await asyncio.wait_for(asked.wait(), 10)
        return await token(*question)

    async def noted(*question):
        asked.set()
        return await config_map(*question)

    objects.token, objects.config_map = token_later, noted
    sources = [{"serviceAccountToken": {"path": "token", "audience": "nobody"}}, {"configMap": {"name": "none"}}]
    with pytest.raises(MountFailure, match="failed to fetch token"):
        await mounted(volumes, {"projected": {"sources": sources}})


async def test_v105_a_token_that_cannot_be_had_names_its_volume(volumes):
    sources = [{"serviceAccountToken": {"path": "token", "audience": "nobody"}}]
    with pytest.raises(MountFailure) as caught:
        await mounted(volumes, {"projected": {"sources": sources}})
    assert caught.value.text == (
        'MountVolume.SetUp failed for volume "v0" : failed to fetch token: serviceaccounts "default" not found'
    )


async def test_v101_secrets_do_not_hit_the_disk(volumes, objects, tmp_path):
    objects.put("secrets", "s", {"data": {}})
    assert (await mounted(volumes, {"secret": {"secretName": "s"}})).is_relative_to(tmp_path / "memory")


@is_root
async def test_v101_v108_fs_group_gets_the_files(volumes, objects):
    objects.put("configmaps", "cm", {"data": {"a": "1"}})
    context = {"fsGroup": 4242}
    path = await mounted(volumes, {"configMap": {"name": "cm", "defaultMode": 0o600}}, securityContext=context)
    status = (path / "a").stat()
    assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (4242, 0o640)
    path = await mounted(volumes, {"emptyDir": {}}, securityContext=context)
    assert path.stat().st_gid == 4242
    assert path.stat().st_mode & 0o2770 == 0o2770


async def test_an_unknown_kind_is_refused_in_words(volumes):
    with pytest.raises(MountFailure, match='"iscsi" is not supported'):
        await mounted(volumes, {"iscsi": {}})


# -- the parts --------------------------------------------------------------------------------------


def test_v100_a_write_that_stopped_half_way_is_finished_by_the_next(tmp_path):
    def write(**contents: bytes) -> bool:
        wanted = {name: File(content, 0o644) for name, content in contents.items()}
        return atomic.write(tmp_path / "v", wanted, gid=None, now=NOW, random=random.Random(1))

    write(a=b"1")
    (tmp_path / "v" / "..data_tmp").symlink_to("nowhere")
    (tmp_path / "v" / "a").unlink()
    assert not write(a=b"1")
    assert (tmp_path / "v" / "a").read_bytes() == b"1"
    (tmp_path / "v" / "..2020_half_done").mkdir()
    assert atomic.write(tmp_path / "v", {"a": File(b"2", 0o644)}, gid=None, now=NOW, random=random.Random(2))
    assert (tmp_path / "v" / "a").read_bytes() == b"2"
    assert not (tmp_path / "v" / "..2020_half_done").exists()


@pytest.mark.parametrize("subpath", ["/etc", "../x", "a/../../x", "out/x", "out"])
def test_v106_a_sub_path_does_not_leave_its_volume(tmp_path, subpath):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "out").symlink_to(tmp_path)
    with pytest.raises(SubpathFailure):
        resolve(volume, subpath)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["volume"]


def test_v106_v107_missing_directories_are_made_like_the_root(tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    volume.chmod(0o750)
    assert resolve(volume, "a/b") == volume / "a/b"
    assert stat.S_IMODE((volume / "a/b").stat().st_mode) == 0o750
    (volume / "file").touch()
    assert resolve(volume, "file") == volume / "file"
    (volume / "inside").symlink_to("a")
    assert resolve(volume, "inside/b") == volume / "a/b"
    with pytest.raises(SubpathFailure):
        resolve(volume, "new", is_read_only=True)


@is_root
def test_v108_on_root_mismatch_leaves_a_fitting_tree_alone(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").touch(mode=0o600)
    give_to_group(tmp_path / "d", 4242, is_read_only=False, policy="Always")
    assert (tmp_path / "d" / "f").stat().st_gid == 4242
    assert stat.S_IMODE((tmp_path / "d" / "f").stat().st_mode) == 0o660
    (tmp_path / "d" / "new").touch()
    os.chown(tmp_path / "d" / "new", 0, 0)
    give_to_group(tmp_path / "d", 4242, is_read_only=False, policy="OnRootMismatch")
    assert (tmp_path / "d" / "new").stat().st_gid == 0
    give_to_group(tmp_path / "d", 4242, is_read_only=False, policy="Always")
    assert (tmp_path / "d" / "new").stat().st_gid == 4242
