"""Tests in JavaScript: each file of `javascript/` is run once by node, and each of its tests is one of pytest's."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent / "javascript"
CACHE = Path(__file__).parents[2] / ".cache" / "javascript"
OLDEST = (20, 3)
"""What the client needs of node. Debian's npm consists of 400 packages: where there is none, none is installed."""


def names(file: str) -> list[str]:
    """Of the tests in it."""
    return re.findall(r"^test\('(.+?)'", (FOLDER / file).read_text(), re.MULTILINE)


def run(file: str, cluster, namespace: str) -> dict[str, str]:
    """Name of each test to what is wrong, empty if nothing is. Skips where JavaScript cannot be run."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.home / "kubeconfig"), "NAMESPACE": namespace}
    command = ["node", "--test-reporter=tap", str(_modules() / file)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    found = {}
    for part in re.split(r"^# Subtest: ", done.stdout, flags=re.MULTILINE)[1:]:
        name, _, told = part.partition("\n")
        found[name] = "" if told.startswith("ok ") else told
    assert sorted(found) == sorted(names(file)), done.stdout + done.stderr
    return found


def _modules() -> Path:
    """A folder with the tests and what they import, of the versions that the lock file names."""
    if obstacle := missing():
        pytest.skip(obstacle)
    lock_file = (FOLDER / "package-lock.json").read_bytes()
    place = CACHE / hashlib.sha256(lock_file).hexdigest()[:16]
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker fetches, the others wait
        for path in FOLDER.iterdir():
            shutil.copy(path, place)
        if not (place / "whole").exists():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
            if done.returncode:
                pytest.skip(f"npm cannot bring the client: {done.stderr[-300:]}")
            (place / "whole").touch()
    return place


def missing() -> str:
    """Why JavaScript cannot be run here; empty if it can."""
    if absent := [tool for tool in ("node", "npm") if shutil.which(tool) is None]:
        return f"not installed: {', '.join(absent)}"
    told = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    version = tuple(int(number) for number in re.findall(r"\d+", told)[:2])
    return "" if version >= OLDEST else f"node {told.strip()} is older than {'.'.join(map(str, OLDEST))}"
