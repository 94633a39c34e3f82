"""Watches over HTTP: groups of watchers share each frame, and nobody waits for the slowest (A106-A119).

A watcher is a position in the resource's history, a selection and a view; it has no queue and no task.
Watchers of equal selection and view form a group, for which a change is looked at and framed once. Frames go
out in slices of a few watchers per turn of the event loop, after the writer has its answer. A watcher whose
client reads too slowly keeps only its position and goes on from the history when there is room again; when
the history no longer reaches back so far, it is told 410.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count, islice, takewhile
from typing import Any

import msgspec

from holdfast.api.errors import ApiError
from holdfast.api.resource import Manifest, Resource
from holdfast.wire.messages import Body, chunk

from .cache import Cache, Event, ResourceCache, Stored
from .options import ListOptions
from .selection import Selection, seen, within
from .views import View

SLICE = 64
BOOKMARK_S = 60.0
LONGEST_S = (1800.0, 3600.0)
"""How long a watch without timeoutSeconds lasts: at random between these."""
PIECE_BYTES = 64 << 10
PIECES_PER_TURN = 8

Frame = tuple[int, bytes, Event | None]
Coming = Callable[[Resource, Manifest], "asyncio.Future[Any] | None"]
"""What ends when an object can be shown in a version, where that takes somebody else's answer and is not so yet."""


def frame(event_type: str, encoded: bytes) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (event_type.encode(), encoded)


def too_old(revision: int, oldest: int) -> bytes:
    """The last thing a watcher hears whose position is no longer known (A108)."""
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"too old resource version: {revision} ({oldest})",
        "reason": "Expired",
        "code": 410,
    }
    return frame("ERROR", msgspec.json.encode(status))


class Watcher:
    """One client's watch."""

    __slots__ = ("backlog", "body", "bookmarks", "group", "has_begun", "position")

    def __init__(self, body: Body, group: Group, position: int, bookmarks: bool) -> None:
        self.body = body
        self.group = group
        self.position = position
        """While it is behind: everything up to this revision was sent."""
        self.bookmarks = bookmarks
        self.has_begun = False
        self.backlog: Iterator[bytes] | None = None
        """What it is still to be sent before it can follow its group."""

    @property
    def is_behind(self) -> bool:
        return self.backlog is not None or self.body.paused

    def take(self, frames: list[Frame], joined: bytes) -> None:
        """The group's newest frames; `joined` is all of them as one chunk."""
        if self.body.closed:
            return
        if self.is_behind:
            if self.backlog is None:
                self.backlog = iter(())
                self.position = max(self.position, frames[0][0] - 1)
            return
        if frames[0][0] > self.position and (self.has_begun or not self.group.view.introduces):
            self.has_begun = True
            self.body.write_raw(joined)
            return
        for revision, encoded, event in frames:
            if revision > self.position:
                self.body.write(self.group.introduction(event) if self._is_new() and event else encoded)

    def send(self, pieces: Iterator[bytes]) -> None:
        """Everything of `pieces`, as fast as the client reads, before it follows the group."""
        self.backlog = pieces
        self.pump()

    def pump(self) -> None:
        """Sends what is left of the backlog while there is room; then joins the group or looks for more."""
        for _ in range(PIECES_PER_TURN):
            if self.body.closed or self.body.paused:
                return
            piece = self._piece()
            if not piece:
                self.group.hub.catch_up(self)
                return
            self.body.write(piece)
        asyncio.get_running_loop().call_soon(self.pump)

    def _piece(self) -> bytes:
        parts, size = [], 0
        while self.backlog is not None and size < PIECE_BYTES:
            part = next(self.backlog, None)
            if part is None:
                break
            parts.append(part)
            size += len(part)
        return b"".join(parts)

    def bookmark(self, revision: int, *, ends_initial: bool = False) -> bytes:
        is_first = self._is_new()
        return frame("BOOKMARK", self.group.view.bookmark(revision, ends_initial=ends_initial, is_first=is_first))

    def _is_new(self) -> bool:
        """Whether this is the first frame; it is not from now on."""
        had_begun, self.has_begun = self.has_begun, True
        return not had_begun

    def frames(self, events: Iterable[Event]) -> Iterator[bytes]:
        """What the watcher is to see of `events`."""
        for event in events:
            selection = self.group.selection
            if within(selection, event) and (shown := seen(selection, event)):
                yield self.group.framed(*shown, is_first=self._is_new())

    def initial(self, objects: Iterable[Stored], revision: int) -> Iterator[bytes]:
        """The current state as ADDED events; with bookmarks, the one that ends it (A113, A115)."""
        for stored in objects:
            yield self.group.framed("ADDED", stored, is_first=self._is_new())
        if self.bookmarks:
            yield self.bookmark(revision, ends_initial=True)


