"""What a set's snapshots, restored claims and forks are made of."""

from datetime import UTC, datetime

import pytest

from holdfast.cluster.sets import plan
from holdfast.cluster.sets.plan import Refused
from holdfast.cluster.sets.work import rows

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def a_set(**spec):
    template = {"metadata": {"labels": {"app": "db", "tier": "data"}}, "spec": {"containers": []}}
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    return {
        "metadata": {
            "name": "db",
            "namespace": "ns",
            "labels": {"app": "db"},
            "annotations": {plan.LAST_APPLIED: "{}"},
        },
        "spec": {
            "replicas": 2,
            "serviceName": "db",
            "selector": {"matchLabels": {"app": "db"}},
            "template": template,
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": claim, "status": {"phase": "Pending"}}],
            **spec,
        },
    }


def a_claim(name, phase="Bound"):
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"volumeName": f"pv-{name}"},
        "status": {"phase": phase},
    }


def volumes(*claims, image=True):
    image_source = {"driver": "local.holdfast.dev", "volumeAttributes": {"holdfast.dev/backing": "image"}}
    source = {"csi": image_source} if image else {"hostPath": {"path": "/x"}}
    return {each["spec"]["volumeName"]: {"spec": source} for each in claims}


def a_service(name, selector, **spec):
    return {
        "metadata": {"name": name, "namespace": "ns"},
        "spec": {"selector": selector, "ports": [{"port": 5432, "nodePort": 30000}], **spec},
    }


def test_a_sets_claims_are_told_by_their_names():
    names = [
        "data-db-0",
        "data-db-11",
        "data-db-x",
        "data-db-01",
        "data-db",
        "logs-db-0",
        "data-db-copy-0",
        "xdata-db-0",
    ]
    found = plan.members(a_set(), names)
    assert [member.claim_name("db") for member in found] == ["data-db-0", "data-db-11"]
    assert [member.claim_name("copy") for member in found] == ["data-copy-0", "data-copy-11"]


def test_the_snapshots_of_a_set_are_taken_together():
    claims = [a_claim("data-db-0"), a_claim("data-db-1")]
    made = plan.snapshots_of(a_set(), "s", claims, volumes(*claims))
    assert [each["metadata"]["name"] for each in made] == ["s-data-db-0", "s-data-db-1"]
    assert {each["metadata"]["labels"]["holdfast.dev/taken-with"] for each in made} == {"s"}
    assert {each["metadata"]["annotations"]["holdfast.dev/taken-with-count"] for each in made} == {"2"}
    assert [each["spec"]["source"]["persistentVolumeClaimName"] for each in made] == ["data-db-0", "data-db-1"]


def test_a_single_claim_may_be_a_plain_directory():
    claim = a_claim("data-db-0")
    (made,) = plan.snapshots_of(a_set(), "s", [claim], volumes(claim, image=False))
    assert "holdfast.dev/taken-with" not in made["metadata"]["labels"]


