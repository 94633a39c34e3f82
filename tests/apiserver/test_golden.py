"""The recorded conversations with a real API server, against this one over real HTTP.

The recordings lie beside a working copy of the project, not in it. Only scenarios that need no controller, or only
the few that are named here, are replayed; one that differs and is not listed below is a regression.
"""

from __future__ import annotations

import asyncio
import contextlib
import fnmatch
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.namespace import NAMESPACES
from holdfast.api.core.service_account import SERVICE_ACCOUNTS
from holdfast.api.errors import ApiError
from holdfast.apiserver import reads
from holdfast.client.informer import Informers
from holdfast.controllers.daemonset.controller import DaemonSetController
from holdfast.controllers.definitions.controller import DefinitionController
from holdfast.controllers.deployment.controller import DeploymentController
from holdfast.controllers.disruption.controller import DisruptionController
from holdfast.controllers.job.controller import JobController
from holdfast.controllers.job.orphans import OrphanedPods
from holdfast.controllers.nodes.controller import NodeLifecycle
from holdfast.controllers.nodes.ttl import NodeTtl
from holdfast.controllers.quota.controller import QuotaController
from holdfast.controllers.replicaset.controller import ReplicaSetController, replication_controllers
from holdfast.controllers.runner import Controller, Runner
from holdfast.controllers.statefulset.controller import StatefulSetController
from holdfast.wire.http import serve
from holdfast.world import Clock, real_world

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
    "policy/limits",
    "services/updates",
    "tables/formats",
    "tables/pods",
    "validation/configuration",
    "validation/pod",
    "validation/service",
    "validation/storage",
    "validation/workloads",
    "watch/initial-events",
    "watch/refused",
)

OF_WORKLOADS = (
    "patch/strategic",
    "tables/workloads",
    "validation/immutable",
    "workloads/daemon-set",
    "workloads/deployment",
    "workloads/job",
)
OF_DEFINITIONS = ("custom/definitions", "custom/objects")
OF_POLICIES = ("policy/quota", "tables/cluster")

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
    "the recording's own build and address": ("access/forbidden: GET /version", "access/forbidden: GET /api"),
}


@pytest.fixture
def clock() -> Clock:
    """Real time: what controllers wrote has an age in tables."""
    return real_world().clock


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings at {GOLDEN}")
async def test_answers_are_those_that_a_real_server_gave(
    server: Any, admin_token: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads, "FUTURE_S", 0.1)
    await _compare(server, admin_token, SCENARIOS, 400)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings at {GOLDEN}")
async def test_workloads_go_the_way_they_went_on_a_real_server(server: Any, admin_token: str, clock: Clock) -> None:
    controllers: tuple[Controller[Any], ...] = (
        DeploymentController(clock),
        ReplicaSetController(clock),
        replication_controllers(clock),
        DaemonSetController(clock),
        StatefulSetController(real_world()),
        JobController(clock),
        OrphanedPods(),
    )
    async with _running(server, *controllers):
        await _compare(server, admin_token, OF_WORKLOADS, 30)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings at {GOLDEN}")
async def test_quotas_budgets_and_nodes_say_what_they_said_on_a_real_server(
    server: Any, admin_token: str, clock: Clock
) -> None:
    async with _running(server, QuotaController(clock), DisruptionController(clock), NodeLifecycle(clock), NodeTtl()):
        await _compare(server, admin_token, OF_POLICIES, 20)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"no recordings at {GOLDEN}")
async def test_custom_kinds_answer_as_they_did_on_a_real_server(server: Any, admin_token: str, clock: Clock) -> None:
    async with _running(server, DefinitionController(clock)):
        await _compare(server, admin_token, OF_DEFINITIONS, 40)


@contextlib.asynccontextmanager
async def _running(server: Any, *controllers: Controller[Any]) -> AsyncIterator[None]:
    world, client = real_world(), server.client("controllers")
    informers = Informers(client, world)
    work = [Runner(controller, client, informers, world).run() for controller in controllers]
    tasks = [asyncio.ensure_future(each) for each in (*work, informers.run())]
    try:
        yield
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
