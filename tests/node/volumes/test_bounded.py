"""Looking at a file system that may hang costs a child process and a limited time (V94, R143)."""

import asyncio
import os
import time

import pytest

from holdfast.node.volumes import bounded, usage
from holdfast.node.volumes.subpath import SubpathFailure


async def test_a_volume_is_measured_as_in_this_process(tmp_path):
    found = await bounded.measure("data", tmp_path, claim="data-web-0")
    expected = usage.measure("data", tmp_path, claim="data-web-0")
    assert (found.name, found.claim, found.capacity_bytes, found.inodes) == (
        expected.name,
        expected.claim,
        expected.capacity_bytes,
        expected.inodes,
    )
    assert abs(found.used_bytes - expected.used_bytes) < 1 << 30


async def test_a_volume_that_is_gone_has_no_measure(tmp_path):
    assert await bounded.measure("data", tmp_path / "gone", claim="x") is None
    with pytest.raises(OSError, match="No such file or directory"):
        await bounded.require_answer(tmp_path / "gone")


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """A busy machine is no dead server."""
    for name in ("MEASURED_WITHIN_S", "ANSWERED_WITHIN_S"):
        monkeypatch.setattr(bounded, name, 60.0)


async def test_a_volume_that_did_not_answer_is_left_alone_for_a_while(tmp_path, monkeypatch):
    asked = []

    async def run(about, arguments, within_s):
        asked.append(about)
        raise bounded.NoAnswer

    with monkeypatch.context() as patched:
        patched.setattr(bounded, "run", run)
        for _ in range(3):
            assert await bounded.measure("data", tmp_path, claim="x") is None
    assert len(asked) == 1
    bounded._silent[str(tmp_path)] = 0.0
    assert await bounded.measure("data", tmp_path, claim="x") is not None


async def test_no_answer_in_time_is_an_error_and_the_child_is_killed(tmp_path):
    before = time.monotonic()
    with pytest.raises(bounded.NoAnswer):
        await bounded.run(str(tmp_path), ["sleep", "600"], 0.2)
    assert time.monotonic() - before < 120
    child = bounded._hanging[str(tmp_path)]
    async with asyncio.timeout(60):
        assert await child.wait() == 137
    assert await bounded.run(str(tmp_path), ["echo", "back"], 60) == (0, "back\n")


async def test_of_what_hangs_there_is_one_child_only(tmp_path):
    """Where no signal reaches the first, as on a dead mount of the kernel's, a second would only hang beside it."""

    class Unkillable:
        class popen:  # noqa: N801
            @staticmethod
            def poll():
                return None

    bounded._hanging[str(tmp_path)] = Unkillable
    try:
        with pytest.raises(bounded.NoAnswer):
            await bounded.run(str(tmp_path), ["true"], 60)
    finally:
        del bounded._hanging[str(tmp_path)]


async def test_v106_a_subpath_is_found_or_made_and_never_outside(tmp_path):
    tmp_path.chmod(0o750)
    found = await bounded.resolve_subpath(tmp_path, "a/b", is_read_only=False)
    assert found == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "out").symlink_to("/etc")
    with pytest.raises(SubpathFailure, match='subpath "out" leads out of the volume'):
        await bounded.resolve_subpath(tmp_path, "out", is_read_only=False)
    with pytest.raises(SubpathFailure, match="No such file or directory"):
        await bounded.resolve_subpath(tmp_path, "new", is_read_only=True)
    assert not os.path.lexists(tmp_path / "new")
