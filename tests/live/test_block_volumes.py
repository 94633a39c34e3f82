"""Block volumes in real containers: a device of the claim's size, shared, read-only, grown, copied, taken away."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import on_disk

from holdfast.disks.capability import find_out

MI = 1 << 20
SLEEP = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"


@pytest.fixture(scope="module")
def sizing():
    with tempfile.TemporaryDirectory(prefix="hf-test-") as directory:
        if obstacle := find_out(Path(directory)).obstacle:
            pytest.skip(f"volumes with a size: {obstacle}")


def claim(name, size="8Mi", mode="Block", **spec):
    resources = {"requests": {"storage": size}}
    body = {"accessModes": ["ReadWriteMany"], "volumeMode": mode, "resources": resources, **spec}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": body}


def pod(name, claim_name, *, read_only=False, container=None, **spec):
    """With the claim as /dev/xvda."""
    reference = {"claimName": claim_name, "readOnly": read_only}
    main = {
        "name": "main",
        "image": "host",
        "command": ["sh", "-c", SLEEP],
        "volumeDevices": [{"name": "data", "devicePath": "/dev/xvda"}],
        **(container or {}),
    }
    volumes = [{"name": "data", "persistentVolumeClaim": reference}]
    body = {"terminationGracePeriodSeconds": 1, "volumes": volumes, "containers": [main], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": body}


class Pods:
    def __init__(self, cluster):
        self.cluster = cluster

    def start(self, *manifests):
        for manifest in manifests:
            self.cluster.kubectl("apply", "-f", "-", manifest=manifest)
        self.cluster.kubectl("wait", *names(manifests), "--for=condition=Ready", "--timeout=120s")

    def sh(self, name, script):
        return self.cluster.kubectl("exec", name, "--", "sh", "-c", f"({script}) 2>&1; true")

    def events(self, name):
        listed = self.cluster.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
        return [(event["reason"], event["message"]) for event in listed]

    def told(self, name, reason):
        def found():
            return [message for why, message in self.events(name) if why == reason]

        return self.cluster.until(f"{name}: {reason}", found)[0]


def names(manifests):
    return [f"pod/{manifest['metadata']['name']}" for manifest in manifests if manifest["kind"] == "Pod"]


@pytest.fixture(scope="module")
def pods(sizing, cluster):
    return Pods(cluster)


def test_a_block_volume_from_claim_to_its_end(pods):
    cluster, size = pods.cluster, "blockdev --getsize64 /dev/xvda"
    pods.start(claim("disk"), pod("one", "disk", securityContext={"fsGroup": 4000}), pod("two", "disk"))
    assert pods.sh("one", "stat -c '%F' /dev/xvda; blockdev --getsize64 /dev/xvda").splitlines() == [
        "block special file",
        str(8 * MI),
    ]
    assert "records out" in pods.sh("one", "echo hello world | dd of=/dev/xvda bs=4096 seek=3 conv=sync,fsync")
    read = "dd if=/dev/xvda bs=4096 skip=3 count=1 status=none | head -c 11"
    assert pods.sh("two", read) == "hello world"
    assert "No space left on device" in pods.sh("one", "dd if=/dev/zero of=/dev/xvda bs=1M seek=8 count=1")
    (device,) = on_disk.devices(cluster)
    owner = subprocess.run(["stat", "-c", "%u %g %a", device], capture_output=True, text=True).stdout
    assert pods.sh("one", "stat -c '%u %g %a' /dev/xvda") == owner  # fsGroup is no business of a device's (V108)
    (volume,) = cluster.get("pv")["items"]
    assert volume["spec"]["volumeMode"] == "Block"
    assert "fsType" not in volume["spec"]["csi"]

    pods.start(pod("reader", "disk", read_only=True))
    assert pods.sh("reader", read) == "hello world"
    if "Operation not permitted" not in pods.sh("reader", "dd if=/dev/zero of=/dev/xvda bs=512 seek=64 count=1"):
        assert "block volumes can be written to" in pods.told("reader", "Unsupported")

    pods.start(claim("copy", dataSource={"kind": "PersistentVolumeClaim", "name": "disk"}), pod("copied", "copy"))
    assert pods.sh("copied", read) == "hello world"

    patch = '{"spec": {"resources": {"requests": {"storage": "16Mi"}}}}'
    cluster.kubectl("patch", "pvc", "disk", "-p", patch)
    cluster.until("it has grown", lambda: cluster.get("pvc", "disk")["status"]["capacity"] == {"storage": "16Mi"})
    assert pods.sh("two", size).strip() == str(16 * MI)

    cluster.kubectl("delete", "pod", "one", "reader", "copied")
    assert pods.sh("two", read) == "hello world"
    cluster.kill("agents")
    cluster.until("exec works", lambda: cluster.kubectl("exec", "two", "--", "true", check=False).returncode == 0)
    assert pods.sh("two", read) == "hello world"
    cluster.kubectl("delete", "pod", "two")
    cluster.until("no devices are left", lambda: on_disk.devices(cluster) == [])
    pods.start(pod("again", "disk"))
    assert pods.sh("again", read) == "hello world"
    cluster.kubectl("delete", "pod", "again")
    cluster.kubectl("delete", "pvc", "disk", "copy")
    cluster.until("the volumes are gone", lambda: not cluster.get("pv")["items"] and not on_disk.names(cluster))


def test_v78_the_mode_of_a_claim_and_its_use_have_to_agree(pods):
    cluster = pods.cluster
    for manifest in (
        claim("files", mode="Filesystem"),
        claim("raw"),
        pod("device-of-files", "files"),
        pod(
            "files-of-device",
            "raw",
            container={"volumeDevices": [], "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
        ),
    ):
        cluster.kubectl("apply", "-f", "-", manifest=manifest)
    refused = "Unable to attach or mount volumes: unmounted volumes=[data], unattached volumes=[], failed to process "
    assert pods.told("device-of-files", "FailedMount") == (
        f"{refused}volumes=[data]: volume data has volumeMode Filesystem, but is specified in volumeDevices"
    )
    assert pods.told("files-of-device", "FailedMount") == (
        f"{refused}volumes=[data]: volume data has volumeMode Block, but is specified in volumeMounts"
    )
    cluster.kubectl("delete", "pod", "device-of-files", "files-of-device", "--force", "--grace-period=0")
    cluster.kubectl("delete", "pvc", "files", "raw")


def test_v86_a_disk_of_this_machine_is_a_local_volume(pods, tmp_path):
    cluster, (node,) = pods.cluster, pods.cluster.get("nodes")["items"]
    image = tmp_path / "disk"
    image.write_bytes(b"on the disk".ljust(MI, b"\0"))
    done = subprocess.run(["losetup", "-f", "--show", image], capture_output=True, text=True, check=True)
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node["metadata"]["name"]]}]}
    try:
        for name, path in (("disk", done.stdout.strip()), ("none", str(image))):
            spec = {
                "capacity": {"storage": "1Mi"},
                "accessModes": ["ReadWriteMany"],
                "volumeMode": "Block",
                "storageClassName": "",
                "local": {"path": path},
                "claimRef": {"namespace": "default", "name": f"local-{name}"},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
            }
            volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"local-{name}"}}
            cluster.kubectl("apply", "-f", "-", manifest={**volume, "spec": spec})
            wanted = claim(f"local-{name}", "1Mi", storageClassName="", volumeName=f"local-{name}")
            cluster.kubectl("apply", "-f", "-", manifest=wanted)
        cluster.kubectl("apply", "-f", "-", manifest=pod("off", "local-none"))
        pods.start(pod("on", "local-disk"))
        assert pods.sh("on", "head -c 11 /dev/xvda") == "on the disk"
        assert pods.told("off", "FailedMapVolume") == (
            f'MapVolume.SetUpDevice failed for volume "local-none" : path "{image}" is not a block device'
        )
    finally:
        cluster.kubectl("delete", "pod", "on", "off", "--force", "--grace-period=0", check=False)
        cluster.kubectl("delete", "pvc", "local-disk", "local-none", check=False)
        cluster.kubectl("delete", "pv", "local-disk", "local-none", check=False)
        subprocess.run(["losetup", "-d", done.stdout.strip()], check=True)
