"""What becomes of a certificate request."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.controllers.actions import Delete, Fail
from holdfast.controllers.certificates.plan import (
    ANY,
    SELF,
    ObservedAge,
    ObservedApproval,
    ObservedRequest,
    is_decided,
    is_to_be_signed,
    order,
    plan_approval,
    plan_cleaning,
    plan_signing,
    rights,
)
from holdfast.controllers.certificates.request import asked
from holdfast.controllers.certificates.rules import KUBELET_CLIENT

from .asking import condition, request

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APPROVED = condition("Approved")


def of_node(username="system:bootstrap:abcdef", **more):
    spec = {"signerName": KUBELET_CLIENT, "usages": ["digital signature", "client auth"], "username": username}
    return request("system:node:n1", ["system:nodes"], **{**spec, **more})


def observed(made, granted=""):
    return ObservedApproval(made, asked(made), granted)


# -- approval


@pytest.mark.parametrize(
    ("made", "tried"),
    [
        (of_node(), (ANY,)),
        (of_node("system:node:n1"), (SELF, ANY)),
        (of_node("system:node:n2"), (ANY,)),
        (of_node(usages=["client auth"]), ()),
        (of_node(signerName="kubernetes.io/kube-apiserver-client"), ()),
        (request("jane"), ()),
    ],
)
def test_only_nodes_client_certificates_are_asked_about(made, tried):
    assert rights(made, asked(made)) == tried


@pytest.mark.parametrize(
    ("right", "message"),
    [
        (ANY, "Auto approving kubelet client certificate after SubjectAccessReview."),
        (SELF, "Auto approving self kubelet client certificate after SubjectAccessReview."),
    ],
)
def test_what_may_be_had_is_approved_in_upstreams_words(right, message):
    (action,) = plan_approval(observed(of_node(), right)).actions
    assert action.subresource == "approval"
    assert action.manifest["status"]["conditions"] == [
        {"type": "Approved", "status": "True", "reason": "AutoApproved", "message": message}
    ]
    assert action.manifest["metadata"]["resourceVersion"] == "7"


def test_what_may_not_be_had_is_tried_again():
    (action,) = plan_approval(observed(of_node("system:node:n1"))).actions
    assert action == Fail(
        'recognized csr "r" as [selfnodeclient nodeclient] but subject access review was not approved'
    )


def test_others_wait_for_people():
    assert plan_approval(observed(request())).actions == ()


@pytest.mark.parametrize("kind", ["Approved", "Denied"])
def test_nobody_decides_twice(kind):
    assert is_decided(request(conditions=[condition(kind)]))
    assert not is_decided(request())


# -- signing


def to_sign(made, certificate=""):
    return ObservedRequest(made, asked(made), NOW, certificate)


@pytest.mark.parametrize(
    ("made", "is_due"),
    [
        (request(conditions=[APPROVED]), True),
        (request(), False),
        (request(conditions=[condition("Denied")]), False),
        (request(conditions=[APPROVED, condition("Failed")]), False),
        (request(conditions=[APPROVED], certificate="eA=="), False),
        (request(conditions=[APPROVED], signerName="example.com/people"), False),
    ],
)
def test_only_what_is_approved_for_our_signers_is_signed(made, is_due):
    assert is_to_be_signed(made) == is_due


@pytest.mark.parametrize(
    ("seconds", "life"),
    [
        (None, 365 * DAY - timedelta(minutes=5)),
        (10 * 365 * 86400, 365 * DAY - timedelta(minutes=5)),
        (86400, DAY - timedelta(minutes=5)),
        (8 * 3600 - 1, 8 * HOUR - timedelta(seconds=1)),
        (60, timedelta(minutes=10)),
    ],
)
def test_it_lives_as_long_as_asked_for_and_never_longer_than_a_year(seconds, life):
    spec = {} if seconds is None else {"expirationSeconds": seconds}
    wanted = order(to_sign(request(**spec)))
    assert wanted.since == NOW - timedelta(minutes=5)
    assert wanted.until == NOW + life


def test_what_is_refused_is_not_signed_but_failed_with_the_reason():
    made = request(usages=["server auth"], conditions=[APPROVED])
    assert order(to_sign(made)) is None
    (action,) = plan_signing(to_sign(made)).actions
    assert action.subresource == "status"
    assert action.manifest["status"]["conditions"] == [
        APPROVED,
        {
            "type": "Failed",
            "status": "True",
            "reason": "SignerValidationFailure",
            "message": "invalid usage for client certificate: server auth",
        },
    ]


def test_the_certificate_goes_into_the_status():
    (action,) = plan_signing(to_sign(request(conditions=[APPROVED]), "PEM")).actions
    assert base64.b64decode(action.manifest["status"]["certificate"]) == b"PEM"
    assert action.manifest["status"]["conditions"] == [APPROVED]


# -- cleaning


@pytest.mark.parametrize(
    ("made", "ends", "after"),
    [
        pytest.param(request(), None, DAY, id="nobody decided within a day"),
        pytest.param(request(conditions=[condition("Denied")]), None, HOUR, id="denied an hour ago"),
        pytest.param(request(conditions=[APPROVED, condition("Failed")]), None, HOUR, id="failed an hour ago"),
        pytest.param(request(conditions=[APPROVED], certificate="eA=="), NOW + DAY, HOUR, id="issued an hour ago"),
        pytest.param(
            request(conditions=[APPROVED], certificate="eA=="), NOW + HOUR / 2, HOUR / 2, id="its certificate is over"
        ),
    ],
)
def test_it_goes_when_nobody_needs_it_any_more(made, ends, after):
    early = plan_cleaning(ObservedAge(made, NOW + after - timedelta(seconds=1), ends))
    assert (early.actions, early.again_after_s) == ((), 1.0)
    (action,) = plan_cleaning(ObservedAge(made, NOW + after, ends)).actions
    assert isinstance(action, Delete)
    assert (action.name, action.uid, action.resource_version) == ("r", "u", "7")


def test_what_is_approved_for_a_foreign_signer_stays():
    later = plan_cleaning(ObservedAge(request(conditions=[APPROVED]), NOW + 1000 * DAY))
    assert (later.actions, later.again_after_s) == ((), None)
