"""The JavaScript client at its daily work: `javascript/api.mjs`."""

from __future__ import annotations

import pytest

from . import javascripts
from .conftest import client

NAMESPACE = "javascript"


@pytest.fixture(scope="module")
def problems(kubeless):
    api = client(kubeless)
    api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
    yield javascripts.run("api.mjs", kubeless, NAMESPACE)
    api.delete(f"/api/v1/namespaces/{NAMESPACE}")
    api.close()


@pytest.mark.parametrize("name", javascripts.names("api.mjs"))
def test_the_client(problems, name):
    assert not problems[name], problems[name]
