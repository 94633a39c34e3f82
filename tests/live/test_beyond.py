"""What a set may ask for beyond upstream, by kubectl, with real containers (docs/beyond.md)."""

from __future__ import annotations

import json

import pytest

ROLLOUTS = ("OrderedReady", "Parallel")


def test_feature_gates_are_remembered_and_what_is_not_known_is_refused(new_cluster, statefulset):
    cluster = new_cluster("--nodes", "0", "--feature-gates", "MaxUnavailableStatefulSet=true")
    in_batches = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 2}}

    def kept(name):
        cluster.kubectl("apply", "-f", "-", manifest=statefulset(name, updateStrategy=in_batches))
        return cluster.get("sts", name)["spec"]["updateStrategy"]["rollingUpdate"]

    assert kept("a") == {"partition": 0, "maxUnavailable": 2}
    cluster.kill("daemon")
    cluster.up()
    assert kept("b") == {"partition": 0, "maxUnavailable": 2}
    cluster.holdfast("down")
    refused = cluster.holdfast("up", "--feature-gates", "Nothing=true", check=False)
    assert (refused.returncode, "unrecognized feature gate: Nothing" in refused.stderr) == (2, True)
    cluster.up("--feature-gates", "MaxUnavailableStatefulSet=false")
    assert kept("c") == {"partition": 0}


@pytest.mark.parametrize("policy", ROLLOUTS)
def test_a_broken_rollout_that_is_mended_unsticks_itself_and_says_so(cluster, statefulset, policy):
    name = f"stuck-{policy.lower()}"
    made = statefulset(name, podManagementPolicy=policy)
    asked = {"holdfast.dev/unstick-rollout": "true", "holdfast.dev/progress-deadline-seconds": "5"}
    made["items"][1]["metadata"]["annotations"] = asked
    cluster.kubectl("apply", "-f", "-", manifest=made)
    cluster.kubectl("wait", f"sts/{name}", "--for=condition=Available", "--timeout=60s")

    def roll(command):
        container = {"name": "main", "command": command}
        patch = {"spec": {"template": {"spec": {"containers": [container]}}}}
        cluster.kubectl("patch", "sts", name, "-p", json.dumps(patch))

    roll(["/nothing/here"])
    cluster.kubectl("wait", f"sts/{name}", "--for=condition=Progressing=false", "--timeout=60s")
    roll(["sleep", "1000"])
    cluster.kubectl("rollout", "status", f"sts/{name}", "--timeout=90s")
    cluster.kubectl("delete", "sts", name)
