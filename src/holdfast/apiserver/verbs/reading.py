"""Get and list, from the cache or, for a moment of the past, from the store (A93-A101)."""

from __future__ import annotations

import base64
from collections.abc import Generator, Iterable, Sequence
from itertools import islice
from sys import maxsize
from typing import TYPE_CHECKING, TypeVar

import msgspec

from holdfast.api.errors import BadRequest, Expired, FieldError, Timeout, show
from holdfast.apiserver.cache import ResourceCache, Stored
from holdfast.apiserver.call import Call
from holdfast.apiserver.options import ListOptions, PlainError, revision
from holdfast.apiserver.selection import Selection, select
from holdfast.apiserver.views import Listed
from holdfast.store import Compacted, FutureRevision

if TYPE_CHECKING:
    from holdfast.apiserver.api import Api

CONTINUE_VERSION = "meta.k8s.io/v1"
LATEST = -1
"""As the revision of a continue token: whatever is current then (A100)."""

SLICE = 32
"""So many objects are looked into at a time; one that nobody has decoded yet takes some 0.1 ms."""

T = TypeVar("T")
Steps = Generator[None, None, T]
"""Work that yields wherever others may have a turn. What it is about does not change meanwhile."""

TOKEN_TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


class _Token(msgspec.Struct):
    v: str
    rv: int
    start: str


def get(api: Api, call: Call) -> Stored:
    """Raises NotFound."""
    stored = api.objects(call.resource).get(call.namespace, call.name)
    if stored is None:
        raise call.not_found()
    return stored


def wanted_revision(text: str) -> int:
    """The revision that the answer to a get must have reached. Raises PlainError (A93)."""
    try:
        return revision(text)
    except ValueError as error:
        raise PlainError(f"resourceVersion: Invalid value: {show(text)}: {error}") from None


def listed_revision(text: str) -> int:
    """The same for a list. Raises BadRequest (A97)."""
    try:
        return revision(text)
    except ValueError as error:
        raise BadRequest(f"invalid resource version: resourceVersion: Invalid value: {show(text)}: {error}") from None


def too_large(wanted: int, current: int) -> Timeout:
    """The revision asked for lies in the future and did not come (A109)."""
    cause = FieldError("", "ResourceVersionTooLarge", "Too large resource version")
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return Timeout(message, causes=[cause], retry_after_s=1)


def finished(steps: Steps[T]) -> T:
    """What comes of them, without a pause."""
    try:
        while True:
            next(steps)
    except StopIteration as done:
        result: T = done.value
        return result


def listing(api: Api, call: Call, options: ListOptions) -> Steps[Listed]:
    """The objects that `options` select, one page of them if it limits.

    Raises BadRequest, Expired, Timeout, all before the first pause.
    """
    selection = select(call.resource, call.namespace, options.label_selector, options.field_selector)
    objects = api.objects(call.resource)
    if options.continue_token:
        return (yield from _next_page(api, objects, selection, options))
    wanted = listed_revision(options.resource_version)
    if wanted > api.cache.revision:
        raise too_large(wanted, api.cache.revision)
    is_exact = options.match == "Exact" or (wanted > 0 and not options.match and options.limit > 0)
    if is_exact and wanted != api.cache.revision:
        return (yield from _past(api, objects, selection, options, wanted, ""))
    limit = 0 if options.resource_version == "0" else options.limit
    return (yield from _page(objects, selection, limit, api.cache.revision, ""))


def _next_page(api: Api, objects: ResourceCache, selection: Selection, options: ListOptions) -> Steps[Listed]:
    if options.resource_version and options.resource_version != "0":
        raise BadRequest("specifying resource version is not allowed when using continue")
    at, start = _decode_token(options.continue_token)
    key = _base(objects, selection) + start
    if at in (LATEST, api.cache.revision):
        return (yield from _page(objects, selection, options.limit, api.cache.revision, key))
    try:
        return (yield from _past(api, objects, selection, options, at, key))
    except Expired:
        token = _encode_token(LATEST, start)
        raise Expired(TOKEN_TOO_OLD, extra={"continue": token}) from None


def _page(objects: ResourceCache, selection: Selection, limit: int, at: int, start: str) -> Steps[Listed]:
    """From the current state."""
    if selection.name and not start:
        return Listed(list(islice(selection.among(selection.candidates(objects)), 1)), at)
    found = objects.select(selection.namespace, start)
    if not limit:
        return Listed((yield from _chosen(found, selection)), at)
    items, start_next = yield from _cut(found, objects, selection, limit)
    if not start_next:
        return Listed(items, at)
    rest = None if selection.has_selector else objects.count(selection.namespace, items[-1].key + "\0")
    return Listed(items, at, _encode_token(at, start_next), rest)


