"""Claims that are as large as they say: V44, V66-V69, V134, V144, R126-R130, and what happens where they cannot be."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
import on_disk

from holdfast.disks.capability import find_out

MI = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def sizing():
    with tempfile.TemporaryDirectory(prefix="hf-test-") as directory:
        return find_out(Path(directory))


@pytest.fixture
def sized(sizing):
    if sizing.obstacle:
        pytest.skip(f"volumes with a size: {sizing.obstacle}")


def is_ready(cluster, count, name="web"):
    return cluster.get("sts", name).get("status", {}).get("readyReplicas", 0) == count


def size_of(cluster, pod="web-0"):
    """Of the pod's /data, as df shows it to the container."""
    return int(cluster.kubectl("exec", pod, "--", "df", "-k", "/data").splitlines()[-1].split()[1]) * 1024


def volume_statistics(cluster, pod):
    """Of the pod's claim, as the node tells."""
    node = cluster.get("pod", pod)["spec"]["nodeName"]
    summary = json.loads(cluster.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/stats/summary"))
    found = [each for each in summary["pods"] if each["podRef"]["name"] == pod]
    return next((each for one in found for each in one.get("volume", []) if each.get("pvcRef")), None)


def mounts(cluster):
    """Of volumes, in the agents' view."""
    pid = cluster.status()["daemon"]["agents_pid"]
    lines = Path(f"/proc/{pid}/mountinfo").read_text().splitlines()
    return [line for line in lines if f"{cluster.home}/nodes/" in line]


def volumes_on_disk(cluster):
    return on_disk.names(cluster)


def test_df_shows_the_claims_size_and_more_does_not_fit(sized, new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    cluster.until("ready", lambda: is_ready(cluster, 2))
    assert 7 * MI < size_of(cluster) <= 10 * MI
    command = "head -c 20000000 /dev/zero > /data/filler; echo code $?; ls -A /data; rm /data/filler"
    told = cluster.kubectl("exec", "web-0", "--", "sh", "-c", f"({command}) 2>&1")
    assert "No space left on device" in told
    assert "lost+found" not in told
    assert cluster.kubectl("exec", "web-1", "--", "sh", "-c", "echo x > /data/there; cat /data/there") == "x\n"
    (volume,) = [pv for pv in cluster.get("pv")["items"] if pv["spec"]["claimRef"]["name"] == "data-web-0"]
    assert volume["spec"]["csi"]["driver"] == "local.holdfast.dev"
    measured = cluster.until("measured", lambda: volume_statistics(cluster, "web-0"))
    assert 7 * MI < measured["capacityBytes"] <= 10 * MI
    assert measured["usedBytes"] + measured["availableBytes"] <= measured["capacityBytes"]
    assert len(on_disk.devices(cluster)) == 2
    cluster.kubectl("delete", "sts", "web")
    cluster.kubectl("delete", "pvc", "--all")
    cluster.until("the volumes are gone", lambda: not cluster.get("pv")["items"])
    cluster.until("the images are gone", lambda: not volumes_on_disk(cluster))
    cluster.until("all is let go of", lambda: (on_disk.devices(cluster), mounts(cluster)) == ([], []))
    assert os.listdir(cluster.home / "volumes" / ".making") == []


def test_v4_v144_two_pods_share_a_claim_and_the_end_of_one_is_nothing_to_the_other(sized, new_cluster, statefulset):
    cluster = new_cluster()
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "shared"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "20Mi"}}},
    }
    pods = [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name},
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "shared"}}],
                "containers": [
                    {
                        "name": "main",
                        "image": "host",
                        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"],
                        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                    }
                ],
            },
        }
        for name in ("a", "b")
    ]
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [claim, *pods]})
    for name in ("a", "b"):
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    cluster.kubectl("exec", "a", "--", "sh", "-c", "echo hello > /data/file")
    assert cluster.kubectl("exec", "b", "--", "cat", "/data/file") == "hello\n"
    assert len(on_disk.devices(cluster)) == 1
    cluster.kubectl("delete", "pod", "a")
    assert cluster.kubectl("exec", "b", "--", "sh", "-c", "echo more >> /data/file; cat /data/file") == "hello\nmore\n"
    assert len(on_disk.devices(cluster)) == 1


def until_said(cluster, text):
    """By web-0: a pod without a probe is ready before its program has said anything."""
    cluster.until(text, lambda: cluster.kubectl("logs", "web-0", check=False).stdout == text)


