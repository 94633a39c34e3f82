"""Every page of docs/tutorials, played from its own text with the real kubectls: what it shows is what is printed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.clients.kubectls import old_and_new

from holdfast.cluster.lessons import player, shelf
from holdfast.world import SystemClock

from .conftest import CACHE


class Transcript:
    """What was seen of a lesson, for a failed assertion."""

    def __init__(self):
        self.lines = []

    def read(self, text):
        pass

    def asked(self, command):
        self.lines.append(f"$ {command}")

    def heard(self, line):
        self.lines.append(line)


@pytest.fixture(scope="module")
def kubectls(request):
    """Those of two ages, by name."""
    found = {parameter.id: parameter.values[0] for parameter in old_and_new()}
    return {name: request.getfixturevalue(each) if isinstance(each, str) else each for name, each in found.items()}


@pytest.mark.parametrize("lesson", shelf.lessons(), ids=lambda lesson: lesson.name)
def test_a_page_is_true(lesson, kubectls, build_images):
    """With each kubectl on a cluster of its own, side by side: lessons mostly wait."""
    build_images(*lesson.page().images)
    with ThreadPoolExecutor(len(kubectls)) as threads:
        played = [threads.submit(problem_of, lesson, name, kubectl) for name, kubectl in kubectls.items()]
        problems = [each.result() for each in played]
    assert problems == [""] * len(kubectls), "\n\n".join(problems)


def problem_of(lesson, name, kubectl):
    """What is not true on the page, and all that was seen until then; empty if all is true."""
    transcript = Transcript()
    try:
        asyncio.run(player.play(lesson, transcript, SystemClock(), images=CACHE / "images", kubectl=kubectl))
    except player.Broken as error:
        return "\n".join([f"kubectl {name}: {error}", "", *transcript.lines])
    asked = [line for line in transcript.lines if line.startswith("$ ")]
    return "" if len(asked) == len(lesson.page().steps) else f"kubectl {name}: {len(asked)} commands"


def demo(tmp_path, *arguments):
    """A running `holdfast demo`, whose temporary files are below `tmp_path`."""
    command = [sys.executable, "-m", "holdfast.cli", "demo", *arguments]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_demo_plays_a_lesson_and_leaves_nothing(tmp_path, any_kubectl):
    playing = demo(tmp_path, "deadlock")
    said, complaints = playing.communicate(timeout=120)
    assert (playing.returncode, complaints) == (0, "")
    assert "  $ kubectl apply -f deployment.yaml\n  deployment.apps/clerk created\n" in said
    assert "The whole lesson, in " in said.splitlines()[-2]
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("after", ["holdfast up", "kubectl exec"])
def test_an_interrupted_lesson_leaves_nothing(tmp_path, after, any_kubectl):
    """In the midst of starting, and with pods running."""
    playing = demo(tmp_path, "order")
    for line in playing.stdout:
        if line.startswith(f"  $ {after}"):
            break
    playing.send_signal(signal.SIGINT)
    playing.send_signal(signal.SIGINT)
    _, complaints = playing.communicate(timeout=60)
    assert (playing.returncode, complaints.splitlines()[-1]) == (130, "holdfast: interrupted")
    assert left_in(tmp_path) == []


def left_in(directory):
    """Files below it, mounts in it, processes that name it."""
    found = [str(path) for path in directory.iterdir()]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if str(directory) in line]
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if str(directory).encode() in (said := path.read_bytes()):
                found.append(said.decode())
    return found
