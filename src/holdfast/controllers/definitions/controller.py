"""What the controller of CustomResourceDefinitions looks at. Keys are their names."""

from __future__ import annotations

from dataclasses import replace

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.custom.definition import is_established, resources_of
from holdfast.api.errors import NotFound
from holdfast.api.kinds import is_built_in
from holdfast.api.resource import Manifest, Resource
from holdfast.client import Client
from holdfast.client.informer import Informers, key_of
from holdfast.client.queue import WorkQueue
from holdfast.controllers.actions import Plan
from holdfast.world import Clock

from .plan import Observed, plan

BY_GROUP = "group"


class DefinitionController:
    name = "customresourcedefinition-controller"
    concurrency = 1
    """Two definitions may ask for one name: they are looked at one after the other."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def start(self, informers: Informers, queue: WorkQueue) -> None:
        self._definitions = informers.of(CUSTOM_RESOURCE_DEFINITIONS)
        self._definitions.add_index(BY_GROUP, lambda definition: (definition["spec"]["group"],))

        def on_definition(old: Manifest | None, new: Manifest | None) -> None:
            definition = new or old
            assert definition is not None
            if new is not None:
                queue.add(key_of(new))
            if new is None or old is None or old.get("status") != new.get("status"):  # a name may have become free
                for other in self._definitions.by_index(BY_GROUP, definition["spec"]["group"]):
                    queue.add(key_of(other))

        self._definitions.subscribe(on_definition)

    def observe(self, key: str) -> Observed | None:
        definition = self._definitions.get(key)
        if definition is None:
            return None
        group = self._definitions.by_index(BY_GROUP, definition["spec"]["group"])
        return Observed(definition, [one for one in group if key_of(one) != key], self._clock.now())

    async def verify(self, observed: Observed, client: Client) -> Observed:
        """Of a definition that goes, what is left, read from the server: nothing may be overlooked."""
        if not observed.is_going:
            return observed
        resource = _stored(observed.definition)
        if resource is None:
            return replace(observed, left={})
        try:
            return replace(observed, left={resource: (await client.list(resource)).items})
        except NotFound:
            return replace(observed, left={})

    def plan(self, observed: Observed) -> Plan:
        return plan(observed)


def _stored(definition: Manifest) -> Resource | None:
    """A version by which all objects of the definition can be reached; None if there can be none."""
    spec = definition["spec"]
    if not is_established(definition) or is_built_in(spec["group"], spec["names"]["plural"]):
        return None
    versions = resources_of(definition)
    return next((each for each in versions if each.custom is not None and each.custom.is_served), versions[0])
