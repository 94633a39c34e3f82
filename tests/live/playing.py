"""Pages played with several kubectls, side by side: they mostly wait."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

import pytest

from holdfast.cluster.lessons import player
from holdfast.world import SystemClock


class Transcript:
    """What was seen of a page, for a failed assertion."""

    def __init__(self):
        self.lines = []

    def read(self, text):
        pass

    def asked(self, command):
        self.lines.append(f"$ {command}")

    def heard(self, line):
        self.lines.append(line)


def problems_of(lesson, kubectls, build_images):
    """What is not true on its page, for each kubectl that finds something; each has a cluster of its own."""
    page = lesson.page()
    archives = build_images(*page.images)
    images = archives[0].parent if archives else lesson.folder
    try:
        player.check(page, images)
    except player.CannotPlay as missing:
        pytest.skip(str(missing))
    patience = mock.patch.multiple(player, STEP_S=600, AGAIN_S=300)  # a busy machine makes no page untrue
    with patience, ThreadPoolExecutor(len(kubectls)) as threads:
        played = [threads.submit(_problem_of, lesson, len(page.steps), images, *each) for each in kubectls.items()]
        return [problem for each in played if (problem := each.result())]


def _problem_of(lesson, steps, images, name, kubectl):
    transcript = Transcript()
    try:
        asyncio.run(player.play(lesson, transcript, SystemClock(), images=images, kubectl=kubectl))
    except player.Broken as error:
        return "\n".join([f"kubectl {name}: {error}", "", *transcript.lines])
    asked = sum(line.startswith("$ ") for line in transcript.lines)
    return "" if asked == steps else f"kubectl {name} was asked {asked} of {steps} commands"
