"""Exec and attach, from a client through the API server to a process (A164-A175, A181, A182)."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace

import pytest

from .local_runtime import LocalRuntime

SUCCESS = {"metadata": {}, "status": "Success"}
RESIZED = "until [ \"$(stty size)\" = '33 99' ]; do sleep 0.05; done"
"""Sizes and input come on ways of their own: neither waits for the other."""


def shell(script: str, *streams: str) -> list[tuple[str, str]]:
    return [("command", word) for word in ("sh", "-c", script)] + [(stream, "true") for stream in streams]


async def messages(socket) -> list[bytes]:
    """All messages up to the server's closing."""
    found = []
    async with asyncio.timeout(60):
        while (message := await socket.receive()) is not None:
            found.append(message)
    return found


def channel(found: list[bytes], number: int) -> bytes:
    return b"".join(message[1:] for message in found if message[0] == number)


# WebSocket


async def test_n206_a342_cat_with_input(streaming):
    socket, response = await streaming.websocket("exec", ("command", "cat"), ("stdin", "true"), ("stdout", "true"))
    assert response.headers["sec-websocket-protocol"] == "v5.channel.k8s.io"
    assert await socket.receive() == b"\x01"
    await socket.send(b"\x00hi\n")
    await socket.send(b"\xff\x00")
    found = await messages(socket)
    assert found == [b"\x01hi\n", b"\x03" + json.dumps(SUCCESS, separators=(",", ":")).encode()]
    assert socket.close_code == 1000


async def test_n206_both_outputs_and_the_exit_code_arrive_in_their_channels(streaming):
    socket, _ = await streaming.websocket("exec", *shell("echo out; echo err >&2; exit 3", "stdout", "stderr"))
    found = await messages(socket)
    assert (channel(found, 1), channel(found, 2)) == (b"out\n", b"err\n")
    assert json.loads(found[-1][1:]) == {
        "metadata": {},
        "status": "Failure",
        "message": "command terminated with non-zero exit code: "
        "error executing command [sh -c echo out; echo err >&2; exit 3], exit code 3",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
    }


async def test_a_program_that_cannot_be_started_is_told_in_the_error_channel(streaming):
    socket, _ = await streaming.websocket("exec", ("command", "/no/such"), ("stdout", "true"))
    status = json.loads(channel(await messages(socket), 3))
    assert (status["reason"], status["code"]) == ("InternalError", 500)
    assert status["message"].startswith("Internal error occurred: error executing command in container: ")


async def test_large_output_arrives_whole_before_the_status(streaming):
    socket, _ = await streaming.websocket("exec", *shell("head -c 5000000 /dev/zero", "stdout"))
    found = await messages(socket)
    assert len(channel(found, 1)) == 5_000_000
    assert max(len(message) for message in found) <= 32 * 1024 + 1
    assert found[-1][0] == 3


async def test_large_input_is_read_at_the_programs_pace(streaming):
    socket, _ = await streaming.websocket("exec", *shell("sleep 0.2; wc -c", "stdin", "stdout"))
    for _ in range(100):
        await socket.send(b"\x00" + b"x" * 32768)
    await socket.send(b"\xff\x00")
    assert channel(await messages(socket), 1).strip() == b"3276800"


async def test_version_1_says_nothing_for_success_and_plain_text_for_failure(streaming):
    socket, response = await streaming.websocket("exec", *shell("exit 0", "stdout"), subprotocols=["channel.k8s.io"])
    assert response.headers["sec-websocket-protocol"] == "channel.k8s.io"
    assert channel(await messages(socket), 3) == b""
    socket, response = await streaming.websocket("exec", *shell("exit 2", "stdout"), subprotocols=[])
    assert "sec-websocket-protocol" not in response.headers
    assert channel(await messages(socket), 3).startswith(b"command terminated with non-zero exit code: ")


async def test_input_counts_whether_it_comes_as_text_or_as_bytes(streaming):
    """The Python clients send strings as text (A167 says what the server sends)."""
    socket, _ = await streaming.websocket("exec", *shell("read x; read y; echo got $x $y", "stdin", "stdout"))
    await socket.send("\x00gr\u00fcn\n")
    await socket.send(b"\x00it\n")
    found = await messages(socket)
    assert channel(found, 1) == "got gr\u00fcn it\n".encode()


async def test_base64_channels_are_text(streaming):
    socket, _ = await streaming.websocket(
        "exec", *shell("read x; echo got $x", "stdin", "stdout"), subprotocols=["v4.base64.channel.k8s.io"]
    )
    await socket.send("0" + base64.b64encode(b"it\n").decode())
    found = await messages(socket)
    assert found[0] == "1"
    assert base64.b64decode(found[1][1:]) == b"got it\n"
    assert json.loads(base64.b64decode(found[-1][1:])) == SUCCESS


