"""Environment, downward API, hosts and resolv.conf (N150-N168): pure."""

from __future__ import annotations

import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from holdfast.node import hosts
from holdfast.node.downward import UnknownField, field_value, resource_value
from holdfast.node.environment import (
    ConfigError,
    Sources,
    environment,
    expand,
    expand_strictly,
    file_references,
    references,
    service_variables,
)
from holdfast.node.pod import Container, Role
from holdfast.node.volumes.subpath import read_text

sys.path.insert(0, str(Path(__file__).parent))

from pods import pod

SETTINGS = {"metadata": {"name": "settings"}, "data": {"mode": "fast", "level": "3"}, "binaryData": {"x": "AAE="}}
PASSWORD = {"metadata": {"name": "password"}, "data": {"word": b64encode(b"s3cret").decode()}}


def service(name: str, ip: str = "10.96.0.7", namespace: str = "default", ports: Any = None) -> dict[str, Any]:
    ports = ports or [{"port": 5432, "protocol": "TCP"}]
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip, "ports": ports}}


def variables(env: list[Any] | None = None, env_from: list[Any] | None = None, **sources: Any) -> dict[str, str]:
    container: dict[str, Any] = {"name": "app", "image": "app:1", "env": env or [], "envFrom": env_from or []}
    one = pod(containers=[container])
    sources = {"config_maps": {"settings": SETTINGS}, "secrets": {"password": PASSWORD}, **sources}
    return environment(one, one.app_containers[0], Sources(**sources))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"),
        ("$(A)$(B)", "12"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$(A", "$(A"),
        ("$A ${A}", "$A ${A}"),
        ("100$$", "100$"),
    ],
)
def test_n151_expansion(text, result):
    assert expand(text, {"A": "1", "B": "2"}) == result


def test_n150_n151_later_entries_see_earlier_ones_and_win():
    env = [
        {"name": "LATE", "value": "$(EARLY)"},
        {"name": "EARLY", "value": "1"},
        {"name": "SEES", "value": "$(EARLY)-$(mode)"},
        {"name": "level", "value": "own"},
    ]
    result = variables(env, [{"configMapRef": {"name": "settings"}}])
    assert result == {"mode": "fast", "level": "own", "LATE": "$(EARLY)", "EARLY": "1", "SEES": "1-fast"}


def test_n154_every_key_comes_with_its_prefix_and_binary_data_does_not():
    result = variables(env_from=[{"prefix": "CFG_", "configMapRef": {"name": "settings"}}])
    assert result == {"CFG_mode": "fast", "CFG_level": "3"}


def test_n153_secrets_are_decoded():
    source = {"secretKeyRef": {"name": "password", "key": "word"}}
    assert variables([{"name": "WORD", "valueFrom": source}]) == {"WORD": "s3cret"}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"configMapKeyRef": {"name": "none", "key": "k"}}, 'configmap "none" not found'),
        ({"configMapKeyRef": {"name": "settings", "key": "k"}}, "couldn't find key k in ConfigMap default/settings"),
        ({"secretKeyRef": {"name": "none", "key": "k"}}, 'secret "none" not found'),
        ({"secretKeyRef": {"name": "password", "key": "k"}}, "couldn't find key k in Secret default/password"),
    ],
)
def test_n153_what_is_missing_is_an_error_unless_optional(source, message):
    with pytest.raises(ConfigError) as caught:
        variables([{"name": "X", "valueFrom": source}])
    assert str(caught.value) == message
    [[kind, reference]] = source.items()
    assert variables([{"name": "X", "valueFrom": {kind: {**reference, "optional": True}}}]) == {}


FILE = {("work", "app.env"): "# made by init\nFIRST='one' # the first\n\n  URL='a=b'\nTEXT='1\n\t#2'\nEMPTY= 'x'"}


def from_file(key, path="app.env", optional=False):
    reference = {"volumeName": "work", "path": path, "key": key, "optional": optional}
    return {"name": "V", "valueFrom": {"fileKeyRef": reference}}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (from_file("FIRST"), {"V": "one"}),
        (from_file("URL"), {"V": "a=b"}),
        (from_file("TEXT"), {"V": "1\n\t#2"}),
        (from_file("EMPTY", optional=True), {}),
        (from_file("NEVER", optional=True), {}),
        (from_file("FIRST", "other.env", optional=True), {}),
    ],
)
def test_n153_variables_come_out_of_a_file_that_an_init_container_wrote(entry, expected):
    container = Container({"name": "app", "env": [entry]}, Role.APP)
    assert file_references(container) == {("work", entry["valueFrom"]["fileKeyRef"]["path"])}
    assert variables([entry], files=FILE) == expected


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (from_file("NEVER"), 'environment variable key "NEVER" not found in file "app.env"'),
        (from_file("EMPTY"), 'environment variable key "EMPTY" not found in file "app.env"'),
        (from_file("A", "no.env"), "couldn't parse env file"),
    ],
)
def test_n153_what_no_file_says_holds_the_start(entry, message):
    with pytest.raises(ConfigError) as failure:
        variables([entry], files=FILE)
    assert str(failure.value) == message


