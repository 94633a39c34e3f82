"""How the parts of the control plane are, found out when somebody asks (`kubectl get componentstatuses`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from holdfast.api.core.component_status import component_status

from .cache import Stored
from .call import Call
from .options import ListOptions
from .selection import select
from .views import Listed

if TYPE_CHECKING:
    from .api import Api

Problem = Callable[[], str]
"""What keeps a component from its work; empty if nothing does."""

CONTROLLERS, SCHEDULER, STORE = "controller-manager", "scheduler", "etcd-0"
NAMES = CONTROLLERS, SCHEDULER, STORE
"""As upstream names them; the store is no etcd, but who asks for it knows no other name."""


def not_there() -> str:
    return "it does not run"


def get(api: Api, call: Call) -> Stored:
    """Raises NotFound."""
    problem = api.components.get(call.name)
    if problem is None:
        raise call.not_found()
    return _stored(api, call, call.name, problem)


def listed(api: Api, call: Call, options: ListOptions) -> Listed:
    """They have no version, so neither has their list. Raises BadRequest."""
    selection = select(call.resource, "", options.label_selector, options.field_selector)
    found = [_stored(api, call, name, problem) for name, problem in sorted(api.components.items())]
    return Listed([one for one in found if selection.matches(one)], 0)


def _stored(api: Api, call: Call, name: str, problem: Problem) -> Stored:
    manifest = component_status(name, problem())
    return Stored(f"{call.resource.plural}/{name}", api.cache.decoded.encode(manifest), 0, api.cache.decoded, manifest)
