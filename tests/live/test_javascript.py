"""The JavaScript client inside of running pods, over its own WebSockets: `tests/clients/javascript/pods.mjs`."""

from __future__ import annotations

import pytest
from tests.clients import javascripts


@pytest.fixture(scope="module")
def problems(cluster):
    cluster.kubectl("create", "namespace", "javascript")
    return javascripts.run("pods.mjs", cluster, "javascript")


@pytest.mark.parametrize("name", javascripts.names("pods.mjs"))
def test_the_client(problems, name):
    assert not problems[name], problems[name]