@pytest.mark.parametrize("line", ["A", "='x'", "A ='x'", "A=x", "A=", "A='x' y", "A='x", 'A="x"'])
def test_n153_a_file_that_is_not_made_of_quoted_values_holds_the_start(line):
    files = {("work", "app.env"): f"B='2'\n{line}\nC='3'\n"}
    assert variables([from_file("B")], files=files) == {"V": "2"}
    with pytest.raises(ConfigError) as failure:
        variables([from_file("C", optional=True)], files=files)
    assert str(failure.value) == "couldn't parse env file"


def test_n153_files_outside_their_volume_say_nothing(tmp_path):
    volume = tmp_path / "volume"
    volume.mkdir()
    (tmp_path / "secret").write_text("A=1")
    (volume / "link").symlink_to(tmp_path / "secret")
    (volume / "inside").write_text("A=2")
    found = [read_text(volume, path, 100) for path in ("link", "../secret", "absent", "inside")]
    assert found == [None, None, None, "A=2"]


def test_references_name_what_is_to_be_looked_up():
    container = {
        "name": "app",
        "envFrom": [{"configMapRef": {"name": "a"}}, {"secretRef": {"name": "b"}}],
        "env": [
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}},
            {"name": "D", "valueFrom": {"secretKeyRef": {"name": "d", "key": "k"}}},
            {"name": "E", "value": "e"},
        ],
    }
    assert references(pod(containers=[container]).app_containers[0]) == ({"a", "c"}, {"b", "d"})


def test_n156_a_service_gives_its_variables():
    ports = [{"port": 5432, "name": "pg", "protocol": "TCP"}, {"port": 53, "protocol": "UDP", "name": "dns"}]
    result = service_variables([service("my-db", ports=ports)], pod())
    assert result == {
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_PG": "5432",
        "MY_DB_SERVICE_PORT_DNS": "53",
        "MY_DB_PORT": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.96.0.7",
        "MY_DB_PORT_53_UDP": "udp://10.96.0.7:53",
        "MY_DB_PORT_53_UDP_PROTO": "udp",
        "MY_DB_PORT_53_UDP_PORT": "53",
        "MY_DB_PORT_53_UDP_ADDR": "10.96.0.7",
    }


def test_n157_headless_services_and_other_namespaces_give_none():
    assert service_variables([service("a", "None"), service("b", ""), service("c", namespace="other")], pod()) == {}


def test_n157_without_service_links_only_the_api_remains():
    services = [service("web"), service("kubernetes", "10.96.0.1")]
    names = service_variables(services, pod(enableServiceLinks=False))
    assert names["KUBERNETES_SERVICE_HOST"] == "10.96.0.1"
    assert not any(name.startswith("WEB") for name in names)


def test_v106_a_sub_path_expression_needs_every_variable():
    assert expand_strictly("a/$(N)", {"N": "1"}) == "a/1"
    with pytest.raises(ConfigError, match="missing value"):
        expand_strictly("a/$(N)", {"N": ""})


# -- downward API -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata.name", "web-0"),
        ("metadata.uid", "uid-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'app="web"'),
        ("status.podIP", "10.0.0.5"),
        ("status.podIPs", "10.0.0.5,fd00::5"),
        ("status.hostIP", "192.0.2.1"),
    ],
)
def test_n160_fields(path, value):
    assert field_value(pod(), path, ips=("10.0.0.5", "fd00::5"), host_ips=("192.0.2.1",)) == value


def test_n160_unknown_fields_are_refused():
    with pytest.raises(UnknownField):
        field_value(pod(), "spec.nothing")


