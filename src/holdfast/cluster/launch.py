"""Starting, finding and stopping a cluster's processes from outside: what `holdfast up` and `down` do."""

from __future__ import annotations

import json
import os
import pwd
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from holdfast.node import delegation
from holdfast.world import Clock, mount_table, user_namespace

from . import settings as saved
from .home import LOST, Home
from .locks import Held, ProcessLock, holder, last_words
from .own_groups import OwnGroups
from .settings import Settings

NOTIFY = "HOLDFAST_NOTIFY_FD"
"""Environment variable: the descriptor on which a daemon being started tells of its progress, a JSON object a line."""

LOCK = "HOLDFAST_LOCK_FD"
"""Environment variable: the descriptor of the daemon's lock, which who starts it holds until then."""

QUICK_S = 2.0
"""What takes longer than this is told of."""

NOT_IN_PATHS = frozenset(":,\\\n")

LEAVE = signal.SIGUSR1
"""Has the daemon end and leave the pods to the next one. SIGTERM stops them first."""

LEAVES_WITHIN_S = 10.0

LITTLE_BYTES = 1 << 20
"""A start that fails with less than this free on its disk has failed for that: a new cluster takes a third of it."""

FEW_FILES = 64
"""The same, of files."""

Report = Callable[[str], None]


class LaunchFailed(Exception):
    """The cluster did not start or stop; the message says why and what to do."""


class Busy(LaunchFailed):
    """Somebody else is starting or stopping it, or it is up."""


MODULE = ("-m", "holdfast.cluster.daemon")

STARTING, STOPPING = "starting", "stopping"
"""What the lock tells of a daemon to which `up` must not come back."""


@dataclass(frozen=True, slots=True)
class Running:
    """A daemon that is up."""

    pid: int
    url: str
    version: str = ""
    """Of holdfast; of one that is too old to tell there is none."""


def daemon_lock(home: Home) -> Path:
    return home.run / "daemon.lock"


def agents_lock(home: Home) -> Path:
    return home.run / "agents.lock"


def daemon_log(home: Home) -> Path:
    return home.logs / "daemon.log"


def agents_log(home: Home) -> Path:
    return home.logs / "agents.log"


def has_records(home: Home) -> bool:
    """Whether agents have written down sandboxes or containers and not taken them away again."""
    return any(found for pattern in ("*/*/*/record.json", "*/*/*/*/record.json") for found in home.run.glob(pattern))


def running(home: Home) -> Running | None:
    """The daemon of this data directory, if one is up and answers."""
    facts = holder(daemon_lock(home))
    if facts is None or "url" not in facts:
        return None
    return Running(facts["pid"], facts["url"], facts.get("version", ""))


def start(home: Home, settings: Settings, clock: Clock, *, wait_s: float, report: Report) -> Running:
    """Starts the daemon and returns when the API answers and the nodes are Ready. Raises LaunchFailed.

    From here to the end of the daemon its lock is held: others neither start it nor miss it, whoever is killed.
    """
    make(home)
    lock = ProcessLock(daemon_lock(home))
    try:
        lock.acquire()
    except Held as error:
        raise Busy(f"a daemon runs on {home.path} already") from error
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as progress:
        try:
            lock.describe(state=STARTING)
            saved.save(home.settings, settings)
            daemon = _spawn(home, settings, writing, lock.outlive_exec())
            lock.describe(pid=daemon.pid, state=STARTING)
        finally:
            os.close(writing)
            lock.release()
        return _follow(home, daemon, progress.fileno(), clock, wait_s, report)


def make(home: Home) -> None:
    """The data directory, if it is not there yet: none among files of others, for `purge` has to know its own. What is
    there has to be this user's: what one of two leaves in it the other may not read.

    Raises LaunchFailed.
    """
    if home.settings.exists() and (owner := home.settings.stat().st_uid) != os.geteuid():
        raise LaunchFailed(
            f"{home.path} is the cluster of another user ({_user(owner)}): run it as that one, or choose another data"
            " directory with --home DIR or HOLDFAST_HOME"
        )
    if not home.settings.exists() and (wrong := NOT_IN_PATHS & set(str(home.path))):
        raise LaunchFailed(
            f"{home.path} has {' and '.join(map(repr, sorted(wrong)))} in its name, which mounts and KUBECONFIG take"
            " for a separator: choose another data directory with --home DIR or HOLDFAST_HOME"
        )
    if home.path.exists() and not home.settings.exists() and (foreign := home.foreign()):
        raise LaunchFailed(
            f"{home.path} has no cluster but other files ({_some(foreign)}): choose a new or an empty directory with"
            " --home DIR or HOLDFAST_HOME"
        )
    home.make()


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _some(names: Sequence[str], shown: int = 3) -> str:
    return ", ".join([*names[:shown], "..."] if len(names) > shown else names)


def _spawn(home: Home, settings: Settings, notify: int, lock: int) -> subprocess.Popen[bytes]:
    """The daemon in a session of its own, so that nothing that happens to this terminal reaches it."""
    through = _through(settings)
    environment = delegation.manager_environment() if through else os.environ
    log = daemon_log(home)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        return subprocess.Popen(
            [*through, sys.executable, *MODULE, "--home", str(home.path)],
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            cwd="/",
            start_new_session=True,
            pass_fds=(notify, lock),
            env={**environment, NOTIFY: str(notify), LOCK: str(lock)},
        )
    finally:
        os.close(descriptor)


def _through(settings: Settings) -> list[str]:
    """The words before the daemon's command by which an ordinary user's containers can be limited, where they help."""
    may_be_rootless = os.geteuid() != 0 and settings.nodes > 0 and settings.runtime in ("auto", "oci")
    helps = may_be_rootless and not delegation.handed_by_manager().isdisjoint(delegation.LIMITING)
    return list(delegation.THROUGH_MANAGER) if helps else []


