"""DELETE on a collection: exactly what a list with the same options would show (A91)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.api.errors import NotFound
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import DeleteOptions, ListOptions
from holdfast.apiserver.views import Listed

from . import delete, reading

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api


async def delete_collection(api: Api, call: Call, selection: ListOptions, options: DeleteOptions) -> Listed:
    """What was asked to go, as it was found. An object that has gone meanwhile is passed over."""
    found = reading.finished(reading.listing(api, call, selection))
    for stored in found.items:
        one = Call(
            call.user, call.resource, stored.namespace, stored.name, options=call.options, warnings=call.warnings
        )
        try:
            await delete.delete(api, one, options, is_one_of_many=True)
        except NotFound:
            continue
    return found