async def test_the_first_offered_subprotocol_that_is_known_is_taken(streaming):
    _, response = await streaming.websocket(
        "exec", ("command", "true"), ("stdout", "1"), subprotocols=["v9.channel.k8s.io", "v4.channel.k8s.io"]
    )
    assert response.headers["sec-websocket-protocol"] == "v4.channel.k8s.io"


async def test_offers_that_are_all_unknown_are_refused(streaming):
    socket, response = await streaming.websocket("exec", *shell("true", "stdout"), subprotocols=["v9.channel.k8s.io"])
    assert socket is None
    assert (response.status, json.loads(response.body)["kind"]) == (403, "Status")


async def test_pings_are_answered_while_the_program_is_quiet(streaming):
    socket, _ = await streaming.websocket("exec", *shell("sleep 0.2; echo done", "stdout"))
    await socket.ping(b"x")
    assert channel(await messages(socket), 1) == b"done\n"


async def test_a_client_that_leaves_ends_the_program(streaming):
    socket, _ = await streaming.websocket("exec", *shell("exec sleep 60", "stdout"))
    assert await socket.receive() == b"\x01"
    await asyncio.wait_for(streaming.runtime.has_started.wait(), 60)
    socket.abort()
    process = streaming.runtime.started[0]
    await asyncio.wait_for(process.wait(), 60)


async def test_a_client_that_leaves_while_the_program_ignores_its_input_ends_the_program(streaming):
    socket, _ = await streaming.websocket("exec", *shell("exec sleep 60", "stdin"))
    await socket.receive()

    async def flood() -> None:
        while True:
            await socket.send(b"\x00" + b"x" * 32768)

    flooding = asyncio.create_task(flood())
    await asyncio.sleep(0.3)
    flooding.cancel()
    process = streaming.runtime.started[0]
    assert not process.has_ended
    await process.kill()
    await asyncio.wait_for(process.wait(), 60)


async def test_output_that_a_child_keeps_open_does_not_hold_the_session(streaming):
    socket, _ = await streaming.websocket("exec", *shell("sleep 30 & echo started", "stdout"))
    async with asyncio.timeout(25):
        assert channel(await messages(socket), 1) == b"started\n"


@pytest.mark.parametrize("size", [b'{"Width":99,"Height":33}\n', b'{"height":33,"width":99}'])
async def test_a_terminal_has_a_size_and_one_output(streaming, size):
    socket, _ = await streaming.websocket(
        "exec", *shell(f"read x; {RESIZED}; stty size; echo err >&2", "stdin", "stdout", "stderr", "tty")
    )
    await socket.send(b"\x04" + size)
    await socket.send(b"\x00go\n")
    found = await messages(socket)
    assert channel(found, 1).replace(b"\r", b"") == b"go\n33 99\nerr\n"
    assert channel(found, 2) == b""


async def test_n207_attach_joins_the_first_process_and_its_end_is_success_whatever_the_code(streaming):
    streaming.runtime.attach_command = ("sh", "-c", "read x; echo got $x; exit 7")
    socket, _ = await streaming.websocket("attach", ("stdin", "1"), ("stdout", "1"))
    await socket.send(b"\x00it\n")
    found = await messages(socket)
    assert channel(found, 1) == b"got it\n"
    assert json.loads(channel(found, 3)) == SUCCESS


async def test_attach_gives_no_input_to_a_container_that_has_none(streaming):
    web = streaming.source.containers["web"]
    streaming.source.containers["web"] = replace(web, stdin=False)
    streaming.runtime.attach_command = ("sh", "-c", "read x || echo no input")
    socket, _ = await streaming.websocket("attach", ("stdin", "1"), ("stdout", "1"))
    await socket.send(b"\x00it\n")
    assert channel(await messages(socket), 1) == b"no input\n"


# SPDY


async def spdy_exec(streaming, script: str, *kinds: str):
    client, _ = await streaming.spdy("exec", *shell(script, *kinds))
    assert client.version == "v4.channel.k8s.io"
    streams = {kind: client.open(streamtype=kind) for kind in ("error", *kinds) if kind != "tty"}
    if "tty" in kinds:
        streams["resize"] = client.open(streamtype="resize")
    return client, streams


async def test_spdy_streams_carry_input_outputs_and_status(streaming):
    client, streams = await spdy_exec(streaming, "cat; echo err >&2; exit 4", "stdin", "stdout", "stderr")
    await streams["stdin"].write(b"hello")
    streams["stdin"].end()
    assert await client.read_all(streams["stdout"]) == b"hello"
    assert await client.read_all(streams["stderr"]) == b"err\n"
    status = json.loads(await client.read_all(streams["error"]))
    assert status["details"]["causes"][0]["message"] == "4"


