"""kubectl on workloads whose pods run, on simulated nodes: rollouts, waits, deletions, nodes."""

from __future__ import annotations

import json
import time

import pytest

pytestmark = [pytest.mark.kubectl, pytest.mark.live]


@pytest.fixture
def cluster(simulated):
    return simulated


def workload(kind, replicas=2, image="host", **spec):
    """A workload named web, whose pods take no time to leave."""
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            **({"serviceName": "web"} if kind == "StatefulSet" else {}),
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": image}]},
            },
            **spec,
        },
    }


@pytest.fixture
def web(kubectl, request):
    """Its name for kubectl, once it is rolled out."""
    kind = request.param if hasattr(request, "param") else "StatefulSet"
    kubectl("apply", "-f", "-", manifest=workload(kind))
    name = f"{kind.lower()}.apps/web"
    kubectl("rollout", "status", name, "--timeout=120s")
    return name


BOTH = pytest.mark.parametrize("web", ["StatefulSet", "Deployment"], indirect=True)


def until(holds):
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline


def image_of(kubectl, web):
    return kubectl("get", web, "-o", "jsonpath={.spec.template.spec.containers[0].image}")


@BOTH
def test_s189_s190_s191_rollout_status_history_restart_and_undo(kubectl, web):
    assert kubectl("set", "image", web, "c=second") == f"{web} image updated\n"
    done = kubectl("rollout", "status", web, "--timeout=120s").splitlines()[-1]
    assert done in ("partitioned roll out complete: 2 new pods have been updated...", ROLLED_OUT) or (
        done.startswith("statefulset rolling update complete 2 pods at revision web-")
    )
    rows = [line.split() for line in kubectl("rollout", "history", web).splitlines() if line]
    assert rows[1:] == [["REVISION", "CHANGE-CAUSE"], ["1", "<none>"], ["2", "<none>"]]
    assert "Image:" in kubectl("rollout", "history", web, "--revision=1")
    assert kubectl("rollout", "undo", web) == f"{web} rolled back\n"
    assert image_of(kubectl, web) == "host"
    kubectl("rollout", "status", web, "--timeout=120s")
    rows = [line.split() for line in kubectl("rollout", "history", web).splitlines() if line]
    assert [row[0] for row in rows[2:]] == ["2", "3"]
    before = kubectl("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}").split()
    assert kubectl("rollout", "restart", web) == f"{web} restarted\n"
    kubectl("rollout", "status", web, "--timeout=120s")
    uids = ("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].metadata.uid}")
    until(lambda: not set(before) & set(kubectl(*uids).split()))


ROLLED_OUT = 'deployment "web" successfully rolled out'


@pytest.mark.parametrize("web", ["Deployment"], indirect=True)
def test_a_paused_rollout_waits_until_it_is_resumed(kubectl, web):
    assert kubectl("rollout", "pause", web) == f"{web} paused\n"
    assert "is already paused" in kubectl.fails("rollout", "pause", web)
    kubectl("set", "image", web, "c=second")
    assert len(kubectl("get", "rs", "-o", "name").split()) == 1
    assert "can't restart paused deployment (run rollout resume first)" in kubectl.fails("rollout", "restart", web)
    assert kubectl("rollout", "resume", web) == f"{web} resumed\n"
    assert "is not paused" in kubectl.fails("rollout", "resume", web)
    assert kubectl("rollout", "status", web, "--timeout=120s").endswith(f"{ROLLED_OUT}\n")
    assert len(kubectl("get", "rs", "-o", "name").split()) == 2


def test_a143_what_the_cluster_writes_belongs_to_the_parts_that_everybody_knows(kubectl, web):
    """Tools are told by these names whose fields they shall not care about."""

    def managers(name):
        shown = () if kubectl.minor < 21 else ("--show-managed-fields",)
        fields = json.loads(kubectl("get", name, "-o", "json", *shown))["metadata"]["managedFields"]
        return sorted((one["manager"], one.get("subresource", "")) for one in fields if one["operation"] == "Update")

    assert ("kube-controller-manager", "status") in managers(web)
    assert managers("pod/web-0") == [("kube-controller-manager", ""), ("kubelet", "status")]


def test_wait_for_a_condition_a_value_and_an_end(kubectl, web):
    assert kubectl("wait", "--for=condition=Ready", "pod/web-0", "--timeout=120s") == "pod/web-0 condition met\n"
    if kubectl.minor >= 23:
        value = "--for=jsonpath={.status.readyReplicas}=2"
        assert kubectl("wait", value, web, "--timeout=120s") == f"{web} condition met\n"
    late = kubectl.fails("wait", "--for=condition=Nonsense", "pod/web-0", "--timeout=1s")
    assert late == "error: timed out waiting for the condition on pods/web-0\n"
    kubectl("delete", "pod", "web-1", "--wait=false")
    kubectl("delete", web, "--wait=false")
    kubectl("wait", "--for=delete", "pod/web-0", "--timeout=120s", check=kubectl.minor > 20)
    assert "not found" in kubectl.fails("get", "pod", "web-0")


