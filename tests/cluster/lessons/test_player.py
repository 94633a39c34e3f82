"""Pages played without a cluster: what counts as true, what is said when it is not."""

from __future__ import annotations

import tempfile

import pytest

from holdfast.cluster import launch
from holdfast.cluster.launch import LaunchFailed
from holdfast.cluster.lessons import player
from holdfast.cluster.lessons.page import parse
from holdfast.cluster.lessons.shelf import Lesson
from holdfast.node import capabilities
from holdfast.node.capabilities import Capabilities, Capability, probe_containers
from holdfast.world import SystemClock

pytestmark = pytest.mark.skipif(probe_containers().runtime != "oci", reason="lessons need root, crun and conmon")


class Listener:
    def __init__(self):
        self.events = []

    def read(self, text):
        self.events.append(("read", text))

    def asked(self, command):
        self.events.append(("asked", command))

    def heard(self, line):
        self.events.append(("heard", line))


@pytest.fixture
def play(tmp_path, monkeypatch):
    """Plays a page with these blocks; what its audience saw."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))

    async def play(*blocks, leaves_nothing=True):
        folder = tmp_path / "1-try"
        folder.mkdir()
        (folder / "file").write_text("content\n")
        (folder / "README.md").write_text("# T\n\nS.\n\n\n\n" + "\n\n".join(f"```{b}\n```" for b in blocks))
        listener = Listener()
        try:
            await player.play(Lesson(1, "try", folder), listener, SystemClock(), images=tmp_path / "images")
        finally:
            assert not leaves_nothing or list((tmp_path / "tmp").iterdir()) == []
        return listener.events

    return play


async def test_what_is_shown_is_what_was_printed(play):
    events = await play("console\n$ cat file; date +%Ss\nco...\n8s")
    assert [kind for kind, _ in events] == ["read", "asked", "heard", "heard"]
    assert events[2] == ("heard", "content")


async def test_a_command_that_is_asked_again_shows_its_last_answer_only(play):
    events = await play("console\n$ n=0", "console again\n$ n=$((n + 1)); echo $n\n3")
    assert events[-2:] == [("asked", "n=$((n + 1)); echo $n"), ("heard", "3")]


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("console\n$ echo a\nb", "line 8: echo a\nthe page shows  b\nit was          a"),
        ("console\n$ echo a; false\na", "line 8: echo a; false\nit ended with status 1"),
        ("console fails\n$ echo a\na", "line 8: echo a\nit ended with status 0"),
        ("console\n$ exit 1", "line 8: exit 1\nit ended the shell"),
    ],
)
async def test_a_page_that_is_not_true_is_broken(play, block, problem):
    with pytest.raises(player.Broken) as raised:
        await play(block)
    assert str(raised.value) == problem


async def test_the_reader_s_own_cluster_is_out_of_reach(play, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", "/own")
    monkeypatch.setenv("HOLDFAST_HOME", "/own")
    events = await play("console\n$ echo $KUBECONFIG.$HOLDFAST_HOME; command -v holdfast\n...")
    assert events[-2][1].startswith(".")
    assert "/own" not in events[-2][1]
    assert events[-1][1].endswith("/bin/holdfast")


async def test_what_cannot_be_removed_safely_stays(play, monkeypatch, tmp_path):
    """`purge` refuses where something is mounted: nothing else may reach through the mount then."""

    def refuse(home):
        raise LaunchFailed("still mounted")

    monkeypatch.setattr(launch, "purge", refuse)
    with pytest.raises(LaunchFailed, match="still mounted"):
        await play("console\n$ true", leaves_nothing=False)
    (kept,) = (tmp_path / "tmp").iterdir()
    assert (kept / "lesson" / "file").read_text() == "content\n"


async def test_what_is_missing_is_told_before_anything_runs(play, tmp_path):
    with pytest.raises(player.CannotPlay, match=r"not on this machine: no-such-program; .*apt-get install"):
        player.check(parse("# T\n\nS.\n\n- Programs: `sh`, `no-such-program`\n"), tmp_path)
    with pytest.raises(player.CannotPlay, match=r"no a\.tar, b\.tar in .*`make images`"):
        player.check(parse("# T\n\nS.\n\n- Images: `a`, `b`\n"), tmp_path)
    (tmp_path / "a.tar").touch()
    player.check(parse("# T\n\nS.\n\n- Images: `a`\n"), tmp_path)


async def test_what_the_machine_cannot_do_is_told_with_what_would_lift_it(tmp_path, monkeypatch):
    page = parse("# T\n\nS.\n\n- Capabilities: `nfs`\n")
    found = Capabilities((Capability("nfs", False, "NFS volumes", "no such device", "modprobe fuse"),))
    monkeypatch.setattr(capabilities, "probe", lambda: found)
    with pytest.raises(
        player.CannotPlay, match=r"^not on this machine: NFS volumes \(no such device\); .*modprobe fuse$"
    ):
        player.check(page, tmp_path)
    monkeypatch.setattr(capabilities, "probe", lambda: Capabilities((Capability("nfs", True, "NFS volumes"),)))
    player.check(page, tmp_path)
