"""What systemd is told about a cluster: the text of its unit, and its name, which says whose it is.

Source: systemd.unit(5), systemd.service(5), systemd.kill(5).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .foreground import LEFT

MARK = "# Written by `holdfast service install`"
"""The first line of every unit of ours; one without is somebody's own."""

WAIT_S = 600
"""Nobody waits at a terminal: a slow disk may take its time at boot."""

STOP_WITHIN_S = 960
"""More than the daemon gives the agents, and these the pods: no database is to be killed while it writes."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Of one data directory."""

    home: Path
    python: str
    """The interpreter that has this holdfast."""
    is_system: bool
    """The machine's, or of the user's own systemd."""
    is_usual: bool
    """Whether the data directory is the one where nothing else is said."""

    @property
    def name(self) -> str:
        if self.is_usual:
            return "holdfast.service"
        place = re.sub(r"[^A-Za-z0-9_.]+", "-", self.home.name).strip("-.")
        return f"holdfast-{place}-{hashlib.sha256(str(self.home).encode()).hexdigest()[:8]}.service"

    @property
    def command(self) -> tuple[str, ...]:
        """Stays as long as the cluster is up. The options of `up` are where the last `up` has left them."""
        words = (self.python, "-m", "holdfast.cli", "up", "--foreground", "--no-merge")
        return (*words, "--wait", str(WAIT_S), "--home", str(self.home))

    def text(self) -> str:
        sections = {"Unit": self._unit(), "Service": self._service(), "Install": self._install()}
        body = "\n\n".join("\n".join((f"[{name}]", *lines)) for name, lines in sections.items())
        return f"{MARK}, and written anew by it. Changes: systemctl edit {self.name}\n{body}\n"

    def _unit(self) -> Iterator[str]:
        yield f"Description=holdfast, the Kubernetes cluster in {_specifiers(str(self.home))}"
        if self.is_system:
            yield "Wants=network-online.target"
            yield "After=network-online.target"
        yield f"RequiresMountsFor={_quoted(_specifiers(str(self.home)))}"
        yield "StartLimitIntervalSec=0"

    def _service(self) -> Iterator[str]:
        yield "Type=notify"
        yield f"ExecStart={_words(self.command)}"
        yield "WorkingDirectory=/"
        yield "Restart=always"
        yield "RestartSec=2"
        yield "# 0: somebody has stopped the pods with `holdfast down`. The other one is that of a restart."
        yield "RestartPreventExitStatus=0"
        yield f"SuccessExitStatus={LEFT}"
        yield "# A stop ends the pods in order, then the daemon. A restart ends the daemon alone, as do crashes."
        yield "KillMode=process"
        yield "KillSignal=SIGINT"
        yield "RestartKillSignal=SIGTERM"
        yield "TimeoutStartSec=infinity"
        yield f"TimeoutStopSec={STOP_WITHIN_S}"
        yield "# Containers have limits of their own."
        yield "Delegate=yes"
        yield "TasksMax=infinity"
        yield "OOMPolicy=continue"

    def _install(self) -> Iterator[str]:
        yield f"WantedBy={'multi-user.target' if self.is_system else 'default.target'}"


def _words(words: Sequence[str]) -> str:
    """As systemd reads a command line: quoted where it must be, and nothing in it stands for something else."""
    return " ".join(_quoted(_specifiers(word).replace("$", "$$")) for word in words)


def _quoted(word: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9_./:@=%$+,-]+", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")