class Group:
    """The watchers who see the same."""

    def __init__(self, hub: Hub, selection: Selection, view: View) -> None:
        self.hub = hub
        self.selection = selection
        self.view = view
        self.watchers: set[Watcher] = set()
        self.pending: list[Event] = []
        self.held: deque[Event] = deque()
        """Changes from the first on that cannot be shown yet."""
        self.next_bookmark = 0.0
        self._is_sending = False

    @property
    def is_quiet(self) -> bool:
        """Everything that has happened was sent to those who keep up."""
        return not self.pending and not self.held and not self._is_sending

    def accept(self, event: Event) -> None:
        """A change, to be sent soon; all are sent in order."""
        if self.held:
            self.held.append(event)
        elif (coming := self._coming(event)) is not None:
            self.held.append(event)
            coming.add_done_callback(self._go_on)
        else:
            self.pending.append(event)
            self.hub.schedule(self)

    def _go_on(self, arrived: asyncio.Future[Any]) -> None:
        held, self.held = self.held, deque()
        for event in held:
            self.accept(event)

    def _coming(self, event: Event) -> asyncio.Future[Any] | None:
        resource = self.selection.resource
        return None if resource.custom is None else self.hub.coming(resource, event.new.manifest)

    def shown(self, events: Sequence[Event]) -> Sequence[Event]:
        """Those before the first that cannot be shown yet."""
        if not self.held:
            return events
        first = self.held[0].revision
        return list(takewhile(lambda event: event.revision < first, events))

    def introduction(self, event: Event | None) -> bytes:
        """The frame of `event` for a watcher that has seen nothing yet."""
        shown = seen(self.selection, event) if event else None
        return self.framed(*shown, is_first=True) if shown else b""

    def framed(self, event_type: str, stored: Stored, *, is_first: bool) -> bytes:
        """An event; an error, after which clients list anew, for an object that cannot be shown in this version."""
        try:
            return frame(event_type, self.view.one(stored, is_first=is_first))
        except ApiError as error:
            return frame("ERROR", msgspec.json.encode(error.status()))

    def flush(self) -> None:
        """Frames what is pending, once for all, and begins to send it."""
        if self._is_sending or not self.pending:
            return
        events, self.pending = self.pending, []
        frames: list[Frame] = []
        for event in events:
            if shown := seen(self.selection, event):
                frames.append((event.revision, self.framed(*shown, is_first=False), event))
        if frames and self.watchers:
            self._is_sending = True
            self._send(iter(tuple(self.watchers)), frames, chunk(b"".join(one[1] for one in frames)))

    def _send(self, watchers: Iterator[Watcher], frames: list[Frame], joined: bytes) -> None:
        taken = 0
        for watcher in islice(watchers, SLICE):
            watcher.take(frames, joined)
            taken += 1
        if taken == SLICE:
            asyncio.get_running_loop().call_soon(self._send, watchers, frames, joined)
            return
        self._is_sending = False
        if self.pending:
            self.hub.schedule(self)


