"""The scripts that make a machine's resolver ask cluster DNS (D68)."""

import subprocess

import pytest

from holdfast.cluster.resolver_hook import hook


@pytest.mark.parametrize(
    ("present", "resolver", "lines"),
    [
        ("run/systemd/resolve", "systemd-resolved", ["[Resolve]", "DNS=10.244.0.1", "Domains=~cluster.local"]),
        ("etc/dnsmasq.d", "dnsmasq", ["server=/cluster.local/10.244.0.1", "rebind-domain-ok=/cluster.local/"]),
        ("etc/NetworkManager/dnsmasq.d", "dnsmasq", ["server=/cluster.local/10.244.0.1"]),
    ],
)
def test_d68_the_resolver_that_is_there_is_told_of_the_clusters_names_alone(present, resolver, lines, tmp_path):
    (tmp_path / present).mkdir(parents=True)
    found = hook("10.244.0.1", "cluster.local", tmp_path)
    assert found.resolver == resolver
    assert set(lines) <= set(found.content.splitlines())


def test_d68_a_machine_without_such_a_resolver_has_no_hook(tmp_path):
    assert hook("10.244.0.1", "cluster.local", tmp_path) is None


def test_d68_the_scripts_put_the_file_in_place_and_take_it_away(tmp_path):
    (tmp_path / "run/systemd/resolve").mkdir(parents=True)
    found = hook("10.244.0.1", "cluster.local", tmp_path)
    file = tmp_path / found.path.lstrip("/")
    run(found.installing(), tmp_path)
    assert file.read_text() == found.content
    run(found.removing(), tmp_path)
    assert not file.exists()


def run(script, root):
    """As it is, but on another root and without a service manager."""
    script = script.replace("/etc/systemd", f"{root}/etc/systemd").replace("systemctl", "echo")
    subprocess.run(["sh", "-e"], input=script, text=True, check=True, capture_output=True)
