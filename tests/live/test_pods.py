"""Pods as a kubelet runs them, on real containers with a real kubectl (N43-N208)."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "node" / "images"))

from layers import directory, docker_archive, file, tar

FOREVER = "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"


def pod(name, script=FOREVER, **members):
    """One container of the host's own programs; `container` goes into it, the rest into the spec."""
    container = {"name": "main", "image": "host", "command": ["/bin/sh", "-c", script], **members.pop("container", {})}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **members}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


class Pods:
    """A cluster, and short ways to ask about pods."""

    def __init__(self, cluster):
        self.kubectl = cluster.kubectl
        self.get = cluster.get
        self.until = cluster.until

    def run(self, manifest, condition="condition=Ready"):
        self.kubectl("apply", "-f", "-", manifest=manifest)
        if condition:
            self.kubectl("wait", f"--for={condition}", "--timeout=120s", f"pod/{manifest['metadata']['name']}")

    def finish(self, manifest):
        """The output of a pod that runs to its end."""
        name = manifest["metadata"]["name"]
        self.run(manifest, None)
        self.until("end", lambda: self.get("pod", name)["status"].get("phase") in ("Succeeded", "Failed"))
        return self.kubectl("logs", name)

    def entry(self, name, field="containerStatuses"):
        return self.get("pod", name)["status"].get(field, [{}])[0]

    def reasons(self, name):
        return [e["reason"] for e in self.get("events")["items"] if e["involvedObject"]["name"] == name]


@pytest.fixture(scope="module")
def pods(cluster):
    return Pods(cluster)


def test_n205_debug_adds_a_container_that_sees_the_target_s_processes(pods):
    pods.run(pod("debugged", "exec sleep 4321"))
    look = "tr '\\0' ' ' < /proc/1/cmdline"
    pods.kubectl(
        "debug", "debugged", "--image=host", "--target=main", "--container=debugger", "--", "/bin/sh", "-c", look
    )
    field = "ephemeralContainerStatuses"
    pods.until("end", lambda: "terminated" in pods.entry("debugged", field).get("state", {}))
    assert pods.kubectl("logs", "debugged", "-c", "debugger").split() == ["sleep", "4321"]
    after = pods.get("pod", "debugged")
    assert after["status"]["phase"] == "Running"
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0
    assert "Ephemeral Containers" in pods.kubectl("describe", "pod", "debugged")


def test_n170_n172_n174_logs_of_this_run_and_of_the_one_before(pods):
    script = "for i in 1 2 3; do echo run-$HOLD line $i; sleep 0.3; done; echo $(cat /tmp/never 2>/dev/null); exit 3"
    pods.run(pod("noisy", script, container={"env": [{"name": "HOLD", "value": "x"}]}), None)
    pods.until("restart", lambda: pods.entry("noisy").get("restartCount", 0) >= 1)
    pods.until("previous log", lambda: "line 3" in pods.kubectl("logs", "noisy", "--previous", check=False).stdout)
    assert pods.kubectl("logs", "noisy", "--previous").splitlines()[:3] == [f"run-x line {i}" for i in (1, 2, 3)]
    assert pods.kubectl("logs", "noisy", "--previous", "--tail=2").splitlines() == ["run-x line 3", ""]
    assert pods.kubectl("logs", "noisy", "--previous", "--limit-bytes=5") == "run-x"
    stamped = pods.kubectl("logs", "noisy", "--previous", "--timestamps").splitlines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z run-x line 1", stamped[0])
    second = stamped[1].split()[0]
    since = pods.kubectl("logs", "noisy", "--previous", f"--since-time={second}").splitlines()
    assert since[0] in ("run-x line 1", "run-x line 2")  # whole seconds count
    assert pods.kubectl("logs", "noisy", "--previous", "--since=1h").startswith("run-x line 1")


def test_n175_following_ends_with_the_run(pods):
    pods.run(pod("followed", "for i in 1 2 3; do echo $i; sleep 1; done", restartPolicy="Never"), None)
    pods.until("start", lambda: {"running", "terminated"} & pods.entry("followed").get("state", {}).keys())
    assert pods.kubectl("logs", "-f", "followed").split() == ["1", "2", "3"]


def test_n206_cp_carries_files_both_ways(pods, tmp_path):
    pods.run(pod("copied"))
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(bytes(range(256)) * 1000)
    pods.kubectl("cp", str(there), "copied:/tmp/file")
    pods.kubectl("cp", "copied:/tmp/file", str(back))
    assert back.read_bytes() == there.read_bytes()


