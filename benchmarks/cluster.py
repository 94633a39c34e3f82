"""A cluster of its own for a measurement, driven from outside: the command line and plain HTTPS."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

HOLDFAST = [sys.executable, "-m", "holdfast.cli"]


class Cluster:
    """One data directory, thrown away at the end."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.with_suffix(".log")

    def command(self, *arguments: str) -> str:
        """Runs `holdfast ARGUMENTS` on this cluster; its output. Raises with what it printed if it fails."""
        environment = {**os.environ, "HOLDFAST_HOME": str(self.home)}
        done = subprocess.run([*HOLDFAST, *arguments], env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"holdfast {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def up(self, *arguments: str) -> float:
        """Starts it; seconds until the command came back."""
        begin = time.monotonic()
        self.command("up", "--port", "0", "--no-merge", *arguments)
        return time.monotonic() - begin

    def status(self) -> dict[str, Any]:
        return json.loads(self.command("status", "-o", "json"))

    def _connect(self, timeout: float) -> http.client.HTTPSConnection:
        kubeconfig = json.loads((self.home / "kubeconfig").read_text())
        address = urlsplit(kubeconfig["clusters"][0]["cluster"]["server"])
        context = ssl.create_default_context(cafile=str(self.home / "ca.crt"))
        return http.client.HTTPSConnection(address.hostname, address.port, context=context, timeout=timeout)

    def call(self, method: str, path: str, body: Any = None, media_type: str = "application/json") -> Any:
        """One request as the administrator; the decoded answer. Raises on 4xx and 5xx."""
        connection = self._connect(30)
        try:
            return self._ask(connection, method, path, body, media_type)
        finally:
            connection.close()

    def _ask(self, connection: http.client.HTTPSConnection, method: str, path: str, body: Any, media_type: str) -> Any:
        data = None if body is None else json.dumps(body)
        connection.request(method, path, data, self._headers(media_type))
        response = connection.getresponse()
        answer = json.loads(response.read() or b"null")
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {answer}")
        return answer

    @contextlib.contextmanager
    def connected(self) -> Iterator[Callable[..., Any]]:
        """`call` over one connection that stays open, as programs that talk to a cluster all day have it."""
        connection = self._connect(30)
        connection.connect()
        try:
            yield lambda method, path, body=None: self._ask(connection, method, path, body, "application/json")
        finally:
            connection.close()

    def watch(self, path: str, timeout: float) -> Iterator[dict[str, Any]]:
        """Events of a watch, with the initial state first."""
        connection = self._connect(timeout)
        try:
            connection.request("GET", f"{path}{'&' if '?' in path else '?'}watch=1", headers=self._headers())
            response = connection.getresponse()
            while line := response.readline():
                yield json.loads(line)
        finally:
            connection.close()

    def _headers(self, media_type: str = "application/json") -> dict[str, str]:
        token = (self.home / "admin.token").read_text().strip()
        return {"Authorization": f"Bearer {token}", "Content-Type": media_type}


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """A data directory of its own, stopped and purged afterwards."""
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as directory:
        made = Cluster(Path(directory) / "home")
        try:
            yield made
        finally:
            made.command("down", "--purge")


def process_tree_cpu_s(pid: int) -> float:
    """CPU seconds one process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def process_cpu_s(pid: int) -> float:
    """CPU seconds that all threads of a process have used, to the nanosecond: the clock of `clock_getcpuclockid`."""
    return time.clock_gettime((~pid << 3) | 2)


def main_thread_cpu_s(pid: int) -> float:
    """CPU seconds of a process's first thread, which in the daemon is the event loop."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9


def rss_mb(pid: int) -> float:
    """Resident memory of one process in MB (10^6 bytes)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
