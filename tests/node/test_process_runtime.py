"""The process driver with real processes of this machine."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.node.runtime import (
    ContainerRecord,
    ContainerSpec,
    ContainerState,
    Mount,
    RuntimeFailure,
    SandboxSpec,
    User,
)
from holdfast.node.runtime.process import ProcessRuntime
from holdfast.world import real_world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs pidfds")


@pytest.fixture
async def runtime(tmp_path):
    runtime = ProcessRuntime(tmp_path / "run", real_world())
    await runtime.open()
    await runtime.create_sandbox(SandboxSpec("uid-1", "web-0", "default", "web-0"))
    yield runtime
    await runtime.remove_sandbox("uid-1")
    await runtime.close()


async def started(runtime: ProcessRuntime, tmp_path: Path, *command: str, **members: Any) -> ContainerRecord:
    attempt = members.pop("attempt", 0)
    spec = ContainerSpec(
        pod_uid="uid-1",
        name="app",
        attempt=attempt,
        image="app:1",
        command=command,
        log_path=str(tmp_path / f"{attempt}.log"),
        **members,
    )
    created = await runtime.create_container(spec)
    return await runtime.start_container(created.id)


async def ended(runtime: ProcessRuntime, within_s: float = 60) -> ContainerRecord:
    async with asyncio.timeout(within_s):
        while runtime.containers("uid-1")[-1].state is not ContainerState.EXITED:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return runtime.containers("uid-1")[-1]


def log(tmp_path: Path, attempt: int = 0) -> list[str]:
    path = tmp_path / f"{attempt}.log"
    return [line.split(" ", 3)[3] for line in path.read_text().splitlines()] if path.exists() else []


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110 -- it happens in another process
            await asyncio.sleep(0.01)


def wait_for_word(tmp_path: Path) -> str:
    """A shell's words for: until the test says so, by the file `go`."""
    return f"until test -e {tmp_path}/go; do sleep 0.05; done"


