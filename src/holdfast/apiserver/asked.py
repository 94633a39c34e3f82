"""A request on its way to its verb, and the forms in which objects are answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from holdfast.api.resource import Manifest
from holdfast.wire.messages import Request, Response

from . import responses, views
from .auth.user import User
from .cache import Stored
from .call import Call
from .options import Query, first
from .responses import Style
from .routing import Route
from .verbs import scale

if TYPE_CHECKING:
    from .server import ApiServer


@dataclass(slots=True)
class Asked:
    """What is asked, by whom, and how they want it told."""

    request: Request
    query: Query
    user: User
    route: Route
    call: Call
    style: Style


class Forms:
    """Objects as they were asked for: whole, as a table, as metadata."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def view(self, asked: Asked, *, is_list: bool) -> views.View:
        include = first(asked.query, "includeObject")
        return self._server.view_of(asked.call.resource, asked.style.form, include, is_list=is_list)

    def object(self, asked: Asked, status: int, stored: Stored) -> Response:
        if asked.style.form.shape:
            body = self.view(asked, is_list=False).one(stored)
        else:
            body = self._server.plain(asked.call.resource).one(stored)
        return responses.encoded(status, body, asked.style, asked.call.warnings)

    def scale(self, asked: Asked, status: int, manifest: Manifest) -> Response:
        form = asked.style.form
        if form.shape == "Table":
            body = scale.table(manifest, form.version, self._server.world.clock.now())
        else:
            body = msgspec.json.encode(manifest)
        return responses.encoded(status, body, asked.style, asked.call.warnings)
