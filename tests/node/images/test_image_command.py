"""`holdfast image`: pull, list, rm, prune."""

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fake_registry import FakeRegistry
from layers import docker_archive, file, tar

from holdfast.cli import image
from holdfast.cli.output import Failure
from holdfast.node.runtime import PullProgress

BASE = tar(file("etc/base", "1"))


@pytest.fixture
async def registry():
    fake = FakeRegistry()
    await fake.start()
    yield fake
    await fake.stop()


async def run(home: Path, *arguments: str) -> Result:
    """In a thread: the command has an event loop of its own."""
    return await asyncio.to_thread(CliRunner().invoke, image.command, [*arguments, "--home", str(home)])


async def test_an_image_is_pulled_listed_and_removed(tmp_path, registry):
    manifest = registry.add("app:1", BASE)
    name = f"{registry.host}/app:1"
    result = await run(tmp_path, "pull", name)
    assert result.exit_code == 0, result.output
    assert result.output.startswith(f"pulled {name}  ")
    listed = json.loads((await run(tmp_path, "list", "-o", "json")).output)
    (mine,) = [entry for entry in listed if entry["references"] == [name]]
    assert (mine["digests"], mine["sizeBytes"], mine["loaded"]) == ([f"{registry.host}/app@{manifest}"], 1, False)
    assert json.loads((await run(tmp_path, "pull", name, "-o", "json")).stdout) == mine
    assert f"removed {mine['id']}" in (await run(tmp_path, "rm", mine["id"])).output
    assert name not in (await run(tmp_path, "list")).output


async def test_a_pull_that_fails_says_why(tmp_path, registry):
    result = await run(tmp_path, "pull", f"{registry.host}/none:1")
    assert isinstance(result.exception, Failure)
    assert str(result.exception).endswith("/none:1: not found")


async def test_prune_spares_what_was_loaded_until_told(tmp_path, registry):
    registry.add("app:1", BASE, Cmd=["x"])
    await run(tmp_path, "pull", f"{registry.host}/app:1")
    await run(tmp_path, "load", str(docker_archive(tmp_path / "a.tar", [BASE], ["loaded:1"])))
    assert f"removed {registry.host}/app:1" in (await run(tmp_path, "prune")).output
    assert "no image is unused" in (await run(tmp_path, "prune")).output
    assert "removed docker.io/library/loaded:1" in (await run(tmp_path, "prune", "--all")).output


def test_progress_is_a_line_now_and_then_where_nobody_watches(capsys):
    with image.progress_line() as told:
        for number in range(25):
            told(PullProgress(number * 1_000_000, 25_000_000, 0, 2))
    lines = capsys.readouterr().err.splitlines()
    assert [line.strip(" ·") for line in lines] == [
        "9.0 of 25.0 MB, 0 of 2 layers ready",
        "19.0 of 25.0 MB, 0 of 2 layers ready",
    ]
