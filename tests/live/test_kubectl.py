"""The real kubectl, of several ages, does to a set of real pods what it does anywhere."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import time
from pathlib import Path

import pytest
from tests.clients.kubectls import opened

OTHERS = os.environ.get("HOLDFAST_TEST_KUBECTLS", "")
"""More kubectls to test with, separated by colons."""


def kubectls():
    others = [pytest.param(Path(path), id=Path(path).name) for path in OTHERS.split(":") if path]
    return [pytest.param("any_kubectl", id="machine"), pytest.param("debian_kubectl", id="debian"), *others]


@pytest.fixture(scope="module", params=kubectls())
def kubectl(request, cluster, statefulset):
    """A function that runs one of the kubectls in a namespace of its own."""
    program = request.param if isinstance(request.param, Path) else request.getfixturevalue(request.param)
    namespace = f"k{request.param_index}"
    cluster.kubectl("create", "namespace", namespace, kubectl=program)

    def run(*arguments, **options):
        return cluster.kubectl("-n", namespace, *arguments, kubectl=program, **options)

    run.command = lambda *arguments: cluster.command("-n", namespace, *arguments, kubectl=program)
    assert "created" in run("apply", "-f", "-", manifest=statefulset("web", 2))
    assert "2 new pods have been updated" in run("rollout", "status", "sts/web", "--timeout=120s")
    yield run
    run("delete", "namespace", namespace)


def test_apply_again_changes_nothing(kubectl, statefulset):
    printed = kubectl("apply", "-f", "-", manifest=statefulset("web", 2))
    assert printed.splitlines() == ["service/web unchanged", "statefulset.apps/web unchanged"] or (
        printed.splitlines() == ["service/web unchanged", "statefulset.apps/web configured"]
    ), printed
    assert kubectl("get", "sts", "web", "-o", "jsonpath={.metadata.generation}") == "1"


def test_get_prints_the_columns_of_kubernetes(kubectl):
    header, row = kubectl("get", "sts").splitlines()
    assert header.split() == ["NAME", "READY", "AGE"]
    assert row.split()[:2] == ["web", "2/2"]
    wide = kubectl("get", "pods", "-o", "wide").splitlines()
    assert "NOMINATED NODE   READINESS GATES" in wide[0]
    assert [line.split()[:4] for line in wide[1:]] == [
        ["web-0", "1/1", "Running", "0"],
        ["web-1", "1/1", "Running", "0"],
    ]


def test_get_in_every_output_form(kubectl):
    assert json.loads(kubectl("get", "pod", "web-0", "-o", "json"))["metadata"]["name"] == "web-0"
    assert "kind: StatefulSet" in kubectl("get", "sts", "web", "-o", "yaml")
    path = "{.items[*].spec.volumes[?(@.name=='data')].persistentVolumeClaim.claimName}"
    assert kubectl("get", "pods", "-o", f"jsonpath={path}").split() == ["data-web-0", "data-web-1"]
    assert kubectl("get", "pods", "-o", "name").split() == ["pod/web-0", "pod/web-1"]


def test_claims_are_bound_to_volumes_of_the_default_class(kubectl):
    rows = [line.split() for line in kubectl("get", "pvc", "--no-headers").splitlines()]
    assert [(row[0], row[1], row[3], row[4], row[5]) for row in rows] == [
        (f"data-web-{ordinal}", "Bound", "10Mi", "RWO", "standard") for ordinal in (0, 1)
    ]


def test_describe_tells_spec_and_events(kubectl):
    reasons = ("Scheduled", "Pulled", "Created", "Started")
    deadline = time.monotonic() + 60
    while not all(reason in (pod := kubectl("describe", "pod", "web-0")) for reason in reasons):
        assert time.monotonic() < deadline, pod
    assert "Controlled By:  StatefulSet/web" in pod
    described = kubectl("describe", "sts", "web")
    assert "Pods Status:" in described
    assert "2 Running" in described
    assert "create Pod web-0 in StatefulSet web successful" in described.replace("Create", "create")


def test_logs_and_logs_f(kubectl):
    assert kubectl("logs", "web-0") == "web-0 visit 1\n"
    assert kubectl("logs", "web-0", "--tail=0") == ""
    follow = subprocess.Popen(kubectl.command("logs", "-f", "web-1"), stdout=subprocess.PIPE, text=True)
    try:
        assert follow.stdout.readline() == "web-1 visit 1\n"
        kubectl("exec", "web-1", "--", "sh", "-c", "echo spoken later > /proc/1/fd/1")
        assert follow.stdout.readline() == "spoken later\n"
    finally:
        follow.kill()
        follow.wait()
        follow.stdout.close()


def test_exec_passes_output_input_and_exit_code(kubectl):
    assert kubectl("exec", "web-0", "--", "hostname") == "web-0\n"
    assert kubectl("exec", "-i", "web-0", "--", "tr", "a-z", "A-Z", manifest="loud\n") == "LOUD\n"
    failed = kubectl("exec", "web-0", "--", "sh", "-c", "echo no >&2; exit 7", check=False)
    assert failed.returncode == 7
    assert "no" in failed.stderr


def test_s193_of_a_set_a_pod_is_chosen_for_logs_exec_and_attach(kubectl):
    assert kubectl("logs", "sts/web", "--tail=1").split()[0] in ("web-0", "web-1")
    assert kubectl("exec", "sts/web", "--", "hostname") in ("web-0\n", "web-1\n")
    attached = subprocess.Popen(kubectl.command("attach", "sts/web"), stdout=subprocess.PIPE, text=True)
    try:
        for _ in range(20):
            for name in ("web-0", "web-1"):
                kubectl("exec", name, "--", "sh", "-c", "echo seen by whoever is attached > /proc/1/fd/1")
            if select.select([attached.stdout], [], [], 0.2)[0]:
                break
        assert attached.stdout.readline() == "seen by whoever is attached\n"
    finally:
        end(attached)


def test_s193_and_for_port_forward(kubectl):
    forward = subprocess.Popen(kubectl.command("port-forward", "sts/web", ":80"), stdout=subprocess.PIPE, text=True)
    try:
        assert forward.stdout.readline().startswith("Forwarding from 127.0.0.1:")
    finally:
        end(forward)


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_exec_it_gives_a_terminal(kubectl):
    ours, theirs = pty.openpty()
    command = kubectl.command("exec", "-it", "web-0", "--", "sh", "-c", "tty; stty size")
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait() == 0, seen
    assert b"/dev/pts/" in seen


def test_run_it_rm_gives_a_terminal_and_a_code_and_leaves_nothing(kubectl):
    program = "tty; read answer; echo heard $answer; exit 3"
    asked = ("run", "once", "--image=host", "--restart=Never", "-it", "--rm", "--", "sh", "-c", program)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(kubectl.command(*asked), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, b"a word\n")
    seen = b""
    try:
        while chunk := os.read(ours, 4096):
            seen += chunk
    except OSError:
        pass
    finally:
        os.close(ours)
    assert process.wait() == 3, seen
    assert b"heard a word" in seen
    assert b'pod "once" deleted' in seen
    assert "NotFound" in kubectl("get", "pod", "once", check=False).stderr


def test_run_i_rm_passes_what_is_piped(kubectl):
    asked = ("run", "piped", "--image=host", "--restart=Never", "-i", "--rm", "--quiet", "--", "tr", "a-z", "A-Z")
    assert "LOUD" in kubectl(*asked, manifest="loud\n")
    assert "NotFound" in kubectl("get", "pod", "piped", check=False).stderr


def test_s22_pods_find_one_another_by_name(kubectl):
    address = kubectl("get", "pod", "web-1", "-o", "jsonpath={.status.podIP}")
    assert kubectl("exec", "web-0", "--", "getent", "hosts", "web-1.web").split()[0] == address
    assert kubectl("exec", "web-0", "--", "hostname", "-f").startswith("web-0.web.k")


def test_scale_goes_up_in_order_and_down_in_reverse_and_keeps_claims(kubectl):
    assert "scaled" in kubectl("scale", "sts/web", "--replicas=3")
    kubectl("rollout", "status", "sts/web", "--timeout=120s")
    assert "scaled" in kubectl("scale", "sts", "web", "--replicas=2")
    # An old kubectl calls it an error if the pod is gone before it asks.
    kubectl("wait", "--for=delete", "pod/web-2", "--timeout=120s", check=False)
    assert kubectl("get", "pods", "-o", "name").split() == ["pod/web-0", "pod/web-1"]
    assert "data-web-2" in kubectl("get", "pvc", "-o", "name")


def test_get_w_shows_changes_as_they_come(kubectl):
    watch = subprocess.Popen(
        kubectl.command("-v=6", "get", "pod", "web-1", "-w", "--no-headers"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert watch.stdout.readline().split()[:3] == ["web-1", "1/1", "Running"]
        opened(watch)
        kubectl("delete", "pod", "web-1")
        seen = [watch.stdout.readline().split()[2]]
        while seen[-1] != "Running":
            seen.append(watch.stdout.readline().split()[2])
        assert seen[0] == "Terminating"
        assert "Pending" in seen
    finally:
        watch.kill()
        watch.wait()
        watch.stdout.close()
        watch.stderr.close()
    kubectl("rollout", "status", "sts/web", "--timeout=120s")


def test_delete_waits_until_the_pod_is_gone(kubectl):
    kubectl("run", "single", "--image=host", "--restart=Never", "--", "sh", "-c", "exit 0")
    assert kubectl("delete", "pod", "single", "--wait=true") == 'pod "single" deleted\n'
    gone = kubectl("get", "pod", "single", check=False)
    assert gone.stderr == 'Error from server (NotFound): pods "single" not found\n'