def test_volumes_outlive_daemon_and_agents_and_a_stop_unmounts_them(sized, new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    cluster.kill("agents")
    cluster.kill("daemon")
    cluster.up()
    cluster.until("ready", lambda: is_ready(cluster, 1))
    until_said(cluster, "web-0 visit 1\n")  # the same container
    assert size_of(cluster) <= 10 * MI
    assert len(mounts(cluster)) == 1
    cluster.holdfast("down")
    assert on_disk.everything_attached(cluster) == []  # as after the machine's reboot
    cluster.up()
    cluster.until("ready", lambda: is_ready(cluster, 1))
    until_said(cluster, "web-0 visit 2\n")  # its data is there
    assert size_of(cluster) <= 10 * MI


def test_a_stop_after_the_agents_death_leaves_nothing_mounted(sized, new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    agents = cluster.status()["daemon"]["agents_pid"]
    cluster.kill("daemon")
    end(agents)
    cluster.holdfast("down")
    assert on_disk.everything_attached(cluster) == []
    assert str(cluster.home) not in Path("/proc/self/mountinfo").read_text()
    cluster.up()


def ask(cluster, claim, size):
    cluster.kubectl("patch", "pvc", claim, "-p", json.dumps({"spec": {"resources": {"requests": {"storage": size}}}}))


def growth(cluster, claim="data-web-0"):
    """(what the claim has, conditions, where its growth is)."""
    status = cluster.get("pvc", claim)["status"]
    conditions = [condition["type"] for condition in status.get("conditions", [])]
    return status["capacity"]["storage"], conditions, status.get("allocatedResourceStatuses", {}).get("storage")


def test_v66_a_claim_grows_under_its_running_pod_or_with_its_next(sized, sizing, new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    ask(cluster, "data-web-0", "40Mi")
    volume = cluster.get("pvc", "data-web-0")["spec"]["volumeName"]
    if not sizing.grows_mounted:
        waiting = ("10Mi", ["FileSystemResizePending"], "NodeResizePending")
        cluster.until("it waits for its pod", lambda: growth(cluster) == waiting)
        assert cluster.get("pv", volume)["spec"]["capacity"]["storage"] == "40Mi"
        assert size_of(cluster) <= 10 * MI
        cluster.kubectl("delete", "pod", "web-0")
    cluster.until("it has grown", lambda: growth(cluster) == ("40Mi", [], None))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    assert 35 * MI < size_of(cluster) <= 40 * MI
    assert cluster.get("pvc", "data-web-0")["status"]["allocatedResources"] == {"storage": "40Mi"}
    restarts = 0 if sizing.grows_mounted else 1
    until_said(cluster, f"web-0 visit {1 + restarts}\n")

    def told():
        return {event["involvedObject"]["kind"] for event in events(cluster, "FileSystemResizeSuccessful")}

    cluster.until("it is told", lambda: told() == {"Pod", "PersistentVolumeClaim"})
    refused = cluster.kubectl(
        "patch", "pvc", "data-web-0", "-p", '{"spec":{"resources":{"requests":{"storage":"20Mi"}}}}', check=False
    )
    assert "field can not be less than status.capacity" in refused.stderr


def test_v66_growth_under_a_running_pod(sized, sizing, new_cluster, statefulset):
    if not sizing.grows_mounted:
        pytest.skip("online growth of ext4 needs CAP_SYS_RESOURCE, which this process lacks")
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    uid = cluster.get("pod", "web-0")["metadata"]["uid"]
    ask(cluster, "data-web-0", "40Mi")
    cluster.until("it has grown", lambda: growth(cluster) == ("40Mi", [], None))
    assert size_of(cluster) > 35 * MI
    assert cluster.get("pod", "web-0")["metadata"]["uid"] == uid


def test_v66_a_claim_that_nobody_uses_grows_at_once(sized, new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    cluster.kubectl("scale", "sts", "web", "--replicas=0")
    cluster.until("its pod is gone", lambda: not cluster.get("pods")["items"])
    ask(cluster, "data-web-0", "40Mi")
    cluster.until("it has grown", lambda: growth(cluster) == ("40Mi", [], None))
    cluster.until("it is told", lambda: events(cluster, "VolumeResizeSuccessful"))
    cluster.kubectl("scale", "sts", "web", "--replicas=1")
    cluster.until("ready", lambda: is_ready(cluster, 1))
    assert size_of(cluster) > 35 * MI


def test_growth_goes_on_after_the_daemon_was_killed_in_it(sized, new_cluster, statefulset):
    cluster = new_cluster()
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1))
    cluster.until("ready", lambda: is_ready(cluster, 1))
    cluster.kubectl("scale", "sts", "web", "--replicas=0")
    cluster.until("its pod is gone", lambda: not cluster.get("pods")["items"])
    for size in ("40Mi", "60Mi", "80Mi"):
        ask(cluster, "data-web-0", size)
        cluster.kill("daemon")
        cluster.up()
        cluster.until("it has grown", lambda size=size: growth(cluster) == (size, [], None))
    cluster.kubectl("scale", "sts", "web", "--replicas=1")
    cluster.until("ready", lambda: is_ready(cluster, 1))
    until_said(cluster, "web-0 visit 2\n")  # its data is there
    assert size_of(cluster) > 70 * MI


def test_a_sets_claims_grow_from_its_template(sized, new_cluster, statefulset):
    """docs/beyond.md, from end to end."""
    cluster = new_cluster()
    template = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}}
    web = statefulset("web", 2, volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": template}])
    web["items"][1]["metadata"]["annotations"] = {"holdfast.dev/volume-claim-update-policy": "InPlace"}
    cluster.kubectl("apply", "-f", "-", manifest=web)
    cluster.until("ready", lambda: is_ready(cluster, 2))
    template["resources"]["requests"]["storage"] = "40Mi"
    pod = web["items"][1]["spec"]["template"]
    pod["metadata"]["annotations"] = {"version": "2"}  # a new pod has its volume mounted anew
    cluster.kubectl("apply", "-f", "-", manifest=web)
    for claim in ("data-web-1", "data-web-0"):
        cluster.until(f"{claim} has grown", lambda claim=claim: growth(cluster, claim) == ("40Mi", [], None))
    cluster.until("ready", lambda: is_ready(cluster, 2))
    for name in ("web-0", "web-1"):
        assert size_of(cluster, name) > 35 * MI
        cluster.until("it has begun", lambda name=name: cluster.kubectl("logs", name) == f"{name} visit 2\n")


def test_where_sizes_cannot_be_had_the_volume_is_a_directory_and_an_event_says_so(new_cluster, statefulset):
    """Always: nodes without containers mount nothing."""
    cluster = new_cluster("--runtime", "process")
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1, "exec sleep 3600"))
    claim = cluster.until("bound", lambda: bound(cluster, "data-web-0"))
    volume = cluster.get("pv", claim["spec"]["volumeName"])
    assert volume["spec"]["hostPath"]["path"] == str(cluster.home / "volumes" / volume["metadata"]["name"])
    (event,) = cluster.until("told", lambda: events(cluster, "SizeNotEnforced"))
    assert event["message"] == (
        f"Volume {volume['metadata']['name']} is a plain directory, as large as the disk it is on: "
        "volumes with a size need real containers"
    )


