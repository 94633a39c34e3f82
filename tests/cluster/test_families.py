"""Which families a cluster has, and which addresses of this machine it tells of."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from holdfast.cli import up
from holdfast.cluster import daemon, kubeconfig, node_parts
from holdfast.cluster.home import Home
from holdfast.cluster.locks import ProcessLock
from holdfast.cluster.outside import Outside
from holdfast.cluster.settings import Settings

BOTH = "10.244.0.0/16,fd00:10:244::/56"
LINES = {
    "lo": "00000000000000000000000000000001 01 80 10 80       lo",
    "link": "fe800000000000000000000000000001 04 40 20 80     eth0",
    "pods": "fd000010024400000000000000000001 01 80 00 82       lo",
    "eth0": "20010db8000000000000000000000007 04 40 00 82     eth0",
}


@pytest.fixture
def addresses(tmp_path, monkeypatch):
    """Says which addresses of IPv6 this machine has."""
    table = tmp_path / "if_inet6"
    monkeypatch.setattr(node_parts, "ADDRESSES6", table)
    return lambda *names: table.write_text("".join(f"{LINES[name]}\n" for name in names))


def test_a_machine_reaches_others_by_an_address_that_is_neither_its_own_nor_a_links(addresses):
    assert node_parts.host_address6() == ""
    addresses("lo", "link", "pods")
    assert node_parts.host_address6() == ""
    addresses("lo", "link", "pods", "eth0")
    assert node_parts.host_address6() == "2001:db8::7"


def test_ipv6_is_there_if_the_machine_can_talk_to_itself_by_it(addresses):
    assert not node_parts.has_ipv6()
    addresses("eth0")
    assert not node_parts.has_ipv6(), "switched off for the loopback link"
    addresses("lo")
    assert node_parts.has_ipv6()


def test_a_node_tells_of_its_second_address_where_the_cluster_has_both_families(addresses, monkeypatch, tmp_path):
    addresses("lo", "eth0")
    monkeypatch.setattr(node_parts, "host_address", lambda: "192.0.2.7")
    monkeypatch.setattr(node_parts, "serving_pair", lambda home, name: PAIR)
    monkeypatch.setattr(node_parts, "server_context", lambda *arguments, **named: None)

    def told(pods):
        made = Settings(pod_cidr=pods)
        return node_parts.agent_config(Home(tmp_path), made, 0, "oci", Outside(moves=False)).node_ips

    assert told(BOTH) == ("192.0.2.7", "2001:db8::7")
    assert told("10.244.0.0/16") == ("192.0.2.7",)


def test_a_machine_that_lost_ipv6_starts_the_cluster_without_and_says_so(monkeypatch, tmp_path):
    told = []

    class Heard:
        def tell(self, **message):
            told.append(message["step"])

    monkeypatch.setattr(daemon, "has_ipv6", lambda: False)
    settings = Settings(ip_families=("IPv4", "IPv6"), pod_cidr=BOTH, service_cidr="10.96.0.0/16,fd00:10:96::/112")
    made = daemon.Daemon(Home(tmp_path), settings, Heard(), ProcessLock(tmp_path / "lock"))
    started = made._with_ranges(settings)
    for holding in made._holds:
        holding.close()
    assert (len(started.pod_networks()), len(started.service_networks())) == (1, 1)
    assert started.ip_families == ("IPv4", "IPv6"), "it is wanted again where it can be had again"
    assert started.service_cidr == settings.service_cidr, "and services have their addresses still"
    assert told == ["this machine has IPv6 switched off: the cluster has IPv4 only, for now"]


@pytest.mark.parametrize(("text", "is_added"), [("[1]", False), ("{}", True)])
def test_a_context_is_told_of_where_it_was_added(monkeypatch, tmp_path, text, is_added):
    own = tmp_path / "config"
    own.write_text(text)
    monkeypatch.setenv("KUBECONFIG", str(own))
    monkeypatch.setattr(kubeconfig, "document", lambda *given: {"clusters": [], "users": [], "contexts": []})
    monkeypatch.setattr(up.launch, "start", lambda *given, **more: RUNNING)
    result = CliRunner().invoke(up.command, ["--home", str(tmp_path / "h")])
    assert result.exit_code == 0, result.output
    assert ("context holdfast in your own" in result.output) == (own.read_text() != text) == is_added
    assert ("left your own kubeconfig alone" in result.output) == (not is_added)


@pytest.mark.parametrize(("given", "asked"), [("IPv4", ("IPv4",)), ("IPv4,IPv6", ("IPv4", "IPv6"))])
def test_what_was_asked_for_is_remembered(monkeypatch, tmp_path, given, asked):
    started = []
    monkeypatch.setattr(up.launch, "start", lambda home, settings, *rest, **more: started.append(settings) or RUNNING)
    result = CliRunner().invoke(up.command, ["--home", str(tmp_path), "--no-merge", "--ip-families", given])
    assert result.exit_code == 0, result.output
    assert started[0].ip_families == asked


def test_ipv6_alone_is_not_to_be_had(tmp_path):
    result = CliRunner().invoke(up.command, ["--home", str(tmp_path), "--ip-families", "IPv6"])
    assert result.exit_code == 2
    assert "'IPv4', 'IPv4,IPv6'" in result.output


RUNNING = up.launch.Running(1, "https://127.0.0.1:1")


class PAIR:
    certificate = key = "unused"