def test_n148_resources_change_in_the_control_group_without_a_restart(pods):
    asked = {"requests": {"cpu": "50m", "memory": "32Mi"}, "limits": {"cpu": "100m", "memory": "64Mi"}}
    pods.run(pod("resized", container={"resources": asked}))
    before = pods.entry("resized")
    wanted = {"requests": {"cpu": "60m", "memory": "48Mi"}, "limits": {"cpu": "200m", "memory": "96Mi"}}
    patch = {"spec": {"containers": [{"name": "main", "resources": wanted}]}}
    pods.kubectl("patch", "pod", "resized", "--subresource", "resize", "-p", json.dumps(patch))
    pods.until("resized", lambda: pods.entry("resized")["resources"] == wanted)
    show = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max"
    assert pods.kubectl("exec", "resized", "--", "/bin/sh", "-c", show).strip() == str(96 << 20)
    after = pods.entry("resized")
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    pods.until("told", lambda: {"ResizeStarted", "ResizeCompleted"} <= set(pods.reasons("resized")))


def test_n145_an_empty_dir_beyond_its_size_evicts_the_pod(pods):
    scratch = {"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}
    mount = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    script = f"dd if=/dev/zero of=/scratch/file bs=1M count=4 2>/dev/null; {FOREVER}"
    pods.run(pod("greedy", script, volumes=[scratch], container=mount), None)
    pods.until("eviction", lambda: pods.get("pod", "greedy")["status"].get("phase") == "Failed")
    status = pods.get("pod", "greedy")["status"]
    assert status["reason"] == "Evicted"
    assert status["message"] == 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". '
    pods.until("its event", lambda: "Evicted" in pods.reasons("greedy"))


def test_n144_n45_running_out_of_memory_is_named(pods):
    hungry = "python3 -c 'x = bytearray(1 << 30)'; exit 5"
    limits = {"resources": {"limits": {"memory": "48Mi"}}}
    pods.run(pod("hungry", hungry, restartPolicy="Never", container=limits), None)
    pods.until("end", lambda: "terminated" in pods.entry("hungry").get("state", {}))
    ended = pods.entry("hungry")["state"]["terminated"]
    assert ended["reason"] == "OOMKilled"
    assert ended["exitCode"] in (5, 137)


def test_n178_n41_the_security_context_is_what_the_process_has(pods):
    security = {
        "runAsUser": 1234,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    show = (
        "id -u; id -g; id -G; ls -ld /data | cut -c1-10; stat -c %g /data; touch /data/mine && stat -c %g /data/mine;"
        " touch /denied; grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'"
    )
    manifest = pod(
        "secured",
        show,
        restartPolicy="Never",
        securityContext={"fsGroup": 4242, "runAsGroup": 99, "supplementalGroups": [77]},
        volumes=[{"name": "data", "emptyDir": {}}],
        container={"securityContext": security, "volumeMounts": [{"name": "data", "mountPath": "/data"}]},
    )
    lines = pods.finish(manifest).splitlines()
    assert lines[:2] == ["1234", "99"]
    assert set(lines[2].split()) == {"99", "77", "4242"}
    assert lines[3].endswith("rwsrwx") or lines[3][4:7] == "rws"
    assert lines[4:6] == ["4242", "4242"]
    assert "Read-only file system" in lines[6]
    assert lines[7:] == ["CapEff:0000000000000000", "NoNewPrivs:1", "Seccomp:2"]
    shown = pods.entry("secured")["user"]["linux"]
    assert (shown["uid"], shown["gid"], set(shown["supplementalGroups"])) == (1234, 99, {99, 77, 4242})


def test_n151_n160_n161_n163_n166_a_pod_knows_itself(pods):
    env = [
        {"name": "FIRST", "value": "one"},
        {"name": "SECOND", "value": "$(FIRST)-two-$(NEVER)-$$(FIRST)"},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        {"name": "MILLIS", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "1m"}}},
        {"name": "MEGS", "valueFrom": {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}}},
    ]
    show = "echo $SECOND; echo $NODE; echo $IP; echo $MILLIS $MEGS; hostname; cat /etc/resolv.conf; cat /etc/hosts"
    manifest = pod(
        "self",
        show,
        restartPolicy="Never",
        hostname="me",
        subdomain="group",
        dnsPolicy="None",
        dnsConfig={
            "nameservers": ["192.0.2.53"],
            "searches": ["example.org"],
            "options": [{"name": "ndots", "value": "2"}],
        },
        hostAliases=[{"ip": "192.0.2.7", "hostnames": ["db", "db.example.org"]}],
        container={"env": env, "resources": {"limits": {"cpu": "250m"}, "requests": {"memory": "20Mi"}}},
    )
    output = pods.finish(manifest)
    status = pods.get("pod", "self")
    ip = status["status"]["podIP"]
    assert output.splitlines()[:5] == [
        "one-two-$(NEVER)-$(FIRST)",
        status["spec"]["nodeName"],
        ip,
        "250 20",
        "me",
    ]
    assert "search example.org\nnameserver 192.0.2.53\noptions ndots:2\n" in output
    assert f"{ip}\tme.group.default.svc.cluster.local\tme\n" in output
    assert "192.0.2.7\tdb\tdb.example.org\n" in output


