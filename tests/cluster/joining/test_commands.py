"""The commands in the data directory of a machine that has joined, while its cluster is away."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from holdfast.cli import group
from holdfast.cli.output import Failure
from holdfast.cluster import certificates
from holdfast.cluster import settings as saved
from holdfast.cluster.home import Home
from holdfast.cluster.joining.facts import facts_of, joined_settings
from holdfast.cluster.settings import Settings
from holdfast.world import SystemClock

FIRST = Settings(chosen="oci", pod_cidr="10.244.0.0/16", service_cidr="10.96.0.0/16")
NOBODY = "https://127.0.0.1:1"


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path / "h")
    made.make()
    certificates.ensure(made, SystemClock().now(), ["far"], [])
    saved.save(made.settings, joined_settings(facts_of(FIRST), NOBODY, "far", 64))
    return made


def holdfast(home, *words):
    return CliRunner().invoke(group, [*words, "--home", str(home.path)])


def failure(home, *words):
    found = holdfast(home, *words).exception
    assert isinstance(found, Failure), found
    return str(found)


def test_up_makes_no_cluster_over_it_and_names_the_command(home):
    told = failure(home, "up", "--no-merge")
    assert told.endswith(f"is of a machine that has joined {NOBODY}: holdfast node --join 127.0.0.1:1")
    assert saved.load(home.settings).is_joined


def test_down_goes_through_without_the_cluster_and_says_what_stays(home):
    done = holdfast(home, "down")
    assert done.exit_code == 0
    assert "its Node stays (kubectl delete node far)" in done.output
    assert "has left" not in done.output
    assert saved.load(home.settings).is_joined, "it may join again"


def test_down_purge_leaves_nothing(home):
    assert holdfast(home, "down", "--purge").exit_code == 0
    assert not home.path.exists()


def test_status_says_that_the_cluster_is_away(home):
    assert failure(home, "status").startswith(f"the API at {NOBODY} does not answer for far")


def test_list_names_its_node(home):
    assert json.loads(holdfast(home, "node", "list", "-o", "json").output) == [{"name": "far", "condition": "at work"}]


def test_options_of_joining_go_without_a_command(home):
    done = CliRunner().invoke(group, ["node", "--join", "127.0.0.1:1", "list"])
    assert (done.exit_code, "--join goes without a command" in done.output) == (2, True)
    done = CliRunner().invoke(group, ["node", "--home", str(home.path), "list"])
    assert done.exit_code == 2


def test_without_anything_the_command_explains_itself():
    done = CliRunner().invoke(group, ["node"])
    assert done.exit_code == 0
    assert "--join HOST:PORT" in done.output
