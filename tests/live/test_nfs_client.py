"""The file system in user space, mounted by itself on a real server: what programs expect of one (R139-R141)."""

from __future__ import annotations

import errno
import json
import mmap
import os
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from nfs_server import NfsServer, missing

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def server():
    directory = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
    server = NfsServer(directory, "data", port=0)
    server.start()
    yield server
    server.stop()
    shutil.rmtree(directory)


class Mounted:
    """A mount of the server's export on a directory of its own."""

    def __init__(self, server, *options):
        self.path = Path(tempfile.mkdtemp(prefix="hf-nfs-"))
        self.point = self.path / "mnt"
        self.path.chmod(0o755)
        self.point.mkdir()
        command = [sys.executable, "-m", "holdfast.nfs.mount", f"{server.host}:/exports/data", str(self.point)]
        command += ["--options", ",".join((f"port={server.port}", *options)), "--lock", str(self.path / "lock")]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ready, _, _ = select.select([self.process.stdout], [], [], 90)
        assert ready
        self.told = json.loads(self.process.stdout.readline())

    def end(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        assert str(self.point) not in Path("/proc/self/mountinfo").read_text()
        shutil.rmtree(self.path)


@pytest.fixture
def mount(server):
    made = []

    def make(*options):
        made.append(Mounted(server, *options))
        assert "pid" in made[-1].told, made[-1].told
        return made[-1].point

    yield make
    server.signal(signal.SIGCONT)
    for path in made[0].point.iterdir() if made else ():  # not behind the server's back: it keeps handles (R137)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    for mounted in made:
        mounted.end()


def as_user(uid, gid, groups, function):
    """What the function returns, or the name of the error it ends with, when somebody else calls it."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups(groups)
            os.setgid(gid)
            os.setuid(uid)
            told = str(function())
        except BaseException as error:
            told = type(error).__name__
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        told = pipe.read()
    os.waitpid(child, 0)
    return told


def test_names_links_modes_and_times_reach_the_server(mount, server):
    point, there = mount(), server.export("data")
    (point / "a" / "b").mkdir(parents=True)
    (point / "a" / "b" / "file").write_text("text")
    os.link(point / "a" / "b" / "file", point / "hard")
    (point / "soft").symlink_to("a/b/file")
    os.mkfifo(point / "pipe")
    assert (there / "a" / "b" / "file").read_text() == (point / "soft").read_text() == "text"
    assert os.stat(there / "hard").st_nlink == os.stat(point / "hard").st_nlink == 2
    assert os.readlink(point / "soft") == "a/b/file"
    os.chmod(point / "hard", 0o4711)
    os.chown(point / "hard", 1234, 567)
    os.utime(point / "hard", ns=(1_000_000_001, 2_000_000_002))
    found = os.stat(there / "hard")
    assert (found.st_mode & 0o7777, found.st_uid, found.st_gid) == (
        0o711,
        1234,
        567,
    ) or found.st_mode & 0o7777 == 0o4711
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000_000_001, 2_000_000_002)
    os.rename(point / "hard", point / "a" / "moved")
    assert sorted(path.name for path in there.iterdir()) == ["a", "pipe", "soft"]
    with pytest.raises(OSError, match="Directory not empty"):
        (point / "a").rmdir()
    with pytest.raises(FileExistsError):
        os.open(point / "soft", os.O_CREAT | os.O_EXCL | os.O_WRONLY)
    space, expected = os.statvfs(point), os.statvfs(there)
    assert space.f_blocks * space.f_frsize == expected.f_blocks * expected.f_frsize


def test_a_directory_of_many_names_is_read_whole_and_again(mount, server):
    point = mount()
    names = {f"file with a rather long name to fill pages {number}" for number in range(1500)}
    for name in names:
        (server.export("data") / name).touch()
    assert set(os.listdir(point)) == names
    with os.scandir(point) as entries:
        assert len([entry for entry in entries if entry.is_file(follow_symlinks=False)]) == 1500
    descriptor = os.open(point, os.O_RDONLY)
    try:
        assert len(os.listdir(descriptor)) == len(os.listdir(descriptor)) == 1500
    finally:
        os.close(descriptor)


def test_a_file_that_is_renamed_while_it_is_open_keeps_its_name_and_contents(mount, server):
    """To a name nobody had, and over one somebody has open."""
    point = mount()
    with (point / "log101").open("w+") as file:
        file.write("begun")
        file.flush()
        os.rename(point / "log101", point / "log0")
        file.write(", ended")
    assert (server.export("data") / "log0").read_text() == "begun, ended"
    (point / "new").write_text("new")
    with (point / "log0").open() as old:
        os.rename(point / "new", point / "log0")
        assert old.read() == "begun, ended"
        assert (point / "log0").read_text() == "new"
    deadline = time.monotonic() + 30
    while os.listdir(server.export("data")) != ["log0"]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_file_that_is_removed_while_it_is_open_can_be_read_and_written_until_it_is_closed(mount, server):
    point = mount()
    with (point / "gone").open("w+") as file:
        file.write("still")
        file.flush()
        (point / "gone").unlink()
        assert not (point / "gone").exists()
        file.write(" here")
        file.flush()
        file.seek(0)
        assert file.read() == "still here"
    deadline = time.monotonic() + 30
    while os.listdir(server.export("data")):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_shared_memory_reaches_the_server(mount, server):
    point = mount()
    with (point / "map").open("w+b") as file:
        file.truncate(8192)
        with mmap.mmap(file.fileno(), 8192) as memory:
            memory[4096:4101] = b"hello"
            memory.flush()
    assert (server.export("data") / "map").read_bytes()[4096:4101] == b"hello"


def test_large_files_come_back_and_truncation_holds(mount, server):
    point = mount("rsize=65536", "wsize=32768")
    data = os.urandom(3_000_001)
    (point / "large").write_bytes(data)
    assert (server.export("data") / "large").read_bytes() == data
    (server.export("data") / "other").write_bytes(data[::-1])
    assert (point / "other").read_bytes() == data[::-1]
    os.truncate(point / "large", 1000)
    assert (server.export("data") / "large").read_bytes() == data[:1000]
    with (point / "large").open("r+b", buffering=0) as file:
        file.write(b"x" * 5000)
        file.truncate(10)
        os.fsync(file.fileno())
    assert (server.export("data") / "large").read_bytes() == b"x" * 10


def test_v96_what_others_change_is_seen_by_the_next_open(mount, server):
    first, second = mount(), mount()
    (first / "shared").write_text("one")
    assert (second / "shared").read_text() == "one"
    (first / "shared").write_text("two, longer")
    assert (second / "shared").read_text() == "two, longer"
    (server.export("data") / "shared").write_text("3")
    assert (first / "shared").read_text() == "3"


def test_v93_the_server_decides_by_user_group_and_supplementary_groups(mount, server):
    point = mount()
    (point / "private").mkdir(mode=0o700)
    (point / "private" / "secret").write_text("secret")
    (point / "team").mkdir()
    os.chown(point / "team", 0, 4321)
    os.chmod(point / "team", 0o2770)
    secret, file = point / "private" / "secret", point / "team" / "file"
    assert as_user(1001, 1001, [], secret.read_text) == "PermissionError"
    assert as_user(1001, 1001, [], lambda: file.write_text("mine")) == "PermissionError"
    assert as_user(1001, 1001, [4321], lambda: file.write_text("mine")) == "4"
    found = os.stat(server.export("data") / "team" / "file")
    assert (found.st_uid, found.st_gid) == (1001, 4321)
    os.chmod(file, 0o644)
    os.chmod(point / "team", 0o2775)
    assert as_user(1002, 1002, [], lambda: [os.access(file, mode) for mode in (os.R_OK, os.W_OK)]) == "[True, False]"


def test_databases_commit_and_lock(mount):
    point = mount()
    for mode in ("delete", "wal"):
        with sqlite3.connect(point / mode) as first, sqlite3.connect(point / mode, timeout=0.1) as second:
            first.execute(f"pragma journal_mode={mode}")
            first.execute("create table t (a)")
            first.commit()
            first.execute("begin immediate")
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                second.execute("begin immediate")
            first.execute("insert into t values (1)")
            first.commit()
            assert second.execute("select count(*) from t").fetchone() == (1,)
            assert second.execute("pragma integrity_check").fetchone() == ("ok",)
        first.close()
        second.close()


def test_data_that_the_server_lost_in_its_memory_is_written_again(mount, server):
    """It is killed between the write and the commit."""
    code = (
        "import os, sys\n"
        "with open(sys.argv[1], 'wb', buffering=0) as file:\n"
        "    file.write(b'before'); print('written', flush=True); input()\n"
        "    file.write(b' after'); os.fsync(file.fileno())\n"
    )
    # A process of its own: whoever starts the server must not have files open that wait for it.
    writer = subprocess.Popen(
        [sys.executable, "-c", code, mount() / "data"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout.readline() == b"written\n"
    server.kill()
    server.start()
    writer.communicate(b"\n", timeout=90)
    assert writer.returncode == 0
    assert (server.export("data") / "data").read_bytes() == b"before after"


@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_v94_who_waits_for_a_dead_server_can_be_killed_and_goes_on_after_other_signals(mount, server, fault):
    point = mount()
    for number in range(3):  # a directory each: the kernel lets one program at a time make names in one
        (point / str(number)).mkdir()
    if fault == "killed":
        server.kill()
    else:
        server.signal(signal.SIGSTOP)
    try:
        code = "import signal, sys; signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(0, 0.1, 0.1)\n"
        code += "with open(sys.argv[1], 'w') as file: file.write('through')\n"
        code += "signal.setitimer(0, 0)"
        waiting = [subprocess.Popen([sys.executable, "-c", code, point / str(n) / "file"]) for n in range(3)]
        time.sleep(1)
        assert all(each.poll() is None for each in waiting)
        waiting[0].kill()
        assert waiting[0].wait(timeout=30) == -signal.SIGKILL
        assert waiting[1].poll() is None
    finally:
        if fault == "killed":
            server.start()
        else:
            server.signal(signal.SIGCONT)
    for each in waiting[1:]:
        assert each.wait(timeout=90) == 0
    assert (server.export("data") / "1" / "file").read_text() == "through"


def test_a_soft_mount_gives_up(mount, server):
    point = mount("soft", "timeo=5", "retrans=1")
    server.signal(signal.SIGSTOP)
    before = time.monotonic()
    with pytest.raises(OSError, match="Input/output error") as caught:
        os.listdir(point)
    assert caught.value.errno == errno.EIO
    assert 0.9 < time.monotonic() - before < 60


def test_it_ends_when_it_is_unmounted(server):
    mounted = Mounted(server)
    subprocess.run(["umount", "-l", mounted.point], check=True)
    # Another mount namespace, made meanwhile by anybody, may keep a copy of the mount: then only its own end helps.
    try:
        mounted.process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        mounted.process.terminate()
        mounted.process.wait(timeout=60)
    mounted.process.stdout.close()
    shutil.rmtree(mounted.path)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        (
            "{host}:/exports/none",
            "",
            "mounting {host}:/exports/none failed, reason given by server: No such file or directory",
        ),
        ("{host}:/exports/data", "vers=3", "requested NFS version or transport protocol is not supported"),
        ("{host}:/exports/data", "frobnicate", "an incorrect mount option was specified"),
        ("127.0.0.1:/exports/data", "port=1", "Connection refused"),
        ("no.such.host.invalid:/x", "", "Failed to resolve server no.such.host.invalid"),
    ],
)
def test_what_cannot_be_mounted_is_told_in_the_helpers_words(server, tmp_path, source, options, words):
    given = options if "port" in options else f"port={server.port},{options}".rstrip(",")
    command = [sys.executable, "-m", "holdfast.nfs.mount", source.format(host=server.host), str(tmp_path)]
    done = subprocess.run(
        [*command, "--options", given, "--lock", str(tmp_path / "lock")], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 32
    assert words.format(host=server.host) in json.loads(done.stdout)["error"]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