def test_v75_an_image_is_a_volume_that_is_only_read(pods, cluster, tmp_path):
    layers = [tar(file("greeting", "hello"), directory("deep")), tar(file("deep/word", "deeper"))]
    names = {"one": layers[:1], "two": layers}
    for name, of_it in names.items():
        archive = docker_archive(tmp_path / f"{name}.tar", of_it, [f"contents:{name}"])
        cluster.holdfast("image", "load", str(archive))
    look = "cat /one/greeting /two/greeting /deep/word; touch /one/x; test ! -e /one/x && echo unchanged"
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in names]
    part = {"name": "two", "mountPath": "/deep", "subPath": "deep"}
    volumes = [{"name": name, "image": {"reference": f"contents:{name}"}} for name in names]
    container = {"volumeMounts": [*mounts, part]}
    shown = pods.finish(pod("images", look, container=container, volumes=volumes, restartPolicy="Never"))
    assert "hellohellodeeper" in shown
    assert "Read-only file system" in shown
    assert "unchanged" in shown
    pods.kubectl("delete", "pod", "images")
    cluster.holdfast("image", "rm", "contents:one")


def test_v76_a_mount_is_read_only_with_what_is_mounted_below_it(pods):
    mount = {"name": "devices", "mountPath": "/part", "readOnly": True}
    whole = {**mount, "mountPath": "/whole", "recursiveReadOnly": "Enabled"}
    volumes = [{"name": "devices", "hostPath": {"path": "/dev"}}]
    look = "f=shm/holdfast-v76; touch /part/$f && rm /part/$f && echo below; touch /whole/$f || echo nowhere"
    container = {"volumeMounts": [mount, whole]}
    shown = pods.finish(pod("throughout", look, container=container, volumes=volumes, restartPolicy="Never"))
    assert "below" in shown
    assert "nowhere" in shown
    told = {entry["mountPath"]: entry.get("recursiveReadOnly") for entry in pods.entry("throughout")["volumeMounts"]}
    assert (told["/part"], told["/whole"]) == ("Disabled", "Enabled")
    pods.kubectl("delete", "pod", "throughout")


def test_n85_the_end_of_one_container_restarts_all(pods):
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [42]}}
    mount = {"volumeMounts": [{"name": "seen", "mountPath": "/seen"}]}
    source = {
        **pod("x", "test -e /seen/again && exec sleep 3600; touch /seen/again; exit 42")["spec"]["containers"][0],
        **mount,
        "name": "source",
        "restartPolicy": "Never",
        "restartPolicyRules": [rule],
    }
    manifest = pod("anew", restartPolicy="Never", volumes=[{"name": "seen", "emptyDir": {}}])
    manifest["spec"]["containers"].append(source)
    manifest["spec"]["initContainers"] = [{"name": "init", "image": "host", "command": ["true"]}]
    pods.run(manifest, None)
    fields = ("initContainerStatuses", "containerStatuses")

    def counts():
        status = pods.get("pod", "anew")["status"]
        return [entry["restartCount"] for field in fields for entry in status.get(field, ())]

    pods.until("all began anew", lambda: counts() == [1, 1, 1])
    pods.kubectl("wait", "--for=condition=Ready", "--timeout=60s", "pod/anew")
    assert pods.entry("anew")["lastState"]["terminated"]["reason"] == "RestartingAllContainers"


