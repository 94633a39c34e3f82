"""Requests that change something: options and bodies read, the verb done, what comes of it told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.api.resource import Manifest
from holdfast.wire.messages import Response

from . import bodies, responses
from .asked import Asked, Forms
from .auth.reviews import is_review
from .options import WriteOptions, default_manager, delete_options, list_options, write_options
from .patch.apply import parse_configuration
from .patches import parse_patch
from .verbs import delete, scale

if TYPE_CHECKING:
    from .server import ApiServer


class Writes:
    """Answers to create, update, patch, delete and deletecollection."""

    def __init__(self, server: ApiServer, forms: Forms) -> None:
        self._server, self._forms = server, forms

    async def answer(self, asked: Asked, verb: str) -> Response:
        """To create, update, patch, delete or deletecollection. Raises ApiError."""
        match verb:
            case "create":
                return await (self._create_below(asked) if asked.route.subresource else self._create(asked))
            case "update":
                return await self._update(asked)
            case "patch":
                return await self._patch(asked)
            case "delete":
                return await self._delete(asked)
            case _:
                return await self._delete_collection(asked)

    def _options(self, asked: Asked, kind: str, *, is_apply: bool = False) -> WriteOptions:
        options = asked.call.options = write_options(asked.query, kind, is_apply=is_apply)
        asked.call.manager = options.field_manager or default_manager(asked.request.headers.get("user-agent", ""))
        return options

    def _body(self, asked: Asked, options: WriteOptions) -> Manifest:
        """The object in the body; warnings go to the call. Raises BadRequest, UnsupportedMediaType."""
        manifest, warnings = bodies.decoded(
            asked.call, asked.request.body, asked.request.headers.get("content-type", ""), options
        )
        asked.call.warnings += warnings
        return manifest

    async def _create(self, asked: Asked) -> Response:
        manifest = self._body(asked, self._options(asked, "CreateOptions"))
        if is_review(asked.call.resource):
            answer = self._server.reviewer.review(asked.call, manifest)
            return responses.document(201, answer, asked.style, asked.call.warnings)
        return self._forms.object(asked, 201, await self._server.api.create(asked.call, manifest))

    async def _create_below(self, asked: Asked) -> Response:
        manifest = self._body(asked, self._options(asked, "CreateOptions"))
        asked.call.name = asked.call.name or (manifest.get("metadata") or {}).get("name", "")
        answer = await self._server.api.create_below(asked.call, manifest)
        return responses.document(201, answer, asked.style, asked.call.warnings)

    async def _update(self, asked: Asked) -> Response:
        manifest = self._body(asked, self._options(asked, "UpdateOptions"))
        if asked.route.subresource == "scale":
            return self._forms.scale(asked, 200, await self._server.api.update_scale(asked.call, manifest))
        stored, was_created = await self._server.api.update(asked.call, manifest)
        return self._forms.object(asked, 201 if was_created else 200, stored)

    async def _patch(self, asked: Asked) -> Response:
        media_type = asked.request.headers.get("content-type", "")
        options = self._options(asked, "PatchOptions", is_apply=bodies.is_apply(media_type))
        if bodies.is_apply(media_type):
            return await self._apply(asked, options)
        change = parse_patch(asked.call, media_type, asked.request.body, options.field_validation)
        if asked.route.subresource == "scale":
            return self._forms.scale(asked, 200, await self._server.api.patch_scale(asked.call, change))
        return self._forms.object(asked, 200, await self._server.api.patch(asked.call, change))

    async def _apply(self, asked: Asked, options: WriteOptions) -> Response:
        config = parse_configuration(asked.call, asked.request.body, options.field_validation)
        stored, was_created = await self._server.api.apply(asked.call, config)
        if asked.route.subresource == "scale":
            return self._forms.scale(asked, 200, scale.of(asked.call.resource, stored.manifest))
        return self._forms.object(asked, 201 if was_created else 200, stored)

    async def _delete(self, asked: Asked) -> Response:
        options = delete_options(bodies.delete_options(asked.request), asked.query)
        asked.call.warnings += delete.warnings(asked.call.resource, options)
        outcome = await self._server.api.delete(asked.call, options)
        if outcome.is_gone and not asked.call.resource.delete_returns_object and not asked.call.resource.is_graceful:
            status = delete.status_of(asked.call, outcome.stored.manifest)
            return responses.document(200, status, asked.style, asked.call.warnings)
        return self._forms.object(asked, 200, outcome.stored)

    async def _delete_collection(self, asked: Asked) -> Response:
        options = delete_options(bodies.delete_options(asked.request), asked.query)
        chosen = list_options(asked.query, is_watch=False)
        view = self._forms.view(asked, is_list=True)
        found = await self._server.api.delete_collection(asked.call, chosen, options)
        return responses.encoded(200, b"".join(view.many(found)), asked.style, asked.call.warnings)
