"""Which credentials a pod's pull secrets have for an image (N65)."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from holdfast.node.pull_secrets import BadPullSecret, Keyring
from holdfast.node.runtime import Credentials


def encoded(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.b64encode(text.encode()).decode()


def secret(auths: Any, name: str = "pull") -> dict[str, Any]:
    data = {".dockerconfigjson": encoded({"auths": auths})}
    return {"metadata": {"name": name}, "type": "kubernetes.io/dockerconfigjson", "data": data}


def entry(user: str, password: str = "p") -> dict[str, str]:
    return {"auth": encoded(f"{user}:{password}")}


def users(keyring: Keyring, repository: str) -> list[str]:
    return [credentials.username for credentials in keyring.lookup(repository)]


@pytest.mark.parametrize(
    ("place", "repository", "is_meant"),
    [
        ("registry.example", "registry.example/app", True),
        ("https://registry.example", "registry.example/app", True),
        ("http://registry.example/v2/", "registry.example/app", True),
        ("https://registry.example/v1/", "registry.example/app", True),
        ("registry.example:5000", "registry.example:5000/app", True),
        ("registry.example:5000", "registry.example/app", False),
        ("registry.example", "registry.example:5000/app", False),
        ("registry.example/team", "registry.example/team/app", True),
        ("registry.example/team", "registry.example/other/app", False),
        ("*.example", "registry.example/app", True),
        ("*.example", "a.registry.example/app", False),
        ("*.*.example", "a.registry.example/app", True),
        ("reg*.example", "registry.example/app", True),
        ("*.example/team", "registry.example/other", False),
        ("example", "registry.example/app", False),
        ("https://index.docker.io/v1/", "docker.io/library/nginx", True),
        ("docker.io", "docker.io/library/nginx", True),
        ("index.docker.io", "registry.example/app", False),
    ],
)
def test_n65_places_are_matched_as_the_kubelets_keyring_does(place: str, repository: str, is_meant: bool) -> None:
    assert users(Keyring([secret({place: entry("u")})]), repository) == (["u"] if is_meant else [])


def test_n65_the_more_closely_named_place_comes_first_and_all_are_tried() -> None:
    keyring = Keyring(
        [
            secret({"registry.example": entry("wide"), "registry.example/team": entry("close")}),
            secret({"registry.example": entry("second")}),
        ]
    )
    assert users(keyring, "registry.example/team/app") == ["close", "wide", "second"]


def test_n65_the_older_form_of_the_secret() -> None:
    data = {".dockercfg": encoded({"registry.example": {"username": "u", "password": "a:b"}})}
    old = {"metadata": {"name": "old"}, "type": "kubernetes.io/dockercfg", "data": data}
    assert Keyring([old]).lookup("registry.example/app") == [Credentials("u", "a:b")]


def test_the_encoded_pair_counts_before_the_plain_one_and_may_lack_padding() -> None:
    auth = base64.b64encode(b"user:pa:ss").decode().rstrip("=")
    keyring = Keyring([secret({"r.example": {"auth": auth, "username": "x", "password": "y"}})])
    assert keyring.lookup("r.example/a") == [Credentials("user", "pa:ss")]


def test_secrets_of_other_types_are_none() -> None:
    opaque = {**secret({"r.example": entry("u")}), "type": "Opaque"}
    assert Keyring([opaque]).lookup("r.example/a") == []


@pytest.mark.parametrize("text", ["{", "[]", '{"auths": {"r.example": {"auth": "bm9jb2xvbg=="}}}', '{"auths": 7}'])
def test_a_secret_that_cannot_be_read_is_named_and_not_shown(text: str) -> None:
    broken = {**secret({}), "data": {".dockerconfigjson": encoded(text)}}
    with pytest.raises(BadPullSecret) as caught:
        Keyring([broken])
    assert str(caught.value) == 'secret "pull": .dockerconfigjson holds no credentials that can be read'


def test_passwords_are_not_printed() -> None:
    assert "hidden" not in repr(Credentials("u", "hidden"))
