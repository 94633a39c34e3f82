"""Logs of processes that run for years."""

import os
import subprocess
import sys
from pathlib import Path

PRINTING = """
import sys
from pathlib import Path
from holdfast.cluster.logs import turn_over
for line in range(4):
    print("out", line, flush=True)
    print("err", line, file=sys.stderr, flush=True)
    turn_over(Path(sys.argv[1]), 30)
"""


def printed_by(log, to):
    with to.open("ab") as output:
        subprocess.run([sys.executable, "-c", PRINTING, str(log)], stdout=output, stderr=output, check=True)


def test_a_log_that_has_become_large_is_begun_anew_and_the_one_before_is_kept(tmp_path):
    log = tmp_path / "daemon.log"
    printed_by(log, log)
    assert log.with_name("daemon.log.1").read_text() == "out 0\nerr 0\nout 1\nerr 1\nout 2\nerr 2\n"
    assert log.read_text() == "out 3\nerr 3\n"
    assert log.stat().st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["daemon.log", "daemon.log.1"]


def test_what_is_printed_elsewhere_is_left_alone(tmp_path):
    """`up --foreground`, beside the log of an earlier start."""
    log, other = tmp_path / "daemon.log", tmp_path / "terminal"
    log.write_text("x" * 100)
    printed_by(log, other)
    assert log.read_text() == "x" * 100
    assert len(other.read_text().splitlines()) == 8


def test_a_log_that_was_removed_harms_nobody(tmp_path):
    printed_by(Path(tmp_path / "none"), tmp_path / "other")
    assert not (tmp_path / "none").exists()
