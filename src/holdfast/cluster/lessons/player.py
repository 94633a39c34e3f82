"""Plays a lesson: every command of its page, in order, on a cluster of its own, compared with what the page shows."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, Protocol

from holdfast.node import capabilities
from holdfast.world import Clock

from .likeness import first_difference
from .page import Page, Step, Text
from .shelf import Lesson
from .shell import Outcome, Shell, TookTooLong
from .stage import stage, sweep

STEP_S = 120
"""How long one command may take."""
AGAIN_S = 60
"""How long a command is asked again until it prints what the page shows."""
BETWEEN_S = 0.1


class CannotPlay(Exception):
    """Something is missing on this machine; the message says what, and what to do."""


class Broken(Exception):
    """The page shows one thing, the cluster another."""


class Audience(Protocol):
    """Who sees the lesson being played."""

    def read(self, text: str) -> None:
        """Prose of the page."""

    def asked(self, command: str) -> None:
        """A command that is being run now."""

    def heard(self, line: str) -> None:
        """A line that it printed."""


def check(page: Page, images: Path) -> None:
    """Raises CannotPlay unless this machine has what the lesson needs."""
    if capabilities.probe_containers().runtime != "oci":
        raise CannotPlay("lessons run real containers, and here are none: `holdfast doctor` says what they need")
    missing = [program for program in page.programs if shutil.which(program) is None]
    if missing:
        packages = " ".join({"kubectl": "kubernetes-client"}.get(program, program) for program in missing)
        raise CannotPlay(f"not on this machine: {', '.join(missing)}; on Debian: apt-get install {packages}")
    for name in page.capabilities:
        if not (capability := capabilities.probe()[name]).ok:
            cure = f"; to lift it: {capability.cure}" if capability.cure else ""
            raise CannotPlay(f"not on this machine: {capability.serves} ({capability.detail}){cure}")
    if absent := [name for name in page.images if not (images / f"{name}.tar").is_file()]:
        raise CannotPlay(
            f"no {', '.join(f'{name}.tar' for name in absent)} in {images}: `make images` in a checkout of holdfast "
            "builds it from Debian packages in a minute; --images DIR says where it is"
        )


async def play(lesson: Lesson, audience: Audience, clock: Clock, *, images: Path, kubectl: Path | None = None) -> None:
    """Plays a lesson from its first line to its last, and removes its cluster, whatever happened.

    `images` has the archives of `make images`; `kubectl` is the one on PATH unless another is named. Raises CannotPlay,
    Broken, BadPage and LaunchFailed.
    """
    page = lesson.page()
    check(page, images)
    sweep()
    async with stage(lesson, images, kubectl) as prompt:
        for part in page.parts:
            if isinstance(part, Text):
                audience.read(part.text)
            else:
                await _play(part, prompt, audience, clock)


async def _play(step: Step, prompt: Shell, audience: Audience, clock: Clock) -> None:
    """Raises Broken."""
    audience.asked(step.command)
    try:
        problem = await (_ask_again if step.again else _ask)(step, prompt, audience, clock)
    except TookTooLong as error:
        problem = str(error)
    if problem:
        raise Broken(f"line {step.line}: {step.command}\n{problem}")


async def _ask(step: Step, prompt: Shell, audience: Audience, clock: Clock) -> str:
    """What is wrong with what it printed; empty if nothing is."""
    answer = prompt.run(step.command, STEP_S, audience.heard)
    return _problem(step, await (_uncut(answer) if step.command.startswith("holdfast up") else answer))


async def _uncut(answer: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Cancelled, it ends first: a daemon that is just starting holds no lock yet by which `launch.stop` finds it."""
    running = asyncio.ensure_future(answer)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


async def _ask_again(step: Step, prompt: Shell, audience: Audience, clock: Clock) -> str:
    """Shows only the last answer."""
    deadline = clock.monotonic_s() + AGAIN_S
    while True:
        outcome = await prompt.run(step.command, STEP_S, lambda line: None)
        problem = _problem(step, outcome)
        if not problem or clock.monotonic_s() > deadline:
            for line in outcome.lines:
                audience.heard(line)
            return problem
        await clock.sleep(BETWEEN_S)


def _problem(step: Step, outcome: Outcome) -> str:
    if difference := first_difference(step.expected, outcome.lines):
        return str(difference)
    if step.fails == (outcome.status == 0):
        return f"it ended with status {outcome.status}"
    return ""
