"""Real containers, started, asked, stopped and found again; nothing is left behind (the fixture looks)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from holdfast.node.images.loading import load
from holdfast.node.runtime import ContainerResources, ContainerState, ImageMissing, Mount, RunsAs, RuntimeFailure, User
from holdfast.node.runtime.oci import beginning, containers
from holdfast.node.runtime.oci.processes import wait_readable

pytestmark = pytest.mark.live

FOREVER = "trap 'echo bye; exit 3' TERM; echo up; while :; do sleep 100 & wait $!; done"


HIDDEN = ["/root", "/home", "/opt", "/srv", "/mnt"]
COMMANDS = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"
WHO_ASKS = """
import socket
server = socket.create_server(("", 80))
print("on", flush=True)
while True:
    connection, address = server.accept()
    connection.send(address[0].encode())
    connection.close()
"""


async def until(holds, within_s=60):
    """Asks again and again: what is waited for happens in other processes."""
    async with asyncio.timeout(within_s):
        while True:
            if await holds():
                return
            await asyncio.sleep(0.02)


# Starting and output


async def test_output_and_exit_code_are_kept(node):
    code, output = await node.finish("echo one; echo two >&2; exit 7")
    assert (code, sorted(output.splitlines())) == (7, ["one", "two"])


async def test_log_lines_name_their_stream(node):
    record = await node.ended(await node.start("echo out; echo err >&2"))
    streams = [line.split(" ", 3)[1:3] for line in Path(record.log_path).read_text().splitlines()]
    assert sorted(streams) == [["stderr", "F"], ["stdout", "F"]]


@pytest.mark.parametrize("is_full_for_ever", [False, True])
async def test_on_a_full_disk_a_container_ends_all_the_same(node, monkeypatch, is_full_for_ever):
    monkeypatch.setattr(containers, "WRITE_AGAIN_S", 0.1)
    write, refused = containers.records.write, []

    def full(directory, record):
        if getattr(record, "exit_code", None) is not None and (is_full_for_ever or len(refused) < 3):
            refused.append(record)
            raise OSError(28, "No space left on device")
        write(directory, record)

    monkeypatch.setattr(containers.records, "write", full)
    started = await node.start("exit 7")
    assert (await node.ended(started)).exit_code == 7
    place = node.runtime._containers.directory(started.id)
    if not is_full_for_ever:

        async def is_written():
            return b'"exit_code":7' in (place / "record.json").read_bytes()

        await until(is_written)
        assert len(refused) == 3
    async with asyncio.timeout(60):
        await node.runtime.remove_container(started.id)
    assert not place.exists()


async def test_an_exit_is_told_once_with_times(node):
    told = []
    node.runtime.on_exit(told.append)
    record = await node.ended(await node.start("exit 0"))
    assert told == [record]
    assert (record.reason, record.message) == ("Completed", "")
    assert record.created <= record.started
    assert (record.finished - record.started).total_seconds() < 60


async def test_creating_and_starting_twice_is_once(node):
    first = await node.start(FOREVER)
    again = await node.start(FOREVER)
    assert again == first
    assert len(node.runtime.containers()) == 1


async def test_n45_a_program_that_is_not_there_is_a_start_error(node):
    with pytest.raises(RuntimeFailure, match=r"executable file `/nope` not found") as failure:
        await node.start(command=("/nope",))
    assert failure.value.reason == "RunContainerError"
    (record,) = node.runtime.containers()
    assert (record.state, record.exit_code, record.reason) == (ContainerState.EXITED, 128, "StartError")


async def test_a_missing_image_is_named(node):
    await node.sandbox()
    with pytest.raises(ImageMissing, match="nginx"):
        await node.runtime.create_container(node.spec("true", image="nginx"))


async def test_a_container_without_sandbox_is_refused(node):
    with pytest.raises(RuntimeFailure, match="sandbox of pod pod-1 not found"):
        await node.runtime.create_container(node.spec("true"))


# What a container sees


async def test_the_host_image_shows_programs_and_nothing_private(node):
    Path(node.top, "admin.token").write_text("secret")
    _, output = await node.finish(f"cat {node.top}/admin.token /etc/shadow; find /root /home /opt /srv /mnt")
    assert "secret" not in output
    assert output.count("No such file") == 2
    assert [line for line in output.splitlines() if "No such file" not in line] == HIDDEN
    assert (await node.finish("python3 --version; find /usr/bin/env; grep root: /etc/passwd"))[0] == 0


async def test_writes_are_private_to_the_container(node):
    _, output = await node.finish(
        "echo x > /usr/hf-test; echo y > /etc/hf-test; echo z > /var/hf-test; cat /usr/hf-test"
    )
    assert output == "x\n"
    assert not any(Path(top, "hf-test").exists() for top in ("/usr", "/etc", "/var"))
    assert (await node.finish("cat /usr/hf-test"))[0] == 1


@pytest.mark.parametrize("place", ["/tmp", "/etc", "/home"])
async def test_n145_what_a_container_writes_anywhere_in_its_root_is_measured(node, place):
    record = await node.start(f"{{ head -c 3000000 /dev/zero > {place}/much; }} && echo written; {FOREVER}")
    await node.says(record, "written")
    assert 3_000_000 <= await node.runtime.written_bytes(record.id) < 3_500_000


async def test_n180_containers_of_a_pod_share_address_name_and_memory(node):
    one = await node.start(FOREVER, name="one")
    two = await node.start(FOREVER, name="two")
    assert await node.sh(one, "hostname") == await node.sh(two, "hostname") == "pod-1"
    await node.sh(one, "echo shared > /dev/shm/x")
    assert await node.sh(two, "cat /dev/shm/x") == "shared"
    (sandbox,) = node.runtime.sandboxes()
    assert sandbox.ips[0] in await node.sh(two, "ip -4 -o addr show eth0; df /dev/shm | tail -1")


async def test_n180_processes_are_shared_only_where_the_pod_says_so(node):
    await node.sandbox(share_process_namespace=True)
    one = await node.start("exec sleep 1234", name="one")
    two = await node.start(FOREVER, name="two")
    assert "sleep\x001234" in await node.sh(two, "cat /proc/[0-9]*/cmdline")
    assert (await node.sh(two, "cat /proc/1/comm")) == "pause"
    await node.runtime.stop_container(one.id, 0)
    assert (await node.ended(one)).exit_code == 137


async def test_n205_a_container_may_look_into_another_one(node):
    one = await node.start("exec sleep 1234", name="one")
    debugger = await node.start(FOREVER, name="debugger", process_namespace_of=one.id)
    assert "sleep\x001234" in await node.sh(debugger, "cat /proc/1/cmdline")
    await node.runtime.stop_container(debugger.id, 0)
    assert next(r for r in node.runtime.containers() if r.name == "one").state is ContainerState.RUNNING
    with pytest.raises(RuntimeFailure, match="not running"):
        await node.start(FOREVER, name="late", process_namespace_of=debugger.id)


async def test_n178_seccomp_refuses_what_the_default_profile_refuses(node):
    tries = "import ctypes; l=ctypes.CDLL(None,use_errno=True); r=l.unshare(0x10000000); print(r, ctypes.get_errno())"
    free = await node.start(command=("python3", "-c", tries), name="free")
    held = await node.start(command=("python3", "-c", tries), name="held", seccomp="runtime/default")
    await node.ended(held)
    await node.ended(free)
    assert node.log(held).split() == ["-1", "1"]
    modes = {}
    for profile in ("", "runtime/default"):
        _, output = await node.finish("grep ^Seccomp: /proc/self/status", seccomp=profile)
        modes[profile] = int(output.split()[1])
    assert modes[""] <= modes["runtime/default"] == 2


async def test_n178_ordinary_programs_live_with_the_default_profile(node):
    script = """
