"""`holdfast up --foreground` as a supervisor has it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

PATIENCE_S = 120


class Supervised:
    """The process, and the socket on which it tells of itself."""

    def __init__(self, home, *wanted, before=()):
        """`before` is the beginning of the command line: what it is run by."""
        address = str(home.path.parent / "notify")
        Path(address).unlink(missing_ok=True)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(PATIENCE_S)
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "holdfast.cli", "up", "--foreground", "--home", str(home.path), *wanted],
            env={**os.environ, "NOTIFY_SOCKET": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def told(self, wanted):
        """The datagram that has it among its lines, as lines."""
        while wanted not in (lines := self._socket.recv(4096).decode().splitlines()):
            pass
        return lines

    def ends(self):
        """Exit status, standard output, standard error."""
        output, errors = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, output, errors

    def asked(self, number):
        self.process.send_signal(number)
        return self.ends()

    def close(self):
        self._socket.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def killed(pid):
    """Returns when it is gone."""
    descriptor = os.pidfd_open(pid)
    signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    assert select.select([descriptor], [], [], PATIENCE_S)[0]
    os.close(descriptor)
