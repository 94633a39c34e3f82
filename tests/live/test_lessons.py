"""Every page of docs/tutorials, played from its own text with the real kubectls: what it shows is what is printed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from holdfast.cluster.lessons import shelf

from .conftest import hear_interrupts
from .playing import problems_of


@pytest.mark.parametrize("lesson", shelf.lessons(), ids=lambda lesson: lesson.name)
def test_a_page_is_true(lesson, kubectls, build_images):
    problems = problems_of(lesson, kubectls, build_images)
    assert not problems, "\n\n".join(problems)


def demo(tmp_path, kubectl, *arguments):
    """A running `holdfast demo`, whose temporary files are below `tmp_path`."""
    path = os.pathsep.join((str(kubectl.parent), os.environ["PATH"]))
    command = [sys.executable, "-m", "holdfast.cli", "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PATH": path}
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_interrupts,
    )


def test_the_demo_plays_a_lesson_and_leaves_nothing_not_even_of_one_that_was_killed(tmp_path, any_kubectl):
    killed = demo(tmp_path, any_kubectl, "order")
    until(killed, "kubectl exec")
    killed.kill()
    killed.communicate()
    assert left_in(tmp_path) != []

    playing = demo(tmp_path, any_kubectl, "deadlock")
    said, complaints = playing.communicate(timeout=400)
    assert (playing.returncode, complaints) == (0, "")
    assert "  $ kubectl apply -f deployment.yaml\n  deployment.apps/clerk created\n" in said
    assert "The whole lesson, in " in said.splitlines()[-2]
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("after", ["holdfast up", "kubectl exec"])
def test_an_interrupted_lesson_leaves_nothing(tmp_path, after, any_kubectl):
    """In the midst of starting, and with pods running."""
    playing = demo(tmp_path, any_kubectl, "order")
    until(playing, after)
    playing.send_signal(signal.SIGINT)
    playing.send_signal(signal.SIGINT)
    _, complaints = playing.communicate(timeout=200)
    assert (playing.returncode, complaints.splitlines()[-1]) == (130, "holdfast: interrupted")
    assert left_in(tmp_path) == []


def until(playing, command):
    """Returns when the lesson comes to it."""
    assert any(line.startswith(f"  $ {command}") for line in playing.stdout), playing.communicate()


def left_in(directory):
    """Files below it, mounts in it, processes that name it."""
    found = [str(path) for path in directory.iterdir()]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(directory).encode() in (said := path.read_bytes()):
                found.append(said.decode())
    return found