def _chosen(found: Iterable[Stored], selection: Selection) -> Steps[Sequence[Stored]]:
    """Those that are selected."""
    objects = list(found)
    if not selection.has_selector:
        return objects
    items: list[Stored] = []
    for begin in range(0, len(objects), SLICE):
        if begin:
            yield
        items += selection.among(objects[begin : begin + SLICE])
    return items


def _cut(
    found: Iterable[Stored], cache: ResourceCache, selection: Selection, limit: int
) -> Steps[tuple[Sequence[Stored], str]]:
    """The first `limit` that match, and where to go on; empty if none is left to look at."""
    objects = list(found if selection.has_selector else islice(found, min(limit + 1, maxsize)))
    items: list[Stored] = []
    for begin in range(0, len(objects), SLICE):
        if begin and selection.has_selector:
            yield
        items += selection.among(objects[begin : begin + SLICE])
        if len(items) >= limit:
            break
    del items[limit:]
    if len(items) < limit or items[-1] is objects[-1]:
        return items, ""
    return items, items[-1].key.removeprefix(_base(cache, selection)) + "\0"


def _past(
    api: Api, objects: ResourceCache, selection: Selection, options: ListOptions, at: int, start: str
) -> Steps[Listed]:
    """As of revision `at`. Raises Expired when it is no longer known."""
    prefix = f"{objects.prefix}{selection.namespace}/" if selection.namespace else objects.prefix
    try:
        page = api.store.range(prefix, at=at, start=start)
    except Compacted:
        raise Expired("The resourceVersion for the provided list is too old.") from None
    except FutureRevision:
        raise too_large(at, api.cache.revision) from None
    found = iter(_of_entries(api, objects, page.entries))
    if not options.limit:
        return Listed((yield from _chosen(found, selection)), at)
    items, start_next = yield from _cut(found, objects, selection, options.limit)
    if not start_next:
        return Listed(items, at)
    seen = sum(1 for entry in page.entries if entry.key <= items[-1].key)
    rest = None if selection.has_selector else len(page.entries) - seen
    return Listed(items, at, _encode_token(at, start_next), rest)


def _of_entries(api: Api, objects: ResourceCache, entries: Iterable) -> Iterable[Stored]:  # type: ignore[type-arg]
    for entry in entries:
        current = objects.objects.get(entry.key)
        if current is not None and current.revision == entry.revision:
            yield current
        else:
            yield Stored(entry.key, entry.value, entry.revision, api.cache.decoded)


def _base(objects: ResourceCache, selection: Selection) -> str:
    """What the keys in continue tokens are relative to: the list's prefix without its slash (A348)."""
    return f"{objects.prefix}{selection.namespace}" if selection.namespace else objects.prefix[:-1]


def _encode_token(at: int, start: str) -> str:
    content = msgspec.json.encode(_Token(CONTINUE_VERSION, at, start))
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _decode_token(token: str) -> tuple[int, str]:
    """(revision, relative key) Raises BadRequest."""
    try:
        content = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise BadRequest(f"invalid continue token: continue key is not valid: {_illegal_base64(token)}") from None
    try:
        decoded = msgspec.json.decode(content, type=_Token)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest(f"invalid continue token: continue key is not valid: {_illegal_json(content)}") from None
    if decoded.v != CONTINUE_VERSION:
        raise BadRequest(f"invalid continue token: continue key is not valid: server does not recognize this "
                         f"encoded version {show(decoded.v)}")  # fmt: skip
    start = decoded.start if decoded.start.startswith("/") else f"/{decoded.start}"
    if "/../" in f"{start}/" or decoded.rv < LATEST:
        raise BadRequest("invalid continue token: continue key is not valid: " + show(decoded.start))
    return decoded.rv, start


def _illegal_base64(token: str) -> str:
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    position = next((i for i, character in enumerate(token) if character not in alphabet), len(token))
    return f"illegal base64 data at input byte {position}"


def _illegal_json(content: bytes) -> str:
    if not content:
        return "unexpected end of JSON input"
    shown = chr(content[0]) if 0x20 <= content[0] < 0x7F else f"\\x{content[0]:02x}"
    return f"invalid character '{shown}' looking for beginning of value"
