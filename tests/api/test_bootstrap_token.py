"""Bootstrap tokens as secrets, and what they sign."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.core.bootstrap_token import (
    NODES_GROUP,
    Token,
    groups,
    has_expired,
    is_signed,
    manifest,
    parse,
    signature,
    signing_token,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TOKEN = Token("abcdef", "0123456789abcdef")


def changed(**data):
    """A good token's secret with other data; None takes a key away."""
    made = manifest(TOKEN, NOW + timedelta(hours=1), "")
    encoded = {key.replace("_", "-"): text and b64encode(text.encode()).decode() for key, text in data.items()}
    kept = {key: text for key, text in {**made["data"], **encoded}.items() if text is not None}
    return {**made, "data": kept}


def test_the_signature_is_upstreams():
    """The example of its own tests (pkg/controller/bootstrap/jws_test.go)."""
    content = "Hello from the other side. I must have called a thousand times."
    signed = signature(content, Token("joshua", "my voice is my passcode"))
    assert signed == "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"


def test_a_signature_is_of_one_content_and_one_token():
    signed = signature("a", TOKEN)
    assert is_signed("a", signed, TOKEN)
    assert not is_signed("b", signed, TOKEN)
    assert not is_signed("a", signed, Token(TOKEN.id, "0123456789abcdeX"))


@pytest.mark.parametrize("text", ["", "abcdef", "abcdef.short", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef\n"])
def test_what_has_not_the_form_is_no_token(text):
    assert parse(text) is None


def test_a_token_is_its_two_halves():
    assert parse("abcdef.0123456789abcdef") == TOKEN
    assert str(TOKEN) == "abcdef.0123456789abcdef"


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, ("system:bootstrappers",)),
        ("", ("system:bootstrappers",)),
        ("system:bootstrappers:b,system:bootstrappers:a",
         ("system:bootstrappers", "system:bootstrappers:a", "system:bootstrappers:b")),
        ("system:masters", None),
        ("system:bootstrappers", None),
        ("system:bootstrappers:a,system:masters", None),
        ("system:bootstrappers:-", None),
    ],
)  # fmt: skip
def test_extra_groups_are_bootstrappers_and_nothing_else(given, found):
    assert groups(changed(auth_extra_groups=given)) == found


@pytest.mark.parametrize(
    ("expiration", "is_over"),
    [(None, False), ("2026-01-02T03:04:06Z", False), ("2026-01-02T03:04:05Z", True), ("tomorrow", True)],
)
def test_it_is_over_at_its_end_or_when_nobody_can_tell(expiration, is_over):
    assert has_expired(changed(expiration=expiration), NOW) == is_over


@pytest.mark.parametrize(
    "data",
    [
        {"token_id": "abcdeg"},
        {"token_id": None},
        {"token_secret": None},
        {"usage_bootstrap_signing": None},
        {"usage_bootstrap_signing": "yes"},
        {"expiration": "2026-01-02T03:04:05Z"},
    ],
)
def test_only_a_whole_token_that_is_to_sign_signs(data):
    assert signing_token(changed(), NOW) == TOKEN
    assert signing_token(changed(**data), NOW) is None


def test_a_token_made_here_lets_machines_join():
    assert NODES_GROUP in (groups(manifest(TOKEN, None, "")) or ())
