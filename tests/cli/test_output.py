"""What commands print, on terminals of all kinds."""

import os
import pty
import subprocess
import sys

import pytest

from holdfast.cluster.home import Home


def on_a_terminal(*words, **environment):
    """What `holdfast` prints on one."""
    near, far = pty.openpty()
    command = [sys.executable, "-m", "holdfast.cli", *words]
    inherited = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    done = subprocess.run(command, stdin=far, stdout=far, stderr=far, env={**inherited, **environment}, check=False)
    os.close(far)
    os.set_blocking(near, False)
    with os.fdopen(near, "rb", buffering=0) as terminal:
        return done.returncode, terminal.read(65536)


@pytest.mark.parametrize(
    ("environment", "is_coloured"),
    [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False), ({"TERM": "xterm", "NO_COLOR": "1"}, False)],
    ids=str,
)
def test_terminals_that_know_no_colours_and_users_who_want_none_get_text(tmp_path, environment, is_coloured):
    status, printed = on_a_terminal("doctor", "--home", str(tmp_path), **environment)
    assert status in (0, 1)
    assert b"crun" in printed
    assert (b"\x1b[" in printed) == is_coloured


def test_who_stops_reading_ends_the_command_and_sees_no_traceback(tmp_path):
    Home(tmp_path).make()
    command = f"{sys.executable} -m holdfast.cli image list -o json --home {tmp_path} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