async def test_spdy_waits_for_all_streams_before_it_starts_the_program(streaming):
    client, _ = await streaming.spdy("exec", *shell("echo hi", "stdout", "stderr"))
    error = client.open(streamtype="error")
    stdout = client.open(streamtype="stdout")
    await asyncio.sleep(0.05)
    assert not streaming.runtime.started
    client.open(streamtype="stderr")
    assert await client.read_all(stdout) == b"hi\n"
    assert json.loads(await client.read_all(error)) == SUCCESS


async def test_spdy_large_output_arrives_whole(streaming):
    client, streams = await spdy_exec(streaming, "head -c 3000000 /dev/zero", "stdout")
    assert len(await client.read_all(streams["stdout"])) == 3_000_000
    assert json.loads(await client.read_all(streams["error"])) == SUCCESS


async def test_spdy_terminals_are_resized(streaming):
    client, streams = await spdy_exec(streaming, f"read x; {RESIZED}; stty size", "stdin", "stdout", "tty")
    await streams["resize"].write(b'{"Width":80,"Hei')
    await streams["resize"].write(b'ght":24}\n{"Width":99,"Height":33}\n')
    await streams["stdin"].write(b"go\n")
    assert (await client.read_all(streams["stdout"])).replace(b"\r", b"") == b"go\n33 99\n"


async def test_spdy_a_client_that_leaves_ends_the_program(streaming):
    client, _ = await spdy_exec(streaming, "exec sleep 60", "stdout")
    await asyncio.wait_for(streaming.runtime.has_started.wait(), 60)
    client.connection.stream.abort()
    await asyncio.wait_for(streaming.runtime.started[0].wait(), 60)


@pytest.mark.parametrize(("versions", "code"), [("", 400), ("v9.channel.k8s.io", 403)])
async def test_spdy_without_a_common_version_is_refused(streaming, versions, code):
    client, response = await streaming.spdy("exec", *shell("true", "stdout"), versions=versions)
    assert client is None
    assert (response.status, json.loads(response.body)["code"]) == (code, code)
    if code == 403:
        assert "v4.channel.k8s.io" in response.headers["x-accepted-stream-protocol-versions"]


# Refusals before the upgrade (A166)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ([("stdout", "1")], "you must specify at least one command for the container"),
        ([("command", "x")], "you must specify at least 1 of stdin, stdout, stderr"),
        ([("command", "x"), ("stderr", "1"), ("tty", "1")], "you must specify at least 1 of stdin, stdout, stderr"),
        ([("command", "x"), ("stdout", "1"), ("container", "zz")], "container zz is not valid for pod web-0"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_status(streaming, query, text):
    socket, response = await streaming.websocket("exec", *query)
    assert socket is None
    status = json.loads(response.body)
    assert (response.status, status["reason"], status["message"]) == (400, "BadRequest", text)


INIT = [("command", "x"), ("stdout", "1"), ("container", "init")]


@pytest.mark.parametrize("verb", ["exec", "attach"])
async def test_n206_n207_a_container_that_does_not_run_is_told_through_the_channel_of_errors(streaming, verb):
    socket, _ = await streaming.websocket(verb, *INIT)
    text = 'unable to upgrade connection: container not found ("init")'
    assert json.loads(channel(await messages(socket), 3)) == {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {text}",
        "reason": "InternalError",
        "details": {"causes": [{"message": text}]},
        "code": 500,
    }


@pytest.mark.parametrize("verb", ["exec", "attach"])
async def test_n206_n207_older_protocols_are_told_before_the_upgrade(streaming, verb):
    _, older = await streaming.websocket(verb, *INIT, subprotocols=["v4.channel.k8s.io"])
    _, spdy = await streaming.spdy(verb, *INIT)
    assert (older.status, older.body) == (spdy.status, spdy.body) == (500, b'container not found ("init")')


async def test_a_pod_that_has_gone_from_the_agent_is_not_found(streaming):
    streaming.pod = {**streaming.pod, "metadata": {**streaming.pod["metadata"], "name": "web-1"}}
    _, response = await streaming.websocket("exec", *shell("true", "stdout"))
    assert (response.status, json.loads(response.body)["reason"]) == (404, "NotFound")


async def test_a_plain_request_is_told_to_upgrade(streaming):
    response = await streaming.get("exec", *shell("true", "stdout"))
    assert (response.status, json.loads(response.body)["message"]) == (400, "Upgrade request required")


def test_the_runtime_of_these_tests_has_what_the_driver_interface_asks():
    assert {"exec", "attach", "dial"} <= set(dir(LocalRuntime))
