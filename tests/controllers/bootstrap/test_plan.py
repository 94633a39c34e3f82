"""Signatures of what newcomers are told, and the end of tokens."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

import pytest

from holdfast.api.core.bootstrap_token import Token, signature
from holdfast.controllers.actions import Delete
from holdfast.controllers.bootstrap.plan import ObservedInfo, ObservedToken, plan_signatures, plan_token

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A, B = Token("aaaaaa", "0123456789abcdef"), Token("bbbbbb", "0123456789abcdef")


def info(**data):
    named = {"name": "cluster-info", "namespace": "kube-public", "resourceVersion": "7"}
    return {"metadata": named, "data": {key.replace("_", "-"): text for key, text in data.items()}}


def written(manifest, *tokens):
    plan = plan_signatures(ObservedInfo(manifest, tokens))
    return plan.actions[0].manifest["data"] if plan.actions else None


def test_every_token_signs_what_is_told():
    data = written(info(kubeconfig="x"), A, B)
    assert data == {
        "kubeconfig": "x",
        "jws-kubeconfig-aaaaaa": signature("x", A),
        "jws-kubeconfig-bbbbbb": signature("x", B),
    }


def test_signatures_of_tokens_that_are_gone_go_and_other_data_stays():
    before = info(kubeconfig="x", other="y", jws_kubeconfig_aaaaaa=signature("x", A), jws_kubeconfig_cccccc="old")
    assert written(before, A) == {"kubeconfig": "x", "other": "y", "jws-kubeconfig-aaaaaa": signature("x", A)}


def test_another_text_is_signed_anew():
    assert written(info(kubeconfig="y", jws_kubeconfig_aaaaaa=signature("x", A)), A) == {
        "kubeconfig": "y",
        "jws-kubeconfig-aaaaaa": signature("y", A),
    }


@pytest.mark.parametrize(
    "manifest", [info(kubeconfig="x", jws_kubeconfig_aaaaaa=signature("x", A)), info(other="y"), {"metadata": {}}]
)
def test_nothing_is_written_where_all_is_signed_or_there_is_nothing_to_sign(manifest):
    assert written(manifest, A) is None


def token(expiration):
    data = {} if expiration is None else {"expiration": b64encode(expiration.encode()).decode()}
    named = {"name": "bootstrap-token-aaaaaa", "namespace": "kube-system", "uid": "u"}
    return {"metadata": named, "type": "bootstrap.kubernetes.io/token", "data": data}


@pytest.mark.parametrize("expiration", ["2026-01-02T03:04:05Z", "2025-01-01T00:00:00Z", "some day"])
def test_a_token_that_is_over_goes(expiration):
    (action,) = plan_token(ObservedToken(token(expiration), NOW)).actions
    assert isinstance(action, Delete)
    assert (action.namespace, action.name, action.uid) == ("kube-system", "bootstrap-token-aaaaaa", "u")


@pytest.mark.parametrize(("expiration", "again_s"), [(None, None), ("2026-01-02T03:04:15Z", 10.0)])
def test_one_that_is_not_over_stays_until_it_is(expiration, again_s):
    plan = plan_token(ObservedToken(token(expiration), NOW))
    assert (plan.actions, plan.again_after_s) == ((), again_s)
