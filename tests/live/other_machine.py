"""Another machine, as far as a cluster can tell: a network namespace with one link to this one's, and a directory."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.live.conftest import SEARCH, left_behind

from holdfast.cluster.home import Home


def run(*command, check=True, within_s=120):
    done = subprocess.run(command, capture_output=True, text=True, timeout=within_s, env={**os.environ, "PATH": SEARCH})
    assert not check or done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done


class Link:
    """Two ends, `first` of this machine and `second` of the other; both go with the namespace."""

    def __init__(self):
        number = os.getpid() % 200 + 20
        self.namespace = f"hf-other-{os.getpid()}"
        self.network = f"172.27.{number}.0/24"
        self.first, self.second = f"172.27.{number}.1", f"172.27.{number}.2"
        self._name = f"hother{os.getpid()}"[:15]
        inside = ["ip", "-n", self.namespace]
        run("ip", "netns", "add", self.namespace)
        run("ip", "link", "add", self._name, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        run("ip", "address", "add", f"{self.first}/24", "dev", self._name)
        run("ip", "link", "set", self._name, "up")
        run(*inside, "address", "add", f"{self.second}/24", "dev", "eth0")
        for name in ("lo", "eth0"):
            run(*inside, "link", "set", name, "up")
        run(*inside, "route", "add", "default", "via", self.first)

    def inside(self, *command):
        """The command there: in its network, with the mounts of this machine."""
        return ["nsenter", f"--net=/run/netns/{self.namespace}", *command]

    def remove(self):
        run("ip", "netns", "delete", self.namespace, check=False)
        run("ip", "link", "delete", self._name, check=False)


class OtherMachine:
    """Joins `cluster`, which has to listen on `link.first`, as the node `name`."""

    def __init__(self, cluster, link, name="far"):
        self.cluster, self.link, self.name = cluster, link, name
        self.home = Home(Path(tempfile.mkdtemp(prefix="hf-other-")) / "h")
        self.server = f"{link.first}:{cluster.status()['daemon']['url'].rpartition(':')[2]}"

    def join_with_token(self):
        """By the very command that the first machine prints."""
        told = json.loads(self.cluster.holdfast("node", "token", "-o", "json").stdout)
        program, *words = told["command"].split()
        assert (program, told["server"]) == ("holdfast", self.server)
        return self.holdfast(*words, "--name", self.name)

    def holdfast(self, *arguments, check=True, within_s=120):
        command = self.link.inside(sys.executable, "-m", "holdfast.cli", *arguments)
        environment = {**os.environ, "PATH": SEARCH, "HOLDFAST_HOME": str(self.home.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=within_s)
        assert not check or done.returncode == 0, f"holdfast {arguments}: {done.stdout}{done.stderr}{self.log()}"
        return done

    def join(self, *more, check=True):
        return self.holdfast("node", "--join", self.server, "--name", self.name, *more, check=check)

    def routes(self):
        return run("ip", "-n", self.link.namespace, "route").stdout

    def agents_pid(self):
        return json.loads((self.home.run / "agents.lock").read_text())["pid"]

    def log(self):
        path = self.home.logs / "agents.log"
        return "\n".join(path.read_text().splitlines()[-30:]) if path.exists() else ""

    def purge(self):
        """Removes it, and makes sure that nothing of it is left."""
        self.holdfast("down", "--purge")
        shutil.rmtree(self.home.path.parent, ignore_errors=True)
        assert left_behind(self.home.path, []) == []
        assert [line.split()[0] for line in self.routes().splitlines()] == ["default", f"{self.link.network}"]
        assert run("ip", "-n", self.link.namespace, "-o", "address", "show", "dev", "lo").stdout.count("inet ") == 1
        assert run(*self.link.inside("nft", "list", "tables")).stdout == ""
