"""`scripts/bootstrap`, the first thing that runs on a machine."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_python_that_is_too_old_is_named_before_anything_is_made(tmp_path):
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "dirname", "id"):
        (programs / name).symlink_to(shutil.which(name))
    old = programs / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    old.chmod(0o755)
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "bootstrap", tmp_path / "scripts")
    done = subprocess.run(
        [tmp_path / "scripts" / "bootstrap"], env={"PATH": str(programs)}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "holdfast needs Python 3.11 or newer, and this machine has none: Python 3.9.2" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["bin", "scripts"]