import asyncio, subprocess, threading
thread = threading.Thread(target=print, args=("thread",), kwargs={"flush": True})
thread.start()
thread.join()
subprocess.run(["echo", "child"], check=True)
asyncio.run(asyncio.sleep(0))
print("done")
"""
    code, output = await node.finish("", command=("python3", "-c", script), seccomp="runtime/default")
    assert (code, output.split()) == (0, ["thread", "child", "done"])


async def test_n178_a_profile_of_the_machine_s_own_is_loaded_and_a_missing_one_named(node):
    profile = node.top / "no-mkdir.json"
    profile.write_text(
        '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]}'
    )
    code, output = await node.finish("mkdir /tmp/x", seccomp=str(profile))
    assert code == 1
    assert "not permitted" in output
    with pytest.raises(RuntimeFailure, match=r"cannot load seccomp profile .*: no such file or directory"):
        await node.start("true", name="other", seccomp=str(node.top / "absent.json"))


async def test_n41_n178_whom_a_container_runs_as_is_known(node):
    record = await node.start("sleep 100", user=User(uid=1, gid=7, supplementary_gids=(4242,)))
    assert record.runs_as == RunsAs(1, 7, (7, 4242))


async def test_mounts_appear_where_they_should_and_read_only_means_it(node):
    volume = node.top / "volume"
    volume.mkdir()
    (volume / "file").write_text("data")
    mounts = (Mount(str(volume), "/srv/data"), Mount(str(volume / "file"), "/etc/one-file", read_only=True))
    code, output = await node.finish(
        "cat /srv/data/file /etc/one-file; echo new > /srv/data/new; echo > /etc/one-file", mounts=mounts
    )
    assert "datadata" in output
    assert "Read-only file system" in output
    assert code == 2
    assert (volume / "new").read_text() == "new\n"


async def test_user_groups_rights_and_directory(node):
    script = "id -u; id -g; id -G; pwd; grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'; echo $HOME $A"
    _, output = await node.finish(
        script,
        user=User(uid=1, supplementary_gids=(4242,)),
        working_dir="/var/tmp",
        no_new_privileges=True,
        env={"A": "b c"},
    )
    assert output.splitlines() == [
        "1",
        "1",
        "1 4242",
        "/var/tmp",
        "CapEff:0000000000000000",
        "NoNewPrivs:1",
        "/usr/sbin b c",
    ]


async def test_n179_root_has_the_usual_rights_and_no_more(node):
    script = "grep CapEff /proc/self/status"
    assert (await node.finish(script))[1].split()[1] == "00000000a80425fb"
    _, output = await node.finish(script, add_capabilities=("NET_ADMIN",), drop_capabilities=("ALL",))
    assert int(output.split()[1], 16) == 1 << 12
    own = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("CapEff"))
    assert (await node.finish(script, privileged=True))[1].split()[1] == own.split()[1]


async def test_n178_a_read_only_root_cannot_be_written(node):
    code, output = await node.finish(
        "echo > /usr/x; echo > /x; echo ok > /dev/shm/x && cat /dev/shm/x", read_only_root=True
    )
    assert output.count("Read-only file system") == 2
    assert "ok\n" in output
    assert code == 0


async def test_the_kernel_is_not_for_containers_to_change(node):
    _, output = await node.finish(
        "echo 1 > /proc/sys/kernel/hung_task_warnings; echo > /sys/x; cat /proc/kcore | wc -c"
    )
    assert output.count("Read-only") + output.count("Permission denied") + output.count("nonexistent") >= 2
    assert "0\n" in output


async def test_n178_sysctls_of_the_pod_are_set_and_others_refused(node):
    await node.sandbox("pod-s", sysctls={"net.ipv4.ip_local_port_range": "20000 21000"})
    record = await node.start(FOREVER, uid="pod-s")
    assert (await node.sh(record, "cat /proc/sys/net/ipv4/ip_local_port_range")).split() == ["20000", "21000"]
    assert await node.sh(record, "cat /proc/sys/net/ipv4/ip_unprivileged_port_start") == "0"
    with pytest.raises(RuntimeFailure, match=r"kernel.hostname"):
        await node.sandbox("pod-t", sysctls={"kernel.hostname": "x"})
    assert [sandbox.pod_uid for sandbox in node.runtime.sandboxes()] == ["pod-s"]


async def test_n165_n180_host_network_and_names_are_the_machines(node):
    await node.sandbox(host_network=True, host_pid=True, host_ipc=True)
    (sandbox,) = node.runtime.sandboxes()
    assert sandbox.ips == ()
    record = await node.start(FOREVER)
    assert await node.sh(record, "readlink /proc/self/ns/net") == os.readlink("/proc/self/ns/net")
    assert await node.sh(record, "readlink /proc/self/ns/pid") == os.readlink("/proc/self/ns/pid")


async def test_the_default_program_ends_at_sigterm(node):
    record = await node.start()
    await node.catches(record, signal.SIGTERM)
    await node.runtime.stop_container(record.id, 60)
    assert (await node.ended(record)).exit_code == 0


# Network


async def test_two_pods_reach_each_other_and_the_machine_reaches_them(node):
    one = await node.start(uid="pod-1", command=("python3", "-c", WHO_ASKS))
    two = await node.start(FOREVER, uid="pod-2")
    await node.says(one, "on")
    addresses = {sandbox.pod_uid: sandbox.ips[0] for sandbox in node.runtime.sandboxes()}
    ask = f"import socket;print(socket.create_connection(('{addresses['pod-1']}',80),5).recv(99).decode())"
    assert await node.sh(two, f'python3 -c "{ask}"') == addresses["pod-2"]
    reader, writer = await asyncio.open_connection(addresses["pod-1"], 80)
    assert (await reader.read()).decode() == str(node.gateway)
    writer.close()


async def test_n196_an_address_outlives_the_agent(node):
    before = await node.sandbox()
    await node.reopen()
    assert await node.sandbox() == before


async def test_n208_port_forwarding_reaches_what_listens_on_the_pods_loopback(node):
    server = (
        "import socket;s=socket.create_server(('127.0.0.1',8080));print('on',flush=True);c,a=s.accept();c.send(b'hi')"
    )
    record = await node.start(command=("python3", "-c", server))
    await node.says(record, "on")
    reader, writer = await node.runtime.dial("pod-1", 8080)
    assert await reader.read() == b"hi"
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await node.runtime.dial("pod-1", 1)


# Stopping


async def test_n133_stop_sends_the_signal_and_waits(node):
    record = await node.start(FOREVER)
    await node.says(record, "up")
    await node.runtime.stop_container(record.id, 60)
    record = await node.ended(record)
    assert (record.exit_code, node.log(record)) == (3, "up\nbye\n")


async def test_stop_kills_after_the_grace(node):
    record = await node.start("trap '' TERM; echo up; while :; do sleep 1; done")
    await node.says(record, "up")
    began = time.monotonic()
    await node.runtime.stop_container(record.id, 0.3)
    assert 0.3 <= time.monotonic() - began < 30
    assert (await node.ended(record)).exit_code == 137


async def test_a_shorter_grace_ends_a_longer_wait(node):
    record = await node.start("trap 'echo signal' TERM; echo up; while :; do sleep 0.1; done")
    await node.says(record, "up")
    long = asyncio.create_task(node.runtime.stop_container(record.id, 60))
    await node.says(record, "signal")
    await node.runtime.stop_container(record.id, 0.2)
    async with asyncio.timeout(50):
        await long
    assert node.log(record).count("signal") == 1


async def test_removing_a_running_container_kills_it(node):
    record = await node.start(FOREVER)
    await node.runtime.remove_container(record.id)
    assert node.runtime.containers() == []
    await node.runtime.remove_container(record.id)


async def test_a_removed_sandbox_takes_all_along_and_may_be_gone_already(node):
    await node.start(FOREVER, name="one")
    await node.start(FOREVER, name="two")
    await node.runtime.remove_sandbox("pod-1")
    await node.runtime.remove_sandbox("pod-1")
    assert (node.runtime.containers(), node.runtime.sandboxes()) == ([], [])


# Limits


async def test_n144_running_out_of_memory_is_told_apart_from_other_ends(node):
    limits = ContainerResources(memory_limit_bytes=64 << 20)
    hungry = await node.start(command=("python3", "-c", "x = bytearray(1 << 30)"), resources=limits, name="hungry")
    killed = await node.start(FOREVER, resources=limits, name="killed")
    await node.runtime.stop_container(killed.id, 0)
    assert ((await node.ended(hungry)).reason, (await node.ended(hungry)).exit_code) == ("OOMKilled", 137)
    assert ((await node.ended(killed)).reason, (await node.ended(killed)).exit_code) == ("Error", 137)


async def test_n45_n144_a_child_that_ran_out_of_memory_names_the_end_of_the_container(node):
    """Where only the child is killed, the first process decides on the code; where all are, it is 137."""
    child = "subprocess.run([sys.executable, '-c', 'bytearray(1 << 30)'])"
    hungry = f"import subprocess, sys; sys.exit(3 if {child}.returncode else 0)"
    limits = ContainerResources(memory_limit_bytes=64 << 20)
    record = await node.start(command=("python3", "-c", hungry), resources=limits)
    ended = await node.ended(record)
    assert ended.reason == "OOMKilled"
    assert ended.exit_code in (3, 137)


async def test_n144_a_container_that_outlives_its_hungry_child_tells_of_it(node):
    hungry = "(python3 -c 'bytearray(1 << 30)'; echo gone; sleep 100); true"
    record = await node.start(hungry, resources=ContainerResources(memory_limit_bytes=64 << 20))
    async with asyncio.timeout(90):
        while True:
            usage = await node.runtime.usage(record.id)
            if usage is None or usage.oom_kills:
                break
            await asyncio.sleep(0.05)
    if usage is not None:
        assert usage.oom_kills >= 1  # version 2 kills all of the container
        assert usage.memory_usage_bytes >= usage.memory_working_set_bytes


async def test_n141_limits_and_usage_are_the_containers_own(node):
    limits = ContainerResources(memory_limit_bytes=128 << 20, cpu_quota_us=50_000, cpu_shares=512, oom_score_adj=-997)
    record = await node.start(
        "x=0; while [ $x -lt 20000 ]; do x=$((x+1)); done; echo done; sleep 100", resources=limits
    )
    await node.says(record, "done")
    usage = await node.runtime.usage(record.id)
    assert usage.cpu_usage_ns > 1_000_000
    assert 0 < usage.memory_working_set_bytes < 128 << 20
    text = await node.sh(
        record, "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null || true"
    )
    assert text == str(128 << 20)


async def test_n142_containers_share_what_their_pod_may_use(node):
    """A pod has no more than its limits although none of its containers has any, and they can be changed."""
    await node.sandbox(resources=ContainerResources(memory_limit_bytes=64 << 20, cpu_shares=512))
    hungry = await node.start(command=("python3", "-c", "x = bytearray(1 << 30)"), name="hungry")
    assert (await node.ended(hungry)).reason == "OOMKilled"
    await node.runtime.update_sandbox("pod-1", ContainerResources(memory_limit_bytes=256 << 20))
    await node.reopen()
    assert node.runtime.sandbox("pod-1").resources == ContainerResources(memory_limit_bytes=256 << 20)
    satisfied = await node.start(command=("python3", "-c", "x = bytearray(100 << 20)"), name="satisfied")
    assert (await node.ended(satisfied)).reason == "Completed"


async def test_n148_limits_of_a_running_container_change(node):
    """Both layouts of control groups; what has no limit any more has none, and the record outlives the agent."""
    show = (
        "cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares 2>/dev/null"
        " || cat memory.max cpu.max cpu.weight"
    )
    record = await node.start("sleep 100", resources=ContainerResources(memory_limit_bytes=64 << 20, cpu_shares=512))
    wanted = ContainerResources(memory_limit_bytes=96 << 20, cpu_quota_us=50_000, cpu_shares=1024)
    await node.runtime.update_container(record.id, wanted)
    shown = (await node.sh(record, show)).split()
    assert shown[0] == str(96 << 20)
    assert shown[1] == "50000"
    await node.runtime.update_container(record.id, ContainerResources(cpu_shares=1024))
    shown = (await node.sh(record, show)).split()
    assert shown[0] == "max" or int(shown[0]) > 1 << 40
    assert shown[1] in ("max", "-1")
    assert [r.state for r in node.runtime.containers()] == [ContainerState.RUNNING]
    await node.runtime.stop_container(record.id, 0)
    with pytest.raises(RuntimeFailure, match="not running"):
        await node.runtime.update_container(record.id, wanted)


WITHOUT_GROUPS = """
import asyncio, sys
sys.path[:0] = {path!r}
from conftest import Node
from pathlib import Path
from holdfast.node.runtime import ContainerResources
async def main():
    node = Node(Path({top!r}))
    await node.open()
    record = await node.start("echo up; sleep 100", resources=ContainerResources(memory_limit_bytes=64 << 20))
    await node.says(record, "up")
    usage = await node.runtime.usage(record.id)
    print(await node.sh(record, "echo hello"), usage.memory_rss_bytes > 0, usage.oom_kills)
    await node.runtime.remove_all()
    await node.network.close()
