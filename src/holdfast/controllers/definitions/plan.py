"""The state of a CustomResourceDefinition (A199): none is established, because custom resources are not served yet."""

from __future__ import annotations

from datetime import datetime

from holdfast.api.apiextensions.custom_resource_definition import CUSTOM_RESOURCE_DEFINITIONS
from holdfast.api.conditions import condition
from holdfast.api.errors import NotFound
from holdfast.api.resource import Manifest
from holdfast.api.times import format_time
from holdfast.controllers.actions import Plan, Update

ESTABLISHED = "Established"
REASON = "NotServed"
MESSAGE = "holdfast keeps this definition but does not serve custom resources yet"


def plan(definition: Manifest, now: datetime) -> Plan:
    known = condition(definition, ESTABLISHED)
    if known is not None and (known.get("status"), known.get("reason")) == ("False", REASON):
        return Plan("it is known not to be served", subject=definition)
    told = {"type": ESTABLISHED, "status": "False", "reason": REASON, "message": MESSAGE}
    others = [each for each in definition["status"].get("conditions") or () if each.get("type") != ESTABLISHED]
    status = {**definition["status"], "conditions": [*others, told | {"lastTransitionTime": format_time(now)}]}
    update = Update(CUSTOM_RESOURCE_DEFINITIONS, {**definition, "status": status}, "status", ignore=(NotFound,))
    return Plan("its resources are not served", status=update, subject=definition)
