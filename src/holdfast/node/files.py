"""The agent's files of a pod (R170): /etc/hosts, resolv.conf, termination messages, logs.

<state>/pods/<uid>/etc-hosts, resolv.conf
<state>/pods/<uid>/containers/<container>/<attempt>     termination message
<state>/logs/<namespace>_<name>_<uid>/<container>/<attempt>.log
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from holdfast.world.removal import remove_tree

from .pod import Pod

LOG_BLOCK = 64 << 10


class PodFiles(Protocol):
    """What the agent keeps of a pod on disk."""

    def write(self, pod: Pod, name: str, text: str) -> str:
        """Puts `text` into the pod's file `name` and returns its path."""

    def termination_file(self, pod: Pod, container: str, attempt: int) -> str:
        """The path of a run's termination message, made empty if there is none yet."""

    def termination_message(self, pod_uid: str, container: str, attempt: int, most_bytes: int) -> bytes:
        """The end of what the run left there; empty if nothing."""

    def log_path(self, pod: Pod, container: str, attempt: int) -> str:
        """Where a run's output goes; its directory exists."""

    def newest_log(self, pod: Pod, container: str) -> int | None:
        """The highest attempt that has a log (N48)."""

    def logs(self, pod: Pod, container: str) -> list[str]:
        """The logs that are kept of a container's runs, oldest first."""

    def log_end(self, path: str, lines: int) -> Iterator[str]:
        """The last lines of a log, without timestamp and stream."""

    def prune(self, pod: Pod, container: str, oldest: int) -> None:
        """Forgets logs and messages of runs before attempt `oldest` (N170)."""

    def known(self) -> set[str]:
        """Uids of pods that have files."""

    def remove(self, pod_uid: str) -> None:
        """Everything of that pod, logs included. Raises OSError: something is still mounted; try again."""


class StateDirectory:
    """`PodFiles` on this machine's disk."""

    def __init__(self, state: Path) -> None:
        self._pods = state / "pods"
        self._logs = state / "logs"
        self._pods.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)

    def write(self, pod: Pod, name: str, text: str) -> str:
        path = self._pods / pod.uid / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # In place: the file is bind-mounted into containers, a new one would not be seen there.
        path.write_text(text)
        path.chmod(0o644)
        return str(path)

    def termination_file(self, pod: Pod, container: str, attempt: int) -> str:
        path = self._message(pod.uid, container, attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        path.chmod(0o666)
        return str(path)

    def termination_message(self, pod_uid: str, container: str, attempt: int, most_bytes: int) -> bytes:
        try:
            with self._message(pod_uid, container, attempt).open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - most_bytes))
                return file.read(most_bytes)
        except OSError:
            return b""

    def log_path(self, pod: Pod, container: str, attempt: int) -> str:
        directory = self._log_directory(pod) / container
        directory.mkdir(parents=True, exist_ok=True)
        return str(directory / f"{attempt}.log")

    def newest_log(self, pod: Pod, container: str) -> int | None:
        return max(self._attempts(pod, container), default=None)

    def logs(self, pod: Pod, container: str) -> list[str]:
        directory = self._log_directory(pod) / container
        return [str(directory / f"{attempt}.log") for attempt in sorted(self._attempts(pod, container))]

    def _attempts(self, pod: Pod, container: str) -> list[int]:
        directory = self._log_directory(pod) / container
        return [int(path.stem) for path in directory.glob("*.log") if path.stem.isdigit()]

    def log_end(self, path: str, lines: int) -> Iterator[str]:
        try:
            with open(path, "rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - LOG_BLOCK))
                last = deque(file.read().decode("utf-8", "replace").splitlines(keepends=True), lines)
        except OSError:
            return
        for line in last:
            parts = line.split(" ", 3)
            if len(parts) == 4:
                yield parts[3].rstrip("\n") if parts[2].startswith("P") else parts[3]

    def prune(self, pod: Pod, container: str, oldest: int) -> None:
        for path in (self._log_directory(pod) / container).glob("*.log*"):
            number = path.name.split(".")[0]
            if number.isdigit() and int(number) < oldest:
                path.unlink(missing_ok=True)
        for path in (self._pods / pod.uid / "containers" / container).glob("*"):
            if path.name.isdigit() and int(path.name) < oldest:
                path.unlink(missing_ok=True)

    def known(self) -> set[str]:
        in_logs = {path.name.rpartition("_")[2] for path in self._logs.iterdir()}
        return in_logs | {path.name for path in self._pods.iterdir()}

    def remove(self, pod_uid: str) -> None:
        remove_tree(self._pods / pod_uid)
        for directory in self._logs.glob(f"*_{pod_uid}"):
            remove_tree(directory)

    def _message(self, pod_uid: str, container: str, attempt: int) -> Path:
        return self._pods / pod_uid / "containers" / container / str(attempt)

    def _log_directory(self, pod: Pod) -> Path:
        return self._logs / f"{pod.namespace}_{pod.name}_{pod.uid}"


class ImaginedFiles:
    """For containers that do not run: nothing is written anywhere."""

    def write(self, pod: Pod, name: str, text: str) -> str:
        return f"/{name}"

    def termination_file(self, pod: Pod, container: str, attempt: int) -> str:
        return ""

    def termination_message(self, pod_uid: str, container: str, attempt: int, most_bytes: int) -> bytes:
        return b""

    def log_path(self, pod: Pod, container: str, attempt: int) -> str:
        return ""

    def newest_log(self, pod: Pod, container: str) -> int | None:
        return None

    def logs(self, pod: Pod, container: str) -> list[str]:
        return []

    def log_end(self, path: str, lines: int) -> Iterator[str]:
        return iter(())

    def prune(self, pod: Pod, container: str, oldest: int) -> None: ...

    def known(self) -> set[str]:
        return set()

    def remove(self, pod_uid: str) -> None: ...