def end(pid):
    """kill -9; returns when it is gone."""
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        assert select.select([descriptor], [], [], 60)[0], f"{pid} is still there"
    finally:
        os.close(descriptor)


def test_v69_a_directory_grows_by_its_name_alone(new_cluster, statefulset):
    cluster = new_cluster("--runtime", "process")
    cluster.kubectl("apply", "-f", "-", manifest=statefulset("web", 1, "exec sleep 3600"))
    cluster.until("bound", lambda: bound(cluster, "data-web-0"))
    ask(cluster, "data-web-0", "40Mi")
    cluster.until("it has grown", lambda: growth(cluster) == ("40Mi", [], None))
    assert cluster.get("pv")["items"][0]["spec"]["capacity"]["storage"] == "40Mi"


def bound(cluster, name):
    found = [claim for claim in cluster.get("pvc")["items"] if claim["metadata"]["name"] == name]
    return found[0] if found and found[0]["status"].get("phase") == "Bound" else None


def events(cluster, reason):
    return [event for event in cluster.get("events")["items"] if event["reason"] == reason]


def test_the_doctor_tells(sizing, tmp_path, any_kubectl):
    from .conftest import Cluster

    told = Cluster(tmp_path, any_kubectl).holdfast("doctor", "-o", "json", check=False)
    checks = {check["name"]: check for check in json.loads(told.stdout)["checks"]}
    assert checks["sized-volumes"]["ok"] is not bool(sizing.obstacle)
    assert checks["online-growth"]["ok"] is sizing.grows_mounted
    for name in ("sized-volumes", "online-growth"):
        assert checks[name]["ok"] or checks[name]["cure"]
    shutil.rmtree(tmp_path, ignore_errors=True)
