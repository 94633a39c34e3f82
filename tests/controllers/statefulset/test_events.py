"""Chapter 10: events, to the letter and in their order."""

import pytest

from .builders import Cluster, claim, owner, running, settle, statefulset


def test_s140_s141_s147_a_fresh_pod_tells_of_its_claims_first():
    cluster = Cluster(statefulset(1, claims=("data", "log")))
    cluster.step()
    assert cluster.events == [
        "Normal SuccessfulCreate Create Claim data-web-0 Pod web-0 in StatefulSet web success",
        "Normal SuccessfulCreate Create Claim log-web-0 Pod web-0 in StatefulSet web success",
        "Normal SuccessfulCreate Create Pod web-0 in StatefulSet web successful",
    ]


def test_s142_a_claim_that_cannot_be_made_tells_and_so_does_its_pod():
    cluster = Cluster(statefulset(1, claims=("data",)))
    cluster.refuse = lambda text: "exceeded quota" if "claim" in text else ""
    cluster.step()
    assert cluster.events == [
        "Warning FailedCreate Create Claim data-web-0 for Pod web-0 in StatefulSet web failed error: exceeded quota",
        "Warning FailedCreate Create Pod web-0 in StatefulSet web failed error: "
        "failed to create PVC data-web-0: exceeded quota",
    ]


def test_s147_several_errors_are_a_list_in_brackets():
    cluster = Cluster(statefulset(1, claims=("data", "log")))
    going = claim("log-web-0")
    going["metadata"]["deletionTimestamp"] = "2026-01-01T12:00:00Z"
    cluster.claims["log-web-0"] = going
    cluster.refuse = lambda text: "no" if "claim" in text else ""
    cluster.step()
    assert cluster.events[-1] == (
        "Warning FailedCreate Create Pod web-0 in StatefulSet web failed error: "
        "[failed to create PVC data-web-0: no, pvc log-web-0 is being deleted]"
    )


def test_s142_a_pod_that_cannot_be_made_tells():
    cluster = Cluster(statefulset(1))
    cluster.refuse = lambda text: "exceeded quota" if "pod" in text else ""
    cluster.step()
    assert cluster.events == ["Warning FailedCreate Create Pod web-0 in StatefulSet web failed error: exceeded quota"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("", "Normal SuccessfulDelete Delete Pod web-0 in StatefulSet web successful"),
        ("no", "Warning FailedDelete Delete Pod web-0 in StatefulSet web failed error: no"),
    ],
)
def test_s143_deletions_tell(error, expected):
    cluster = running(1)
    cluster.change(replicas=0)
    cluster.refuse = lambda text: error if text.startswith("delete pod") else ""
    cluster.step()
    assert cluster.events == [expected]


def test_s146_a_claim_that_somebody_else_controls_is_warned_of():
    cluster = Cluster(statefulset(1, claims=("data",), when_deleted="Delete")).with_revision()
    cluster.claims["data-web-0"] = claim("data-web-0", owner("Backup", "b", "backup-uid"))
    cluster.step()
    assert cluster.events == [
        "Warning ConflictingController PersistentVolumeClaim data-web-0 has a conflicting OwnerReference that acts as "
        "a manging controller, the retention policy is ignored for this claim",
        "Normal SuccessfulCreate Create Pod web-0 in StatefulSet web successful",
    ]


def test_s148_a_taken_name_waiting_and_adoption_are_silent():
    from holdfast.api.errors import AlreadyExists
    from holdfast.controllers.actions import Create

    from .builders import flat, plan

    cluster = Cluster(statefulset(1, claims=("data",)))
    creations = [action for action in flat(plan(cluster.observed()).actions) if isinstance(action, Create)]
    assert [action.quiet for action in creations] == [(AlreadyExists,), (AlreadyExists,)]


def test_s148_a_release_is_silent():
    cluster = running(1)
    pod = cluster.pods.pop("web-0")
    cluster.pods["db-0"] = {**pod, "metadata": {**pod["metadata"], "name": "db-0"}}
    cluster.step()
    assert cluster.writes[:2] == ["patch pod db-0", "create pod web-0"]
    assert cluster.events == ["Normal SuccessfulCreate Create Pod web-0 in StatefulSet web successful"]


def test_s149_every_message_begins_with_a_capitalised_verb():
    cluster = Cluster(statefulset(2, claims=("data",)))
    settle(cluster)
    del cluster.pods["web-0"]["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"]
    cluster.change_image("app:2")
    settle(cluster)
    cluster.refuse = lambda text: "no" if text.startswith("create") else ""
    cluster.change(replicas=3)
    cluster.step()
    seen = {tuple(text.split()[1:3]) for text in cluster.events}
    assert seen == {
        ("SuccessfulCreate", "Create"),
        ("SuccessfulUpdate", "Update"),
        ("SuccessfulDelete", "Delete"),
        ("FailedCreate", "Create"),
    }


def test_s148_a_rollout_tells_of_pods_only():
    cluster = running(1)
    cluster.change_image("app:2")
    settle(cluster)
    assert cluster.events == [
        "Normal SuccessfulDelete Delete Pod web-0 in StatefulSet web successful",
        "Normal SuccessfulCreate Create Pod web-0 in StatefulSet web successful",
    ]
