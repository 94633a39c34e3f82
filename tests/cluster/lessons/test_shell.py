"""A shell that takes one command after the other."""

from __future__ import annotations

import asyncio
import os

import pytest

from holdfast.cluster.lessons.shell import Outcome, TookTooLong, shell


@pytest.fixture
async def prompt(tmp_path):
    async with shell(tmp_path, os.environ) as opened:
        yield opened


async def ask(prompt, command, within_s=60):
    return await prompt.run(command, within_s, lambda line: None)


async def test_variables_functions_and_the_directory_stay(prompt, tmp_path):
    await ask(prompt, "x='a  b'; f() { echo \"<$1>\"; }; mkdir inside; cd inside")
    assert await ask(prompt, 'f "$x"; pwd') == Outcome(("<a  b>", str(tmp_path / "inside")), 0)


async def test_both_outputs_are_heard_in_order_and_the_status_is_told(prompt):
    heard = []
    outcome = await prompt.run("echo one; echo two >&2; printf three; (exit 3)", 60, heard.append)
    assert outcome == Outcome(("one", "two", "three"), 3)
    assert heard == ["one", "two", "three"]
    assert await ask(prompt, "false") == Outcome((), 1)


async def test_a_command_does_not_read_those_that_follow(prompt):
    assert await ask(prompt, "cat") == Outcome((), 0)
    assert await ask(prompt, "echo next") == Outcome(("next",), 0)


async def test_several_lines_and_quotes_are_one_command(prompt):
    assert await ask(prompt, 'for x in 1 2; do\n  echo "it\'s $x"\ndone') == Outcome(("it's 1", "it's 2"), 0)


async def test_waiting_has_an_end(prompt):
    with pytest.raises(TookTooLong, match=r"not at its end after 0\.2 s"):
        await ask(prompt, "sleep 60", within_s=0.2)


async def test_a_command_that_ends_the_shell_is_told(prompt):
    with pytest.raises(TookTooLong, match="ended the shell"):
        await ask(prompt, "exit")


async def test_what_still_runs_ends_with_the_shell(tmp_path):
    async with shell(tmp_path, os.environ) as prompt:
        outcome = await ask(prompt, "sleep 1000 & echo $!")
        pid = int(outcome.lines[0])
        os.kill(pid, 0)
    for _ in range(1000):
        if not _runs(pid):
            break
        await asyncio.sleep(0.05)
    assert not _runs(pid)


def _runs(pid):
    """A zombie that its new parent has not taken yet runs no more."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
