"""The recorded conversations with a real API server, against this one over real HTTP.

The recordings lie beside a working copy of the project, not in it. Only scenarios that need no controller, or only
those of workloads, are replayed here; one that differs and is not listed below is a regression.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import ApiError
from holdfast.apiserver import handling
from holdfast.client.informer import Informers
from holdfast.controllers.daemonset.controller import DaemonSetController
from holdfast.controllers.deployment.controller import DeploymentController
from holdfast.controllers.job.controller import JobController
from holdfast.controllers.job.orphans import OrphanedPods
from holdfast.controllers.replicaset.controller import ReplicaSetController, replication_controllers
from holdfast.controllers.runner import Runner
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.wire.http import serve
from holdfast.world import real_world

GOLDEN = Path(__file__).parents[3] / "shared" / "golden"

SCENARIOS = (
    "access/forbidden",
    "access/service-accounts",
    "apply/basics",
    "apply/refused",
    "defaults/configuration",
    "defaults/pod",
    "defaults/services",
    "defaults/storage",
    "discovery/aggregated",
    "discovery/groups",
    "lists/pages",
    "lists/versions",
    "machinery/bodies",
    "machinery/requests",
    "patch/json",
    "patch/merge",
    "patch/update",
    "services/updates",
    "tables/formats",
    "validation/configuration",
    "validation/pod",
    "validation/service",
    "validation/storage",
    "validation/workloads",
    "watch/initial-events",
    "watch/refused",
)

WITH_CONTROLLERS = (
    "patch/strategic",
    "tables/workloads",
    "validation/immutable",
    "workloads/daemon-set",
    "workloads/deployment",
    "workloads/job",
)

NOT_YET = {
    "the recorded build mounts OpenShift's certificate as well, Kubernetes has no such volume source": (
        "access/service-accounts: pod with the account",
        "defaults/pod: minimal",
        "workloads/deployment: the pod",
        "workloads/deployment: the new pod",
        "workloads/job: the pod",
    ),
    "a cache of the recorded server: a token outlives its account by ten seconds there": (
        "access/service-accounts: its token is void",
    ),
    "the recorded server hashes its own structures in memory": ("workloads/deployment: not available",),
    "needs the controller": ("access/service-accounts: root certificate",),
    "kinds that are not served yet": (
        "defaults/configuration: autoscaler v1",
        "defaults/configuration: *webhooks",
        "defaults/configuration: admission policy",
        "defaults/configuration: custom resource definition",
        "discovery/aggregated: core",
        "discovery/aggregated: groups",
        "discovery/groups: groups",
        "discovery/groups: core",
        "discovery/groups: GET /apis/autoscaling*",
        "discovery/groups: GET /apis/storage.k8s.io/v1",
        "discovery/groups: GET /apis/networking.k8s.io/v1",
        "discovery/groups: GET /apis/apiextensions.k8s.io/v1",
        "discovery/groups: GET /apis/admissionregistration.k8s.io/v1",
        "validation/configuration: custom resource definition: *",
    ),
    "the recording's own build and address": ("access/forbidden: GET /version", "access/forbidden: GET /api"),
}


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings at {GOLDEN}")
async def test_answers_are_those_that_a_real_server_gave(
    server: Any, admin_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handling, "FUTURE_S", 0.1)
    await _compare(server, admin_token, SCENARIOS, 400)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings at {GOLDEN}")
async def test_workloads_go_the_way_they_went_on_a_real_server(server: Any, admin_token: str) -> None:
    world, client = real_world(), server.client("controllers")
    informers = Informers(client, world)
    clock = world.clock
    controllers = (
        DeploymentController(clock),
        ReplicaSetController(clock),
        replication_controllers(clock),
        DaemonSetController(clock),
        StatefulSetController(world),
        JobController(clock),
        OrphanedPods(),
    )
    work = [Runner(controller, client, informers, world).run() for controller in controllers]
    tasks = [asyncio.ensure_future(each) for each in (*work, informers.run())]
    try:
        await _compare(server, admin_token, WITH_CONTROLLERS, 30)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _compare(server: Any, token: str, scenarios: Sequence[str], at_least: int) -> None:
    """Fails if a step's answer differs that is not known to, or if there are fewer steps than that."""
    http = await serve(server.handler, too_large=server.too_large, failed=server.failed)
    accounts = asyncio.create_task(_give_accounts(server.client("test")))
    try:
        report = await _replay(http.port, token, scenarios)
    finally:
        accounts.cancel()
        await asyncio.gather(accounts, return_exceptions=True)
        await http.close()
    steps = [line for line in report.splitlines() if line.startswith(("ok", "differs"))]
    assert len(steps) > at_least, report[-2000:]
    unexpected = [line for line in steps if line.startswith("differs") and not _is_known(line.split(maxsplit=1)[1])]
    assert not unexpected, "\n".join(unexpected)


def _is_known(step: str) -> bool:
    name = step.partition(" (")[0]
    return any(fnmatch.fnmatchcase(name, pattern) for patterns in NOT_YET.values() for pattern in patterns)


async def _replay(port: int, token: str, scenarios: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(GOLDEN / "replay.py"),
        "check",
        *(str(GOLDEN / f"{scenario}.json") for scenario in scenarios),
        *("--server", f"http://127.0.0.1:{port}", "--token", token, "-j", "8"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return output.decode()


async def _give_accounts(client: Any) -> None:
    """Plays the controller that gives every namespace its account."""
    async for event in client.watch(NAMESPACES):
        if event.type == "ADDED":
            metadata = {"name": "default", "namespace": event.object["metadata"]["name"]}
            with contextlib.suppress(ApiError):
                await client.create(SERVICE_ACCOUNTS, {"metadata": metadata})
