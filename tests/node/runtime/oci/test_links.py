"""A pod's link, and a container's supervisor: made while other things are, there before any program runs."""

from __future__ import annotations

import asyncio
import subprocess

import pytest

from holdfast.network.pods import links
from holdfast.node.runtime import SandboxFailure
from holdfast.node.runtime.oci.supervisor import Conmon

from .conftest import traces

pytestmark = pytest.mark.live

SEES_LINK = "test -e /sys/class/net/eth0 && cat /sys/class/net/eth0/operstate"


async def test_a_program_finds_the_link_however_long_it_takes(node, monkeypatch):
    attach = node.network.attach

    async def slowly(uid, path):
        await asyncio.sleep(0.5)
        await attach(uid, path)

    monkeypatch.setattr(node.network, "attach", slowly)
    assert await node.finish(SEES_LINK) == (0, "up\n")


async def test_a_link_that_cannot_be_made_takes_the_sandbox_along_and_is_made_with_the_next(node, monkeypatch):
    attach, refusals = node.network.attach, ["no device left"]

    async def refuse_once(uid, path):
        if refusals:
            raise OSError(refusals.pop())
        await attach(uid, path)

    monkeypatch.setattr(node.network, "attach", refuse_once)
    with pytest.raises(SandboxFailure, match="no device left"):
        await node.start(SEES_LINK)
    assert (node.runtime.sandbox("pod-1"), list(node.runtime.containers("pod-1"))) == (None, [])
    assert not [trace for trace in traces(node) if "conmon" in trace or "pod-1" in trace]
    assert await node.finish(SEES_LINK) == (0, "up\n")


async def test_two_containers_that_start_at_once_share_one_link(node):
    await node.sandbox()
    created = [await node.runtime.create_container(node.spec(SEES_LINK, name=name)) for name in ("a", "b")]
    started = await asyncio.gather(*(node.runtime.start_container(each.id) for each in created))
    assert [(await node.ended(each)).exit_code for each in started] == [0, 0]


async def test_an_agent_killed_before_the_link_was_made_has_it_made_by_the_next(node):
    before = await node.sandbox()
    await node.reopen()
    assert node.runtime.sandbox("pod-1").ips == before.ips
    assert await node.finish(SEES_LINK) == (0, "up\n")


async def test_a_link_that_was_removed_while_no_agent_was_there_is_made_for_the_next_container(node):
    await node.start("exec sleep 1000")
    await node.runtime.close()
    await asyncio.to_thread(links.detach, links.link_name(str(node.top), "pod-1"))
    await node.reopen()
    assert await node.finish(SEES_LINK) == (0, "up\n")


async def test_the_supervisor_of_a_container_that_is_never_started_ends_with_it(node):
    await node.sandbox()
    created = await node.runtime.create_container(node.spec("true"))
    assert [trace for trace in traces(node) if created.id in trace]
    await node.runtime.remove_container(created.id)
    assert not [trace for trace in traces(node) if created.id in trace]


async def test_the_supervisor_of_an_agent_that_was_killed_creates_nothing(node):
    await node.sandbox()
    created = await node.runtime.create_container(node.spec("true"))
    node.runtime._conmon._loaded.pop(created.id).close()  # as the kernel does with a killed agent's descriptors
    await node.reopen()
    assert list(node.runtime.containers("pod-1")) == []
    assert not [trace for trace in traces(node) if created.id in trace]


def test_a_supervisor_of_another_node_that_has_a_container_of_that_name_is_nobodys_leftover(tmp_path):
    command = ["/usr/bin/conmon", "-c", "echo; read line", "-u", "its-name", "--exit-dir", str(tmp_path / "one")]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, executable="/bin/sh", **pipes) as running:
        running.stdout.readline()
        own, other = (Conmon("conmon", ("crun",), tmp_path / name).leftovers("its-name") for name in ("one", "other"))
        assert ([each.pid for each in own], other) == ([running.pid], [])
