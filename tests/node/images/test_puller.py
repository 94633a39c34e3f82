"""Pulls in a process of their own, as the agent starts them."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from fake_registry import PASSWORD, USER, FakeRegistry, stalled_after
from layers import digest, file, tar

from holdfast.cluster.loop import run
from holdfast.node.images.puller import Puller
from holdfast.node.images.store import ImageStore
from holdfast.node.runtime import Credentials, ImageMissing, RegistryUnreachable

BASE = tar(file("etc/base", "1"))
ALICE, MALLORY = Credentials(USER, PASSWORD), Credentials("mallory", "guess")


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(tmp_path / "images")


@pytest.fixture
def puller(store: ImageStore, tmp_path: Path) -> Puller:
    return Puller(store, tmp_path / "images", tmp_path / "registries.toml")


@pytest.fixture
async def registry():
    fake = FakeRegistry()
    await fake.start()
    yield fake
    await fake.stop()


def workers() -> list[tuple[int, str]]:
    """Pid and command line of every pull's process that is a child of ours."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            line, status = (path / "cmdline").read_bytes(), (path / "stat").read_text()
        except OSError:
            continue
        if b"pull_worker" in line and status.rpartition(")")[2].split()[1] == str(os.getpid()):
            found.append((int(path.name), line.replace(b"\0", b" ").decode()))
    return found


async def test_an_image_comes_through_the_process(puller, store, registry):
    registry.add("app:1", BASE, Cmd=["run"])
    record = await puller.pull(f"{registry.host}/app:1")
    assert (record.cmd, record) == (("run",), store.find(f"{registry.host}/app:1"))
    assert workers() == []


async def test_credentials_are_tried_in_order_and_are_in_no_command_line(puller, registry):
    registry.protection = "basic"
    registry.add("app:1", BASE)
    registry.fault("/blobs/", stalled_after(0))
    task = asyncio.ensure_future(puller.pull(f"{registry.host}/app:1", [MALLORY, ALICE]))
    await registry.until_asked("/blobs/")
    ((_, line),) = workers()
    assert not any(word in line for word in (USER, PASSWORD, "mallory", "guess"))
    assert all(word.encode() not in environment_of(pid) for pid, _ in workers() for word in (PASSWORD, "guess"))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workers() == []


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_the_nodes_own_credentials_come_last(puller, registry, tmp_path):
    registry.protection = "basic"
    registry.add("app:1", BASE)
    (tmp_path / "registries.toml").write_text(
        f'[registry."{registry.host}"]\nusername = "{USER}"\npassword = "{PASSWORD}"'
    )
    assert await puller.pull(f"{registry.host}/app:1", [MALLORY])


async def test_of_several_refusals_all_are_told_once(puller, registry):
    registry.protection = "basic"
    name = f"{registry.host}/app:1"
    with pytest.raises(ImageMissing) as caught:
        await puller.pull(name, [MALLORY, Credentials("mallory", "again")])
    url = f"http://{registry.host}/v2/app/manifests/1"
    assert caught.value.message == (
        f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
        f"unexpected status from HEAD request to {url}: 401 Unauthorized"
    )


async def test_an_image_that_is_not_there_is_told_with_grpcs_code(puller, registry):
    name = f"{registry.host}/app:9"
    with pytest.raises(ImageMissing) as caught:
        await puller.pull(name)
    assert caught.value.message == (
        f'rpc error: code = NotFound desc = failed to pull and unpack image "{name}": '
        f'failed to resolve reference "{name}": {name}: not found'
    )


async def test_nobody_at_the_other_end_is_told_apart(puller, registry):
    await registry.stop()
    with pytest.raises(RegistryUnreachable, match="connection refused"):
        await puller.pull(f"{registry.host}/app:1", [ALICE, MALLORY])


async def test_settings_that_cannot_be_used_are_told(puller, registry, tmp_path):
    (tmp_path / "registries.toml").write_text("[mirrors]")
    with pytest.raises(ImageMissing, match="only tables of the form"):
        await puller.pull(f"{registry.host}/app:1")


async def test_a_process_that_is_killed_is_told_and_the_next_one_goes_on(puller, store, registry):
    registry.add("app:1", BASE)
    registry.fault("/blobs/" + digest(registry_blob(registry)), stalled_after(5))
    task = asyncio.ensure_future(puller.pull(f"{registry.host}/app:1"))
    await registry.until_asked(digest(registry_blob(registry)))
    os.kill(workers()[0][0], signal.SIGKILL)
    with pytest.raises(ImageMissing, match="ended with exit code 137"):
        await task
    assert await puller.pull(f"{registry.host}/app:1")
    assert list(store.downloads.iterdir()) == []


def registry_blob(registry: FakeRegistry) -> bytes:
    """The compressed layer: the one blob that is no configuration."""
    return next(blob for blob in registry.blobs.values() if not blob.startswith(b"{"))


async def test_the_image_of_this_machine_is_never_asked_for(puller):
    assert (await puller.pull("host")).references == ("host",)


async def test_a_name_that_is_none(puller):
    with pytest.raises(ImageMissing) as caught:
        await puller.pull("Not a name")
    assert caught.value.reason == "InvalidImageName"


def test_a_pull_closes_no_descriptor_twice(puller, monkeypatch):
    """The second time it may be another thread's, which then waits for what never comes."""
    closed: list[bool] = []
    really_close = os.close

    def close(descriptor):
        closed.append(os.path.exists(f"/proc/self/fd/{descriptor}"))
        really_close(descriptor)

    class Watched(subprocess.Popen):
        def __init__(self, *arguments, **members):
            super().__init__(*arguments, **members)
            if self.stdout is not None:
                descriptor = os.dup(self.stdout.fileno())
                self.stdout.close()
                self.stdout = SimpleNamespace(fileno=lambda: descriptor, close=lambda: close(descriptor))

    async def scenario() -> None:
        with pytest.raises(ImageMissing):
            await puller.pull("127.0.0.1:1/none:1")
        await asyncio.sleep(0.05)  # what is left to be closed is closed by the loop

    monkeypatch.setattr(subprocess, "Popen", Watched)
    monkeypatch.setattr(os, "close", close)
    run(scenario())
    assert closed
    assert all(closed)