asyncio.run(main())
"""


async def test_r70_without_control_groups_containers_run_without_limits_and_usage_is_read_from_proc(node):
    script = WITHOUT_GROUPS.format(path=[str(Path(__file__).parent), *sys.path], top=str(node.top / "other"))
    hidden = 'mount -t tmpfs -o ro none /sys/fs/cgroup; exec "$0" -c "$1"'
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", hidden, sys.executable, script]
    agent = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    output, _ = await asyncio.wait_for(agent.communicate(), 30)
    assert (agent.returncode, output) == (0, b"hello True 0\n")


# exec and attach


async def test_n116_n206_exec_has_the_containers_user_environment_and_directory(node):
    record = await node.start(FOREVER, user=User(uid=1, gid=4), env={"A": "b"}, working_dir="/var")
    assert await node.sh(record, "id -u; id -g; pwd; echo $A") == "1\n4\n/var\nb"


async def test_exec_carries_input_both_outputs_and_the_exit_code(node):
    record = await node.start(FOREVER)
    process = await node.runtime.exec(
        record.id, ["/bin/sh", "-c", "cat; echo err >&2; exit 5"], stdin=True, stdout=True, stderr=True, tty=False
    )
    process.stdin.write(b"x" * 300_000)
    process.stdin.write_eof()
    output, errors = await asyncio.gather(process.stdout.read(), process.stderr.read())
    assert (len(output), errors, await process.wait()) == (300_000, b"err\n", 5)


async def test_exec_on_a_terminal_has_a_size_and_one_stream(node):
    record = await node.start(FOREVER)
    process = await node.runtime.exec(
        record.id,
        ["/bin/sh", "-c", "read x; stty size; tty >&2; exit 4"],
        stdin=True,
        stdout=True,
        stderr=True,
        tty=True,
    )
    process.resize(120, 40)
    process.stdin.write(b"go\n")
    output = await process.stdout.read()
    assert b"40 120" in output
    assert b"/dev/pts/" in output
    assert process.stderr is None
    assert await process.wait() == 4


async def test_exec_of_nothing_says_so(node):
    record = await node.start(FOREVER)
    with pytest.raises(RuntimeFailure, match="nope"):
        await node.runtime.exec_sync(record.id, ["/nope"], 10)
    for tty in (False, True):
        with pytest.raises(RuntimeFailure, match="nope"):
            await node.runtime.exec(record.id, ["/nope"], stdin=True, stdout=True, stderr=True, tty=tty)


async def test_exec_in_an_ended_container_is_refused(node):
    record = await node.ended(await node.start("true"))
    with pytest.raises(RuntimeFailure, match="is not running"):
        await node.runtime.exec_sync(record.id, ["true"], 10)


async def test_n116_n239_a_probe_that_takes_too_long_is_killed_inside(node):
    record = await node.start(FOREVER)
    with pytest.raises(TimeoutError):
        await node.runtime.exec_sync(record.id, ["sleep", "4321"], 0.3)

    async def is_gone():
        return "4321" not in await node.sh(record, COMMANDS)

    await until(is_gone)


async def test_a_killed_exec_leaves_no_program_behind(node):
    record = await node.start(FOREVER)
    process = await node.runtime.exec(record.id, ["sleep", "4322"], stdin=False, stdout=True, stderr=True, tty=False)
    assert "4322" in await node.sh(record, COMMANDS)
    await process.kill()
    assert await process.wait() == 137
    assert "4322" not in await node.sh(record, COMMANDS)


async def test_n207_attach_follows_output_and_feeds_input(node):
    record = await node.start(
        "while read line; do echo got $line; echo err >&2; done; echo end", stdin=True, stdin_once=True
    )
    process = await node.runtime.attach(record.id, stdin=True, stdout=True, stderr=True, tty=False)
    process.stdin.write(b"one\ntwo\n")
    process.stdin.write_eof()
    output = await asyncio.wait_for(process.stdout.read(), 60)
    assert output == b"got one\ngot two\nend\n"
    assert (await node.ended(record)).exit_code == 0
    assert node.log(record).count("err") == 2


async def test_n207_who_attaches_too_late_is_told_so(node):
    record = await node.start(FOREVER)
    (node.runtime._containers.directory(record.id) / "attach").unlink()
    with pytest.raises(RuntimeFailure, match="container is in CONTAINER_EXITED state"):
        await node.runtime.attach(record.id, stdin=False, stdout=True, stderr=True, tty=False)


async def test_attach_to_a_terminal_resizes_it(node):
    resized = "until [ \"$(stty size)\" = '33 99' ]; do sleep 0.05; done"
    record = await node.start(f"read x; {resized}; stty size; exit 6", stdin=True, tty=True)
    process = await node.runtime.attach(record.id, stdin=True, stdout=True, stderr=True, tty=True)
    process.resize(99, 33)
    process.stdin.write(b"go\n")
    assert b"33 99" in await asyncio.wait_for(process.stdout.read(), 60)
    assert (await node.ended(record)).exit_code == 6


async def test_output_goes_on_in_a_new_file_after_rotation(node):
    record = await node.start("while read line; do echo $line; done", stdin=True)
    process = await node.runtime.attach(record.id, stdin=True, stdout=False, stderr=False, tty=False)
    process.stdin.write(b"first\n")
    await node.says(record, "first")
    os.rename(record.log_path, f"{record.log_path}.1")
    await node.runtime.reopen_log(record.id)

    async def is_there():
        return Path(record.log_path).exists()

    await until(is_there)
    process.stdin.write(b"second\n")
    await node.says(record, "second")
    assert "first" not in node.log(record)
    await process.kill()


# Coming back

AGENT = """
import asyncio, sys
sys.path[:0] = {path!r}
from conftest import Node
from pathlib import Path
async def main():
    node = Node(Path({top!r}))
    await node.open()
    record = await node.start({script!r})
    await node.start("sleep 1; exit 9", name="short")
    await node.sandbox("pod-2")
    await node.runtime.create_container(node.spec("true", uid="pod-2"))
    print(record.id, flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def test_n195_n196_a_killed_agent_is_followed_by_one_that_adopts(node):
    await node.runtime.close()
    script = textwrap.dedent(AGENT).format(
        path=[str(Path(__file__).parent), *sys.path], top=str(node.top), script=FOREVER
    )
    agent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
    identifier = (await agent.stdout.readline()).decode().strip()
    agent.kill()
    await agent.wait()

    async def only_the_long_one_is_supervised():
        return len([line for line in processes_of(node.top) if "conmon" in line]) == 1

    await until(only_the_long_one_is_supervised)
    over = datetime.now(UTC)
    await asyncio.sleep(0.5)
    node.runtime = node.new_runtime()
    told = []
    node.runtime.on_exit(told.append)
    await node.open()
    records = {record.name: record for record in node.runtime.containers()}
    assert set(records) == {"main", "short"}
    assert records["main"].id == identifier
    assert records["main"].state is ContainerState.RUNNING
    short = await node.ended(records["short"])
    assert short.exit_code == 9
    assert (short.finished - short.started).total_seconds() > 0.5
    assert short.finished <= over, "then, and not when somebody looked again"
    assert [record.name for record in told] == ["short"]
    assert {sandbox.pod_uid: sandbox.ready for sandbox in node.runtime.sandboxes()} == {"pod-1": True, "pod-2": True}
    assert await node.sh(records["main"], "echo alive") == "alive"
    await node.runtime.stop_container(identifier, 60)
    assert (await node.ended(records["main"])).exit_code == 3


async def test_a_container_whose_supervisor_was_killed_is_ended_and_its_code_known(node):
    record = await node.start(FOREVER)
    (supervisor,) = node.runtime._conmon.leftovers(record.id)
    os.kill(supervisor.pid, signal.SIGKILL)
    ended = await node.ended(record)
    assert ended.exit_code == 137
    assert "supervisor" in ended.message


@pytest.fixture
def asks_runtime(monkeypatch):
    """As with a runtime whose containers wait for something else than crun's do."""
    monkeypatch.setattr(beginning, "PIPE", "unknown")


@pytest.mark.usefixtures("asks_runtime")
async def test_a_runtime_with_a_way_of_its_own_is_asked_to_start_the_program(node):
    assert await node.finish("echo out; exit 4") == (4, "out\n")


async def test_what_was_let_go_counts_as_running_for_the_runtime_too(node):
    record = await node.start(FOREVER)
    state = await beginning.run([*node.runtime._crun, "state", record.id])
    assert json.loads(state.output)["status"] == "running"


async def test_n45_a_container_that_dies_before_its_program_starts_is_a_start_error(node, monkeypatch):
    begin = containers.begin

    async def too_late(runtime, directory, identifier, process):
        descriptor = os.pidfd_open(process.pid)
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        await wait_readable(descriptor)
        os.close(descriptor)
        await begin(runtime, directory, identifier, process)

    monkeypatch.setattr(containers, "begin", too_late)
    await fails_to_start(node)
    monkeypatch.undo()
    assert (await node.start("echo again", attempt=1)).state is ContainerState.RUNNING


@pytest.mark.usefixtures("asks_runtime")
async def test_n45_a_runtime_that_waits_for_what_has_ended_is_not_waited_for(node, monkeypatch):
    run = beginning.run

    async def for_ever(command, **options):
        os.kill(int((node.top / "run" / "c" / command[-1] / "pid").read_text()), signal.SIGKILL)
        return await run(["sleep", "1000"], **options)

    monkeypatch.setattr(beginning, "run", for_ever)
    await fails_to_start(node)


async def fails_to_start(node):
    async with asyncio.timeout(90):
        with pytest.raises(RuntimeFailure, match="ended before its program was started"):
            await node.start(FOREVER)
    (record,) = node.runtime.containers()
    assert (record.state, record.exit_code, record.reason) == (ContainerState.EXITED, 128, "StartError")


async def test_n45_n199_after_a_reboot_everything_counts_as_ended(node, monkeypatch):
    record = await node.start(FOREVER)
    sandbox = await node.sandbox()
    await node.runtime.stop_container(record.id, 0)
    await node.ended(record)
    await node.runtime.close()
    for path in (node.top / "run").glob("*/*/record.json"):
        path.write_text(path.read_text().replace(Path("/proc/sys/kernel/random/boot_id").read_text().strip(), "before"))
    node.runtime = node.new_runtime()
    await node.open()
    assert [sandbox.ready for sandbox in node.runtime.sandboxes()] == [False]
    assert (await node.sandbox()).attempt == sandbox.attempt + 1


async def test_a_bundle_without_record_is_cleared_away(node):
    half = node.top / "run" / "c" / "abc"
    half.mkdir(parents=True)
    (half / "config.json").write_text("{}")
    await node.reopen()
    assert not half.exists()


# Images


@pytest.fixture(scope="session")
def busybox() -> Path:
    root = Path(__file__).parents[4]
    cache = root / ".cache" / "images"
    command = [sys.executable, root / "images" / "build.py", "busybox", "--output", cache / "built", "--cache", cache]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the busybox image cannot be built: {done.stderr.strip()}")
    return Path(done.stdout.strip())


async def test_an_image_of_layers_runs_on_its_own_files(node, busybox):
    load(node.images, busybox)
    script = "echo $(ls /usr); echo new > /etc/x; cat /etc/x; id -un; nslookup 2>&1 | head -1"
    code, output = await node.finish(script, image="busybox")
    assert output.splitlines()[1:3] == ["new", "root"]
    assert "BusyBox" in output
    assert code == 0
    assert (await node.finish("cat /etc/x", image="busybox:1.28"))[0] == 1


async def test_a_user_unknown_to_the_image_is_refused(node, busybox):
    load(node.images, busybox)
    (record,) = [
        image for image in await node.runtime.images() if image.id != "host" and "busybox" in str(image.references)
    ]
    assert record.cmd == ("sh",)
    code, output = await node.finish("id -u", image=record.id, user=User(uid=4711))
    assert (code, output) == (0, "4711\n")


RESTLESS = """
import asyncio, sys
sys.path[:0] = {path!r}
from conftest import Node
from pathlib import Path
async def pod(node, uid):
    record = await node.start("sleep 100", uid=uid)
    await node.runtime.stop_container(record.id, 0)
    await node.start("sleep 100", uid=uid, attempt=1)
    await node.runtime.remove_sandbox(uid)
    await node.start("sleep 100", uid=uid, attempt=2)
async def main():
    node = Node(Path({top!r}))
    await node.open()
    print("go", flush=True)
    await asyncio.gather(*(pod(node, f"pod-{{number}}") for number in range(4)))
    await asyncio.sleep(1000)
asyncio.run(main())
"""


async def test_agents_killed_at_any_moment_leave_nothing_that_the_next_does_not_know(node):
    await node.runtime.close()
    script = RESTLESS.format(path=[str(Path(__file__).parent), *sys.path], top=str(node.top))
    for delay_s in (0.03, 0.07, 0.11, 0.16, 0.22, 0.3):
        agent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=subprocess.PIPE)
        await agent.stdout.readline()
        await asyncio.sleep(delay_s)
        agent.kill()
        await agent.wait()
    node.runtime = node.new_runtime()
    await node.open()

    def running():
        return {record.id for record in node.runtime.containers() if record.state is ContainerState.RUNNING}

    async def every_supervisor_is_known():
        return {line.split("\0")[4] for line in processes_of(node.top) if "conmon" in line} == running()

    await until(every_supervisor_is_known)
    for identifier in running():
        result = await node.runtime.exec_sync(identifier, ["true"], 10)
        assert result.exit_code == 0
    pods = {sandbox.pod_uid: sandbox.ips for sandbox in node.runtime.sandboxes() if sandbox.ready}
    assert len(set(pods.values())) == len(pods)


def processes_of(top):
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if f"{top}/" in words:
            found.append(words)
    return found
