"""Names as programs in pods find them: with glibc (the image `host`) and with musl, as Alpine's images do.

D52-D66 from the inside: search path, short names, full names with a dot behind them, names that come later.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import subprocess
import tarfile

import pytest

from .web import PYTHON

ASK = r"""
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Of each name how many milliseconds it took, and its addresses or what getaddrinfo says. Without names, waits. */

int main(int count, char **words) {
    if (count < 2) {
        for (;;) pause();
    }
    for (int n = 1; n < count; n++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = 0;
        struct timespec begin, end;
        char text[64];
        clock_gettime(CLOCK_MONOTONIC, &begin);
        int failed = getaddrinfo(words[n], 0, &hints, &found);
        clock_gettime(CLOCK_MONOTONIC, &end);
        printf("%s %ld", words[n], (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000);
        if (failed) printf(" %s", failed == EAI_NONAME ? "no-name" : failed == EAI_AGAIN ? "again" : "failed");
        for (struct addrinfo *each = found; each; each = each->ai_next) {
            const void *address = each->ai_family == AF_INET
                ? (void *)&((struct sockaddr_in *)each->ai_addr)->sin_addr
                : (void *)&((struct sockaddr_in6 *)each->ai_addr)->sin6_addr;
            printf(" %s", inet_ntop(each->ai_family, address, text, sizeof text));
        }
        printf("\n");
    }
    return 0;
}
"""
ASK_PYTHON = """
import socket, sys, time
for name in sys.argv[1:]:
    begin = time.monotonic()
    try:
        found = list(dict.fromkeys(each[4][0] for each in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)))
    except socket.gaierror as error:
        found = [{socket.EAI_NONAME: "no-name", socket.EAI_AGAIN: "again"}.get(error.errno, "failed")]
    print(name, round(1000 * (time.monotonic() - begin)), *found)
