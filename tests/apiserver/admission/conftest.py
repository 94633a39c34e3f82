"""Webhooks that are asked over real HTTPS, and the configurations that name them."""

from __future__ import annotations

import asyncio
import inspect
import json
import socket
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from holdfast.api.core.service import SERVICES
from holdfast.api.discovery.endpoint_slice import ENDPOINT_SLICES
from holdfast.client.informer import Informers
from holdfast.cluster import certificates
from holdfast.cluster.home import Home
from holdfast.controllers.definitions.controller import DefinitionController
from holdfast.controllers.runner import Runner
from holdfast.wire import tls
from holdfast.wire.http import Request, Response, Server, serve
from holdfast.world import real_world

REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
SERVICE = "hook.ns.svc"

Say = dict[str, Any]
Review = Callable[[dict[str, Any]], Say | Awaitable[Say]]
"""From the request of an AdmissionReview to the response, without its uid."""


def patching(*operations: dict[str, Any]) -> Say:
    return {"allowed": True, "patchType": "JSONPatch", "patch": b64encode(json.dumps(operations).encode()).decode()}


@dataclass
class Webhooks:
    """A server of webhooks: what is behind each path, and what each was asked, oldest first."""

    port: int
    ca: str
    """PEM in base64."""
    reviews: dict[str, Review] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """(path, the whole review)"""
    queries: list[str] = field(default_factory=list)
    listening: Server | None = None

    async def until_connected(self, count: int) -> None:
        """Within five seconds there are so many connections."""
        assert self.listening is not None
        for _ in range(500):
            if len(self.listening.connections) == count:
                return
            await asyncio.sleep(0.01)
        raise AssertionError(f"{len(self.listening.connections)} connections")

    def requests(self, path: str = "") -> list[dict[str, Any]]:
        return [review["request"] for where, review in self.seen if path in ("", where)]

    async def answer(self, request: Request) -> Response:
        self.queries.append(request.query)
        review = json.loads(request.body)
        self.seen.append((request.path, review))
        said = self.reviews[request.path](review["request"])
        said = await said if inspect.isawaitable(said) else said
        if "raw" in said:
            return Response(said.get("code", 200), said["raw"], "application/json")
        response = {"uid": review["request"]["uid"], **said}
        whole = {"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}
        return Response(200, json.dumps(whole).encode(), "application/json")


@dataclass
class Cluster:
    """What tests do: configure webhooks and send requests."""

    web: Any
    hooks: Webhooks

    async def configure(
        self, kind: str, *webhooks: dict[str, Any], name: str = "config", review: Review | None = None
    ) -> Any:
        """Makes a configuration; each webhook is asked at `/NAME`."""
        full = [self.webhook(**webhook) for webhook in webhooks]
        for webhook in full:
            if review is not None:
                self.hooks.reviews[f"/{webhook['name']}"] = review
        body = {"metadata": {"name": name}, "webhooks": full}
        answer = await self.web("POST", f"{REGISTRATION}/{kind}webhookconfigurations", body)
        assert answer.code == 201, answer.body
        assert "Warning" not in answer.headers
        return answer

    async def mutating(self, review: Review, **webhook: Any) -> None:
        given = {"name": "mutate.example.com", **webhook}
        await self.configure("mutating", given, name=given["name"], review=review)

    async def validating(self, review: Review, **webhook: Any) -> None:
        given = {"name": "check.example.com", **webhook}
        await self.configure("validating", given, name=given["name"], review=review)

    def webhook(self, name: str, **more: Any) -> dict[str, Any]:
        url = f"https://127.0.0.1:{self.hooks.port}/{name}"
        return {
            "name": name,
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "clientConfig": {"url": url, "caBundle": self.hooks.ca},
            "rules": [rule()],
            **more,
        }


def rule(
    *resources: str, operations: tuple[str, ...] = ("*",), groups: tuple[str, ...] = ("*",), **more: Any
) -> dict[str, Any]:
    given = {"operations": list(operations), "apiGroups": list(groups), "apiVersions": ["*"]}
    return {**given, "resources": list(resources or ("configmaps",)), **more}


def named(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": spec}


Bind = Callable[..., Awaitable[None]]


@pytest.fixture
def bind(web: Any) -> Bind:
    """Makes a policy, `validating` or `mutating`, and binds it: `p` for ConfigMaps, where nothing else is said."""

    async def act(
        kind: str,
        spec: dict[str, Any],
        binding: dict[str, Any],
        *,
        name: str = "p",
        resource: str = "configmaps",
        operations: tuple[str, ...] = ("*",),
    ) -> None:
        whole = {"matchConstraints": {"resourceRules": [rule(resource, operations=operations)]}, **spec}
        bound = {"policyName": name, **binding}
        for plural, body in (("policies", named(name, whole)), ("policybindings", named(f"{name}-b", bound))):
            made = await web("POST", f"{REGISTRATION}/{kind}admission{plural}", body)
            assert made.code == 201, made.body
            assert "Warning" not in made.headers

    return act


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """An authority, and a certificate for 127.0.0.1 and the service."""
    made = Home(tmp_path_factory.mktemp("home"))
    made.pki.mkdir(parents=True, exist_ok=True)
    certificates.ensure(made, datetime.now(UTC), [SERVICE], "10.96.0.1")
    return made


@pytest.fixture
async def hooks(pki: Home) -> AsyncIterator[Webhooks]:
    files = certificates.pair(pki, f"node-{SERVICE}")
    hooks = Webhooks(0, b64encode(Path(pki.ca_certificate).read_bytes()).decode())
    context = tls.server_context(str(files.certificate), str(files.key))
    hooks.listening = await serve(hooks.answer, ssl=context)
    hooks.port = hooks.listening.port
    yield hooks
    await hooks.listening.close(0.1)


@pytest.fixture
def cluster(web: Any, hooks: Webhooks) -> Cluster:
    return Cluster(web, hooks)


@pytest.fixture
def patch() -> Callable[..., Say]:
    """A response that changes the object."""
    return patching


@pytest.fixture
def on() -> Callable[..., dict[str, Any]]:
    """A rule: `on("pods", "pods/status", operations=("UPDATE",))`."""
    return rule


@pytest.fixture
async def service(server: Any, hooks: Webhooks) -> dict[str, Any]:
    """`clientConfig.service` that leads to the webhooks, as endpoints of 127.0.0.1."""
    client = server.client("test")
    ports = [{"name": "https", "port": 443, "targetPort": 8443}]
    await client.create(SERVICES, {"metadata": {"name": "hook", "namespace": "ns"}, "spec": {"ports": ports}})
    return {"name": "hook", "namespace": "ns", "path": "/check.example.com"}


@pytest.fixture
def endpoints(server: Any, hooks: Webhooks) -> Callable[..., Awaitable[None]]:
    """Makes the endpoints of that service."""

    async def make(address: str = "127.0.0.1", *, ready: bool = True) -> None:
        slice = {
            "metadata": {"name": "hook-1", "namespace": "ns", "labels": {"kubernetes.io/service-name": "hook"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
            "ports": [{"name": "https", "port": hooks.port, "protocol": "TCP"}],
        }
        # As controllers' objects in this process are: loopback addresses pass no validation.
        cache = server.api.objects(ENDPOINT_SLICES)
        key = cache.key("ns", "hook-1")
        await server.store.write(key, lambda revision: json.dumps({
            "kind": "EndpointSlice", "apiVersion": "discovery.k8s.io/v1",
            **slice, "metadata": {**slice["metadata"], "uid": "u", "resourceVersion": str(revision)},
        }).encode(), expected=0)  # fmt: skip

    return make


@pytest.fixture
def unused_tcp_port_of_ours() -> Iterator[int]:
    """Bound, so that nobody else gets it, and not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
async def establish(server: Any, web: Any) -> AsyncIterator[Callable[..., Awaitable[str]]]:
    """Defines Gears in the versions v1, which is stored, and v2; returns their path in v1."""
    world = real_world()
    client = server.client("controllers")
    informers = Informers(client, world)
    runner = Runner(DefinitionController(world.clock), client, informers, world)
    tasks = [asyncio.ensure_future(each) for each in (runner.run(), informers.run())]

    async def act(first: dict[str, Any], second: dict[str, Any], **more: Any) -> str:
        """`first` and `second` are what is in spec, by version."""
        versions = [
            {
                "name": name,
                "served": True,
                "storage": name == "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {"spec": {"type": "object", "properties": members}},
                    }
                },
                "subresources": {"scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.size"}},
            }
            for name, members in (("v1", first), ("v2", second))
        ]
        names = {"plural": "gears", "kind": "Gear"}
        spec = {"group": "example.com", "scope": "Namespaced", "names": names, "versions": versions, **more}
        answer = await web("POST", DEFINITIONS, {"metadata": {"name": "gears.example.com"}, "spec": spec})
        assert answer.code == 201, answer.body
        assert "Warning" not in answer.headers
        for _ in range(2000):
            if (await web("GET", "/apis/example.com/v1/gears")).code == 200:
                break
            await asyncio.sleep(0.001)
        return "/apis/example.com/v1/namespaces/ns/gears"

    yield act
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.fixture
async def gears(establish: Any) -> str:
    """The path of a custom kind with two versions, whose size is 1 by default."""
    size = {"size": {"type": "integer", "default": 1, "maximum": 9}, "note": {"type": "string"}}
    path: str = await establish(size, size)
    return path
