"""The query parameters and option bodies of requests, and what is wrong with them (A7, A71-A73, A82, A96, A116)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

from holdfast.api.errors import (
    ApiError,
    BadRequest,
    FieldError,
    Invalid,
    forbidden,
    invalid,
    invalid_object,
    not_supported,
    required,
    show,
    too_long,
)

MAX_FIELD_MANAGER_BYTES = 128
PROPAGATION_POLICIES = ("Foreground", "Background", "Orphan", "nil")

Query = Mapping[str, Sequence[str]]


class PlainError(ApiError):
    """An error that upstream passes on without a reason."""

    code, reason = 500, ""


def parse_query(query: str) -> dict[str, list[str]]:
    """Every value of every parameter, in order; empty ones too."""
    values: dict[str, list[str]] = {}
    if query:
        for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
            values.setdefault(name, []).append(value)
    return values


def first(query: Query, name: str) -> str:
    values = query.get(name)
    return values[0] if values else ""


def flag(query: Query, name: str) -> bool:
    """A7: absent, 0 and false mean no, everything else yes."""
    values = query.get(name)
    return values is not None and values[0].lower() not in ("0", "false")


def number(query: Query, name: str) -> int | None:
    """Raises BadRequest, worded as the parser upstream does."""
    text = first(query, name)
    if not text:
        return None
    digits = text[1:] if text[0] in "+-" else text
    if not (digits.isascii() and digits.isdigit()):
        raise BadRequest(f"strconv.ParseInt: parsing {show(text)}: invalid syntax")
    value = _whole(digits) * (-1 if text[0] == "-" else 1)
    if not -(1 << 63) <= value < 1 << 63:
        raise BadRequest(f"strconv.ParseInt: parsing {show(text)}: value out of range")
    return value


def revision(text: str) -> int:
    """A resourceVersion as a number; empty is 0. Raises ValueError with upstream's words."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"strconv.ParseUint: parsing {show(text)}: invalid syntax")
    if (value := _whole(text)) >= 1 << 64:
        raise ValueError(f"strconv.ParseUint: parsing {show(text)}: value out of range")
    return value


def _whole(digits: str) -> int:
    """Python refuses to read thousands of digits; forty are as much out of every range."""
    return int(digits.lstrip("0")[:40] or "0")


# -- writing


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What create, update and patch take."""

    dry_run: bool = False
    field_manager: str = ""
    field_validation: str = ""
    force: bool | None = None


NO_OPTIONS = WriteOptions()


def write_options(query: Query, kind: str, *, is_apply: bool = False) -> WriteOptions:
    """`kind` is CreateOptions, UpdateOptions or PatchOptions. Raises Invalid."""
    if not query and not is_apply:
        return NO_OPTIONS
    dry_run = [value for value in query.get("dryRun", ()) if value]
    manager, validation = first(query, "fieldManager"), first(query, "fieldValidation")
    force = flag(query, "force") if "force" in query else None
    errors: list[FieldError] = []
    if kind == "PatchOptions":
        if is_apply and not manager:
            errors.append(required("fieldManager", "is required for apply patch"))
        if not is_apply and force is not None:
            errors.append(forbidden("force", "may not be specified for non-apply patch"))
    errors += _field_manager_errors(manager)
    errors += _dry_run_errors(dry_run)
    if validation not in ("", "Ignore", "Strict", "Warn"):
        errors.append(not_supported("fieldValidation", validation, ("", "Ignore", "Strict", "Warn")))
    _refuse(kind, errors)
    return WriteOptions(bool(dry_run), manager, validation, force)


def _field_manager_errors(manager: str) -> list[FieldError]:
    if len(manager.encode()) > MAX_FIELD_MANAGER_BYTES:
        return [too_long("fieldManager", MAX_FIELD_MANAGER_BYTES)]
    for position, character in enumerate(manager):
        if not character.isprintable():
            return [
                invalid("fieldManager", manager, f"invalid character U+{ord(character):04X} (at position {position})")
            ]
    return []


def default_manager(user_agent: str) -> str:
    """The field manager of a client that names none: the start of its User-Agent (A72)."""
    name = "".join(filter(str.isprintable, user_agent.partition("/")[0]))
    return name.encode()[:MAX_FIELD_MANAGER_BYTES].decode(errors="ignore")


def _dry_run_errors(dry_run: Sequence[str]) -> list[FieldError]:
    if any(value != "All" for value in dry_run):
        return [not_supported("dryRun", list(dry_run), ("All",))]
    return []


def _refuse(kind: str, errors: Sequence[FieldError]) -> None:
    if errors:
        raise invalid_object(kind, "meta.k8s.io", "", errors)


# -- deleting


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """`propagation` is empty if the client leaves it to the kind."""

    grace_period_s: int | None = None
    propagation: str = ""
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False
    orphan_dependents: bool | None = None


def delete_options(body: Mapping[str, Any] | None, query: Query) -> DeleteOptions:
    """From the body or, without one, from the query (A82). Raises BadRequest, Invalid."""
    if body is None:
        body = _delete_options_in(query)
    dry_run = [str(value) for value in body.get("dryRun") or ()]
    propagation, orphan = body.get("propagationPolicy"), body.get("orphanDependents")
    errors: list[FieldError] = []
    if orphan is not None and propagation is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        errors.append(invalid("propagationPolicy", propagation, text))
    if propagation is not None and propagation not in PROPAGATION_POLICIES[:3]:
        errors.append(not_supported("propagationPolicy", propagation, PROPAGATION_POLICIES))
    errors += _dry_run_errors(dry_run)
    _refuse("DeleteOptions", errors)
    if orphan:
        propagation = "Orphan"
    preconditions = body.get("preconditions") or {}
    return DeleteOptions(
        grace_period_s=body.get("gracePeriodSeconds"),
        propagation=propagation or "",
        uid=preconditions.get("uid") or "",
        resource_version=preconditions.get("resourceVersion") or "",
        dry_run=bool(dry_run),
        orphan_dependents=orphan,
    )


def _delete_options_in(query: Query) -> dict[str, Any]:
    options: dict[str, Any] = {"dryRun": [value for value in query.get("dryRun", ()) if value]}
    if (grace := number(query, "gracePeriodSeconds")) is not None:
        options["gracePeriodSeconds"] = grace
    if policy := first(query, "propagationPolicy"):
        options["propagationPolicy"] = policy
    if "orphanDependents" in query:
        options["orphanDependents"] = flag(query, "orphanDependents")
    return options


# -- reading


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What list, watch and deletecollection take."""

    label_selector: str = ""
    field_selector: str = ""
    resource_version: str = ""
    match: str = ""
    limit: int = 0
    continue_token: str = ""
    timeout_s: int = 0
    bookmarks: bool = False
    initial_events: bool | None = None
    watch: bool = False


