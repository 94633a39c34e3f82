"""The kubeconfig of a cluster, and its context in the user's own."""

import stat
from datetime import UTC, datetime

import pytest
import yaml

from holdfast.cluster import certificates, kubeconfig
from holdfast.cluster.home import Home

URL = "https://127.0.0.1:6443"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    home.make()
    certificates.ensure(home, datetime(2026, 1, 1, tzinfo=UTC), [], ["10.96.0.1"])
    return home


OWN = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "work", "cluster": {"server": "https://example.org"}}],
    "users": [{"name": "me", "user": {"token": "t"}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me"}}],
    "current-context": "work",
}


def test_the_file_is_private_and_complete(home):
    kubeconfig.write(home, URL)
    assert stat.S_IMODE(home.kubeconfig.stat().st_mode) == 0o600
    document = yaml.safe_load(home.kubeconfig.read_text())
    assert document["clusters"][0]["cluster"]["server"] == URL
    assert document["current-context"] == "holdfast"


def test_the_users_own_contexts_stay_and_stay_current(home, tmp_path):
    own = tmp_path / "config"
    own.write_text(yaml.safe_dump(OWN))
    kubeconfig.add_to_users_own(home, URL, own)
    merged = yaml.safe_load(own.read_text())
    assert [entry["name"] for entry in merged["contexts"]] == ["work", "holdfast"]
    assert merged["current-context"] == "work"
    before = own.stat().st_ino
    assert not kubeconfig.add_to_users_own(home, URL, own)
    assert own.stat().st_ino == before, "a second time there is nothing to change"


def test_a_user_without_a_kubeconfig_gets_ours_as_current(home, tmp_path):
    own = tmp_path / "new" / "config"
    kubeconfig.add_to_users_own(home, URL, own)
    assert yaml.safe_load(own.read_text())["current-context"] == "holdfast"
    assert stat.S_IMODE(own.stat().st_mode) == 0o600


def test_removing_gives_the_users_own_back(home, tmp_path):
    own = tmp_path / "config"
    own.write_text(yaml.safe_dump(OWN))
    kubeconfig.add_to_users_own(home, URL, own)
    assert kubeconfig.remove_from_users_own(home, own)
    assert yaml.safe_load(own.read_text()) == OWN


@pytest.fixture
def other(tmp_path):
    """Another cluster of the same user."""
    other = Home(tmp_path / "other")
    other.make()
    certificates.ensure(other, datetime(2026, 1, 1, tzinfo=UTC), [], ["10.96.0.1"])
    return other


def test_another_clusters_context_of_the_same_name_is_not_removed(home, other, tmp_path):
    own = tmp_path / "config"
    kubeconfig.add_to_users_own(other, URL, own)
    assert not kubeconfig.remove_from_users_own(home, own)


def test_that_it_led_to_another_cluster_is_told(home, other, tmp_path):
    own = tmp_path / "config"
    assert not kubeconfig.add_to_users_own(other, URL, own)
    assert kubeconfig.add_to_users_own(home, "https://127.0.0.1:7777", own)
    assert not kubeconfig.add_to_users_own(home, "https://127.0.0.1:8888", own), "the same one, at another port"


def test_a_file_that_is_no_kubeconfig_is_refused_and_left_alone(home, tmp_path):
    own = tmp_path / "config"
    own.write_text("- a\n- list\n")
    with pytest.raises(ValueError, match="is not a kubeconfig"):
        kubeconfig.add_to_users_own(home, URL, own)
    assert own.read_text() == "- a\n- list\n"