@pytest.mark.parametrize("web", ["Deployment"], indirect=True)
@pytest.mark.parametrize("cascade", ["foreground", "orphan"])
def test_delete_takes_the_owned_along_or_leaves_them(kubectl, web, cascade):
    pods = kubectl("get", "pods", "-l", "app=web", "-o", "name").split()
    assert kubectl("delete", web, f"--cascade={cascade}").startswith('deployment.apps "web" deleted')
    left = kubectl("get", "pods,rs", "-l", "app=web", "-o", "json")
    owners = [
        item["metadata"].get("ownerReferences") for item in json.loads(left)["items"] if item["kind"] == "ReplicaSet"
    ]
    if cascade == "foreground":
        assert json.loads(left)["items"] == []
    else:
        assert owners == [None]
        assert set(kubectl("get", "pods", "-l", "app=web", "-o", "name").split()) == set(pods)


def test_delete_with_grace_and_by_force(kubectl, web):
    uid = ("get", "pod", "web-1", "-o", "jsonpath={.metadata.uid}")
    before = kubectl(*uid)
    # Not waited for: kubectls wait by name for what they list a moment later, and that may be the next pod already.
    deleted = kubectl("delete", "pod", "web-1", "--grace-period=1", "--wait=false")
    assert deleted == f'pod "web-1" deleted{kubectl.from_namespace}\n'
    until(lambda: kubectl(*uid, check=False).stdout not in ("", before))
    forced = kubectl("delete", "pod", "web-0", "--force", "--grace-period=0", check=False)
    assert forced.stdout.startswith('pod "web-0" force deleted')
    assert "mmediate deletion does not wait for confirmation" in forced.stderr
    kubectl("rollout", "status", web, "--timeout=120s")
    kubectl("wait", "--for=condition=Ready", "pod/web-1", "--timeout=120s")


def test_events_are_told_in_order_and_by_object(kubectl, web):
    def reasons():
        listed = kubectl("get", "events", "--field-selector", "involvedObject.name=web-0", "--no-headers")
        return {line.split()[2] for line in listed.splitlines()}

    until(lambda: {"Scheduled", "Pulled", "Created", "Started"} <= reasons())
    if kubectl.minor >= 26:
        of_the_set = ("events", "--for", "statefulset/web", "--no-headers")
        until(lambda: "Create Pod web-1 in StatefulSet web successful" in kubectl(*of_the_set, check=False).stdout)
        told = kubectl(*of_the_set)
        assert "Create Pod web-0 in StatefulSet web successful" in told
        assert told.index("Pod web-0") < told.index("Pod web-1")
        assert kubectl("events", "--for", "pod/web-0", "--types=Warning", check=False).stdout == ""
        scheduled = json.loads(kubectl("events", "--for", "pod/web-0", "-o", "json"))["items"]
        assert {event["involvedObject"]["name"] for event in scheduled} == {"web-0"}
    described = kubectl("describe", "pod", "web-0")
    assert "Successfully assigned" in described


@pytest.fixture
def node(kubectl):
    """The second node, given back as it was."""
    name = kubectl("get", "nodes", "-o", "jsonpath={.items[1].metadata.name}")
    yield name
    kubectl("uncordon", name, check=False)
    kubectl("taint", "node", name, "k-", check=False)


def test_cordon_drain_and_taint(kubectl, web, node):
    kubectl.since(22, "evictions of policy/v1")
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert kubectl("cordon", node) == f"node/{node} already cordoned\n"
    assert kubectl("get", "node", node, "--no-headers").split()[1] == "Ready,SchedulingDisabled"
    drained = kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=120s")
    assert drained.splitlines()[-1] == f"node/{node} drained"
    places = ("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[*].spec.nodeName}")
    until(lambda: len(nodes := kubectl(*places).split()) == 2 and node not in nodes)
    kubectl("rollout", "status", web, "--timeout=120s")
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"
    assert kubectl("taint", "node", node, "k=v:NoSchedule") == f"node/{node} tainted\n"
    assert "already has k taint(s) with same effect(s)" in kubectl.fails("taint", "node", node, "k=w:NoSchedule")
    assert "k=v:NoSchedule" in kubectl("describe", "node", node)
    assert kubectl("taint", "node", node, "k-") == f"node/{node} untainted\n"