class Hub:
    """All watches of one resource."""

    def __init__(self, cache: Cache, objects: ResourceCache, chance: random.Random, coming: Coming) -> None:
        self._cache = cache
        self.coming = coming
        self._objects = objects
        self._chance = chance
        self._groups: dict[tuple[str, str], dict[Hashable, Group]] = {}
        self._dirty: dict[Group, None] = {}
        self._due: list[tuple[float, int, Watcher | Group]] = []
        self._left = 0
        self._number = count()
        self._timer: asyncio.TimerHandle | None = None
        self._unfollow = objects.follow(self._publish)

    def close(self) -> None:
        """Ends every watch."""
        self._unfollow()
        for watcher in [w for by_key in self._groups.values() for group in by_key.values() for w in group.watchers]:
            self._end(watcher)
        if self._timer:
            self._timer.cancel()

    @property
    def watchers(self) -> int:
        return sum(len(group.watchers) for groups in self._groups.values() for group in groups.values())

    # -- joining and leaving

    def open(self, selection: Selection, view: View, options: ListOptions, after: int | None, body: Body) -> None:
        """Begins a watch: after a revision, or with the current state if that is None."""
        if after is not None and after < self._objects.oldest:
            body.write(too_old(after, self._objects.oldest))
            body.end()
            return
        group = self._group(selection, view)
        watcher = Watcher(body, group, self._cache.revision if after is None else after, options.bookmarks)
        group.watchers.add(watcher)
        body.on_resume(watcher.pump)
        body.on_close(lambda: self._leave(watcher))
        self._at(self._lasts_s(options), watcher)
        body.flush()
        if after is None:
            objects = list(selection.candidates(self._objects))
            watcher.send(watcher.initial(selection.among(objects), self._cache.revision))
        else:
            self.catch_up(watcher)

    def _group(self, selection: Selection, view: View) -> Group:
        groups = self._groups.setdefault((selection.namespace, selection.name), {})
        key = (selection, view.key)
        if (group := groups.get(key)) is None:
            group = groups[key] = Group(self, selection, view)
            self._at(BOOKMARK_S * self._chance.uniform(0.75, 1.25), group)
        return group

    def _lasts_s(self, options: ListOptions) -> float:
        return float(options.timeout_s) if options.timeout_s > 0 else self._chance.uniform(*LONGEST_S)

    def _leave(self, watcher: Watcher) -> None:
        group = watcher.group
        if watcher not in group.watchers:
            return
        group.watchers.discard(watcher)
        self._left += 1
        if self._left > 64 and self._left * 2 > len(self._due):
            self._forget_the_left()
        if not group.watchers:
            place = (group.selection.namespace, group.selection.name)
            groups = self._groups.get(place, {})
            if groups.get((group.selection, group.view.key)) is group:
                del groups[(group.selection, group.view.key)]
            if not groups:
                self._groups.pop(place, None)

    def _forget_the_left(self) -> None:
        """Ended watches give their memory back long before their time would have come."""
        due = [one for one in self._due if isinstance(one[2], Group) or not one[2].body.closed]
        heapify(due)
        self._due, self._left = due, 0

    def _end(self, watcher: Watcher) -> None:
        self._leave(watcher)
        watcher.body.end()

    def catch_up(self, watcher: Watcher) -> None:
        """A watcher has read all it was sent: what happened since its position comes next, if anything did."""
        watcher.backlog = None
        if watcher.position < self._objects.oldest:
            watcher.body.write(too_old(watcher.position, self._objects.oldest))
            self._end(watcher)
            return
        events = watcher.group.shown(self._objects.since(watcher.position))
        if events:
            watcher.position = events[-1].revision
            watcher.send(watcher.frames(events))

    # -- changes

    def _publish(self, event: Event) -> None:
        if not self._groups:
            return
        namespace, name = event.new.namespace, event.new.name
        for place in dict.fromkeys((("", ""), (namespace, ""), (namespace, name), ("", name))):
            for group in self._groups.get(place, {}).values():
                group.accept(event)

    def schedule(self, group: Group) -> None:
        """Sends the group what is pending, soon."""
        if not self._dirty:
            # Two turns later: the writer's own callback is already under way for the next one, and goes first.
            loop = asyncio.get_running_loop()
            loop.call_soon(loop.call_soon, self._flush)
        self._dirty[group] = None

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, {}
        for group in dirty:
            group.flush()

    # -- time

    def _at(self, delay_s: float, what: Watcher | Group) -> None:
        heappush(self._due, (asyncio.get_running_loop().time() + delay_s, next(self._number), what))
        self._set_timer()

    def _set_timer(self) -> None:
        """One timer for everything that is due some time."""
        if not self._due:
            return
        if self._timer is None or self._timer.cancelled() or self._timer.when() > self._due[0][0]:
            if self._timer:
                self._timer.cancel()
            self._timer = asyncio.get_running_loop().call_at(self._due[0][0], self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._due and self._due[0][0] <= now:
            _, _, what = heappop(self._due)
            if isinstance(what, Group):
                self._bookmark(what)
            elif not what.body.closed:
                if what.bookmarks and not what.is_behind and what.group.is_quiet:
                    what.body.write(what.bookmark(self._cache.revision))
                self._end(what)
        self._set_timer()

    def _bookmark(self, group: Group) -> None:
        if not group.watchers:
            return
        self._at(BOOKMARK_S * self._chance.uniform(0.9, 1.1), group)
        lost = [watcher for watcher in group.watchers if watcher.is_behind and watcher.position < self._objects.oldest]
        for watcher in lost:
            watcher.body.abort()
            self._leave(watcher)
        if not group.is_quiet:
            return
        revision = self._cache.revision
        shared = (
            b""
            if group.view.introduces
            else frame("BOOKMARK", group.view.bookmark(revision, ends_initial=False, is_first=False))
        )
        for watcher in group.watchers:
            if watcher.bookmarks and not watcher.is_behind:
                watcher.body.write(shared or watcher.bookmark(revision))
