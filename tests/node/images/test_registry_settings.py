"""Whom to ask for an image, and how: `registries.toml`."""

from pathlib import Path

import pytest

from holdfast.node.images.registry.settings import BadSettings, Endpoint, RegistrySettings, read_settings
from holdfast.node.runtime import Credentials

TEXT = """
[registry."docker.io"]
mirrors = ["https://mirror.example", "http://127.0.0.1:5000/hub", "127.0.0.1:5001"]

[registry."mirror.example"]
username = "robot"
password = "secret"

[registry."old.example:5000"]
insecure = true

[registry."own.example"]
ca = "/etc/own.pem"

[registry."localhost:8443"]
insecure = false
"""


@pytest.fixture
def settings(tmp_path: Path) -> RegistrySettings:
    (tmp_path / "registries.toml").write_text(TEXT)
    return read_settings(tmp_path / "registries.toml")


def ways(settings: RegistrySettings, registry: str) -> list[tuple[str, str, bool, bool]]:
    return [(e.url, e.path, e.is_verified, e.is_mirror) for e in settings.endpoints(registry)]


def test_mirrors_come_before_the_registry_itself(settings: RegistrySettings) -> None:
    assert ways(settings, "docker.io") == [
        ("https://mirror.example", "", True, True),
        ("http://127.0.0.1:5000", "hub/", True, True),
        ("http://127.0.0.1:5001", "", True, True),
        ("https://registry-1.docker.io", "", True, False),
    ]
    assert settings.endpoints("docker.io")[0].credentials == Credentials("robot", "secret")


def test_an_insecure_registry_is_asked_by_tls_of_any_certificate_then_without(settings: RegistrySettings) -> None:
    assert ways(settings, "old.example:5000") == [
        ("https://old.example:5000", "", False, False),
        ("http://old.example:5000", "", False, False),
    ]


def test_a_ca_of_its_own_is_trusted(settings: RegistrySettings) -> None:
    assert settings.endpoints("own.example") == [Endpoint("https://own.example", ca="/etc/own.pem")]


@pytest.mark.parametrize("registry", ["127.0.0.1:5000", "localhost:5000", "[::1]:5000", "127.8.9.10"])
def test_this_machines_loopback_is_asked_without_tls(registry: str) -> None:
    assert ways(RegistrySettings(), registry) == [(f"http://{registry}", "", True, False)]


@pytest.mark.parametrize("registry", ["registry.example", "10.0.0.1:5000", "localhost.example"])
def test_any_other_registry_is_asked_by_tls(registry: str) -> None:
    assert ways(RegistrySettings(), registry) == [(f"https://{registry}", "", True, False)]


def test_loopback_by_tls_where_the_file_says_so(settings: RegistrySettings) -> None:
    assert ways(settings, "localhost:8443") == [("https://localhost:8443", "", True, False)]


def test_without_a_file_nothing_is_special(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "registries.toml") == RegistrySettings()


def test_a_password_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("from the file\n")
    path = tmp_path / "registries.toml"
    path.write_text(f'[registry."a.example"]\nusername = "u"\npassword_file = "{tmp_path}/password"')
    assert read_settings(path).credentials("a.example") == Credentials("u", "from the file")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[registry", "Expected"),
        ("[mirror]", "only tables of the form"),
        ('registry = "x"', "only tables of the form"),
        ('[registry]\n"a" = 1', 'registry."a" is no table'),
        ('[registry."a"]\nmirror = []', "unknown key 'mirror'; known are mirrors"),
        ('[registry."a"]\ninsecure = "yes"', "insecure has to be a bool"),
        ('[registry."a"]\npassword_file = "/nowhere/at/all"', "/nowhere/at/all: No such file"),
    ],
)
def test_a_file_that_cannot_be_used_says_where(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "registries.toml"
    path.write_text(text)
    with pytest.raises(BadSettings, match=words) as caught:
        read_settings(path)
    assert str(caught.value).startswith(str(path))