def test_n180_processes_are_shared_where_the_pod_says_so(pods):
    manifest = pod("shared", "exec sleep 1111", shareProcessNamespace=True)
    look = "sleep 1; cat /proc/[0-9]*/cmdline | tr '\\0' ' '; exec sleep 2222"
    manifest["spec"]["containers"].append({"name": "other", "image": "host", "command": ["/bin/sh", "-c", look]})
    pods.run(manifest)
    pods.until("look", lambda: "sleep 1111" in pods.kubectl("logs", "shared", "-c", "other"))


def test_n97_n99_sidecars_start_before_and_end_after_the_apps(pods, tmp_path):
    def told(name):
        at_end = f"trap 'echo $(date +%s%N) end-{name} >> /log/all; exit 0' TERM"
        return f"echo $(date +%s%N) start-{name} >> /log/all; {at_end}"

    wait = "while :; do sleep 0.05; done"
    mount = {"volumeMounts": [{"name": "log", "mountPath": "/log"}]}
    sidecar = {
        "name": "side",
        "image": "host",
        "restartPolicy": "Always",
        "command": ["/bin/sh", "-c", f"{told('side')}; {wait}"],
        **mount,
    }
    volume = {"name": "log", "hostPath": {"path": str(tmp_path)}}
    manifest = pod("ordered", f"{told('app')}; {wait}", initContainers=[sidecar], volumes=[volume], container=mount)
    manifest["spec"]["terminationGracePeriodSeconds"] = 20
    pods.run(manifest)
    pods.until("both", lambda: "start-app" in pods.kubectl("exec", "ordered", "-c", "main", "--", "cat", "/log/all"))
    assert pods.get("pod", "ordered")["status"]["phase"] == "Running"
    pods.kubectl("delete", "pod", "ordered")
    order = [line.split()[1] for line in (tmp_path / "all").read_text().splitlines()]
    assert order == ["start-side", "start-app", "end-app", "end-side"]


def test_n123_n125_hooks_run_around_a_container_s_life(pods):
    hooks = {
        "postStart": {"exec": {"command": ["/bin/sh", "-c", "echo started > /data/hook"]}},
        "preStop": {"exec": {"command": ["/bin/sh", "-c", "sleep 1; echo stopping >> /proc/1/fd/1"]}},
    }
    mount = {"lifecycle": hooks, "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    manifest = pod("hooked", volumes=[{"name": "data", "emptyDir": {}}], container=mount)
    manifest["spec"]["terminationGracePeriodSeconds"] = 10
    pods.run(manifest)
    assert pods.kubectl("exec", "hooked", "--", "cat", "/data/hook") == "started\n"
    since = time.monotonic()
    pods.kubectl("delete", "pod", "hooked")
    assert time.monotonic() - since >= 1
    broken = {"lifecycle": {"postStart": {"exec": {"command": ["/bin/false"]}}}}
    pods.run(pod("broken", container=broken), None)
    pods.until("failure", lambda: "FailedPostStartHook" in pods.reasons("broken"))


def test_agents_and_the_server_are_scraped_through_the_api(pods):
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "measured"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Mi"}}},
    }
    pods.kubectl("apply", "-f", "-", manifest=claim)
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    volume = {"name": "data", "persistentVolumeClaim": {"claimName": "measured"}}
    pods.run(pod("measured", volumes=[volume], container=mount))
    [node] = [one["metadata"]["name"] for one in pods.get("nodes")["items"]]

    def measured(path, pattern):
        """By the agent, which measures now and then."""
        read = ("get", "--raw", f"/api/v1/nodes/{node}/proxy/{path}")
        return pods.until(pattern, lambda: re.search(pattern, pods.kubectl(*read), re.M))

    labels = 'namespace="default",persistentvolumeclaim="measured"'
    used, capacity = (
        measured("metrics", rf"^kubelet_volume_stats_{what}_bytes\{{{labels}\}} (\d+)$")
        for what in ("used", "capacity")
    )
    assert 0 < int(used[1]) <= int(capacity[1])
    measured("metrics/cadvisor", r'^container_memory_working_set_bytes\{container="main",.*pod="measured"\} \d+ \d+$')
    assert "machine_cpu_cores" in pods.kubectl("get", "--raw", f"/api/v1/nodes/{node}/proxy/metrics/cadvisor")
    server = pods.kubectl("get", "--raw", "/metrics")
    assert re.search(r'^apiserver_request_total\{.*resource="pods".*\} \d+$', server, re.M)
    assert re.search(r'^apiserver_storage_objects\{resource="pods"\} \d+$', server, re.M)
