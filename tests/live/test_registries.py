"""Images from a real registry, into real containers: Debian's `docker-registry` beside a cluster."""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from debian_registry import PASSWORD, USER, DebianRegistry, layer, shell_layer

TOP = layer(
    {"etc/motd": b"from the top\n", "etc/.wh.gone": b"", "opt/.wh..wh..opq": b"", "opt/new": b"new\n"},
    links={"etc/motd.same": "etc/motd"},
)
MIDDLE = layer({"etc/motd": b"from below\n", "etc/gone": b"x", "opt/old": b"old\n"})
SCRIPT = "cat /etc/motd /etc/motd.same; ls /etc/gone /opt; sleep 1000"


@pytest.fixture(scope="module")
def shell():
    return shell_layer()


@pytest.fixture(scope="module")
def registries(registry_program):
    """One for all, one for those who name themselves."""
    directory = Path(tempfile.mkdtemp(prefix="hf-registry-"))
    made = [
        DebianRegistry(registry_program, directory / "open"),
        DebianRegistry(registry_program, directory / "protected", protected=True),
    ]
    yield made
    for registry in made:
        registry.stop()
    shutil.rmtree(directory)


@pytest.fixture
def registry(registries):
    return registries[0]


@pytest.fixture
def protected(registries):
    return registries[1]


