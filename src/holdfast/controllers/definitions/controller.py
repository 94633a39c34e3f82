"""What the controller of CustomResourceDefinitions looks at. Keys are their names."""

from __future__ import annotations

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.resource import Manifest
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import plan


class DefinitionStatus:
    name = "customresourcedefinition-controller"
    concurrency = 1

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._definitions = informers.of(CUSTOM_RESOURCE_DEFINITIONS)

        def on_definition(old: Manifest | None, new: Manifest | None) -> None:
            if new is not None:
                queue.add(key_of(new))

        self._definitions.subscribe(on_definition)

    def observe(self, key: str) -> Manifest | None:
        return self._definitions.get(key)

    def plan(self, observed: Manifest) -> Plan:
        return plan(observed, self._clock.now())
