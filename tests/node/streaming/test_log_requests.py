"""`pods/log` from a client through the API server to the agent's file (A158-A163)."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

LINES = b"".join(b"2026-11-21T01:29:0%d.813691980+00:00 stdout F line %d\n" % (n, n) for n in range(1, 6))


async def test_a_log_is_plain_text_in_chunks(streaming):
    streaming.log.write_bytes(LINES)
    response = await streaming.get("log")
    assert (response.status, response.headers["content-type"]) == (200, "text/plain")
    assert response.headers["transfer-encoding"] == "chunked"
    assert response.headers["cache-control"] == "no-cache, private"
    assert response.body == b"line 1\nline 2\nline 3\nline 4\nline 5\n"


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ([("tailLines", "2")], b"line 4\nline 5\n"),
        ([("tailLines", "0")], b""),
        ([("limitBytes", "8")], b"line 1\nl"),
        ([("tailLines", "1"), ("timestamps", "true")], b"2026-11-21T01:29:05.813691980Z line 5\n"),
        ([("sinceTime", "2026-11-21T01:29:05Z")], b"line 5\n"),
        ([("sinceSeconds", "1"), ("container", "web")], b""),
        ([("stream", "All"), ("tailLines", "1")], b"line 5\n"),
        ([("stream", "Stderr")], b""),
        ([("insecureSkipTLSVerifyBackend", "true"), ("pretty", "1"), ("tailLines", "1")], b"line 5\n"),
    ],
)
async def test_n172_parameters(streaming, query, text):
    old = datetime.now(UTC) - timedelta(days=400)
    streaming.log.write_bytes(LINES if "sinceSeconds" not in dict(query) else LINES.replace(b"2026", b"%d" % old.year))
    assert (await streaming.get("log", *query)).body == text


@pytest.mark.parametrize(
    ("query", "code", "text"),
    [
        ([("container", "zz")], 400, "container zz is not valid for pod web-0"),
        ([("container", "init")], 400, 'container "init" in pod "web-0" is waiting to start: PodInitializing'),
        ([("previous", "true")], 400, 'previous terminated container "web" in pod "web-0" not found'),
        ([("tailLines", "x")], 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            [("tailLines", "-1")],
            422,
            'PodLogOptions "web-0" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
        ),
        (
            [("limitBytes", "0")],
            422,
            'PodLogOptions "web-0" is invalid: limitBytes: Invalid value: 0: must be greater than 0',
        ),
        (
            [("sinceSeconds", "1"), ("sinceTime", "2026-01-01T00:00:00Z")],
            422,
            'PodLogOptions "web-0" is invalid: : Forbidden: '
            "at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
    ],
)
async def test_refusals(streaming, query, code, text):
    response = await streaming.get("log", *query)
    status = json.loads(response.body)
    assert (response.status, status["code"], status["message"]) == (code, code, text)


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("ErrImagePull", "trying and failing to pull image"),
        ("ImagePullBackOff", "image can't be pulled"),
        ("ContainerCreating", "ContainerCreating"),
    ],
)
async def test_n174_waiting_reasons_have_words(streaming, reason, words):
    web = streaming.source.containers["web"]
    streaming.source.containers["web"] = replace(web, log_path="", running_id="", waiting_reason=reason)
    message = json.loads((await streaming.get("log")).body)["message"]
    assert message == f'container "web" in pod "web-0" is waiting to start: {words}'


async def test_the_previous_run_has_a_log_of_its_own(streaming, tmp_path):
    previous = tmp_path / "previous.log"
    previous.write_bytes(LINES[: LINES.index(b"\n") + 1])
    web = streaming.source.containers["web"]
    streaming.source.containers["web"] = replace(web, previous_log_path=str(previous))
    assert (await streaming.get("log", ("previous", "true"), ("follow", "true"))).body == b"line 1\n"


async def test_a_pod_that_the_agent_has_not_seen_yet_is_being_created(streaming):
    streaming.pod = {**streaming.pod, "metadata": {**streaming.pod["metadata"], "name": "web-1"}}
    response = await streaming.get("log")
    assert (response.status, json.loads(response.body)["message"]) == (
        400,
        'container "web" in pod "web-1" is waiting to start: ContainerCreating',
    )


async def test_n173_several_containers_ask_for_a_name(streaming):
    containers = [{"name": "a"}, {"name": "c"}]
    streaming.pod = {**streaming.pod, "spec": {"nodeName": "n1", "containers": containers}}
    message = json.loads((await streaming.get("log")).body)["message"]
    assert message == "a container name must be specified for pod web-0, choose one of: [a c]"


async def test_a_pod_without_a_node_has_an_empty_log(streaming):
    streaming.pod = {**streaming.pod, "spec": {"containers": [{"name": "web"}]}}
    response = await streaming.get("log")
    assert (response.status, response.body) == (204, b"")


async def test_an_agent_that_cannot_be_reached_is_an_internal_error(streaming):
    streaming.pod = {**streaming.pod, "spec": {**streaming.pod["spec"], "nodeName": "n2"}}
    response = await streaming.get("log")
    assert (response.status, json.loads(response.body)["message"]) == (404, 'nodes "n2" not found')


async def test_n175_following_delivers_as_it_is_written_and_ends_with_the_container(streaming):
    streaming.log.write_bytes(b"")
    target = streaming.target("log", [("follow", "true")])
    async with streaming.client.stream("GET", target, timeout=60) as stream:
        with streaming.log.open("ab") as file:
            file.write(LINES)
        assert await asyncio.wait_for(anext(stream), 60) == b"line 1\nline 2\nline 3\nline 4\nline 5\n"
        streaming.source.running.clear()
        assert await asyncio.wait_for(stream.read_all(), 60) == b""


async def test_a_follower_that_leaves_lets_the_agent_go(streaming):
    streaming.log.write_bytes(LINES)
    async with streaming.client.stream("GET", streaming.target("log", [("follow", "true")]), timeout=60) as stream:
        await anext(stream)
    async with asyncio.timeout(60):
        while any("_pump" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("subprotocols", "decode"),
    [([], bytes), (["binary.k8s.io"], bytes), (["base64.binary.k8s.io"], base64.b64decode)],
)
async def test_logs_come_in_messages_too(streaming, subprotocols, decode):
    streaming.log.write_bytes(LINES)
    socket, _ = await streaming.websocket("log", ("tailLines", "2"), subprotocols=subprotocols)
    assert decode(await asyncio.wait_for(socket.receive(), 60)) == b"line 4\nline 5\n"
    assert await asyncio.wait_for(socket.receive(), 60) is None
    assert socket.close_code == 1000
