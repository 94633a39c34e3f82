"""Programs in pods talk to the API as their service account (A216-A221, A229, A230, W105-W108)."""

import base64
import json
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest

ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
WITHOUT_AN_END = ["/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 3600 & wait $!; done"]
CALL = """
import json, os, ssl, sys, urllib.error, urllib.request
path, token_file, host = sys.argv[1:]
host = host or os.environ["KUBERNETES_SERVICE_HOST"]
token = open(token_file).read()
context = ssl.create_default_context(cafile="/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
request = urllib.request.Request(f"https://{host}{path}", headers={"Authorization": f"Bearer {token}"})
try:
    answer = urllib.request.urlopen(request, context=context, timeout=60)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, json.load(answer)]))
"""


@pytest.fixture(scope="module")
def caller(cluster):
    """A pod that can be told to call the API, with a second token that is for somebody else."""
    vault = {"serviceAccountToken": {"path": "vault", "audience": "vault", "expirationSeconds": 600}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "caller"},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "main",
                    "image": "host",
                    "command": WITHOUT_AN_END,
                    "volumeMounts": [{"name": "other", "mountPath": "/other"}],
                }
            ],
            "volumes": [{"name": "other", "projected": {"sources": [vault]}}],
        },
    }
    cluster.kubectl("apply", "-f", "-", manifest=pod)
    cluster.until("pod runs", lambda: cluster.get("pod", "caller")["status"]["phase"] == "Running")

    def call(path, token_file=f"{ACCOUNT}/token", host=""):
        arguments = ("exec", "caller", "--", "/usr/bin/env", "python3", "-c", CALL, path, token_file, host)
        return json.loads(cluster.kubectl(*arguments))

    return call


def test_a_pod_finds_token_certificate_and_namespace(cluster, caller):
    listed = cluster.kubectl("exec", "caller", "--", "ls", ACCOUNT).split()
    assert listed == ["ca.crt", "namespace", "token"]
    assert cluster.kubectl("exec", "caller", "--", "cat", f"{ACCOUNT}/namespace") == "default"
    written = cluster.kubectl("exec", "caller", "--", "sh", "-c", f"echo x > {ACCOUNT}/token", check=False)
    assert written.returncode != 0


@pytest.mark.parametrize("host", ["", "kubernetes.default.svc"])
def test_it_reaches_the_api_by_cluster_address_and_by_name_and_is_known_there(caller, host):
    code, answer = caller("/api/v1/namespaces/default/pods", host=host)
    assert code == 403
    assert 'User "system:serviceaccount:default:default" cannot list resource "pods"' in answer["message"]


def test_a_role_lets_it_do_what_the_role_says_and_no_more(cluster, caller):
    cluster.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    cluster.kubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount=default:default")
    code, answer = caller("/api/v1/namespaces/default/pods")
    assert (code, [item["metadata"]["name"] for item in answer["items"]]) == (200, ["caller"])
    assert caller("/api/v1/namespaces/default/pods/caller")[0] == 200
    for path in ("/api/v1/pods", "/api/v1/namespaces/kube-system/pods", "/api/v1/namespaces/default/secrets"):
        assert caller(path)[0] == 403


def test_a_token_for_others_is_refused(caller):
    code, answer = caller("/api", token_file="/other/vault")
    assert (code, answer["reason"]) == (401, "Unauthorized")


