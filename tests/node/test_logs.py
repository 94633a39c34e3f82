"""Container logs in the CRI format: what is read, from where, until when."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.node import logs
from holdfast.node.logs import LogFormatter, LogOptions, read_log, tail_offset


def record(second: int, text: str, tag: str = "F", stream: str = "stdout") -> bytes:
    return f"2026-11-21T01:29:{second:02d}.813691980+00:00 {stream} {tag} {text}\n".encode()


FILE = b"".join(
    [
        record(1, "one"),
        record(2, "two, ", "P"),
        record(3, "in parts", "F"),
        record(4, "oops", stream="stderr"),
        record(5, ""),
        record(6, "last"),
    ]
)


def formatted(data: bytes, **options: object) -> bytes:
    return LogFormatter(LogOptions(**options)).feed(data)  # type: ignore[arg-type]


def test_a_log_is_the_text_of_both_streams_with_parts_joined():
    assert formatted(FILE) == b"one\ntwo, in parts\noops\n\nlast\n"


@given(st.integers(1, len(FILE)))
def test_it_does_not_matter_how_the_file_is_cut_into_pieces(size):
    formatter = LogFormatter(LogOptions(timestamps=True))
    pieces = [formatter.feed(FILE[at : at + size]) for at in range(0, len(FILE), size)]
    assert b"".join(pieces) == formatted(FILE, timestamps=True)


def test_timestamps_stand_before_each_line_with_nine_digits_and_z():
    assert formatted(FILE, timestamps=True).splitlines()[:2] == [
        b"2026-11-21T01:29:01.813691980Z one",
        b"2026-11-21T01:29:02.813691980Z two, in parts",
    ]
    assert formatted(b"2026-11-21T01:29:01Z stdout F x\n", timestamps=True) == b"2026-11-21T01:29:01.000000000Z x\n"
    assert formatted(b"2026-11-21T01:29:01.5Z stdout F x\n", timestamps=True) == b"2026-11-21T01:29:01.500000000Z x\n"


def test_since_leaves_out_what_is_older():
    since = datetime(2026, 11, 21, 1, 29, 4, tzinfo=UTC)
    assert formatted(FILE, since=since) == b"oops\n\nlast\n"


def test_one_stream_can_be_asked_for():
    assert formatted(FILE, stream="stderr") == b"oops\n"


@pytest.mark.parametrize("size", [1, 1000])
def test_the_byte_limit_may_cut_a_line(size):
    formatter = LogFormatter(LogOptions(limit_bytes=6))
    pieces = [formatter.feed(FILE[at : at + size]) for at in range(0, len(FILE), size)]
    assert b"".join(pieces) == b"one\ntw"
    assert formatter.is_full


def test_what_is_no_log_line_is_passed_over():
    assert formatted(b"garbage\n\nnot a time stdout F x\n" + record(1, "x")) == b"x\n"
    formatter = LogFormatter(LogOptions())
    assert formatter.feed(b"x" * (2 << 20)) == b""
    assert len(formatter._rest) <= logs.MOST_LINE_BYTES


def test_a_line_that_is_still_being_written_waits():
    formatter = LogFormatter(LogOptions())
    assert formatter.feed(record(1, "whole") + b"2026-11-21T01:29:02Z stdout F ha") == b"whole\n"
    assert formatter.feed(b"lf\n") == b"half\n"


@given(
    st.lists(st.tuples(st.text("ab ", max_size=8), st.sampled_from("PF")), max_size=30),
    st.integers(0, 12),
    st.integers(40, 200),
    st.booleans(),
)
def test_the_tail_is_the_last_lines_whatever_the_block_size(entries, wanted, block, fragment):
    data = b"".join(record(1, text, tag) for text, tag in entries)
    whole = formatted(data)
    lines = whole.split(b"\n")
    unfinished = lines.pop()
    if unfinished or (entries and entries[-1][1] == "P"):
        lines.append(unfinished)
    file = io.BytesIO(data + (b"2026-11-21T01:29:02Z stdout F ha" if fragment else b""))
    before = logs.BLOCK_BYTES
    logs.BLOCK_BYTES = block
    try:
        offset = tail_offset(file, wanted)
    finally:
        logs.BLOCK_BYTES = before
    tail = formatted(data[offset:])
    expected = lines[len(lines) - wanted :] if 0 < wanted <= len(lines) else (lines if wanted else [])
    assert tail.split(b"\n")[: len(expected)] == expected
    assert tail.count(b"\n") <= wanted


class Run:
    """A container that writes a log and can end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.is_running = True

    def write(self, data: bytes) -> None:
        with self.path.open("ab") as file:
            file.write(data)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path / "0.log")


async def collect(run: Run, **options: object) -> bytes:
    pieces = read_log(str(run.path), LogOptions(**options), lambda: run.is_running)  # type: ignore[arg-type]
    return b"".join([piece async for piece in pieces])


async def test_without_following_the_log_ends_where_it_is(run):
    run.write(FILE)
    assert await collect(run) == formatted(FILE)
    assert await collect(run, tail_lines=1) == b"last\n"
    assert await collect(run, tail_lines=0) == b""
    assert await collect(run, limit_bytes=5) == b"one\nt"


async def test_a_log_that_is_not_there_is_empty(run):
    assert await collect(run) == b""


async def test_following_gives_what_is_written_until_the_container_ends(run):
    run.write(record(1, "before"))
    following = asyncio.create_task(collect(run, follow=True, tail_lines=0))
    await asyncio.sleep(0.01)
    run.write(record(2, "during"))
    await asyncio.sleep(0.1)
    assert not following.done()
    run.write(record(3, "at the end"))
    run.is_running = False
    assert await asyncio.wait_for(following, 60) == b"during\nat the end\n"


async def test_following_goes_on_in_the_new_file_after_rotation_and_loses_nothing(run):
    run.write(record(1, "a"))
    following = asyncio.create_task(collect(run, follow=True))
    await asyncio.sleep(0.01)
    run.write(record(2, "b"))
    run.path.rename(run.path.with_suffix(".old"))
    await asyncio.sleep(0.05)
    run.write(record(3, "c"))
    await asyncio.sleep(0.3)
    run.is_running = False
    assert await asyncio.wait_for(following, 60) == b"a\nb\nc\n"


async def test_following_waits_for_a_log_that_is_not_there_yet(run):
    following = asyncio.create_task(collect(run, follow=True))
    await asyncio.sleep(0.03)
    run.write(record(1, "a"))
    await asyncio.sleep(0.3)
    run.is_running = False
    assert await asyncio.wait_for(following, 60) == b"a\n"


async def test_a_large_log_is_read_a_block_at_a_time(run):
    run.write(record(1, "x" * 1000) * 1000)
    sizes = [len(piece) async for piece in read_log(str(run.path), LogOptions(), lambda: False)]
    assert max(sizes) <= logs.BLOCK_BYTES
    assert sum(sizes) == 1001 * 1000
