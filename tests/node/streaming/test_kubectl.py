"""The real kubectl, in a version that speaks SPDY and one that speaks WebSocket, through a whole API server."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.pod import PODS
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.apiserver.server import ApiServer, Config
from holdfast.apiserver.streams import PodStreams
from holdfast.apiserver.streams.dialing import NodeDialer
from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.node.server import AgentServer
from holdfast.node.streaming import ContainerView
from holdfast.store.memory import MemoryStore
from holdfast.wire import tls
from holdfast.wire.http import serve
from holdfast.world import real_world

from .local_runtime import LocalRuntime, OnePod

pytestmark = pytest.mark.kubectl

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web-0", "namespace": "default"},
    "spec": {"nodeName": "n1", "containers": [{"name": "web", "image": "i", "stdin": True}]},
}
RUNNING = {
    "phase": "Running",
    "containerStatuses": [
        {
            "name": "web",
            "ready": True,
            "restartCount": 0,
            "image": "i",
            "imageID": "",
            "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        }
    ],
}


def kubectls() -> list[str]:
    """The oldest and the newest kubectl of this machine; tests run with each."""
    newest = shutil.which("kubectl")
    if newest is None:
        return []
    beside = sorted(Path(newest).resolve().parent.glob("kubectl.1.*"))
    return [str(path) for path in dict.fromkeys([*beside[:1], *beside[-1:]] or [Path(newest)])]


@dataclass
class Kubectl:
    program: str
    kubeconfig: Path
    log: Path

    async def __call__(self, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
        process = await self.start(*arguments)
        async with asyncio.timeout(120):
            out, err = await process.communicate(stdin)
        assert process.returncode is not None
        return process.returncode, out, err

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            self.program,
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(self.kubeconfig)},
        )


@pytest.fixture(params=kubectls() or [pytest.param("", marks=pytest.mark.skip(reason="there is no kubectl"))])
async def kubectl(request: pytest.FixtureRequest, tmp_path: Path, home: Home) -> AsyncIterator[Kubectl]:
    world = real_world()
    log = tmp_path / "0.log"
    source = OnePod({"web": ContainerView(running_id="c1", log_path=str(log), log_id="c1", stdin=True)}, {"c1"})
    agent = AgentServer(source, LocalRuntime(), is_trusted=lambda certificate: True)  # type: ignore[arg-type]
    port = await agent.listen("127.0.0.1", 0, None)
    store = MemoryStore(world.clock)
    await store.open()
    api = ApiServer(store, world, Config())
    await api.open()
    client = api.client("test")
    if not (await client.list(NAMESPACES, field_selector="metadata.name=default")).items:
        await client.create(NAMESPACES, {"metadata": {"name": "default"}})
    await client.create(SERVICE_ACCOUNTS, {"metadata": {"name": "default", "namespace": "default"}})
    pod = await client.create(PODS, POD)
    await client.update(PODS, {**pod, "status": RUNNING}, subresource="status")
    node = {"metadata": {"annotations": {"holdfast.dev/agent-address": f"127.0.0.1:{port}"}}}
    api.streams = PodStreams(NodeDialer({"n1": node}.get, None), world.clock)
    serving, admin = certificates.pair(home, "apiserver"), certificates.pair(home, "admin")
    context = tls.server_context(str(serving.certificate), str(serving.key), str(home.ca_certificate))
    server = await serve(api.handler, ssl=context, too_large=api.too_large, failed=api.failed)
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [
                    {
                        "name": "c",
                        "cluster": {
                            "server": f"https://127.0.0.1:{server.port}",
                            "certificate-authority": str(home.ca_certificate),
                        },
                    }
                ],
                "users": [
                    {
                        "name": "u",
                        "user": {"client-certificate": str(admin.certificate), "client-key": str(admin.key)},
                    }
                ],
                "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "c",
            }
        )
    )
    yield Kubectl(request.param, kubeconfig, log)
    await server.close(deadline_s=0.5)
    await api.close()
    await agent.close()
    await store.close()


async def test_exec_carries_input_outputs_and_the_exit_code(kubectl):
    code, out, err = await kubectl(
        "exec", "-i", "web-0", "--", "sh", "-c", "cat; echo err >&2; exit 3", stdin=b"input\n"
    )
    assert (code, out) == (3, b"input\n")
    assert b"err\n" in err
    assert b"command terminated with exit code 3" in err


async def test_logs_are_printed(kubectl):
    kubectl.log.write_bytes(b"".join(b"2026-11-21T01:29:0%dZ stdout F line %d\n" % (n, n) for n in range(5)))
    assert (await kubectl("logs", "web-0", "--tail=2"))[:2] == (0, b"line 3\nline 4\n")


async def test_cp_carries_a_file_there_and_back(kubectl, tmp_path):
    whole = os.urandom(3_000_000)
    (tmp_path / "here").write_bytes(whole)
    code, _, err = await kubectl("cp", str(tmp_path / "here"), f"web-0:{tmp_path}/there")
    assert (code, (tmp_path / "there").read_bytes() == whole) == (0, True), err
    code, _, err = await kubectl("cp", f"web-0:{tmp_path}/there", str(tmp_path / "back"))
    assert (code, (tmp_path / "back").read_bytes() == whole) == (0, True), err


async def test_port_forward_carries_connections(kubectl):
    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.readline()).upper())
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    process = await kubectl.start("port-forward", "web-0", f":{server.sockets[0].getsockname()[1]}")
    async with asyncio.timeout(120):
        line = (await process.stdout.readline()).decode()
        local = int(line.split("->")[0].rsplit(":", 1)[1])
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", local)
            writer.write(b"hello\n")
            assert await reader.read() == b"HELLO\n"
            writer.close()
        process.terminate()
        await process.communicate()
    server.close()
