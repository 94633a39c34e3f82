"""PATCH: a JSON, merge or strategic merge patch becomes an update of the latest state (A122-A127)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.api.resource import Manifest
from holdfast.apiserver.cache import Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.patches import Patch

from . import strategy, update

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api


async def patch(api: Api, call: Call, change: Patch) -> Stored:
    """The stored object. Raises NotFound, Invalid, BadRequest; Conflict if the patch itself names a resourceVersion."""

    def revised(old: Stored) -> Manifest:
        new = change.apply(call, old.manifest)
        metadata = strategy.metadata_of(new)
        strategy.check_name(call, metadata)
        strategy.check_namespace(call, metadata)
        if (metadata.get("resourceVersion") or "") != old.manifest["metadata"]["resourceVersion"]:
            strategy.check_revision(call, metadata, old.revision)
        update.settle(api, call, new, old.manifest)
        return new

    return await update.replace(api, call, revised)