def runs(pid: int) -> bool:
    """A zombie runs no more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_output_goes_to_the_log_and_the_end_is_recorded(runtime, tmp_path):
    told: list[ContainerRecord] = []
    runtime.on_exit(told.append)
    await started(runtime, tmp_path, "sh", "-c", "echo out; echo err >&2; exit 3")
    record = await ended(runtime)
    assert (record.exit_code, record.reason) == (3, "Error")
    lines = (tmp_path / "0.log").read_text().splitlines()
    assert sorted(line.split(" ", 1)[1] for line in lines) == ["stderr F err", "stdout F out"]
    assert [one.id for one in told] == [record.id]


async def test_a_program_that_is_not_there_is_a_start_error(runtime, tmp_path):
    with pytest.raises(RuntimeFailure, match="exec: no-such-program: No such file"):
        await started(runtime, tmp_path, "no-such-program")
    record = runtime.containers("uid-1")[0]
    assert (record.exit_code, record.reason) == (128, "StartError")


async def test_without_command_or_program_of_the_image_s_name_it_is_refused(runtime, tmp_path):
    with pytest.raises(RuntimeFailure, match="no command specified"):
        await started(runtime, tmp_path)


FOREVER = "echo up; while :; do sleep 0.05; done"


async def test_r61_the_signal_reaches_the_whole_group_and_force_ends_it(runtime, tmp_path):
    record = await started(runtime, tmp_path, "sh", "-c", f"trap 'echo bye; exit 0' TERM; {FOREVER}")
    await until(lambda: "up" in log(tmp_path))
    await runtime.stop_container(record.id, 60)
    assert runtime.containers("uid-1")[0].exit_code == 0
    assert "bye" in log(tmp_path)
    stubborn = await started(runtime, tmp_path, "sh", "-c", f"trap '' TERM; {FOREVER}", attempt=1)
    await until(lambda: "up" in log(tmp_path, 1))
    await runtime.stop_container(stubborn.id, 0.3)
    assert runtime.containers("uid-1")[1].exit_code == 137


async def test_what_a_process_leaves_behind_ends_with_it(runtime, tmp_path):
    pid_file = tmp_path / "child"
    await started(runtime, tmp_path, "sh", "-c", f"setsid sleep 100 & echo $! > {pid_file}; exit 0")
    await ended(runtime)
    await until(lambda: not runs(int(pid_file.read_text())))


async def test_r47_a_new_driver_adopts_what_runs(runtime, tmp_path):
    record = await started(runtime, tmp_path, "sh", "-c", f"{wait_for_word(tmp_path)}; echo later; exit 7")
    sandboxes = runtime.sandboxes()
    await runtime.close()
    successor = ProcessRuntime(tmp_path / "run", real_world())
    await successor.open()
    [adopted] = successor.containers("uid-1")
    assert (adopted.id, adopted.state, adopted.started) == (record.id, ContainerState.RUNNING, record.started)
    (tmp_path / "go").touch()
    assert (await ended(successor)).exit_code == 7
    assert log(tmp_path) == ["later"]
    assert successor.sandboxes() == sandboxes
    await successor.remove_sandbox("uid-1")
    await successor.close()


async def test_the_container_outlives_a_killed_agent(tmp_path):
    """An agent in a process of its own is ended by SIGKILL; its container is adopted, its exit code known."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from pathlib import Path
        from holdfast.node.runtime import ContainerSpec, SandboxSpec
        from holdfast.node.runtime.process import ProcessRuntime
        from holdfast.world import real_world
        async def main():
            runtime = ProcessRuntime(Path(sys.argv[1]), real_world())
            await runtime.open()
            await runtime.create_sandbox(SandboxSpec("uid-1", "web-0", "default", "web-0"))
            command = ("sh", "-c", sys.argv[3] + "; exit 5")
            spec = ContainerSpec("uid-1", "app", 0, "app:1", command, log_path=sys.argv[2])
            record = await runtime.create_container(spec)
            await runtime.start_container(record.id)
            print("started", flush=True)
            await asyncio.sleep(100)
        asyncio.run(main())
        """
    )
    agent = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, str(tmp_path / "run"), str(tmp_path / "0.log"), wait_for_word(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert agent.stdout is not None
    assert await agent.stdout.readline() == b"started\n"
    os.kill(agent.pid, signal.SIGKILL)
    await agent.wait()
    successor = ProcessRuntime(tmp_path / "run", real_world())
    await successor.open()
    assert successor.containers("uid-1")[0].state is ContainerState.RUNNING
    (tmp_path / "go").touch()
    assert (await ended(successor)).exit_code == 5
    await successor.remove_sandbox("uid-1")
    await successor.close()


async def test_a_killed_supervisor_ends_its_process_as_of_unknown_status(runtime, tmp_path):
    await started(runtime, tmp_path, "sleep", "100")
    stored = next(iter(runtime._containers.values())).stored
    os.kill(stored.supervisor.pid, signal.SIGKILL)
    record = await ended(runtime)
    assert (record.exit_code, record.reason) == (137, "ContainerStatusUnknown")
    await until(lambda: not runs(stored.process.pid))


async def test_volumes_are_found_below_the_working_directory(runtime, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    await started(
        runtime,
        tmp_path,
        "sh",
        "-c",
        "echo hello > data/file; cat $(HOLDFAST_ROOT)/data/file; pwd",
        mounts=(Mount(str(volume), "/data"),),
    )
    await ended(runtime)
    assert (volume / "file").read_text() == "hello\n"
    assert log(tmp_path)[0] == "hello"


async def test_n201_removing_a_container_leaves_its_volumes_alone(runtime, tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    (volume / "precious").touch()
    record = await started(runtime, tmp_path, "true", mounts=(Mount(str(volume), "/data"),))
    await ended(runtime)
    await runtime.remove_container(record.id)
    assert (volume / "precious").exists()
    assert runtime.containers() == []


async def test_exec_runs_in_the_container_s_environment_and_directory(runtime, tmp_path):
    record = await started(runtime, tmp_path, "sleep", "100", env={"GREETING": "hello"}, working_dir="/srv")
    result = await runtime.exec_sync(record.id, ["sh", "-c", "echo $GREETING; pwd; exit 4"], 60)
    assert result.exit_code == 4
    assert result.output.decode().splitlines()[0] == "hello"
    assert result.output.decode().strip().endswith("/root/srv")
    process = await runtime.exec(record.id, ["cat"], stdin=True, stdout=True, stderr=True, tty=False)
    process.stdin.write(b"through\n")
    process.stdin.close()
    assert await process.stdout.read() == b"through\n"
    assert await process.wait() == 0


async def test_exec_on_a_terminal_has_its_size(runtime, tmp_path):
    record = await started(runtime, tmp_path, "sleep", "100")
    process = await runtime.exec(
        record.id,
        ["sh", "-c", "until [ \"$(stty size)\" = '37 91' ]; do sleep 0.05; done; stty size; tty"],
        stdin=True,
        stdout=True,
        stderr=False,
        tty=True,
    )
    process.resize(91, 37)
    output = await asyncio.wait_for(process.stdout.read(), 60)
    assert b"37 91" in output
    assert b"/dev/pts/" in output
    assert await process.wait() == 0
    process.stdin.close()


async def test_n239_a_probe_that_takes_too_long_is_killed_with_its_children(runtime, tmp_path):
    record = await started(runtime, tmp_path, "sleep", "100")
    pid_file = tmp_path / "child"
    with pytest.raises(TimeoutError):
        await runtime.exec_sync(record.id, ["sh", "-c", f"sleep 500 & echo $! > {pid_file}; wait"], 3)
    await until(lambda: not runs(int(pid_file.read_text())))


async def test_a_pod_has_a_loopback_address_of_its_own(runtime, tmp_path):
    other = await runtime.create_sandbox(SandboxSpec("uid-2", "web-1", "default", "web-1"))
    first = runtime.sandboxes()[0]
    assert first.ips != other.ips
    assert first.ips[0].startswith("127.")
    server = await asyncio.start_server(lambda reader, writer: writer.close(), first.ips[0], 0)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await runtime.dial("uid-1", port)
    assert await reader.read() == b""
    writer.close()
    server.close()
    await runtime.remove_sandbox("uid-2")


async def test_what_cannot_work_is_said(runtime):
    spec = ContainerSpec("uid-1", "app", 0, "app:1", ("true",), mounts=(Mount("/x", "/data"),), tty=True)
    assert len(runtime.shortcomings(spec)) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user")
async def test_the_process_runs_as_the_user_it_asks_for(runtime, tmp_path):
    os.chmod(tmp_path, 0o755)
    record = await started(runtime, tmp_path, "id", user=User(12345, 23456, (34567,)))
    await ended(runtime)
    assert record.id
    assert log(tmp_path) == ["uid=12345 gid=23456 groups=23456,34567"]


async def test_a_long_line_without_end_is_cut_and_marked(runtime, tmp_path):
    await started(runtime, tmp_path, "sh", "-c", "head -c 40000 /dev/zero | tr '\\0' x")
    await ended(runtime)
    lines = (tmp_path / "0.log").read_text().splitlines()
    assert {line.split(" ")[2] for line in lines} == {"P"}
    assert sum(len(line.split(" ", 3)[3]) for line in lines) == 40000


async def test_a_log_renamed_away_is_reopened(runtime, tmp_path):
    record = await started(runtime, tmp_path, "sh", "-c", f"echo one; {wait_for_word(tmp_path)}; echo two; sleep 500")
    await until(lambda: log(tmp_path) == ["one"])
    (tmp_path / "0.log").rename(tmp_path / "0.log.old")
    await runtime.reopen_log(record.id)
    (tmp_path / "go").touch()
    await until(lambda: log(tmp_path))
    assert log(tmp_path) == ["two"]