def test_n160_values_in_a_volume_are_escaped_as_go_quotes():
    one = pod()
    one.manifest["metadata"]["annotations"] = {"b": 'say "hi"\n', "a": "x\\y"}
    assert field_value(one, "metadata.annotations") == 'a="x\\\\y"\nb="say \\"hi\\"\\n"'


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ({"resource": "limits.cpu"}, "1"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "250"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "96"),
        ({"resource": "requests.memory"}, str(64 << 20)),
        ({"resource": "limits.ephemeral-storage", "divisor": "1Gi"}, "10"),
    ],
)
def test_n161_resources_are_rounded_up(reference, value):
    resources = {"limits": {"cpu": "250m", "memory": "96Mi"}, "requests": {"memory": "64Mi"}}
    one = pod(containers=[{"name": "app", "resources": resources}])
    assert resource_value(one, one.app_containers[0], reference, {"ephemeral-storage": "10Gi"}) == value


# -- hosts and resolv.conf --------------------------------------------------------------------------

NODE = hosts.Resolver(("192.0.2.53",), ("example.org",), ("timeout:2",))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ({}, "web-0"),
        ({"hostname": "db"}, "db"),
        ({"hostname": "a" * 62 + "-b"}, "a" * 62),
        ({"hostNetwork": True, "hostname": "db"}, "node-1"),
        ({"setHostnameAsFQDN": True, "subdomain": "web"}, "web-0.web.default.svc.cluster.local"),
        ({"hostnameOverride": "mine"}, "mine"),
    ],
)
def test_n163_n165_hostname(spec, name):
    assert hosts.hostname(pod(**spec), "node-1", "cluster.local") == name


def test_s22_n164_hosts_with_a_subdomain_and_aliases():
    one = pod(subdomain="web", hostAliases=[{"ip": "192.0.2.9", "hostnames": ["a", "b"]}])
    text = hosts.hosts_file(one, ["10.0.0.5"], "web-0", "cluster.local")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.0.0.5\tweb-0.web.default.svc.cluster.local\tweb-0\n" in text
    assert text.endswith("# Entries added by HostAliases.\n192.0.2.9\ta\tb\n")


def test_n164_under_host_network_the_node_s_file_is_copied():
    text = hosts.hosts_file(pod(hostNetwork=True), ["192.0.2.1"], "node-1", "cluster.local", "127.0.0.1 node-1\n")
    assert text == "# Kubernetes-managed hosts file (host network).\n127.0.0.1 node-1\n"


def resolved(**spec: Any) -> tuple[hosts.Resolver, list[str]]:
    return hosts.resolver(pod(**spec), NODE, ("10.96.0.10",), "cluster.local")


def test_n166_cluster_first():
    result, problems = resolved()
    assert str(result) == (
        "search default.svc.cluster.local svc.cluster.local cluster.local example.org\n"
        "nameserver 10.96.0.10\noptions ndots:5\n"
    )
    assert problems == []


@pytest.mark.parametrize(
    "spec", [{"dnsPolicy": "Default"}, {"hostNetwork": True}, {"dnsPolicy": "ClusterFirst", "hostNetwork": True}]
)
def test_n166_the_node_s_own(spec):
    assert resolved(**spec)[0] == NODE


def test_n166_cluster_first_with_host_net():
    assert resolved(dnsPolicy="ClusterFirstWithHostNet", hostNetwork=True)[0].nameservers == ("10.96.0.10",)


def test_n166_dns_config_is_merged():
    config = {
        "nameservers": ["192.0.2.99", "10.96.0.10"],
        "searches": ["cluster.local", "extra.org"],
        "options": [{"name": "ndots", "value": "2"}, {"name": "edns0"}],
    }
    result, _ = resolved(dnsConfig=config)
    assert result.nameservers == ("10.96.0.10", "192.0.2.99")
    assert result.searches[-2:] == ("example.org", "extra.org")
    assert result.options == ("ndots:2", "edns0")
    assert resolved(dnsPolicy="None", dnsConfig=config)[0].nameservers == ("192.0.2.99", "10.96.0.10")


def test_n167_what_is_too_much_is_cut_and_told():
    result, [servers, searches] = resolved(
        dnsConfig={"nameservers": ["192.0.2.1", "192.0.2.2", "192.0.2.3"], "searches": [f"s{i}.org" for i in range(40)]}
    )
    assert len(result.nameservers) == 3
    assert len(result.searches) == 32
    assert servers.startswith("Nameserver limits were exceeded, some nameservers have been omitted")
    assert searches.startswith("Search Line limits were exceeded, some search paths have been omitted")


def test_a_resolver_file_is_read():
    text = "# comment\nnameserver 192.0.2.53\nsearch a.org b.org.\noptions ndots:2 rotate\n"
    assert hosts.parse_resolver(text) == hosts.Resolver(("192.0.2.53",), ("a.org", "b.org"), ("ndots:2", "rotate"))
