"""Chapter 2: names, labels and content of a pod; repair of those that changed."""

import pytest

from holdfast.controllers.statefulset import identity
from holdfast.controllers.statefulset.views import Pod, StatefulSet, split_pod_name

from .builders import NAMESPACE, Cluster, doing, plan, running, settle, statefulset


def build(the_set, ordinal=0, **template):
    made = StatefulSet(the_set)
    return identity.build_pod(made, ordinal, {**made.template, **template}, "web-rev")


def test_s15_a_pod_is_named_for_its_set_and_ordinal():
    metadata = build(statefulset(), 12)["metadata"]
    assert (metadata["name"], metadata["generateName"], metadata["namespace"]) == ("web-12", "web-", NAMESPACE)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("web-0", ("web", 0)),
        ("web-1-0", ("web-1", 0)),
        ("web-01", ("web", 1)),
        ("web", ("", None)),
        ("web-a", ("", None)),
        ("web-1a", ("", None)),
        ("web-", ("", None)),
        ("web-2147483647", ("web", 2147483647)),
        ("web-2147483648", ("web", None)),
        ("web-" + "9" * 5000, ("web", None)),
        ("web-٣", ("", None)),
    ],
)
def test_s16_s27_a_pod_name_is_cut_at_its_last_dash_before_digits(name, expected):
    assert split_pod_name(name) == expected


def test_s16_labels_alone_make_no_pod_the_sets():
    cluster = running(1)
    stranger = cluster.pods["web-0"]
    metadata = {**stranger["metadata"], "name": "other-0", "uid": "other", "ownerReferences": []}
    cluster.pods["other-0"] = {**stranger, "metadata": metadata}
    assert doing(plan(cluster.observed())) == []


def test_s17_the_sets_labels_win_over_the_templates():
    template = {"labels": {"app": "web", "apps.kubernetes.io/pod-index": "no", "controller-revision-hash": "no"}}
    assert build(statefulset(start=5), 5, metadata=template)["metadata"]["labels"] == {
        "app": "web",
        "statefulset.kubernetes.io/pod-name": "web-5",
        "apps.kubernetes.io/pod-index": "5",
        "controller-revision-hash": "web-rev",
    }


def test_s18_annotations_and_finalizers_come_from_the_template_and_nothing_else_does():
    template = {
        "labels": {"app": "web"},
        "annotations": {"a": "1"},
        "finalizers": ["example.com/f"],
        "name": "other",
        "namespace": "other",
        "ownerReferences": [{"kind": "Other"}],
    }
    metadata = build(statefulset(), metadata=template)["metadata"]
    assert (metadata["annotations"], metadata["finalizers"]) == ({"a": "1"}, ["example.com/f"])
    assert (metadata["name"], metadata["namespace"]) == ("web-0", NAMESPACE)
    assert [one["kind"] for one in metadata["ownerReferences"]] == ["StatefulSet"]


def test_s19_the_set_is_the_pods_controller():
    assert build(statefulset())["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "name": "web",
            "uid": "set-uid",
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


@pytest.mark.parametrize(("service", "subdomain"), [("db", "db"), ("", None)])
def test_s20_hostname_and_subdomain_always_replace_the_templates(service, subdomain):
    spec = {"containers": [], "hostname": "own", "subdomain": "own"}
    made = build(statefulset(service=service), 3, spec=spec)["spec"]
    assert (made["hostname"], made.get("subdomain")) == ("web-3", subdomain)
    assert spec == {"containers": [], "hostname": "own", "subdomain": "own"}, "the template is shared"


def test_s20_they_are_never_repaired():
    cluster = running(1)
    cluster.pods["web-0"]["spec"] |= {"hostname": "other", "subdomain": "other"}
    assert doing(plan(cluster.observed())) == []


def test_s21_changing_the_start_is_ordinary_scaling_in_both_directions():
    cluster = running(2)
    cluster.change(ordinals={"start": 1})
    assert doing(plan(cluster.observed())) == ["create pod web-2"]
    settle(cluster)
    assert set(cluster.pods) == {"web-1", "web-2"}
    cluster.change(ordinals=None)
    settle(cluster)
    assert set(cluster.pods) == {"web-0", "web-1"}


def test_s24_the_revision_label_is_the_whole_name_of_the_revision():
    cluster = Cluster(statefulset(1)).with_revision()
    cluster.step()
    assert Pod(cluster.pods["web-0"]).revision in cluster.revisions


def test_s25_s144_a_missing_pod_name_label_is_repaired_and_the_index_label_with_it():
    cluster = running(1)
    labels = cluster.pods["web-0"]["metadata"]["labels"]
    del labels["statefulset.kubernetes.io/pod-name"]
    del labels["apps.kubernetes.io/pod-index"]
    cluster.step()
    labels = cluster.pods["web-0"]["metadata"]["labels"]
    assert labels["statefulset.kubernetes.io/pod-name"] == "web-0"
    assert labels["apps.kubernetes.io/pod-index"] == "0"
    assert cluster.events == ["Normal SuccessfulUpdate Update Pod web-0 in StatefulSet web successful"]


def test_s25_a_missing_index_label_alone_is_never_repaired():
    cluster = running(1)
    del cluster.pods["web-0"]["metadata"]["labels"]["apps.kubernetes.io/pod-index"]
    cluster.step()
    assert cluster.writes == []


def test_s26_s145_a_pod_of_another_spelling_takes_the_slot_and_fails_to_be_renamed():
    cluster = running(1)
    pod = cluster.add(1)
    pod["metadata"] |= {"name": "web-01"}
    del cluster.pods["web-1"]
    cluster.pods["web-01"] = pod
    cluster.change(replicas=2)
    cluster.refuse = lambda text: 'pods "web-1" not found' if text == "update pod web-1" else ""
    cluster.step()
    assert cluster.events == [
        'Warning FailedUpdate Update Pod web-1 in StatefulSet web failed error: pods "web-1" not found'
    ]


def test_s26_the_pod_with_the_right_name_has_the_slot():
    cluster = running(2)
    pod = cluster.pods["web-1"]
    cluster.pods = {"web-01": {**pod, "metadata": {**pod["metadata"], "name": "web-01"}}, **cluster.pods}
    assert doing(plan(cluster.observed())) == []


def test_s27_the_pod_of_a_set_with_a_longer_name_is_not_ours():
    cluster = running(1)
    other = cluster.add(0)
    del other["metadata"]["ownerReferences"]
    other["metadata"] |= {"name": "web-1-0", "uid": "other"}
    cluster.pods["web-1-0"] = other
    cluster.pods["web-0"] = running(1).pods["web-0"]
    assert doing(plan(cluster.observed())) == []