def _follow(
    home: Home, daemon: subprocess.Popen[bytes], progress: int, clock: Clock, wait_s: float, report: Report
) -> Running:
    """Reads the daemon's lines until it is ready."""
    log = daemon_log(home)
    deadline = clock.monotonic_s() + wait_s
    look = clock.monotonic_s() + QUICK_S
    pending = b""
    while True:
        ready, _, _ = select.select([progress], [], [], max(0.0, min(deadline, look) - clock.monotonic_s()))
        if not ready and clock.monotonic_s() < deadline:
            look += QUICK_S
            if full := full_disk(home):
                look = deadline  # it is said once
                report(f"{full}; waiting for room")
            continue
        if not ready:
            cause = f": {full}; then it goes on" if (full := full_disk(home)) else "; it goes on starting"
            raise LaunchFailed(f"not ready after {wait_s:g} s{cause}, its log is {log}")
        data = os.read(progress, 65536)
        if not data:
            status = daemon.wait()
            if full := full_disk(home):
                raise LaunchFailed(f"{full}, then run the same command again")
            raise LaunchFailed(f"the daemon ended while starting (exit {status}):\n{_tail(log)}")
        *lines, pending = (pending + data).split(b"\n")
        for line in lines:
            message = json.loads(line)
            if "error" in message:
                raise LaunchFailed(message["error"])
            if "step" in message:
                report(message["step"])
            if message.get("ready"):
                return Running(pid=daemon.pid, url=message["url"])


def full_disk(home: Home) -> str:
    """What to do about a disk too full for a start; empty if it is not."""
    status = os.statvfs(home.path)
    blocks = status.f_bavail if os.geteuid() else status.f_bfree  # some are kept for root
    free_bytes = blocks * status.f_frsize
    if status.f_files and status.f_ffree < FEW_FILES:  # some file systems do not count them
        return f"the disk of {home.path} takes {status.f_ffree} files more (df -i): delete some on it"
    if free_bytes >= LITTLE_BYTES:
        return ""
    return f"the disk of {home.path} is full ({free_bytes >> 10} KiB are free): delete something on it"


def _tail(log: Path, lines: int = 12) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return f"(no log at {log})"


def stop(home: Home, report: Report, *, timeout_s: float = 900) -> bool:
    """Stops the pods, then the daemon; whether there was anything to stop. Raises LaunchFailed."""
    from . import node_faults

    stopped = False
    for lock, what in ((daemon_lock(home), "the daemon"), (agents_lock(home), "the node agents")):
        facts = holder(lock)
        if facts is None:
            continue
        stopped = True
        _end(facts["pid"], lock, what, report, timeout_s)
    node_faults.forget(home)
    stopped = _end_leftovers(home) or stopped
    OwnGroups(home).remove()
    return stopped


def _end_leftovers(home: Home) -> bool:
    """Pods whose agent was killed run on; whether there were any."""
    from . import leftovers

    if holder(agents_lock(home)) is not None or not leftovers.exist(home):
        return False
    leftovers.end(home)
    return True


def _end(pid: int, lock: Path, what: str, report: Report, timeout_s: float) -> None:
    """Asks the process to end, and waits until it has let go of its lock."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if (holder(lock) or {}).get("pid") != pid:
            return
        signal.pidfd_send_signal(descriptor, signal.SIGTERM)
        ended, _, _ = select.select([descriptor], [], [], QUICK_S)
        if not ended:
            report("pods are ending within their grace periods, a set's highest ordinal first")
            ended, _, _ = select.select([descriptor], [], [], timeout_s)
        if not ended:
            raise LaunchFailed(f"{what} (pid {pid}) did not stop within {timeout_s:g} s")
    finally:
        os.close(descriptor)


def leave(pid: int) -> None:
    """Ends the daemon `pid`; the agents and the pods go on, and the next daemon finds them."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for number in (LEAVE, signal.SIGKILL):  # it may be killed at any moment, but has connections to close
            signal.pidfd_send_signal(descriptor, number)
            if select.select([descriptor], [], [], LEAVES_WITHIN_S)[0]:
                return
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def was_stopped(lock: Path) -> bool:
    """Whether the last process that held the lock was asked to stop the pods, and did; else it died or was to leave."""
    return bool(last_words(lock).get("stopped"))


def purge(home: Home) -> list[str]:
    """Removes the data directory of a stopped cluster. Never reaches through a mount. Raises LaunchFailed, OSError.

    Files of others in it stay, and with them the directory: their names are what comes back. Where there are nothing
    but such files it is no data directory, and nothing is removed.

    Without root, pods have left files of users whom only a user namespace knows: this process enters one.
    """
    foreign = home.foreign()
    if foreign and not home.settings.exists():
        raise LaunchFailed(f"{home.path} has no cluster but other files ({_some(foreign)}): nothing is removed")
    top = home.path.resolve()
    mounts = [point for point in mount_table.below(top) if point != str(top)]
    if mounts:
        raise LaunchFailed(f"still mounted below {home.path}: {', '.join(mounts[:5])}")
    if (settings := saved.load(home.settings)) is not None and settings.is_rootless:
        user_namespace.enter()
    for entry in sorted(home.path.iterdir(), key=lambda entry: entry == home.settings):  # they go last: see above
        if entry.name not in (*foreign, LOST):
            _remove(entry)
    if not (foreign or home.path.is_symlink() or os.path.ismount(home.path)):
        home.path.rmdir()
    return foreign


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry)
    else:
        entry.unlink()


def agents_pid(home: Home) -> int | None:
    """The process that runs the node agents, if it is up."""
    facts = holder(agents_lock(home))
    return None if facts is None else int(facts["pid"])