"""
IMAGE = "holdfast.test/musl:1"
PROMPT_MS = 2400
"""Below the shortest time after which a resolver asks again (musl's): no question was lost on the way."""


def archive(path, program):
    """An image of one file, as `docker save` writes it."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("ask")
        entry.size, entry.mode = len(program), 0o755
        tar.addfile(entry, io.BytesIO(program))
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["/ask"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    files = {"manifest.json": json.dumps(manifest).encode(), "config.json": json.dumps(config).encode()}
    with tarfile.open(path, "w") as tar:
        for name, data in {**files, "layer.tar": layer.getvalue()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))


@pytest.fixture(scope="module")
def musl_image(cluster, tmp_path_factory):
    """Loaded into the cluster."""
    if shutil.which("musl-gcc") is None:
        pytest.skip("musl-gcc is not installed: scripts/test-programs")
    directory = tmp_path_factory.mktemp("musl")
    source, program = directory / "ask.c", directory / "ask"
    source.write_text(ASK)
    subprocess.run(["musl-gcc", "-static", "-O1", "-o", str(program), str(source)], check=True, timeout=60)
    archive(directory / "musl.tar", program.read_bytes())
    cluster.holdfast("image", "load", str(directory / "musl.tar"))
    return IMAGE


def headless(name, app, **spec):
    ports = [{"name": "web", "port": 80}]
    return service(name, clusterIP="None", selector={"app": app}, ports=ports, **spec)


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}


def pod(name, image, command, app="peers", **spec):
    container = {"name": "main", "image": image, "command": command}
    if image != "host":
        container["imagePullPolicy"] = "Never"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": {
            "hostname": name,
            "subdomain": "peers",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


class Asker:
    """A pod that looks names up."""

    def __init__(self, cluster, name, *program):
        self.cluster = cluster
        self.name = name
        self._program = program

    def ask(self, *names):
        """By name: what was found, and after how many milliseconds."""
        output = self.cluster.kubectl("exec", self.name, "-c", "main", "--", *self._program, *names)
        lines = [line.split() for line in output.splitlines()]
        assert [words[0] for words in lines] == list(names)
        return {words[0]: (sorted(set(words[2:])), int(words[1])) for words in lines}

    def found(self, name):
        return self.ask(name)[name][0]


@pytest.fixture(scope="module")
def names(cluster, musl_image):
    """Two peers, services of each kind, and another namespace with one."""
    cluster.kubectl("create", "namespace", "other")
    objects = [
        headless("peers", "peers"),
        service("web", selector={"app": "peers"}, ports=[{"port": 80}]),
        service("alias", type="ExternalName", externalName="web.other.svc.cluster.local"),
        pod("glibc", "host", ["sleep", "100000"]),
        pod("musl", musl_image, ["/ask"]),
    ]
    apply(cluster, *objects)
    elsewhere = service("web", selector={"app": "nobody"}, ports=[{"port": 80}])
    cluster.kubectl("apply", "-n", "other", "-f", "-", manifest=elsewhere)
    cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/glibc", "pod/musl")
    return {
        "web": cluster.get("service", "web")["spec"]["clusterIP"],
        "other": cluster.get("service", "web", "-n", "other")["spec"]["clusterIP"],
        "kubernetes": cluster.get("service", "kubernetes")["spec"]["clusterIP"],
        **{name: cluster.get("pod", name)["status"]["podIP"] for name in ("glibc", "musl")},
    }


def apply(cluster, *objects):
    cluster.kubectl("apply", "-f", "-", manifest={"apiVersion": "v1", "kind": "List", "items": [*objects]})


@pytest.fixture(params=["glibc", "musl"])
def asker(request, cluster, names):
    program = (PYTHON, "-c", ASK_PYTHON) if request.param == "glibc" else ("/ask",)
    return Asker(cluster, request.param, *program)


def test_d66_short_and_full_names_with_and_without_a_dot_behind_them_are_found_at_once(asker, names):
    both = sorted([names["glibc"], names["musl"]])
    expected = {
        "web": [names["web"]],
        "web.default": [names["web"]],
        "web.default.svc": [names["web"]],
        "web.default.svc.cluster.local": [names["web"]],
        "web.default.svc.cluster.local.": [names["web"]],
        "WEB.Default.svc.cluster.LOCAL": [names["web"]],
        "web.other": [names["other"]],
        "kubernetes.default": [names["kubernetes"]],
        "peers": both,
        "peers.default.svc.cluster.local.": both,
        "glibc.peers": [names["glibc"]],
        "musl.peers.default.svc.cluster.local.": [names["musl"]],
        names["musl"].replace(".", "-") + ".default.pod": [names["musl"]],
        "alias": [names["other"]],
    }
    answers = asker.ask(*expected)
    assert {name: found for name, (found, _) in answers.items()} == expected
    assert max(took_ms for _, took_ms in answers.values()) < PROMPT_MS


def test_d59_d60_d78_what_does_not_exist_is_said_to_at_once(asker):
    absent = [
        "absent",
        "web.absent",
        "absent.web",
        "absent.peers",
        "web.",
        "web.default.",
        "absent.default.svc.cluster.local.",
        "absent.cluster.local.",
    ]
    answers = asker.ask(*absent)
    # Of names without any address, musl tells "no such name" and "no address" apart; both are final.
    assert {name: found for name, (found, _) in answers.items() if found not in (["no-name"], ["failed"])} == {}
    assert max(took_ms for _, took_ms in answers.values()) < PROMPT_MS


def test_d63_a_name_that_comes_later_is_found_then_though_it_was_asked_for_before(asker, cluster):
    name, ip = f"late-{asker.name}", None
    assert asker.found(f"{name}.peers") in (["no-name"], ["failed"])
    apply(cluster, pod(name, "host", ["sleep", "100000"]))
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", f"pod/{name}")
        found = asker.found(f"{name}.peers")  # the first look-up: no second chance
        ip = cluster.get("pod", name)["status"]["podIP"]
        assert found == [ip]
        assert ip in asker.found("peers")
    finally:
        cluster.kubectl("delete", "pod", name, "--now")
    assert asker.found(f"{name}.peers") in (["no-name"], ["failed"])


def test_d61_a_pod_that_is_no_longer_ready_is_not_found_and_then_found_again(asker, cluster):
    name = f"moody-{asker.name}"
    made = pod(name, "host", ["sh", "-c", "touch /tmp/ready; sleep 100000"])
    made["spec"]["containers"][0]["readinessProbe"] = {
        "exec": {"command": ["cat", "/tmp/ready"]},
        "periodSeconds": 1,
        "timeoutSeconds": 20,
    }
    apply(cluster, made)
    try:
        for change, wanted in (("touch", "Ready"), ("rm", "Ready=False"), ("touch", "Ready")):
            cluster.until("it runs", lambda: shell(cluster, name, f"{change} /tmp/ready; true"))  # noqa: B023
            cluster.kubectl("wait", f"--for=condition={wanted}", "--timeout=120s", f"pod/{name}")
            found = asker.found(f"{name}.peers")
            assert (found in (["no-name"], ["failed"])) is (wanted == "Ready=False"), (wanted, found)
    finally:
        cluster.kubectl("delete", "pod", name, "--now")


def shell(cluster, name, script):
    return cluster.kubectl("exec", name, "--", "sh", "-c", script, check=False).returncode == 0


def test_the_pods_own_resolver_settings_count(cluster, musl_image, names):
    """`dnsPolicy: None` with a search path of its own; ndots decides what is tried first."""
    server = json.loads(cluster.holdfast("dns", "-o", "json").stdout)["address"]
    config = {
        "nameservers": [server],
        "searches": ["other.svc.cluster.local"],
        "options": [{"name": "ndots", "value": "1"}],
    }
    apply(cluster, pod("chosen", musl_image, ["/ask"], "others", dnsPolicy="None", dnsConfig=config))
    try:
        cluster.kubectl("wait", "--for=condition=Ready", "--timeout=120s", "pod/chosen")
        asker = Asker(cluster, "chosen", "/ask")
        assert asker.found("web") == [names["other"]]
        assert asker.found("web.default.svc.cluster.local") == [names["web"]]
        assert asker.found("web.default") in (["no-name"], ["failed"])
    finally:
        cluster.kubectl("delete", "pod", "chosen", "--now")
