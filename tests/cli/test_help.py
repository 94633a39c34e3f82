"""What `--help` says."""

import click
import pytest
from click.testing import CliRunner

from holdfast.cli import group, kubectl, up


def groups(command, *names):
    """Every group of commands, with its name."""
    if isinstance(command, click.Group):
        yield names, command
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from groups(command.get_command(context, name), *names, name)


@pytest.mark.parametrize("names", [names for names, _ in groups(group)], ids=" ".join)
def test_every_command_is_described_to_the_end_of_the_sentence(names):
    _, _, listed = CliRunner().invoke(group, [*names, "--help"]).output.partition("Commands:\n")
    assert listed
    assert [line for line in listed.splitlines() if "..." in line] == []


def test_kubectl_explains_itself_before_there_is_a_cluster(tmp_path):
    done = CliRunner().invoke(kubectl.command, ["--home", str(tmp_path), "--help"])
    assert (done.exit_code, "Run the real kubectl against this cluster" in done.output) == (0, True)


@pytest.mark.parametrize("seconds", ["-1", "nan", "inf", "soon"])
def test_a_wait_has_an_end(seconds, tmp_path):
    done = CliRunner().invoke(up.command, ["--wait", seconds, "--home", str(tmp_path)])
    assert (done.exit_code, "is no number of seconds" in done.output) == (2, True)
