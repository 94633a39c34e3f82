"""Chapter 8: what calls for a repair of a slot's pod, and how it is done."""

import pytest

from .builders import Cluster, claim, doing, owner, plan, running, statefulset

POD_NAME = "statefulset.kubernetes.io/pod-name"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("label", ["update pod web-0"]),
        ("volumes", ["update pod web-0"]),
        ("owner", ["update persistentvolumeclaim data-web-0", "update pod web-0"]),
        ("claim", []),
        ("nothing", []),
    ],
)
def test_s118_what_calls_for_a_repair(wrong, expected):
    cluster = running(1, claims=("data",), when_deleted="Delete")
    pod, one = cluster.pods["web-0"], cluster.claims["data-web-0"]
    match wrong:
        case "label":
            pod["metadata"]["labels"][POD_NAME] = "web-1"
        case "volumes":
            pod["spec"]["volumes"] = []
        case "owner":
            one["metadata"]["ownerReferences"] = [owner("Pod", "web-0", pod["metadata"]["uid"])]
        case "claim":
            cluster.claims.clear()
    assert doing(plan(cluster.observed())) == expected


def test_s119_missing_claims_are_made_and_owned_then_the_pod_is_written_once():
    cluster = running(1, claims=("data", "log"), when_deleted="Delete")
    pod = cluster.pods["web-0"]
    del pod["metadata"]["labels"][POD_NAME]
    pod["spec"]["volumes"] = [{"name": "conf", "emptyDir": {}}]
    cluster.claims = {"data-web-0": claim("data-web-0")}
    made = plan(cluster.observed())
    assert doing(made) == [
        "create persistentvolumeclaim log-web-0",
        "update persistentvolumeclaim data-web-0",
        "patch persistentvolumeclaim log-web-0",
        "update pod web-0",
    ]
    written = made.actions[-1].manifest
    assert written["metadata"]["labels"][POD_NAME] == "web-0"
    assert [volume["name"] for volume in written["spec"]["volumes"]] == ["data", "log", "conf"]


@pytest.mark.parametrize("parallel", [False, True])
def test_s121_a_repair_that_fails_fails_the_sync(parallel):
    cluster = Cluster(statefulset(2, parallel=parallel)).with_revision()
    del cluster.add(0)["metadata"]["labels"][POD_NAME]
    cluster.refuse = lambda text: "no" if text == "update pod web-0" else ""
    cluster.step()
    assert cluster.events == ["Warning FailedUpdate Update Pod web-0 in StatefulSet web failed error: no"]
    assert "web-1" not in cluster.pods
