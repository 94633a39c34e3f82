"""Requests that only read: synchronous unless they wait for a revision or are too long for one turn of the loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from holdfast.api.errors import ApiError
from holdfast.wire.messages import Answer, Body, Streaming

from . import responses, views
from .asked import Asked, Forms
from .negotiation import JSON
from .options import first, list_options, of_one
from .selection import select
from .verbs import reading

if TYPE_CHECKING:
    from .server import ApiServer

T = TypeVar("T")

FUTURE_S = 3.0
"""How long a read waits for a revision that has not come yet (A109)."""


class Reads:
    """Answers to get, list and watch."""

    def __init__(self, server: ApiServer, forms: Forms) -> None:
        self._server, self._forms = server, forms

    def answer(self, asked: Asked, verb: str) -> Answer | Awaitable[Answer]:
        """To get, list or watch. Raises ApiError."""
        if verb == "watch":
            return self._watch(asked)
        text = first(asked.query, "resourceVersion")
        wanted = 0
        if text and not first(asked.query, "continue"):
            wanted = reading.wanted_revision(text) if verb == "get" else reading.listed_revision(text)
        act: Callable[[Asked], Answer | Awaitable[Answer]] = self._get if verb == "get" else self._list
        if wanted > self._server.cache.revision:
            return self._later(asked, wanted, act)
        return act(asked)

    async def _later(self, asked: Asked, wanted: int, act: Callable[[Asked], Answer | Awaitable[Answer]]) -> Answer:
        """Waits for a revision that may be under way."""
        cache = self._server.cache
        reached = asyncio.Event()
        stop = cache.on_revision(lambda revision: reached.set() if revision >= wanted else None)
        try:
            async with asyncio.timeout(FUTURE_S):
                await reached.wait()
        except TimeoutError:
            return responses.refusal(reading.too_large(wanted, cache.revision), asked.style, asked.call.warnings)
        finally:
            stop()
        try:
            answer = act(asked)
            return await answer if isinstance(answer, Awaitable) else answer
        except ApiError as error:
            return responses.refusal(error, asked.style, asked.call.warnings)

    def _get(self, asked: Asked) -> Answer:
        if asked.route.subresource == "scale":
            return self._forms.scale(asked, 200, self._server.api.get_scale(asked.call))
        return self._forms.object(asked, 200, self._server.api.get(asked.call))

    def _list(self, asked: Asked) -> Answer | Awaitable[Answer]:
        options = list_options(asked.query, is_watch=False)
        view = self._forms.view(asked, is_list=True)
        steps = self._server.api.listing(asked.call, options)
        try:
            next(steps)
        except StopIteration as done:
            listed: views.Listed = done.value
            if len(listed.items) > view.at_once:
                return self._in_slices(asked, view, listed)
            return responses.encoded(200, b"".join(view.many(listed)), asked.style, asked.call.warnings)
        return self._found_in_slices(asked, view, steps)

    async def _found_in_slices(self, asked: Asked, view: views.View, steps: reading.Steps[views.Listed]) -> Answer:
        return await self._in_slices(asked, view, await turn_by_turn(steps))

    async def _in_slices(self, asked: Asked, view: views.View, listed: views.Listed) -> Answer:
        body = bytearray()
        for piece in view.many(listed):
            body += piece  # no list of pieces: to join them at the end would take as long as all the rest
            await asyncio.sleep(0)
        return responses.encoded(200, body, asked.style, asked.call.warnings)

    def _watch(self, asked: Asked) -> Answer | Awaitable[Answer]:
        options = list_options(asked.query, is_watch=True)
        if asked.route.name:
            options = of_one(options, asked.route.name)
        call, cache = asked.call, self._server.cache
        selection = select(call.resource, call.namespace, options.label_selector, options.field_selector)
        view = self._forms.view(asked, is_list=False)
        wanted = reading.wanted_revision(options.resource_version)
        after: int | None = wanted
        if options.initial_events or (wanted == 0 and options.initial_events is None):
            after = None
        elif wanted == 0:
            after = cache.revision

        def start(body: Body) -> None:
            self._server.hub(call.resource).open(selection, view, options, after, body)

        headers = responses.with_warnings(responses.DYNAMIC, call.warnings)
        answer = Streaming(200, JSON, headers, start)
        if after is not None and after < cache.of(call.resource).oldest:
            return self._recovered(answer)
        return answer

    async def _recovered(self, answer: Answer) -> Answer:
        await self._server.cache.recover()
        return answer


async def turn_by_turn(steps: reading.Steps[T]) -> T:
    """What comes of them; between them everybody else has a turn."""
    try:
        while True:
            await asyncio.sleep(0)
            next(steps)
    except StopIteration as done:
        result: T = done.value
        return result
