"""Every kubectl of the machine: the one on PATH, those that lie beside it as kubectl.1.N, and Debian's."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

NONE_BESIDE = "no kubectl.1.* beside the machine's kubectl"


def beside():
    """Kubectls by minor version, oldest first; empty if there are none."""
    machine = shutil.which("kubectl")
    found = Path(os.path.realpath(machine)).parent.glob("kubectl.1.*") if machine else ()
    numbered = {int(path.name.rpartition(".")[2]): path for path in found if path.name.rpartition(".")[2].isdigit()}
    return dict(sorted(numbered.items()))


FEW = "HOLDFAST_TEST_FEW_KUBECTLS"
"""Set this while you work: Debian's and the newest stand for those between, in a third of the time."""


def every_kubectl():
    """Parameters of the `program` fixture, with ids such as "1.33"."""
    found = list(beside().items())
    chosen = found[-1:] if os.environ.get(FEW) else found
    numbered = [pytest.param(path, id=f"1.{minor}") for minor, path in chosen]
    absent = [pytest.param("", id="1.27-1.33", marks=pytest.mark.skip(reason=NONE_BESIDE))]
    return [pytest.param("debian_kubectl", id="debian"), *(numbered or absent)]


def opened(process):
    """Returns when the watch of a kubectl with `-v=6` is there.

    Of a watch of one object, kubectl takes the first event for the object it has shown, changed or not.
    """
    for line in process.stderr:
        if "watch=true" in line and "200" in line:
            return


def old_and_new():
    """Parameters for what takes long: Debian's kubectl and 1.32, else the newest that there is."""
    found = beside()
    minor = 32 if 32 in found else max(found, default=None)
    new = pytest.param("any_kubectl", id="machine") if minor is None else pytest.param(found[minor], id=f"1.{minor}")
    return [pytest.param("debian_kubectl", id="debian"), new]
