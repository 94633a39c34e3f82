"""What a request for streams asks of the agent, and where the agent is (A158-A166)."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from holdfast.api.errors import ApiError, BadRequest, Invalid
from holdfast.apiserver.streams.targets import NoAddress, agent_address, target

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(*containers: str, node: str = "n1", **spec: list[dict[str, str]]) -> dict:
    return {
        "metadata": {"name": "web-0", "namespace": "default"},
        "spec": {"nodeName": node, "containers": [{"name": name} for name in containers or ("web",)], **spec},
    }


@pytest.mark.parametrize(
    ("subresource", "query", "wanted"),
    [
        ("log", {}, "/containerLogs/default/web-0/web"),
        ("log", {"follow": ["true"], "previous": ["false"]}, "/containerLogs/default/web-0/web?follow=true"),
        ("log", {"tailLines": ["0"]}, "/containerLogs/default/web-0/web?tailLines=0"),
        (
            "log",
            {"sinceSeconds": ["60"]},
            "/containerLogs/default/web-0/web?sinceTime=2025-12-31T23%3A59%3A00%2B00%3A00",
        ),
        (
            "exec",
            {"command": ["sh", "-c", "echo a&b"], "stdin": ["1"], "stdout": ["true"], "stderr": ["0"]},
            "/exec/default/web-0/web?command=sh&command=-c&command=echo+a%26b&input=1&output=1",
        ),
        (
            "exec",
            {"command": ["sh"], "stdout": ["1"], "stderr": ["1"], "tty": ["1"]},
            "/exec/default/web-0/web?command=sh&output=1&tty=1",
        ),
        ("attach", {"stdout": ["1"]}, "/attach/default/web-0/web?output=1"),
        ("portforward", {}, "/portForward/default/web-0"),
        ("portforward", {"ports": ["80,81", "82"]}, "/portForward/default/web-0?port=80&port=81&port=82"),
    ],
)
def test_targets_are_the_kubelets_urls(subresource, query, wanted):
    assert target(pod(), subresource, query, NOW) == wanted


def test_a_log_of_a_pod_without_a_node_asks_nobody():
    assert target(pod(node=""), "log", {}, NOW) == ""


@pytest.mark.parametrize("subresource", ["exec", "attach", "portforward"])
def test_a_pod_without_a_node_cannot_be_connected_to(subresource):
    with pytest.raises(BadRequest, match="pod web-0 does not have a host assigned"):
        target(pod(node=""), subresource, {"command": ["x"], "stdout": ["1"]}, NOW)


def test_init_and_ephemeral_containers_can_be_named_and_are_offered():
    every = pod("a", "b", initContainers=[{"name": "i"}], ephemeralContainers=[{"name": "e"}])
    assert target(every, "log", {"container": ["e"]}, NOW).endswith("/e")
    with pytest.raises(BadRequest, match=r"choose one of: \[i a b e\]"):
        target(every, "log", {}, NOW)
    assert target(pod("a", initContainers=[{"name": "i"}]), "log", {}, NOW).endswith("/a")


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (
            {"tailLines": ["-1"], "limitBytes": ["0"]},
            "[tailLines: Invalid value: -1: must be greater than or equal to 0, ",
        ),
        ({"stream": ["Both"]}, 'stream: Unsupported value: "Both": supported values: "All", "Stdout", "Stderr"'),
        ({"stream": ["Stdout"], "tailLines": ["1"]}, "mutually exclusive"),
    ],
)
def test_log_options_are_validated_all_at_once(query, text):
    with pytest.raises(Invalid) as refusal:
        target(pod(), "log", query, NOW)
    assert str(refusal.value).startswith('PodLogOptions "web-0" is invalid: ')
    assert text in str(refusal.value)


def test_a_time_that_is_none_is_a_bad_request():
    with pytest.raises(BadRequest, match="parsing time"):
        target(pod(), "log", {"sinceTime": ["yesterday"]}, NOW)


def test_a_time_beyond_all_clocks_means_everything():
    assert target(pod(), "log", {"sinceSeconds": [str(10**15)]}, NOW) == "/containerLogs/default/web-0/web"


def node(annotations: dict[str, str] | None = None, **status: object) -> dict:
    return {"metadata": {"annotations": annotations or {}}, "status": status}


@pytest.mark.parametrize(
    ("of", "address"),
    [
        (node({"holdfast.dev/agent-address": "127.0.0.1:4000"}), ("127.0.0.1", 4000)),
        (node({"holdfast.dev/agent-address": "[::1]:4000"}), ("::1", 4000)),
        (
            node(
                addresses=[{"type": "Hostname", "address": "n1"}, {"type": "InternalIP", "address": "10.0.0.1"}],
                daemonEndpoints={"kubeletEndpoint": {"Port": 11250}},
            ),
            ("10.0.0.1", 11250),
        ),
        (node(addresses=[{"type": "InternalIP", "address": "10.0.0.1"}]), ("10.0.0.1", 10250)),
    ],
)
def test_an_agent_is_where_its_node_says(of, address):
    assert agent_address(of) == address


def test_a_node_that_says_nothing_cannot_be_dialled():
    with pytest.raises(NoAddress, match="no preferred addresses found") as error:
        agent_address(node())
    assert isinstance(error.value, ApiError)
    assert error.value.code == 500
