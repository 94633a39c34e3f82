"""A real NFS server on this machine's loopback: Debian's nfs-ganesha, an ordinary process of the test."""

from __future__ import annotations

import contextlib
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))
READY_WITHIN_S = 90
STANDARD_PORT = 2049

_HEAD = """
NFS_CORE_PARAM {{
    Protocols = 4; NFS_Port = {port}; Bind_addr = {host};
    Enable_NLM = false; Enable_RQUOTA = false; Enable_UDP = false;
}}
NFSv4 {{ Graceless = true; RecoveryBackend = fs; RecoveryRoot = {state}; Only_Numeric_Owners = true; }}
"""
_EXPORT = """
EXPORT {{
    Export_Id = {number}; Path = {path}; Pseudo = {pseudo}; Access_Type = RW; Squash = {squash};
    SecType = sys; Transports = TCP; Protocols = 4;
    Attr_Expiration_Time = 0;  # files are changed behind its back, as on a server where somebody works
    FSAL {{ Name = VFS; }}
}}
"""


def program():
    """Where it is; empty if it is not installed."""
    return shutil.which("ganesha.nfsd", path=SEARCH) or ""


def missing():
    """Why there can be no NFS volumes here; empty if there can."""
    if not program():
        return "ganesha.nfsd is not installed (scripts/test-programs installs it)"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        with open("/proc/filesystems") as known:
            if "\tnfs4\n" not in known.read():
                return f"no NFS in the kernel, and /dev/fuse: {error.strerror}"
    return ""


class NfsServer:
    """Exports directories below `directory` as `/exports/NAME`, on a loopback address nobody uses unless told."""

    def __init__(
        self,
        directory: Path,
        *names: str,
        squash: str = "No_root_squash",
        port: int = STANDARD_PORT,
        host: str = "",
    ) -> None:
        self.directory = directory
        self.host, self.port = _free_address(port, host)
        (directory / "state").mkdir(parents=True)
        text = _HEAD.format(port=self.port, host=self.host, state=directory / "state")
        for number, name in enumerate(names, start=1):
            self.export(name).mkdir(parents=True)
            self.export(name).chmod(0o777)
            text += _EXPORT.format(number=number, path=self.export(name), pseudo=f"/exports/{name}", squash=squash)
        (directory / "ganesha.conf").write_text(text)
        self._process = None

    def export(self, name: str) -> Path:
        """The exported directory, as the server's own machine sees it."""
        return self.directory / "data" / name

    def start(self) -> None:
        """Returns when it takes connections."""
        command = [program(), "-F", "-f", self.directory / "ganesha.conf", "-L", self.directory / "log"]
        command += ["-p", self.directory / "pid"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + READY_WITHIN_S
        while not self._answers():
            assert self._process.poll() is None, (self.directory / "log").read_text()[-2000:]
            assert time.monotonic() < deadline, (self.directory / "log").read_text()[-2000:]
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """Gone without a word; `start` brings it back."""
        if self._process is None:
            return
        self._process.kill()
        ended, _, _ = select.select([descriptor := os.pidfd_open(self._process.pid)], [], [], 60)
        os.close(descriptor)
        assert ended
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), timeout=1):
            return True
        return False


def _free_address(port: int, host: str) -> tuple[str, int]:
    """A loopback address, unless `host` is given, where nobody listens on the port; 0 takes any free one.

    Not one of those that the kernel gives away: by the time the server listens, somebody else might have it.
    """
    numbers = random.SystemRandom()
    for _ in range(100):
        some = f"127.{numbers.randint(2, 250)}.{numbers.randint(1, 250)}.{numbers.randint(2, 250)}"
        address, chosen = host or some, port or numbers.randint(12_000, 29_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((address, chosen))
            return address, chosen
    raise OSError(f"no free address for port {port}")


def volume(name, server, export, **spec):
    """A PersistentVolume of one of the server's exports."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteMany"],
            "mountOptions": [f"port={server.port}"],
            "nfs": {"server": server.host, "path": f"/exports/{export}"},
            "storageClassName": "",
            **spec,
        },
    }


def claim(name, volume_name):
    """A claim of that very volume."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "storageClassName": "",
            "volumeName": volume_name,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }
