"""What a node agent adds: a pod's start beside the OCI runtime's own, readiness beside listening, and CPU at rest.

Needs root and the container tools.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from .cluster import Cluster, cluster, process_cpu_s

PODS = "/api/v1/namespaces/default/pods"
STARTS = 15
AT_ONCE = 10
AT_REST, PROBED = 50, 100
STARTUPS_S = (0.4, 0.9, 1.5, 2.2, 3.1, 4.3, 5.8)
"""How long servers take before they listen: of different lengths, for no way of looking should fit them all."""
PERIOD_S = 10
REST_S = 2.0 * PERIOD_S
TIMEOUT_S = 120.0
GOAL_START_RATIO, GOAL_READY_MS, GOAL_PROBES_PERCENT = 2.0, 100.0, 2.0

SERVER = """
import http.server, pathlib, time
time.sleep({sleep_s})
server = http.server.HTTPServer(("", 80), http.server.SimpleHTTPRequestHandler)
pathlib.Path("/since/{name}").write_text(str(time.time()))
server.serve_forever()
"""


def measure() -> dict[str, Any]:
    if os.geteuid() != 0:
        return {"skipped": "needs root"}
    with cluster() as made:
        made.up()
        return {
            "start": _start(made),
            "at_once": _at_once(made),
            "ready": _ready(made),
            **_at_rest(made),
        }


def _pod(name: str, command: list[str] | None = None, **container: Any) -> dict[str, Any]:
    main = {"name": "main", "image": "host", "command": command or ["sleep", "infinity"], **container}
    spec = {"containers": [main], "terminationGracePeriodSeconds": 0}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _create(made: Cluster, *pods: dict[str, Any]) -> None:
    for pod in pods:
        made.call("POST", PODS, pod)


def _until(made: Cluster, names: set[str], holds: Callable[[dict[str, Any]], bool]) -> dict[str, float]:
    """When each pod was first seen to hold, in seconds since the epoch."""
    seen: dict[str, float] = {}
    for event in made.watch(PODS, TIMEOUT_S):
        name = event["object"]["metadata"]["name"]
        if name in names and name not in seen and holds(event["object"]):
            seen[name] = time.time()
            if seen.keys() == names:
                break
    return seen


def _is_running(pod: dict[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def _remove(made: Cluster, names: set[str]) -> None:
    for name in names:
        made.call("DELETE", f"{PODS}/{name}?gracePeriodSeconds=0")
    time.sleep(1)


# One pod, and the runtime alone


def _start(made: Cluster) -> dict[str, Any]:
    """Medians: create to Running as a client sees it, and the runtime with the very bundle of such a pod, in turns.

    Both from rest: the first process that is moved between control groups in a while waits for all processors.
    """
    pods, alone = [], []
    for number in range(STARTS):
        name = f"start-{number}"
        pods.append(_create_to_running(made, name))
        time.sleep(1)
        alone.append(_runtime_alone(made, name))
        _remove(made, {name})
    pod_ms, alone_ms = (1e3 * statistics.median(seconds[1:]) for seconds in (pods, alone))
    ratio = pod_ms / alone_ms
    return {
        "create_to_running_ms": round(pod_ms, 1),
        "runtime_alone_ms": round(alone_ms, 1),
        "ratio": round(ratio, 2),
        "goal_ratio": GOAL_START_RATIO,
        "met": ratio <= GOAL_START_RATIO,
    }


def _create_to_running(made: Cluster, name: str) -> float:
    """Seconds, for a client that is connected and watches."""
    with made.connected() as call:
        events = made.watch(
            f"{PODS}?sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan", TIMEOUT_S
        )
        while next(events)["type"] != "BOOKMARK":
            pass
        began_s = time.time()
        call("POST", PODS, _pod(name))
        for event in events:
            if event["object"]["metadata"]["name"] == name and _is_running(event["object"]):
                return time.time() - began_s
    raise RuntimeError(f"pod {name} did not run within {TIMEOUT_S} s")


def _runtime_alone(made: Cluster, pod: str) -> float:
    """Seconds of `crun create` and `crun start` with the bundle of that pod's container."""
    (status,) = made.call("GET", f"{PODS}/{pod}")["status"]["containerStatuses"]
    bundle = made.home / "run" / "0" / "c" / status["containerID"].rpartition("/")[2]
    config = json.loads((bundle / "config.json").read_text())
    config["root"]["path"] = str(bundle / config["root"]["path"])
    config["linux"]["cgroupsPath"] += "-alone"
    with tempfile.TemporaryDirectory(prefix="hf-bench-", dir=made.home.parent) as directory:
        for number, mount in enumerate(config["mounts"]):
            mount["options"] = [_own(option, Path(directory, str(number))) for option in mount.get("options") or ()]
        Path(directory, "config.json").write_text(json.dumps(config))
        namespace = made.home / "run" / "mnt" / "ns"
        inside = ["nsenter", f"--mount={namespace}"] if namespace.exists() else []
        runtime = [*inside, "crun", "--root", f"{directory}/state"]
        began_s = time.time()
        _run([*runtime, "create", "--bundle", directory, "alone"])
        _run([*runtime, "start", "alone"])
        seconds = time.time() - began_s
        _run([*runtime, "delete", "--force", "alone"])
    return seconds


def _own(option: str, directory: Path) -> str:
    """An overlay's upper directories belong to one mount: other ones for another container."""
    name, is_named, _ = option.partition("=")
    if not is_named or name not in ("upperdir", "workdir"):
        return option
    own = directory / name
    own.mkdir(parents=True)
    return f"{name}={own}"


def _run(command: list[str]) -> None:
    """Raises RuntimeError with what it said."""
    with tempfile.TemporaryFile() as said:  # a container inherits what it is given, and a pipe would be waited for
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False)
        if done.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {said.read().decode()}")


# More


def _at_once(made: Cluster) -> dict[str, Any]:
    names = {f"once-{number}" for number in range(AT_ONCE)}
    began_s = time.time()
    _create(made, *(_pod(name) for name in names))
    seconds = max(_until(made, names, _is_running).values()) - began_s
    _remove(made, names)
    return {"pods": AT_ONCE, "all_running_s": round(seconds, 3)}


def _ready(made: Cluster) -> dict[str, Any]:
    """From the moment a server listens until a client sees its pod Ready; the probe is due every 10 s."""
    with tempfile.TemporaryDirectory(prefix="hf-bench-") as directory:
        waited = []
        for number, sleep_s in enumerate(STARTUPS_S):
            name = f"ready-{number}"
            probe = {"httpGet": {"path": "/", "port": 80}, "periodSeconds": PERIOD_S}
            mount = {"name": "since", "mountPath": "/since"}
            program = SERVER.format(name=name, sleep_s=sleep_s)
            pod = _pod(name, ["python3", "-c", program], readinessProbe=probe, volumeMounts=[mount])
            pod["spec"]["volumes"] = [{"name": "since", "hostPath": {"path": directory}}]
            _create(made, pod)
            seen_s = _until(made, {name}, _is_ready)[name]
            waited.append(seen_s - float(Path(directory, name).read_text()))
            _remove(made, {name})
    ready_ms = 1e3 * statistics.median(waited)
    return {
        "listening_to_ready_ms": round(ready_ms, 1),
        "worst_ms": round(1e3 * max(waited), 1),
        "period_s": PERIOD_S,
        "goal_ms": GOAL_READY_MS,
        "met": ready_ms <= GOAL_READY_MS,
    }


class _Yes(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Nothing: thousands of requests come."""


def _at_rest(made: Cluster) -> dict[str, Any]:
    """CPU of the agents' process in percent of a core: pods that do nothing, then as many probed as fit a node."""
    quiet = {f"rest-{number}" for number in range(AT_REST)}
    _create(made, *(_pod(name) for name in quiet))
    _until(made, quiet, _is_running)
    at_rest = _percent(made)
    _remove(made, quiet)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Yes)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    probe = {"httpGet": {"host": "127.0.0.1", "port": server.server_port}, "periodSeconds": PERIOD_S}
    probed = {f"probed-{number}" for number in range(PROBED)}
    _create(made, *(_pod(name, readinessProbe=probe) for name in probed))
    _until(made, probed, _is_ready)
    busy = _percent(made)
    server.shutdown()
    server.server_close()
    return {
        "at_rest": {"pods": AT_REST, "agent_cpu_percent": round(at_rest, 2)},
        "probes": {
            "pods": PROBED,
            "period_s": PERIOD_S,
            "agent_cpu_percent": round(busy, 2),
            "goal_percent": GOAL_PROBES_PERCENT,
            "met": busy <= GOAL_PROBES_PERCENT,
        },
    }


def _percent(made: Cluster) -> float:
    time.sleep(5)  # what the starts left to do
    pid = made.status()["daemon"]["agents_pid"]
    before_s = process_cpu_s(pid)
    time.sleep(REST_S)
    return 100 * (process_cpu_s(pid) - before_s) / REST_S
