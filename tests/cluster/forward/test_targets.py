"""What `holdfast forward` understands, and which pod and port it means."""

import pytest

from holdfast.cluster.forward.targets import Aim, Port, Target, Unclear, choose, parse_port, parse_target, port_of


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("web-0", Target("Pod", "web-0")),
        ("po/web-0", Target("Pod", "web-0")),
        ("sts/web-0", Target("StatefulSet", "web-0")),
        ("StatefulSet/web", Target("StatefulSet", "web")),
        ("svc/web", Target("Service", "web")),
        ("deploy/web", Target("Deployment", "web")),
    ],
)
def test_targets_are_named_as_kubectl_names_them(text, target):
    assert parse_target(text) == target


@pytest.mark.parametrize("text", ["cm/web", "sts/", "a/b/c"])
def test_what_has_no_pods_is_no_target(text):
    with pytest.raises(Unclear, match="is not one of pod/NAME"):
        parse_target(text)


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("5432", Port(None, "5432")),
        ("15432:5432", Port(15432, "5432")),
        (":5432", Port(0, "5432")),
        (":http", Port(0, "http")),
        ("http", Port(None, "http")),
    ],
)
def test_ports_are_written_as_for_kubectl(text, port):
    assert parse_port(text) == port


@pytest.mark.parametrize("text", ["", "80:", "0", "70000", "x:80", "0:80", "-1:80", "80:80:80"])
def test_what_is_no_port_is_refused_before_anything_is_opened(text):
    with pytest.raises(Unclear):
        parse_port(text)


def pod(name, created="2026-01-01T00:00:00Z", ready=True, going=False, ports=()):
    metadata = {"name": name, "creationTimestamp": created, **({"deletionTimestamp": created} if going else {})}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}]}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main", "ports": list(ports)}]}, "status": status}


def test_the_oldest_pod_that_is_ready_and_stays_is_chosen():
    new, old = pod("a", "2026-01-01T00:00:02Z"), pod("b", "2026-01-01T00:00:01Z")
    broken, going = pod("c", "2026-01-01T00:00:00Z", ready=False), pod("d", "2026-01-01T00:00:00Z", going=True)
    assert choose([new, broken, old, going]) is old
    assert choose([broken, going]) is None


NAMED = [{"name": "http", "containerPort": 8080}, {"name": "dns", "containerPort": 53, "protocol": "UDP"}]


@pytest.mark.parametrize(
    ("service_ports", "remote", "number"),
    [
        (None, "5432", 5432),
        (None, "http", 8080),
        ([{"port": 80, "targetPort": "http"}], "80", 8080),
        ([{"name": "web", "port": 80, "targetPort": 81}], "web", 81),
        ([{"port": 80}], "80", 80),
    ],
)
def test_a_port_is_found_by_number_or_name_in_the_pod_or_by_way_of_the_service(service_ports, remote, number):
    assert port_of(pod("a", ports=NAMED), Aim(service_ports=service_ports), remote) == number


@pytest.mark.parametrize(
    ("service_ports", "remote", "said"),
    [
        (None, "dns", "pod a has no port named dns; it has http, dns"),
        ([{"port": 80}, {"port": 81}], "8080", "the service has no port 8080; it has 80, 81"),
    ],
)
def test_a_port_that_is_not_there_is_said_with_those_that_are(service_ports, remote, said):
    with pytest.raises(Unclear, match=said):
        port_of(pod("a", ports=NAMED), Aim(service_ports=service_ports), remote)