def as_bearer(cluster, token, *arguments):
    """kubectl with a token in place of the administrator's credentials."""
    server = cluster.kubectl("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    config = cluster.home / "bearer.kubeconfig"
    config.write_text("")
    trust = ("--server", server, "--certificate-authority", str(cluster.home / "ca.crt"), "--token", token)
    return cluster.kubectl("--kubeconfig", str(config), *trust, *arguments, check=False)


def skip_without(cluster, *command):
    help = cluster.kubectl(*command, "--help", check=False)
    if help.returncode or "unknown command" in help.stderr or "Usage" not in help.stdout:
        pytest.skip(f"this kubectl has no `{' '.join(command)}`")


def test_kubectl_creates_tokens_and_says_whose_they_are(cluster):
    skip_without(cluster, "create", "token")
    skip_without(cluster, "auth", "whoami")
    cluster.kubectl("create", "serviceaccount", "bot")
    token = cluster.kubectl("create", "token", "bot", "--duration=15m")
    me = as_bearer(cluster, token, "auth", "whoami")
    assert "system:serviceaccount:default:bot" in me.stdout, me.stderr
    other = cluster.kubectl("create", "token", "bot", "--audience=vault")
    assert "Unauthorized" in as_bearer(cluster, other, "get", "pods").stderr
    cluster.kubectl("delete", "serviceaccount", "bot")
    assert "Unauthorized" in as_bearer(cluster, token, "get", "pods").stderr


def test_kubectl_asks_what_one_may(cluster):
    cluster.kubectl("create", "namespace", "team")
    cluster.kubectl("-n", "team", "create", "role", "r", "--verb=get", "--resource=configmaps")
    cluster.kubectl("-n", "team", "create", "rolebinding", "r", "--role=r", "--user=jane")
    asked = ("-n", "team", "auth", "can-i", "--as", "jane")
    assert cluster.kubectl(*asked, "get", "configmaps") == "yes\n"
    assert cluster.kubectl(*asked, "delete", "configmaps", check=False).stdout == "no\n"
    listed = cluster.kubectl(*asked, "--list")
    assert ["configmaps", "[]", "[]", "[get]"] in [line.split() for line in listed.splitlines()]
    assert cluster.kubectl("auth", "can-i", "*", "*") == "yes\n"


def test_a_secret_of_the_old_kind_is_filled_and_goes_with_its_account(cluster):
    cluster.kubectl("create", "serviceaccount", "old")
    annotations = {"kubernetes.io/service-account.name": "old"}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "old-token", "annotations": annotations},
        "type": "kubernetes.io/service-account-token",
    }
    cluster.kubectl("apply", "-f", "-", manifest=secret)
    data = cluster.until("filled", lambda: cluster.get("secret", "old-token").get("data"))
    assert base64.b64decode(data["ca.crt"]) == (cluster.home / "ca.crt").read_bytes()
    assert base64.b64decode(data["namespace"]) == b"default"
    refused = as_bearer(cluster, base64.b64decode(data["token"]).decode(), "get", "pods")
    assert 'User "system:serviceaccount:default:old" cannot list' in refused.stderr
    cluster.kubectl("delete", "serviceaccount", "old")
    cluster.until("gone", lambda: cluster.kubectl("get", "secret", "old-token", check=False).returncode)


def test_tokens_and_their_key_outlive_the_daemon(cluster, caller):
    key = (cluster.home / "pki/sa.key").read_bytes()
    cluster.kill("daemon")
    cluster.up()
    assert caller("/api/v1/namespaces/default/pods/caller")[0] in (200, 403)
    assert (cluster.home / "pki/sa.key").read_bytes() == key


@pytest.fixture
def neighbour():
    """A network namespace beside this machine, as another machine on its network: runs a command there."""
    if shutil.which("ip") is None:
        pytest.skip("not installed: ip")
    name = "hftneighbour"

    def ip(*arguments, check=True):
        return subprocess.run(["ip", *arguments], check=check, capture_output=True, text=True)

    ip("netns", "add", name)
    try:
        ip("link", "add", "hftn0", "type", "veth", "peer", "name", "hftn1", "netns", name)
        ip("addr", "add", "198.51.100.1/30", "dev", "hftn0")
        ip("link", "set", "hftn0", "up")
        ip("-n", name, "addr", "add", "198.51.100.2/30", "dev", "hftn1")
        ip("-n", name, "link", "set", "hftn1", "up")
        ip("-n", name, "route", "add", "default", "via", "198.51.100.1")
        yield lambda *command: ip("netns", "exec", name, *command, check=False)
    finally:
        ip("link", "del", "hftn0", check=False)
        ip("netns", "del", name, check=False)


def test_no_other_machine_gets_an_answer_where_pods_do(cluster, neighbour):
    subset = cluster.get("endpoints", "kubernetes")["subsets"][0]
    gateway, port = subset["addresses"][0]["ip"], subset["ports"][0]["port"]
    context = ssl.create_default_context(cafile=str(cluster.home / "ca.crt"))
    with socket.create_connection((gateway, port), 60) as plain, context.wrap_socket(plain, server_hostname=gateway):
        pass  # this machine gets in, and the certificate is for that address
    probe = Path(cluster.home.parent / "probe.py")
    probe.write_text(
        "import socket, ssl, sys\n"
        "context = ssl._create_unverified_context()\n"
        "plain = socket.create_connection((sys.argv[1], int(sys.argv[2])), 30)\n"
        "tls = context.wrap_socket(plain)\n"
        "tls.sendall(b'GET /livez HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')\n"
        "data = tls.recv(100)\n"
        "print('ANSWER', data)\n"
    )
    first = cluster.get("service", "kubernetes")["spec"]["clusterIP"]
    for address, at in ((gateway, port), (first, 443)):
        command = ("python3", str(probe), address, str(at))
        assert "HTTP/1.1 200" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
        done = neighbour(*command)
        assert "HTTP/1.1" not in done.stdout, done.stdout
    reached = neighbour("python3", "-c", f"import socket; socket.create_connection(('{gateway}', {port}), 30)")
    assert reached.returncode == 0, "the packets must arrive, or this test shows nothing"
