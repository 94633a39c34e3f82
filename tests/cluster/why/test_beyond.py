"""`holdfast why` knows what sets may ask for beyond upstream (docs/beyond.md)."""

from __future__ import annotations

import json

from holdfast.api.apps import stateful_set_beyond as beyond
from holdfast.api.apps.stateful_set import STATEFUL_SETS
from holdfast.api.core.pod import PODS
from holdfast.cluster.why.asking import answer, parse_question
from holdfast.cluster.why.evidence import gather
from holdfast.simulation.cluster import simulate
from holdfast.simulation.scenarios import NGINX, web


def up(cluster):
    cluster.apply(NGINX, web(3))
    cluster.run_until(lambda: cluster.is_settled("web"))


def ask_for(cluster, annotation, value, **spec):
    cluster.patch(STATEFUL_SETS, "web", {"metadata": {"annotations": {annotation: value}}, "spec": spec})


def roll(cluster, script):
    annotations = {"simulated.holdfast.dev/main": json.dumps(script)}
    template = {"metadata": {"labels": {"app": "nginx"}, "annotations": annotations}}
    cluster.patch(STATEFUL_SETS, "web", {"spec": {"template": template}})


def why(cluster):
    """What the first cause says, and its cure; both empty if all is well."""
    evidence = cluster.do(gather(cluster.client, "default", cluster.world.clock.now()))
    found = answer(evidence, parse_question("sts/web", "default"))
    return ("", "") if found is None else (found.first.says, found.first.cure)


def test_a_reserved_ordinal_is_not_missing():
    with simulate(0) as cluster:
        up(cluster)
        ask_for(cluster, beyond.RESERVE_ORDINALS, "1", replicas=2)
        cluster.run_for(60)
        assert {pod["metadata"]["name"] for pod in cluster.objects(PODS)} == {"web-0", "web-2"}
        assert why(cluster) == ("", "")


def test_a_pause_is_what_holds_an_update_back():
    with simulate(0) as cluster:
        up(cluster)
        ask_for(cluster, beyond.PAUSED, "true")
        roll(cluster, {"ready_after_s": 1})
        cluster.run_for(60)
        says = "web-0, web-1, web-2 are of an older template, and updates are paused"
        assert why(cluster) == (says, "kubectl annotate sts web holdfast.dev/paused-")


def test_a_set_that_unsticks_itself_is_not_said_to_leave_a_pod_behind():
    with simulate(0) as cluster:
        up(cluster)
        roll(cluster, {"ready_after_s": 1e9})
        cluster.run_for(60)
        cluster.kill(cluster.control_plane)
        roll(cluster, {})
        cluster.start(cluster.control_plane)
        cluster.run_for(60)
        assert "an ordered set does not replace such a pod" in why(cluster)[0]
        ask_for(cluster, beyond.UNSTICK, "true")
        evidence = cluster.do(gather(cluster.client, "default", cluster.world.clock.now()))
        found = answer(evidence, parse_question("sts/web", "default"))
        assert found is None or "does not replace" not in found.first.says
        cluster.run_until(lambda: cluster.is_settled("web"))
