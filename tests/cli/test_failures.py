"""What the machine refuses is one line with what to do, never a traceback."""

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from holdfast import cli
from holdfast.cluster import kubeconfig, leftovers
from holdfast.cluster.home import Home
from holdfast.cluster.launch import LaunchFailed, agents_log


@pytest.fixture
def holdfast(monkeypatch, capsys):
    """Runs the console script; its exit status and what it said on standard error."""

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["holdfast", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code, capsys.readouterr().err

    return run


COMMANDS = (["up", "--no-merge"], ["down"], ["status"], ["kubeconfig"], ["dns"], ["page"], ["node", "list"])


@pytest.mark.parametrize("words", [*COMMANDS, ["image", "list"]], ids=" ".join)
def test_a_data_directory_whose_name_is_too_long(holdfast, tmp_path, words):
    status, said = holdfast(*words, "--home", tmp_path / ("x" * 256))
    assert (status, said.count("\n"), "choose another data directory" in said) == (1, 1, True)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_file_in_the_place_of_the_data_directory(holdfast, tmp_path, words):
    (tmp_path / "file").touch()
    status, said = holdfast(*words, "--home", tmp_path / "file")
    assert (status, said.count("\n")) == (1, 1)


@pytest.mark.parametrize("words", [["status"], ["up", "--no-merge"], ["down"], ["node", "list"]], ids=" ".join)
def test_settings_that_were_cut_off(holdfast, tmp_path, words):
    Home(tmp_path).settings.touch()
    status, said = holdfast(*words, "--home", tmp_path)
    assert (status, said.count("\n"), "cluster.json is damaged" in said) == (1, 1, True)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_this_user_may_not(holdfast, monkeypatch, number):
    def refused(**named):
        raise OSError(number, "No", "/var/lib/holdfast")

    monkeypatch.setattr(cli.group, "main", refused)
    status, said = holdfast()
    assert said.startswith("holdfast: /var/lib/holdfast: No: ")
    assert (status, "--home DIR or HOLDFAST_HOME" in said) == (1, True)


def test_what_no_machine_has_refused_is_not_hidden(monkeypatch):
    def broken(**named):
        raise OSError(errno.EBADF, "Bad file descriptor")

    monkeypatch.setattr(cli.group, "main", broken)
    with pytest.raises(OSError, match="Bad file descriptor"):
        cli.main()


def test_a_user_without_a_home_directory(holdfast, monkeypatch):
    monkeypatch.delenv("HOLDFAST_HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    status, said = holdfast("status")
    assert (status, "give --home DIR or HOLDFAST_HOME" in said) == (2, True)


@pytest.mark.parametrize("text", ["[]", "text", "{"])
def test_purge_goes_through_whatever_the_users_own_kubeconfig_is(tmp_path, monkeypatch, text):
    own = tmp_path / "config"
    own.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(own))
    home = Home(tmp_path / "h")
    home.make()
    done = subprocess.run(
        [sys.executable, "-m", "holdfast.cli", "down", "--purge", "--home", str(home.path)], capture_output=True
    )
    assert (done.returncode, done.stderr, home.path.exists()) == (0, b"", False)
    assert own.read_text() == text


def test_a_kubeconfig_that_is_a_link_stays_one(tmp_path, monkeypatch):
    home = Home(tmp_path / "h")
    home.make()
    monkeypatch.setattr(kubeconfig, "document", lambda *given: {"clusters": [], "users": [], "contexts": []})
    (tmp_path / "own").write_text("{}")
    (tmp_path / "link").symlink_to("own")
    kubeconfig.add_to_users_own(home, "https://127.0.0.1:1", tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert "current-context: holdfast" in (tmp_path / "own").read_text()


@pytest.mark.parametrize("given", [None, "", "/opt/own:/usr/bin"])
def test_programs_are_found_however_little_of_the_path_is_given(holdfast, monkeypatch, tmp_path, given):
    """By cron, for example; ordinary users are given none of root's parts."""
    monkeypatch.delenv("PATH") if given is None else monkeypatch.setenv("PATH", given)
    holdfast("kubeconfig", "--home", tmp_path)
    found = os.environ["PATH"].split(":")
    assert {"/usr/sbin", "/usr/bin", "/sbin", "/bin"} <= set(found)
    assert (len(found), "" in found) == (len(set(found)), False)
    assert not given or found[:2] == given.split(":")


def test_what_keeps_pods_from_being_ended_is_one_line(tmp_path, monkeypatch):
    home = Home(tmp_path)
    home.make()
    traceback = "Traceback (most recent call last):\n  File x\nholdfast.Failure: crun is not installed\n"
    monkeypatch.setattr("subprocess.run", lambda *given, **more: SimpleNamespace(returncode=1, stderr=traceback))
    with pytest.raises(LaunchFailed) as said:
        leftovers.end(home)
    assert "\n" not in str(said.value)
    assert "crun is not installed; see " in str(said.value)
    assert agents_log(home).read_text() == traceback


def test_a_working_directory_that_is_gone(holdfast, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    status, said = holdfast("status", "--home", "relative")
    monkeypatch.chdir(tmp_path)
    assert (status, "the working directory is gone" in said) == (2, True)


@pytest.mark.parametrize(
    "words", [["status"], ["kubeconfig"], ["kubectl", "get", "pods"], ["dns"], ["page"]], ids=" ".join
)
@pytest.mark.parametrize("is_there", [True, False])
def test_who_has_started_it_with_sudo_is_told_where_it_is(holdfast, monkeypatch, tmp_path, words, is_there):
    """Root's data directory is another one, and who is not root finds no cluster in the own."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr("holdfast.cluster.home.OF_ROOT", tmp_path if is_there else tmp_path / "none")
    monkeypatch.setenv("HOLDFAST_HOME", str(tmp_path / "own"))
    status, said = holdfast(*words)
    assert status == 1
    assert said.startswith(f"holdfast: no cluster is up in {tmp_path / 'own'}: run `holdfast up`")
    assert (f"root's is in {tmp_path}: sudo holdfast" in said) == is_there
