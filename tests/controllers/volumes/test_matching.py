"""Which volume a claim gets: V20 to V24."""

import pytest

from holdfast.api.storage import binding

from .builders import claim, reference, volume

RWO, RWX = "ReadWriteOnce", "ReadWriteMany"


def name_of(found):
    return found["metadata"]["name"] if found else None


@pytest.mark.parametrize(
    ("wanted", "volumes", "name"),
    [
        pytest.param(claim(size="3Gi"), [volume("a", size="2Gi")], None, id="V20: too small"),
        pytest.param(claim(size="1024Mi"), [volume("a", size="1Gi")], "a", id="V131: 1Gi is 1024Mi"),
        pytest.param(claim(size="1Gi"), [volume("a", size="1G")], None, id="V131: 1G is less than 1Gi"),
        pytest.param(claim(), [volume("a", deleting=True)], None, id="V20: going"),
        pytest.param(claim(), [volume("a", volumeMode="Block")], None, id="V20: another mode"),
        pytest.param(claim(), [volume("a", claim_ref=reference("other"))], None, id="V20: another's"),
        pytest.param(claim(), [volume("a", phase="Released")], None, id="V22: not available"),
        pytest.param(claim(), [volume("a", phase="Pending")], None, id="V22: not yet available"),
        pytest.param(claim(), [volume("a", storage_class="x")], None, id="V132: no class is not any class"),
        pytest.param(claim(storage_class="x"), [volume("a")], None, id="V22: class x"),
        pytest.param(
            claim(), [volume("big", size="5Gi"), volume("small", size="2Gi")], "small", id="V23: the smallest"
        ),
        pytest.param(
            claim(modes=(RWO,)),
            [volume("both", size="5Gi", modes=(RWO, RWX)), volume("once", size="100Gi", modes=(RWO,))],
            "once",
            id="V23: fewest modes before size",
        ),
        pytest.param(claim(modes=(RWX,)), [volume("a", modes=(RWO,))], None, id="V23: all modes asked for"),
        pytest.param(
            claim(),
            [volume("free", size="1Gi"), volume("mine", size="9Gi", phase="Pending", claim_ref=reference("data", ""))],
            "mine",
            id="V21: reserved, whatever its phase",
        ),
        pytest.param(
            claim(), [volume("a", claim_ref=reference("data", "old"))], None, id="V133: not for one of the same name"
        ),
        pytest.param(
            claim(selector={"matchLabels": {"disk": "fast"}}),
            [volume("slow"), volume("fast", size="2Gi", labels={"disk": "fast"})],
            "fast",
            id="V22: the selector",
        ),
    ],
)
def test_v20_v21_v22_v23_v130_v131_v132_v133_which_volume_a_claim_gets(wanted, volumes, name):
    assert name_of(binding.best_match(wanted, volumes)) == name
    assert name_of(binding.best_match(wanted, volumes[::-1])) == name


def test_v36_a_delayed_claim_gets_only_what_is_reserved_for_it():
    free, mine = volume("free"), volume("mine", claim_ref=reference("data"))
    assert binding.best_match(claim(), [free], is_delayed=True) is None
    assert name_of(binding.best_match(claim(), [free, mine], is_delayed=True)) == "mine"


def on_node(name):
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [name]}
    return {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}}


def test_v22_v37_on_a_node_only_volumes_that_may_be_there_count():
    node = {"metadata": {"name": "n1", "labels": {"kubernetes.io/hostname": "n1"}}}
    here, there = volume("here", size="9Gi", nodeAffinity=on_node("n1")), volume("there", nodeAffinity=on_node("n2"))
    assert name_of(binding.best_match(claim(), [here, there], node=node)) == "here"
    assert binding.best_match(claim(), [there], node=node) is None
    assert binding.best_match(claim(), [here], node=node, taken={"here"}) is None


def test_v9_the_newest_default_class_wins_and_ties_go_by_name():
    def made(name, at, default="true"):
        metadata = {"name": name, "creationTimestamp": at, "annotations": {binding.IS_DEFAULT_CLASS: default}}
        return {"metadata": metadata}

    assert binding.default_class([]) == ""
    assert binding.default_class([made("a", "2026-01-01T00:00:00Z", "false")]) == ""
    classes = [made("b", "2026-01-02T00:00:00Z"), made("a", "2026-01-02T00:00:00Z"), made("c", "2026-01-01T00:00:00Z")]
    assert binding.default_class(classes) == "a"


def test_v8_the_old_annotation_names_the_class_before_the_field_does():
    assert binding.class_of(claim(storage_class="new", annotations={binding.BETA_STORAGE_CLASS: "old"})) == "old"
    assert binding.class_of(claim(storage_class="new", annotations={binding.BETA_STORAGE_CLASS: ""})) == ""