EVERYTHING = ListOptions()


def list_options(query: Query, *, is_watch: bool) -> ListOptions:
    """Raises BadRequest for what is no number, Invalid for what does not go together."""
    if not query:
        return ListOptions(watch=True) if is_watch else EVERYTHING
    options = ListOptions(
        label_selector=first(query, "labelSelector"),
        field_selector=first(query, "fieldSelector"),
        resource_version=first(query, "resourceVersion"),
        match=first(query, "resourceVersionMatch"),
        limit=max(0, number(query, "limit") or 0),
        continue_token=first(query, "continue"),
        timeout_s=number(query, "timeoutSeconds") or 0,
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial_events=flag(query, "sendInitialEvents") if "sendInitialEvents" in query else None,
        watch=is_watch,
    )
    _refuse("ListOptions", _watch_errors(options) if is_watch else _list_errors(options))
    return options


def _list_errors(options: ListOptions) -> list[FieldError]:
    errors: list[FieldError] = []
    if options.match:
        if options.continue_token:
            errors.append(
                forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided")
            )
        if not options.resource_version:
            errors.append(
                forbidden(
                    "resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"
                )
            )
        if options.match not in ("Exact", "NotOlderThan"):
            errors.append(not_supported("resourceVersionMatch", options.match, ("Exact", "NotOlderThan", "")))
        if options.match == "Exact" and options.resource_version == "0":
            text = 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'
            errors.append(forbidden("resourceVersionMatch", text))
    if options.initial_events is not None:
        errors.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    return errors


def _watch_errors(options: ListOptions) -> list[FieldError]:
    errors: list[FieldError] = []
    if options.initial_events is not None and options.match != "NotOlderThan":
        text = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        errors.append(forbidden("resourceVersionMatch", text))
    if options.match:
        if options.initial_events is None:
            text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            errors.append(forbidden("resourceVersionMatch", text))
        if options.match != "NotOlderThan":
            errors.append(not_supported("resourceVersionMatch", options.match, ("NotOlderThan",)))
    if options.continue_token:
        errors.append(forbidden("continue", "continue is forbidden for watch"))
    return errors


def of_one(options: ListOptions, name: str) -> ListOptions:
    """The same for a single object: what a legacy watch path with a name means (A9, A120)."""
    selector = f"metadata.name={name}"
    return replace(options, field_selector=f"{options.field_selector},{selector}".lstrip(","))


def invalid_patch(value: str, detail: str) -> Invalid:
    """A75: a patch that leads to what cannot be decoded; names no object."""
    return invalid_object("", "", "", [invalid("patch", value, detail)])
