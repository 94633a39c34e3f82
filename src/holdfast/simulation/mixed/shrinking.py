"""Makes a story that fails short: leaves out whatever is not needed for the same guarantee to break."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

import msgspec

from holdfast.simulation.faults import NO_FAULTS

from .shape import Shape
from .story import Story

Fails = Callable[[Story], bool]
"""Whether a story still breaks what the first one broke."""


def shrink(story: Story, fails: Fails, may_go_on: Callable[[], bool]) -> Story:
    """The shortest story found that still fails, as long as `may_go_on`.

    Steps go first, by ever smaller pieces (delta debugging), then faults, machines and what is special about the
    set, and then again as long as anything went.
    """
    while True:
        before = story
        story = _without_steps(story, fails, may_go_on)
        for simpler in _simplifications(story):
            candidate = simpler(story)
            if candidate != story and may_go_on() and fails(candidate):
                story = candidate
        if story == before or not may_go_on():
            return story


def _without_steps(story: Story, fails: Fails, may_go_on: Callable[[], bool]) -> Story:
    size = max(len(story.steps) // 2, 1)
    while size and story.steps:
        begin = 0
        while begin < len(story.steps):
            if not may_go_on():
                return story
            left = _leave_out(story, begin, begin + size)
            if fails(left):
                story = left
            else:
                begin += size
        size //= 2
    return story


def _leave_out(story: Story, begin: int, end: int) -> Story:
    """Without some steps; the time that passed before them still passes before the next."""
    gone, rest = story.steps[begin:end], story.steps[end:]
    if rest:
        waited_s = round(rest[0].after_s + sum(step.after_s for step in gone), 2)
        rest = (msgspec.structs.replace(rest[0], after_s=waited_s), *rest[1:])
    return msgspec.structs.replace(story, steps=(*story.steps[:begin], *rest))


def _simplifications(story: Story) -> Iterator[Callable[[Story], Story]]:
    for field in fields(story.faults):
        value = getattr(NO_FAULTS, field.name)
        yield lambda one, name=field.name, value=value: msgspec.structs.replace(  # type: ignore[misc]
            one, faults=replace(one.faults, **{name: value})
        )
    yield lambda one: msgspec.structs.replace(one, nodes=1)
    for name in Shape.__struct_fields__:
        value = getattr(Shape(), name)
        yield lambda one, name=name, value=value: msgspec.structs.replace(  # type: ignore[misc]
            one, shape=msgspec.structs.replace(one.shape, **{name: value})
        )
