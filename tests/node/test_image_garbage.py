"""When images have to go, and which."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from holdfast.node.image_garbage import Candidate, Disk, ImageGarbage, Thresholds, removable, wanted_bytes
from holdfast.node.runtime import ContainerRecord, ImageRecord, RuntimeFailure

sys.path.insert(0, str(Path(__file__).parent))
from pods import at, run


@pytest.mark.parametrize(
    ("used_percent", "wanted"),
    [(50, 0), (84, 0), (85, 50), (90, 100), (100, 200)],
)
def test_above_the_high_threshold_it_is_freed_down_to_the_low_one(used_percent: int, wanted: int) -> None:
    assert wanted_bytes(Disk(1000, 1000 - 10 * used_percent), Thresholds()) == wanted


def test_a_disk_of_unknown_size_is_left_alone() -> None:
    assert wanted_bytes(Disk(0, 0), Thresholds()) == 0


def candidate(name: str, used_s: float = 0, detected_s: float = 0, *, pinned: bool = False) -> Candidate:
    return Candidate(name, 10, pinned, at(detected_s), at(used_s))


def test_the_longest_unused_goes_first_then_the_oldest() -> None:
    images = [candidate("c", 20), candidate("b", 10, 5), candidate("a", 10, 1)]
    assert [image.id for image in removable(images, Thresholds(), at(1000))] == ["a", "b", "c"]


def test_what_is_used_pinned_or_young_stays() -> None:
    images = [candidate("used", 1000), candidate("pinned", pinned=True), candidate("young", 0, 900)]
    assert removable(images, Thresholds(), at(1000)) == []
    assert [image.id for image in removable(images, Thresholds(), at(1020))] == ["young", "used"]


@dataclass
class Node:
    """Images and containers, and what was removed."""

    records: dict[str, ImageRecord]
    running: list[ContainerRecord] = field(default_factory=list)
    held: set[str] = field(default_factory=set)
    removed: list[str] = field(default_factory=list)
    free_bytes: int = 50

    async def images(self):
        return list(self.records.values())

    def containers(self, pod_uid: str = ""):
        return self.running

    async def remove_image(self, reference: str) -> None:
        if reference in self.held:
            raise RuntimeFailure("", "in use")
        self.free_bytes += self.records.pop(reference).size_bytes
        self.removed.append(reference)


def image(name: str, size: int = 100, *, local: bool = False) -> ImageRecord:
    return ImageRecord(name, (), (), size, is_local=local)


def garbage(node: Node, world) -> tuple[ImageGarbage, list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    disk = lambda: Disk(1000, node.free_bytes)  # noqa: E731
    return ImageGarbage(node, world, disk, lambda reason, message: told.append((reason, message))), told


def test_images_of_before_the_agent_may_go_at_once_but_not_those_of_containers(world, on_jumping_time) -> None:
    node = Node({name: image(name) for name in ("sha256:1", "unused", "older")}, running=[run()])

    async def scenario() -> None:
        collector, told = garbage(node, world)
        await collector.collect()
        assert (node.removed, told) == (["older", "unused"], [])

    on_jumping_time(scenario())


def test_no_more_than_needed_goes(world, on_jumping_time) -> None:
    node = Node({name: image(name) for name in "abcdef"}, free_bytes=120)

    async def scenario() -> None:
        await garbage(node, world)[0].collect()
        assert node.removed == ["a"]

    on_jumping_time(scenario())


def test_an_image_that_has_just_come_is_spared_for_two_minutes(world, on_jumping_time) -> None:
    node = Node({})

    async def scenario() -> None:
        collector, _ = garbage(node, world)
        await collector.collect()
        node.records["new"] = image("new", 200)
        await collector.collect()
        assert node.removed == []
        await asyncio.sleep(121)
        await collector.collect()
        assert node.removed == ["new"]

    on_jumping_time(scenario())


def test_too_little_to_remove_is_told_and_told_again_as_a_failure(world, on_jumping_time) -> None:
    node = Node({"local": image("local", local=True), "held": image("held")}, held={"held"})
    message = (
        "Failed to garbage collect required amount of images. "
        "Attempted to free 150 bytes, but only found 0 bytes eligible to free."
    )

    async def scenario() -> None:
        collector, told = garbage(node, world)
        await collector.collect()
        assert told == [("FreeDiskSpaceFailed", message)]
        await collector.collect()
        assert told[1:] == [("FreeDiskSpaceFailed", message), ("ImageGCFailed", message)]

    on_jumping_time(scenario())


def test_a_disk_that_others_fill_is_nothing_to_tell_of(world, on_jumping_time) -> None:
    async def scenario() -> None:
        collector, told = garbage(Node({"local": image("local", local=True)}), world)
        await collector.collect()
        assert told == []

    on_jumping_time(scenario())


def test_after_a_start_the_pods_get_five_minutes_to_say_what_they_use(world, on_jumping_time) -> None:
    node = Node({"old": image("old", 200)})

    async def scenario() -> None:
        task = asyncio.ensure_future(garbage(node, world)[0].run())
        await asyncio.sleep(299)
        assert node.removed == []
        await asyncio.sleep(2)
        assert node.removed == ["old"]
        task.cancel()

    on_jumping_time(scenario())


def test_it_is_looked_every_five_minutes(world, on_jumping_time) -> None:
    node = Node({})

    async def scenario() -> None:
        task = asyncio.ensure_future(garbage(node, world)[0].run())
        await asyncio.sleep(1)
        node.records["new"] = image("new", 200)
        await asyncio.sleep(500)
        assert node.removed == []  # found at 300 s, not old enough yet
        await asyncio.sleep(200)
        assert node.removed == ["new"]  # at 600 s
        task.cancel()

    on_jumping_time(scenario())