def pod(name, image, script=SCRIPT, **spec):
    container = {"name": "main", "image": image, "command": ["/bin/sh", "-c", script]}
    spec = {"terminationGracePeriodSeconds": 1, "containers": [container], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def messages(cluster, name):
    """What was told of the pod's container: reason and message, in order."""
    listed = cluster.get("events", "--field-selector", f"involvedObject.name={name}")["items"]
    return [(event["reason"], event["message"]) for event in sorted(listed, key=lambda e: e["metadata"]["name"])]


def until_told(cluster, name, holds):
    """Events come when they come, and not with the status."""
    cluster.until("it is told", lambda: any(holds(*told) for told in messages(cluster, name)))


def waiting(cluster, name):
    statuses = cluster.get("pod", name).get("status", {}).get("containerStatuses") or [{}]
    return statuses[0].get("state", {}).get("waiting", {}).get("reason", "")


def until_running(cluster, name, within_s=120):
    def running():
        found = cluster.get("pod", name)
        return found if found.get("status", {}).get("phase") == "Running" else None

    return cluster.until(f"{name} runs", running, within_s)


def test_a_pod_runs_an_image_of_several_layers_from_a_registry(cluster, registry, shell):
    registry.push("team/app:1", shell, MIDDLE, TOP, Env=["FROM=image"])
    image = f"{registry.host}/team/app:1"
    cluster.kubectl("apply", "-f", "-", manifest=pod("layers", image))
    status = until_running(cluster, "layers")["status"]["containerStatuses"][0]
    assert status["image"] == image
    assert status["imageID"].startswith(f"{registry.host}/team/app@sha256:")
    cluster.until("its output", lambda: "new" in cluster.kubectl("logs", "layers"))
    lines = cluster.kubectl("logs", "layers").splitlines()
    assert lines[:2] == ["from the top", "from the top"]
    assert "new" in lines
    assert "old" not in lines
    assert any("/etc/gone" in line and "No such file" in line for line in lines)

    def pulls():
        return [(reason, message) for reason, message in messages(cluster, "layers") if "ull" in reason]

    told = cluster.until("it is told", lambda: (found := pulls())[-1:] and found[-1][0] == "Pulled" and found)
    assert told[0] == ("Pulling", f'Pulling image "{image}"')
    assert told[-1][1].startswith(f'Successfully pulled image "{image}" in ')
    assert told[-1][1].endswith(" bytes.")
    named = cluster.until(
        "the Node lists it",
        lambda: [
            entry for entry in cluster.get("nodes")["items"][0]["status"]["images"] if image in entry.get("names", [])
        ],
    )
    assert named[0]["sizeBytes"] > 100_000


def test_a_layer_spoilt_on_the_registrys_disk_is_told_kept_out_and_cured(cluster, registry, shell):
    noise = layer({"opt/noise": random.Random(7).randbytes(2 << 20)})
    kept = layer({"opt/kept": b"kept\n"})
    _, bad, good = registry.push("spoilt:1", shell, noise, kept)
    path = registry.file(bad)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    image = f"{registry.host}/spoilt:1"
    cluster.kubectl("apply", "-f", "-", manifest=pod("spoilt", image, "sleep 1000"))
    cluster.until("the refusal", lambda: waiting(cluster, "spoilt") in ("ErrImagePull", "ImagePullBackOff"))

    def failures():
        return [message for reason, message in messages(cluster, "spoilt") if reason == "Failed" and "pull" in message]

    failed = cluster.until("it is told", failures)[0]
    assert failed.startswith(f'Failed to pull image "{image}": rpc error: code = FailedPrecondition desc = ')
    assert f"expected {bad}" in failed
    images = cluster.home / "images"
    cluster.until("nothing is left", lambda: not list((images / "downloads").iterdir()))  # it is tried again
    cluster.until("nothing is left", lambda: not list((images / "layers").glob(".*")))
    names = [entry.name for entry in (images / "layers").iterdir()]
    assert any((images / "layers" / name / "opt/kept").exists() for name in names)
    assert not any((images / "layers" / name / "opt/noise").exists() for name in names)
    path.write_bytes(whole[: 1 << 20])  # now its end is missing
    cluster.until("the back-off", lambda: waiting(cluster, "spoilt") == "ImagePullBackOff")
    assert "failed size validation" in cluster.holdfast("image", "pull", image, check=False).stderr
    path.write_bytes(whole)
    until_running(cluster, "spoilt", within_s=240)
    until_told(cluster, "spoilt", lambda reason, _: reason == "BackOff")
    until_told(cluster, "spoilt", lambda *told: told == ("Failed", "Error: ErrImagePull"))
    until_told(cluster, "spoilt", lambda *told: told == ("Failed", "Error: ImagePullBackOff"))
    assert registry.file(good).exists()


def test_n63_n65_a_pod_names_itself_by_its_pull_secret_and_no_secret_is_told(cluster, protected, shell):
    protected.push("private:1", shell)
    image = f"{protected.host}/private:1"
    cluster.kubectl("apply", "-f", "-", manifest=pod("nobody", image, "sleep 1000"))
    cluster.until("the refusal", lambda: waiting(cluster, "nobody") in ("ErrImagePull", "ImagePullBackOff"))
    until_told(cluster, "nobody", lambda _, message: "no basic auth credentials" in message)
    cluster.kubectl(
        "create", "secret", "docker-registry", "cave", f"--docker-server={protected.host}",
        f"--docker-username={USER}", f"--docker-password={PASSWORD}",
    )  # fmt: skip
    named = pod("ali", image, "sleep 1000", imagePullSecrets=[{"name": "cave"}, {"name": "missing"}])
    cluster.kubectl("apply", "-f", "-", manifest=named)
    until_running(cluster, "ali")
    cluster.kubectl("apply", "-f", "-", manifest=pod("guest", image, "sleep 1000"))
    until_running(cluster, "guest")  # what is here already serves everybody
    until_told(cluster, "ali", lambda reason, _: reason == "FailedToRetrieveImagePullSecret")
    everything = cluster.kubectl("get", "events", "-o", "json") + "".join(
        path.read_text(errors="replace") for path in (cluster.home / "logs").glob("*")
    )
    assert PASSWORD not in everything


def test_n65_the_secret_of_the_service_account_does_too(cluster, protected, shell):
    protected.push("account:1", shell)
    cluster.kubectl("create", "namespace", "robbers")
    cluster.kubectl(
        "-n", "robbers", "create", "secret", "docker-registry", "cave", f"--docker-server={protected.host}",
        f"--docker-username={USER}", f"--docker-password={PASSWORD}",
    )  # fmt: skip
    cluster.until(
        "the account", lambda: cluster.kubectl("-n", "robbers", "get", "sa", "default", check=False).returncode == 0
    )
    patch = json.dumps({"imagePullSecrets": [{"name": "cave"}]})
    cluster.kubectl("-n", "robbers", "patch", "serviceaccount", "default", "-p", patch)
    manifest = pod("ali", f"{protected.host}/account:1", "sleep 1000")
    cluster.kubectl("-n", "robbers", "apply", "-f", "-", manifest=manifest)

    def phase():
        return json.loads(cluster.kubectl("-n", "robbers", "get", "pod", "ali", "-o", "json"))["status"].get("phase")

    cluster.until("it runs", lambda: phase() == "Running")


def test_n62_always_brings_what_the_tag_means_now(cluster, registry, shell):
    image = f"{registry.host}/moving:latest"
    for word in ("first", "second"):
        registry.push("moving:latest", shell, layer({"etc/word": f"{word}\n".encode()}))
        cluster.kubectl("apply", "-f", "-", manifest=pod(f"moving-{word}", image, "cat /etc/word; sleep 1000"))
        until_running(cluster, f"moving-{word}")
        cluster.until(word, lambda word=word: cluster.kubectl("logs", f"moving-{word}") == f"{word}\n")


def test_a_missing_image_and_never(cluster, registry):
    image = f"{registry.host}/none:1"
    cluster.kubectl("apply", "-f", "-", manifest=pod("none", image))
    cluster.until("the refusal", lambda: waiting(cluster, "none") == "ImagePullBackOff")
    expected = (
        f'Failed to pull image "{image}": rpc error: code = NotFound desc = failed to pull and unpack image "{image}": '
        f'failed to resolve reference "{image}": {image}: not found'
    )
    until_told(cluster, "none", lambda *told: told == ("Failed", expected))
    never = pod("never", image)
    never["spec"]["containers"][0]["imagePullPolicy"] = "Never"
    cluster.kubectl("apply", "-f", "-", manifest=never)
    cluster.until("the refusal", lambda: waiting(cluster, "never") == "ErrImageNeverPull")


def test_the_command_line_pulls_lists_and_prunes_and_mirrors_are_asked(cluster, registry, shell):
    registry.push("library/mirrored:1", shell, Env=["ASKED=mirror"])
    (cluster.home / "registries.toml").write_text(f'[registry."docker.io"]\nmirrors = ["http://{registry.host}"]\n')
    try:
        pulled = json.loads(cluster.holdfast("image", "pull", "mirrored:1", "-o", "json").stdout)
        assert pulled["references"] == ["docker.io/library/mirrored:1"]
        assert pulled["loaded"] is False
        cluster.kubectl("apply", "-f", "-", manifest=pod("mirrored", "mirrored:1", "sleep 1000"))
        until_running(cluster, "mirrored")
        pruned = cluster.holdfast("image", "prune").stdout
        assert "mirrored" not in pruned
        assert "docker.io/library/mirrored:1" in cluster.holdfast("image", "list").stdout
        assert cluster.holdfast("image", "rm", pulled["id"], check=False).returncode != 0
        cluster.kubectl("delete", "pod", "mirrored", "--wait")
        cluster.until("it is unused", lambda: "mirrored:1" in cluster.holdfast("image", "prune").stdout)
        assert "mirrored" not in cluster.holdfast("image", "list").stdout
    finally:
        (cluster.home / "registries.toml").unlink()


def test_agents_that_are_killed_in_a_pull_leave_nothing_half_made(cluster, registry, shell):
    registry.push("large:1", shell, layer({f"opt/{n}": random.Random(n).randbytes(20 << 20) for n in range(4)}))
    image = f"{registry.host}/large:1"
    cluster.kubectl("apply", "-f", "-", manifest=pod("large", image, "ls /opt; sleep 1000"))
    cluster.until("it is pulled", lambda: any(reason == "Pulling" for reason, _ in messages(cluster, "large")))
    time.sleep(0.3)
    cluster.kill("agents")
    until_running(cluster, "large")

    def output():
        """Once the agents are back: the pod may have been running when they were killed."""
        return cluster.kubectl("logs", "large", check=False).stdout.split()

    cluster.until("its output", lambda: output() == ["0", "1", "2", "3"])
    layers = cluster.home / "images" / "layers"
    cluster.until("nothing is left", lambda: not [entry for entry in layers.iterdir() if entry.name.startswith(".")])
