"""An ordinary user of this machine, made up for a test: known, and given devices, in a mount namespace only."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import msgspec

import holdfast
from conftest import Cluster

UIDS = itertools.count(4242 + 20 * (os.getpid() % 2000))
"""Test processes side by side have users of their own."""
FIRST, COUNT = 700_000_000, 65_536
"""Ids that are handed to a user where there are to be several."""
DEVICES = {"tun": ("/dev/net/tun", (10, 200)), "fuse": ("/dev/fuse", (10, 229))}
GROUPS = Path("/sys/fs/cgroup")
SITE = Path(msgspec.__file__).parents[1]
"""Where the packages are that holdfast needs."""
PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


class User:
    """`place` is a new directory that everybody may enter. Nobody else in this run has the user's own id."""

    def __init__(self, place, *, has_many_ids, devices=(), before=(), group=None):
        """`devices`, of `DEVICES`, may be opened by the user; `before` is what all that the user runs is run by.

        `group` is the `Group` in which it runs.
        """
        self.uid = next(UIDS)
        self.first = FIRST + COUNT * self.uid
        """Of the ids handed to it, if any."""
        self.place = place
        self.home = place / "home"
        self._before = list(before)
        self._mounts = self._prepare(has_many_ids, devices)
        if group is not None:
            group.give(self.uid)
            self._mounts.append(f"echo $$ > {group.shell}/cgroup.procs")

    def _prepare(self, has_many_ids, devices):
        """The lines of a shell that make this machine one that knows the user, and lets it see this Python."""
        self.place.chmod(0o755)
        self.home.mkdir()
        os.chown(self.home, self.uid, self.uid)
        lines = []
        sub = f"ordinary:{self.first}:{COUNT}\n" if has_many_ids else ""
        known = Path("/etc/passwd").read_text() + f"ordinary:x:{self.uid}:{self.uid}::{self.home}:/bin/sh\n"
        for name, text in {"passwd": known, "subuid": sub, "subgid": sub}.items():
            (self.place / name).write_text(text)
            if not Path("/etc", name).exists():
                continue
            lines.append(f"mount --bind {self.place}/{name} /etc/{name}")
        for name, source in {
            "python": sys.base_prefix,
            "src": Path(holdfast.__file__).parents[1],
            "site": SITE,
        }.items():
            (self.place / name).mkdir()
            lines.append(f"mount --bind {shlex.quote(str(source))} {self.place}/{name}")
        for name in devices:
            path, numbers = DEVICES[name]
            os.mknod(self.place / name, stat.S_IFCHR, os.makedev(*numbers))
            (self.place / name).chmod(0o666)
            lines.append(f"mount --bind {self.place}/{name} {path}")
        return lines

    def command(self, *words, **environment):
        """As the user, who keeps nothing of root's."""
        place = self.place
        settings = {
            "HOME": self.home,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{place}/src:{place}/site",
            "LD_LIBRARY_PATH": f"{place}/python/lib",
            "TMPDIR": self.home,
            **environment,
        }
        run = [f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups", "env", "-i"]
        run += [f"{name}={value}" for name, value in settings.items()] + self._before
        script = " && ".join([*self._mounts, 'exec "$@"'])
        return ["unshare", "-m", "--propagation", "slave", "sh", "-c", script, "sh", "setpriv", *run, *map(str, words)]

    @property
    def python(self):
        return self.place / "python" / "bin" / PYTHON

    def has(self, uid):
        """Whether the id is among those that are handed to the user."""
        return self.first <= uid < self.first + COUNT

    def processes(self):
        """Those of the user, and of the ids handed to it, that have not ended."""
        found = []
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                fields = dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)
                words = (status.parent / "cmdline").read_text()
            except OSError:
                continue
            uid = int(fields["Uid"].split()[0])
            if (uid == self.uid or self.has(uid)) and not fields["State"].startswith("Z"):
                found.append(f"{status.parent.name} {words}")
        return found


class Group:
    """A control group of version 2 that is a user's: what systemd does where it delegates."""

    def __init__(self, name, controllers):
        """Raises OSError if it cannot be made with these."""
        self.path = GROUPS / name / "user"
        self.name = f"{name}/user"
        self.shell = self.path / "shell"
        """Where the user's commands are when they begin."""
        self.shell.mkdir(parents=True)
        for place in (GROUPS, GROUPS / name):
            (place / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in controllers))

    def give(self, uid):
        for place in (self.path, self.shell):
            for name in ("", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"):
                os.chown(place / name, uid, uid)

    def left(self):
        """What is in it beside the shell's."""
        return sorted(path.name for path in self.path.iterdir() if path.is_dir() and path != self.shell)

    def remove(self):
        for place in (self.shell, self.path, self.path.parent):
            place.rmdir()


class UsersCluster(Cluster):
    """A cluster that the user runs."""

    def __init__(self, user, kubectl):
        super().__init__(user.home / "h", kubectl)
        self.user = user

    def holdfast(self, *arguments, check=True, within_s=300):
        command = self.user.command(self.user.python, "-m", "holdfast.cli", *arguments, HOLDFAST_HOME=self.home)
        done = subprocess.run(command, capture_output=True, text=True, timeout=within_s)
        assert not check or done.returncode == 0, f"holdfast {arguments}: {done.stdout}{done.stderr}"
        return done

    def purge(self):
        """Ends and removes it: nothing of it may be left."""
        self.holdfast("down", "--purge")
        deadline = time.monotonic() + 60
        while (left := self.user.processes()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []
        assert not self.home.exists()
        shutil.rmtree(self.user.place)
