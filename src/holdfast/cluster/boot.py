"""A cluster that systemd starts: with the machine, and again when it dies. Its unit is made known, or taken away."""

from __future__ import annotations

import os
import pwd
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from .home import Home, usual_home
from .unit import MARK, Unit

RUNNING_SYSTEMD = Path("/run/systemd/system")
"""There where systemd runs the machine, as sd_booted(3) says."""

LINGERING = Path("/var/lib/systemd/linger")
"""A file for each user whose own systemd starts with the machine."""


class NotDone(Exception):
    """Nothing, or not all, was changed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Found:
    """What systemd has of a cluster."""

    unit: str
    enabled: bool
    active: bool


class Boot:
    """Of one data directory, for whoever calls: the machine's systemd for root, the user's own for others."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._is_system = os.geteuid() == 0
        self.unit = Unit(home.path, sys.executable, self._is_system, home.path == usual_home())
        self.file = self._folder() / self.unit.name

    def _folder(self) -> Path:
        if self._is_system:
            return Path("/etc/systemd/system")
        return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd/user"

    @property
    def is_installed(self) -> bool:
        return self._text().startswith(MARK)

    def _text(self) -> str:
        try:
            return self.file.read_text()
        except FileNotFoundError:
            return ""

    def find(self) -> Found | None:
        """None without a unit of ours."""
        if not self.is_installed:
            return None
        return Found(self.unit.name, enabled=self._holds("is-enabled"), active=self._holds("is-active"))

    def install(self, report: Callable[[str], None]) -> None:
        """Returns when the cluster is up, under systemd's eyes. Raises NotDone."""
        self._check()
        if self._text() and not self.is_installed:
            raise NotDone(f"{self.file} is not ours: {self.command('cat')}")
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.unit.text())
        report(f"{self.file} is written")
        self._run("daemon-reload")
        self._run("enable", self.unit.name)
        report(f"{self.unit.name} starts")
        self._run("start", self.unit.name)

    def remove(self) -> bool:
        """Stops the pods, then the daemon, if they run under it; whether there was a unit. Raises NotDone."""
        if not self.is_installed:
            return False
        self._check()
        self._run("disable", "--now", self.unit.name)
        self.forget()
        return True

    def forget(self) -> None:
        """Takes the unit of a stopped cluster away. Raises NotDone."""
        if not self.is_installed:
            return
        if RUNNING_SYSTEMD.is_dir():
            self._run("disable", self.unit.name)
        self.file.unlink()
        if RUNNING_SYSTEMD.is_dir():
            self._run("daemon-reload")

    def waits_for_a_login(self) -> str:
        """The command without which a user's cluster starts with the first login only; empty if it starts at boot."""
        user = "" if self._is_system else pwd.getpwuid(os.geteuid()).pw_name
        return f"loginctl enable-linger {user}" if user and not (LINGERING / user).exists() else ""

    def command(self, verb: str) -> str:
        """What to type to have systemd do that."""
        return self._systemctl(verb, self.unit.name)

    def _check(self) -> None:
        """Whether there is a systemd to talk to."""
        if not RUNNING_SYSTEMD.is_dir():
            command = shlex.join(self.unit.command)
            raise NotDone(
                "systemd does not run this machine: have what starts services here run the command below, start it "
                "again when it ends with another status than 0, and stop it with SIGINT, which stops the pods first "
                f"(SIGTERM leaves them to the next start)\n{command}"
            )

    def _holds(self, question: str) -> bool:
        try:
            done = subprocess.run(["systemctl", *self._whose(), "--quiet", question, self.unit.name], check=False)
        except OSError:
            return False
        return done.returncode == 0

    def _run(self, *words: str) -> None:
        try:
            subprocess.run(["systemctl", *self._whose(), *words], check=True, capture_output=True, text=True)
        except OSError as error:
            raise NotDone(f"{self._systemctl(*words)}: {error}") from error
        except subprocess.CalledProcessError as error:
            raise NotDone(f"{self._systemctl(*words)}: {error.stderr.strip()}") from error

    def _systemctl(self, *words: str) -> str:
        return shlex.join(["systemctl", *self._whose(), *words])

    def _whose(self) -> list[str]:
        return [] if self._is_system else ["--user"]
