"""A node with real containers in a directory of its own; whatever it leaves behind fails the test."""

from __future__ import annotations

import asyncio
import glob
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from holdfast.network.pods import ranges
from holdfast.network.pods.masquerade import table_name
from holdfast.network.pods.network import PodNetwork
from holdfast.node.images.puller import Puller
from holdfast.node.images.store import ImageStore
from holdfast.node.runtime import ContainerRecord, ContainerSpec, ContainerState, SandboxSpec
from holdfast.node.runtime.oci.driver import OciRuntime
from holdfast.node.runtime.oci.mount_namespace import MountNamespace, is_needed
from holdfast.world import real_world

SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
NUMBER = "HOLDFAST_TEST_PODS" + os.environ.get("PYTEST_XDIST_WORKER", "")
"""A worker takes no number from who started it, who may have read this file as well."""
PODS = IPv4Network(f"10.{os.environ.setdefault(NUMBER, str(130 + os.getpid() % 100))}.0.0/16")
"""Test processes side by side have ranges of their own, which the agents that they start share."""
NODE_PODS = ranges.node_range(PODS, 0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = ""
    if os.geteuid() != 0:
        reason = "containers need root"
    elif absent := [tool for tool in ("crun", "conmon", "nft") if shutil.which(tool, path=SEARCH) is None]:
        reason = f"not installed: {', '.join(absent)}"
    for item in items:
        if reason and item.get_closest_marker("live") and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


class Node:
    """A driver over one directory, and short ways to use it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.images = ImageStore(top / "images")
        self.runtime = self.new_runtime()
        self._made = 0

    def new_runtime(self) -> OciRuntime:
        self.network = PodNetwork(str(self.top), [ranges.Slice(PODS, NODE_PODS)], self.top / "addresses")
        return OciRuntime(
            self.top / "run",
            self.images,
            Puller(self.images, self.top / "images", self.top / "registries.toml"),
            self.network,
            real_world(),
            group=self.group,
            host_dir=self.top / "run" / "host",
            hidden=[self.top],
        )

    @property
    def gateway(self) -> ranges.Address:
        return ranges.gateway(NODE_PODS)

    @property
    def group(self) -> str:
        return f"holdfast-test-{self.top.name}"

    async def reopen(self) -> None:
        """What a new agent does after the old one has gone."""
        await self.runtime.close()
        self.runtime = self.new_runtime()
        await self.open()

    async def open(self) -> None:
        await self.network.open()
        await self.runtime.open()

    async def sandbox(self, uid: str = "pod-1", **spec: object):
        return await self.runtime.create_sandbox(
            SandboxSpec(uid, name=uid, namespace="default", hostname=uid, **spec)  # type: ignore[arg-type]
        )

    def spec(self, script: str = "", uid: str = "pod-1", name: str = "main", **spec: object) -> ContainerSpec:
        given = {"image": "host", "command": ("/bin/sh", "-c", script) if script else ()} | spec
        attempt = int(given.pop("attempt", 0))  # type: ignore[call-overload]
        log = str(self.top / "logs" / f"{uid}-{name}-{attempt}.log")
        return ContainerSpec(uid, name, attempt, log_path=log, **given)  # type: ignore[arg-type]

    async def start(self, script: str = "", uid: str = "pod-1", name: str = "main", **spec: object) -> ContainerRecord:
        """In a sandbox that is made if it is not there."""
        await self.sandbox(uid)
        created = await self.runtime.create_container(self.spec(script, uid, name, **spec))
        return await self.runtime.start_container(created.id)

    async def ended(self, record: ContainerRecord, within_s: float = 60) -> ContainerRecord:
        async with asyncio.timeout(within_s):
            while True:
                now = next(each for each in self.runtime.containers() if each.id == record.id)
                if now.state is ContainerState.EXITED:
                    return now
                await asyncio.sleep(0.01)

    async def finish(self, script: str, **spec: object) -> tuple[int, str]:
        """Exit code and output of a program run to its end as a new container."""
        self._made += 1
        record = await self.ended(await self.start(script, name=f"c{self._made}", **spec))
        assert record.exit_code is not None
        return record.exit_code, self.log(record)

    def log(self, record: ContainerRecord) -> str:
        """The output, without the stamps; parts of lines (`P`) joined."""
        lines = [line.split(" ", 3) for line in Path(record.log_path).read_text().splitlines()]
        return "".join(text if tag == "P" else f"{text}\n" for _, _, tag, text in lines)

    async def says(self, record: ContainerRecord, text: str, within_s: float = 60) -> None:
        """Returns when the output contains `text`."""
        async with asyncio.timeout(within_s):
            while True:
                if text in self.log(record):
                    return
                await asyncio.sleep(0.01)

    async def catches(self, record: ContainerRecord, number: int, within_s: float = 60) -> None:
        """Returns when the program has a handler for the signal: before that, a first process never gets it."""
        async with asyncio.timeout(within_s):
            while True:
                caught = await self.sh(record, "sed -n 's/^SigCgt:\\t//p' /proc/1/status")
                if int(caught, 16) >> (number - 1) & 1:
                    return
                await asyncio.sleep(0.01)

    async def sh(self, record: ContainerRecord, script: str) -> str:
        result = await self.runtime.exec_sync(record.id, ["/bin/sh", "-c", script], 60)
        assert result.exit_code == 0, result
        return result.output.decode().strip()


def traces(node: Node) -> list[str]:
    """Mounts, links, groups and processes of the node."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"{node.top}/" in line]
    found = [line for line in mounts if f"{node.top}/run/mnt" not in line]
    found += glob.glob(f"/sys/fs/cgroup/*/{node.group}*")
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{node.top}/".encode() in (words := path.read_bytes()):
                found.append(words.decode(errors="replace"))
        except OSError:
            continue
    return [*found, *_network_traces(node)]


def _network_traces(node: Node) -> list[str]:
    """Routes and addresses of the node's range, and its nftables table."""
    prefix, table, found = str(NODE_PODS.network_address).removesuffix("0"), table_name(str(node.top)), []
    for command in (["ip", "route"], ["ip", "address", "show", "lo"], ["nft", "list", "tables"]):
        done = subprocess.run(command, env={"PATH": SEARCH}, capture_output=True, text=True)
        found += [line for line in done.stdout.splitlines() if prefix in line or table in line]
    return found


@pytest.fixture(scope="module")
def own_mounts() -> Iterator[None]:
    """The private mount namespace that this machine may need, for a file's tests: others see the machine as it is."""
    if not is_needed():
        yield
        return
    top = Path(tempfile.mkdtemp(prefix="hf-mnt-"))
    namespace = MountNamespace(top)
    namespace.enter()
    yield
    namespace.remove()
    shutil.rmtree(top)


@pytest.fixture
async def node(own_mounts: None) -> AsyncIterator[Node]:
    node = Node(Path(tempfile.mkdtemp(prefix="hf-oci-")))
    await node.open()
    yield node
    await node.runtime.remove_all()
    await node.runtime.close()
    await node.network.close()
    left = traces(node)
    shutil.rmtree(node.top)
    assert left == []
