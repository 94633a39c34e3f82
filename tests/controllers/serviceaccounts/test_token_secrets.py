"""Secrets of type kubernetes.io/service-account-token (A220, W108)."""

from __future__ import annotations

from base64 import b64decode

import pytest

from holdfast.api.core.secret import SECRETS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import NotFound
from holdfast.controllers.actions import Delete, Update
from holdfast.controllers.serviceaccounts.controller import TokenSecrets
from holdfast.controllers.serviceaccounts.plan import ObservedSecret, account_of, plan

NAME, UID = "kubernetes.io/service-account.name", "kubernetes.io/service-account.uid"
ACCOUNT = {"metadata": {"name": "bot", "namespace": "ns", "uid": "u1"}}


def secret(uid=None, data=None, type="kubernetes.io/service-account-token", **metadata):
    annotations = {NAME: "bot", **({UID: uid} if uid else {})}
    named = {"name": "s", "namespace": "ns", "uid": "s1", "resourceVersion": "7", "annotations": annotations}
    return {"metadata": {**named, **metadata}, "type": type, **({"data": data} if data else {})}


def observed(secret, account=ACCOUNT):
    return ObservedSecret(secret, account, "PEM", "TOKEN")


def filled():
    (action,) = plan(observed(secret())).actions
    return action.manifest


def test_it_gets_token_certificate_namespace_and_the_accounts_uid():
    (action,) = plan(observed(secret())).actions
    assert isinstance(action, Update)
    assert {key: b64decode(value) for key, value in action.manifest["data"].items()} == {
        "token": b"TOKEN",
        "ca.crt": b"PEM",
        "namespace": b"ns",
    }
    assert action.manifest["metadata"]["annotations"] == {NAME: "bot", UID: "u1"}
    assert action.manifest["metadata"]["resourceVersion"] == "7"


def test_a_filled_one_is_left_alone():
    assert plan(observed(filled())).actions == ()


def test_a_token_that_is_there_stays_an_old_certificate_does_not():
    (action,) = plan(observed(secret("u1", {"token": "T1RIRVI=", "ca.crt": "b2xk", "more": "eA=="}))).actions
    assert action.manifest["data"] == {**filled()["data"], "token": "T1RIRVI=", "more": "eA=="}


@pytest.mark.parametrize(
    ("manifest", "account"),
    [
        pytest.param(secret(), None, id="no such account"),
        pytest.param(secret("u0"), ACCOUNT, id="another account of that name"),
    ],
)
def test_it_goes_with_its_account(manifest, account):
    (action,) = plan(observed(manifest, account)).actions
    assert action == Delete(SECRETS, "ns", "s", "s1", "7")


def test_one_that_is_being_deleted_is_left_alone():
    assert plan(observed(secret(deletionTimestamp="2026-01-01T00:00:00Z"), None)).actions == ()


def test_other_secrets_are_none_of_its_business():
    assert account_of(secret(type="Opaque")) == ""
    assert account_of(secret(annotations={})) == ""


class Server:
    """Knows the accounts that there are by now."""

    def __init__(self, account=None):
        self.account = account

    async def get(self, resource, name, namespace=""):
        assert (resource, name, namespace) == (SERVICE_ACCOUNTS, "bot", "ns")
        if self.account is None:
            raise NotFound("gone")
        return self.account


async def test_nothing_is_removed_for_an_account_that_the_view_has_not_seen_yet():
    controller = TokenSecrets(lambda secret, account: "SIGNED", "PEM")
    seen = await controller.verify(ObservedSecret(secret(), None, "PEM"), Server(ACCOUNT))
    assert (seen.account, seen.token) == (ACCOUNT, "SIGNED")


async def test_no_token_is_made_for_an_account_that_only_the_view_still_has():
    controller = TokenSecrets(lambda secret, account: "SIGNED", "PEM")
    seen = await controller.verify(ObservedSecret(secret(), ACCOUNT, "PEM"), Server(None))
    assert (seen.account, seen.token) == (None, "")