@pytest.mark.parametrize(
    ("claims", "image", "name", "text"),
    [
        ([], True, "s", "has no claims"),
        ([a_claim("data-db-0", "Pending")], True, "s", "claim data-db-0 is Pending: wait until it is bound"),
        ([a_claim("data-db-0"), a_claim("data-db-1")], False, "s", "claim data-db-0 is a plain directory"),
        ([a_claim("data-db-0")], True, "s" * 64, "longer than 63 characters"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_the_way_out(claims, image, name, text):
    with pytest.raises(Refused, match=text):
        plan.snapshots_of(a_set(), name, claims, volumes(*claims, image=image))


def snapshot(ready=True, count=2, size="2Gi", **status):
    return {
        "metadata": {
            "name": "s-data-db-0",
            "annotations": {"holdfast.dev/taken-with-count": str(count), "holdfast.dev/claim": "data-db-0"},
            "labels": {"holdfast.dev/snapshot": "s"},
            "creationTimestamp": "2026-01-02T03:04:00Z",
        },
        "status": {"readyToUse": ready, "restoreSize": size, **status},
    }


def test_a_snapshot_is_whole_when_all_are_there_and_ready():
    assert plan.is_whole([snapshot(), snapshot()])
    assert not plan.is_whole([snapshot()])
    assert not plan.is_whole([snapshot(), snapshot(ready=False)])
    assert not plan.is_whole([])
    assert plan.obstacle([snapshot(), snapshot(error={"message": "no room"})]) == "no room"
    assert rows([snapshot(), snapshot()])[0] == {
        "name": "s",
        "volumes": 2,
        "ready": True,
        "created": "2026-01-02T03:04:00Z",
    }


def test_a_restored_claim_is_the_sets_and_no_smaller_than_the_snapshot():
    (member,) = plan.members(a_set(), ["data-db-0"])
    claim = plan.filled_claim(a_set(), member, "data-db-0", snapshot(), {"mark": "x"})
    assert claim["metadata"] == {
        "name": "data-db-0",
        "namespace": "ns",
        "labels": {"app": "db"},
        "annotations": {"mark": "x"},
    }
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "2Gi"}},
        "dataSource": {"apiGroup": "snapshot.storage.k8s.io", "kind": "VolumeSnapshot", "name": "s-data-db-0"},
    }
    smaller = plan.filled_claim(a_set(), member, "data-db-0", snapshot(size="512Mi"), {})
    assert smaller["spec"]["resources"]["requests"]["storage"] == "1Gi"


def test_a_fork_selects_none_of_the_originals_pods():
    governing = a_service("db", {"app": "db"}, clusterIP="None")
    made, service = plan.forked_set(a_set(), "copy", [governing, a_service("other", {"app": "else"})])
    assert made["metadata"] == {
        "name": "copy",
        "namespace": "ns",
        "labels": {"app": "copy"},
        "annotations": {"holdfast.dev/forked-from": "db"},
    }
    spec = made["spec"]
    assert spec["selector"] == {"matchLabels": {"app": "copy"}}
    assert spec["template"]["metadata"]["labels"] == {"app": "copy", "tier": "data"}
    assert (spec["serviceName"], spec["replicas"]) == ("copy", 2)
    assert "status" not in spec["volumeClaimTemplates"][0]
    assert service["spec"] == {"clusterIP": "None", "ports": [{"port": 5432}], "selector": {"app": "copy"}}
    original = a_set()
    assert plan.forked_set(original, "copy", [])[1] is None
    assert original == a_set()


def test_other_labels_of_the_selector_get_the_new_name_too():
    labels = {"app": "db", "role": "primary"}
    made, _ = plan.forked_set(a_set(selector={"matchLabels": labels}), "copy", [])
    assert made["spec"]["selector"]["matchLabels"] == {"app": "copy", "role": "primary-copy"}


@pytest.mark.parametrize(
    ("of", "services", "text"),
    [
        (a_set(), [a_service("api", {"tier": "data"})], "service api selects pods by .* they would get its traffic"),
        (a_set(), [a_service("db", {"tier": "data"})], "would select the fork's pods as well"),
        (a_set(selector={"matchExpressions": [{}]}), [], "by expressions"),
        (a_set(selector={"matchLabels": {"app": "x" * 60}}), [], "longer than 63 characters"),
    ],
)
def test_a_fork_that_would_get_in_the_originals_way_is_refused(of, services, text):
    with pytest.raises(Refused, match=text):
        plan.forked_set(of, "copy", services)


def test_the_default_name_tells_set_and_time():
    assert plan.default_name("db", NOW) == "db-20260102-030405"


@pytest.mark.parametrize(
    ("spec", "with_pods"),
    [({"replicas": 0}, []), ({}, [0]), ({"replicas": 2}, [0, 1]), ({"replicas": 2, "ordinals": {"start": 2}}, [2, 3])],
)
def test_which_claims_have_a_pod(spec, with_pods):
    made = {"spec": spec}
    assert [ordinal for ordinal in range(5) if plan.has_pod(made, ordinal)] == with_pods
