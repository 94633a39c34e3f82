"""The commands about whole sets: what is refused before anything is done."""

import pytest
from click.testing import CliRunner

from holdfast.cli import fork, snapshot


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (snapshot.command, ["create", "pod/web-0"]),
        (snapshot.command, ["create", "sts/"]),
        (snapshot.command, ["list", "deploy/web"]),
        (snapshot.command, ["restore", "svc/web", "s"]),
        (snapshot.command, ["delete", "rs/web", "s"]),
        (fork.command, ["pod/web-0", "copy"]),
    ],
)
def test_what_is_no_set_is_a_matter_of_usage(command, arguments, tmp_path):
    at = [*arguments, "--home", str(tmp_path)]
    done = CliRunner().invoke(command, at)
    assert (done.exit_code, "is not sts/NAME" in done.output) == (2, True)


@pytest.mark.parametrize("target", ["sts/web", "statefulset/web", "web"])
def test_a_set_is_named_in_any_of_the_usual_ways(target):
    assert snapshot.set_of(target) == "web"


def test_without_a_cluster_one_line_says_so(tmp_path):
    done = CliRunner().invoke(snapshot.command, ["list", "sts/web", "--home", str(tmp_path)])
    assert str(done.exception) == f"no cluster is up in {tmp_path}: run `holdfast up`"
