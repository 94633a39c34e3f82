"""`holdfast page`."""

import json
import stat
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner

from holdfast.cli import page
from holdfast.client.kubeconfig import Connection
from holdfast.cluster.home import Home

SECRET = "a-token-of-the-administrator"
BROWSER = "import json, sys; json.dump(sys.argv, open({argv!r}, 'w'))"


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = Home(tmp_path / "h é")
    home.make()
    monkeypatch.setattr(page, "as_administrator", lambda home: Connection("https://127.0.0.1:6443", token=SECRET))
    return home


def test_no_token_is_on_the_browsers_command_line(home, tmp_path, monkeypatch):
    """All users of a machine can read it."""
    argv, browser = tmp_path / "argv", tmp_path / "browser"
    browser.write_text(f"#!{sys.executable}\n{BROWSER.format(argv=str(argv))}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    done = CliRunner().invoke(page.command, ["--open", "--home", str(home.path)])
    assert done.exit_code == 0, done.output
    _, address = json.loads(argv.read_text())
    assert SECRET not in address
    file = Path(unquote(urlsplit(address).path))
    assert f"https://127.0.0.1:6443/ui/#token={SECRET}" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
