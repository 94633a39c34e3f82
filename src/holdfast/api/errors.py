"""Refusals that clients may read, each named for its Kubernetes reason.

They know no HTTP library; `ApiError.status` is the one place that turns them into a `Status`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar

import msgspec


def show(value: Any) -> str:
    """A value as field errors print it: strings quoted, the rest as compact JSON."""
    return msgspec.json.encode(value).decode()


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field, worded as A57: the message is everything behind `field: `."""

    field: str
    reason: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def required(field: str, detail: str = "") -> FieldError:
    return FieldError(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")


def invalid(field: str, value: Any, detail: str) -> FieldError:
    shown = f"Invalid value: {show(value)}"
    return FieldError(field, "FieldValueInvalid", f"{shown}: {detail}" if detail else shown)


def invalid_whole(field: str, detail: str) -> FieldError:
    """Of a part that is wrong as such: upstream does not show it."""
    return FieldError(field, "FieldValueInvalid", f"Invalid value: {detail}")


def not_supported(field: str, value: Any, supported: Sequence[str]) -> FieldError:
    names = ", ".join(show(name) for name in supported)
    return FieldError(field, "FieldValueNotSupported", f"Unsupported value: {show(value)}: supported values: {names}")


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError(field, "FieldValueForbidden", f"Forbidden: {detail}")


def duplicate(field: str, value: Any) -> FieldError:
    return FieldError(field, "FieldValueDuplicate", f"Duplicate value: {show(value)}")


def not_found(field: str, value: Any) -> FieldError:
    return FieldError(field, "FieldValueNotFound", f"Not found: {show(value)}")


def too_long(field: str, max_bytes: int) -> FieldError:
    return FieldError(field, "FieldValueTooLong", f"Too long: may not be more than {max_bytes} bytes")


def too_many(field: str, count: int, most: int) -> FieldError:
    return FieldError(field, "FieldValueTooMany", f"Too many: {count}: must have at most {most} items")


@dataclass(eq=False)
class ApiError(Exception):
    """A refusal. `name`, `group` and `kind` (the plural, but the Kind in Invalid) say of what (A51)."""

    message: str
    name: str = ""
    group: str = ""
    kind: str = ""
    uid: str = ""
    causes: Sequence[FieldError] = ()
    retry_after_s: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    """Members of the Status' metadata, such as the `continue` token of A100."""
    has_details: bool = False
    """Generic answers have `details` although there is nothing to say (A23, A61)."""

    code: ClassVar[int] = 500
    reason: ClassVar[str] = "InternalError"

    def __str__(self) -> str:
        return self.message

    def status(self) -> dict[str, Any]:
        """The `Status` object of rule A51, empty members left out."""
        details: dict[str, Any] = {}
        for member in ("name", "group", "kind", "uid"):
            if value := getattr(self, member):
                details[member] = value
        if self.causes:
            details["causes"] = [
                {k: v for k, v in (("reason", c.reason), ("message", c.message), ("field", c.field)) if v}
                for c in self.causes
            ]
        if self.retry_after_s:
            details["retryAfterSeconds"] = self.retry_after_s
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.extra,
            "status": "Failure",
            "message": self.message,
        }
        if self.reason:
            status["reason"] = self.reason
        if details or self.has_details:
            status["details"] = details
        status["code"] = self.code
        return status


class BadRequest(ApiError):
    code, reason = 400, "BadRequest"


class Unauthorized(ApiError):
    code, reason = 401, "Unauthorized"


class Forbidden(ApiError):
    code, reason = 403, "Forbidden"


class NotFound(ApiError):
    """There is no such object, or no such resource."""

    code, reason = 404, "NotFound"


class MethodNotAllowed(ApiError):
    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(ApiError):
    code, reason = 406, "NotAcceptable"


class AlreadyExists(ApiError):
    code, reason = 409, "AlreadyExists"


class Conflict(ApiError):
    """The object changed since the client read it: read it again, then retry."""

    code, reason = 409, "Conflict"


class Gone(ApiError):
    code, reason = 410, "Gone"


class Expired(ApiError):
    """The revision asked for is no longer kept: list, then watch from there."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(ApiError):
    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(ApiError):
    code, reason = 415, "UnsupportedMediaType"


class Invalid(ApiError):
    """The object breaks rules of its kind; every cause is listed."""

    code, reason = 422, "Invalid"


class TooManyRequests(ApiError):
    code, reason = 429, "TooManyRequests"


class InternalError(ApiError):
    code, reason = 500, "InternalError"


class ServerTimeout(ApiError):
    code, reason = 500, "ServerTimeout"


class ServiceUnavailable(ApiError):
    code, reason = 503, "ServiceUnavailable"


class Timeout(ApiError):
    code, reason = 504, "Timeout"


@lru_cache(256)
def refusal_class(code: int, reason: str) -> type[ApiError]:
    """A refusal whose code and reason somebody else chose, who is told of only while the server runs."""
    return type("Refusal", (ApiError,), {"code": code, "reason": reason})


def invalid_object(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> Invalid:
    """The answer for an object with `errors`, worded as A56."""
    subject = f"{kind}.{group}" if group else kind
    texts = [str(error) for error in dict.fromkeys(errors)]
    body = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return Invalid(f'{subject} "{name}" is invalid: {body}', name=name, group=group, kind=kind, causes=tuple(errors))
