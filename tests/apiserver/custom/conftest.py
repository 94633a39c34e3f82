"""A server with the controller that establishes definitions, and a definition to play with."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from holdfast.client.informer import Informers
from holdfast.controllers.definitions.controller import DefinitionController
from holdfast.controllers.runner import Controller, Runner
from holdfast.world import World, real_world

DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

SPEC = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "mode": {"type": "string", "default": "calm", "enum": ["calm", "wild"]},
        "either": {"x-kubernetes-int-or-string": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "ports": {
            "type": "array",
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "items": {
                "type": "object",
                "required": ["port"],
                "properties": {
                    "port": {"type": "integer"},
                    "protocol": {"type": "string", "default": "TCP"},
                    "note": {"type": "string"},
                },
            },
        },
        "tags": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
    },
}
SCHEMA = {
    "type": "object",
    "properties": {
        "spec": SPEC,
        "status": {"type": "object", "properties": {"ready": {"type": "integer"}, "selector": {"type": "string"}}},
    },
}


def version(name: str = "v1", *, storage: bool = True, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "served": True,
        "storage": storage,
        "schema": {"openAPIV3Schema": copy.deepcopy(SCHEMA)},
        "subresources": {
            "status": {},
            "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.ready"},
        },
        **more,
    }


def definition(*versions: dict[str, Any], scope: str = "Namespaced", **names: Any) -> dict[str, Any]:
    """Of Gears in example.com."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names.get('plural', 'gears')}.example.com"},
        "spec": {
            "group": "example.com",
            "scope": scope,
            "names": {"plural": "gears", "kind": "Gear", "shortNames": ["gr"], "categories": ["all"], **names},
            "versions": list(versions) or [version()],
        },
    }


def gear(name: str = "one", api_version: str = "example.com/v1", **spec: Any) -> dict[str, Any]:
    return {"apiVersion": api_version, "kind": "Gear", "metadata": {"name": name}, "spec": {"size": 3, **spec}}


GEARS = "/apis/example.com/v1/namespaces/ns/gears"

Define = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


@pytest.fixture
def controllers() -> list[Controller[Any]]:
    """Those that run beside the one of definitions."""
    return []


@pytest.fixture
async def established(server: Any, controllers: list[Controller[Any]]) -> AsyncIterator[None]:
    """Definitions are established."""
    world: World = real_world()
    client = server.client("controllers")
    informers = Informers(client, world)
    made = (DefinitionController(world.clock), *controllers)
    runs = [Runner(each, client, informers, world).run() for each in made]
    tasks = [asyncio.ensure_future(each) for each in (*runs, informers.run())]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.fixture
def define(web: Any, established: None) -> Define:
    """Makes a definition and waits until it is established."""

    async def act(given: dict[str, Any]) -> dict[str, Any]:
        answer = await web("POST", DEFINITIONS, given)
        assert answer.code == 201, answer.body
        return await until(web, given["metadata"]["name"], "Established")

    return act


async def until(web: Any, name: str, condition: str, status: str = "True") -> dict[str, Any]:
    """The definition, as soon as its condition has that status."""
    for _ in range(2000):
        found = (await web("GET", f"{DEFINITIONS}/{name}")).body
        told = {one["type"]: one["status"] for one in found["status"].get("conditions") or ()}
        if told.get(condition) == status:
            result: dict[str, Any] = found
            return result
        await asyncio.sleep(0.002)
    raise AssertionError(f"{condition} does not become {status}: {found['status']}")


async def eventually(holds: Callable[[], Awaitable[bool]]) -> None:
    for _ in range(2000):
        if await holds():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("it does not come to that")


async def gone(web: Any, path: str) -> None:
    for _ in range(2000):
        if (await web("GET", path)).code == 404:
            return
        await asyncio.sleep(0.002)
    raise AssertionError(f"{path} stays: {(await web('GET', path)).body}")
