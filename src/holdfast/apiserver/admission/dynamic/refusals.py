"""How it is told that a webhook said no, or nothing (A248): pure.

Source: Kubernetes, k8s.io/apiserver/pkg/admission/plugin/webhook/errors/statuserror.go, pkg/util/webhook/error.go.
"""

from __future__ import annotations

from typing import Any

from holdfast.api.errors import ApiError, FieldError, InternalError, refusal_class, show
from holdfast.api.resource import Manifest

from .attempt import Attempt


class CallFailed(Exception):
    """No usable answer of a webhook, in upstream's words: what its failurePolicy is about."""


def denied(webhook: str, status: Manifest | None) -> ApiError:
    """The refusal with the code, reason and details that the webhook gave; 400 without a code."""
    status = status or {}
    code, reason, said = status.get("code"), str(status.get("reason") or ""), str(status.get("message") or "")
    by = f"admission webhook {show(webhook)} denied the request"
    explanation = f": {said or reason}" if said or reason else " without explanation"
    details = status.get("details")
    details = details if isinstance(details, dict) else {}
    kind = refusal_class(code if isinstance(code, int) and 400 <= code < 600 else 400, reason)
    causes, again = details.get("causes"), details.get("retryAfterSeconds")
    given = causes if isinstance(causes, list) else ()
    error = kind(by + explanation, causes=[_cause(each) for each in given if isinstance(each, dict)])
    for member in ("name", "group", "kind", "uid"):
        setattr(error, member, str(details.get(member) or ""))
    error.retry_after_s = again if isinstance(again, int) else 0
    return error


def _cause(given: dict[str, Any]) -> FieldError:
    field, reason, message = (str(given.get(member) or "") for member in ("field", "reason", "message"))
    return FieldError(field, reason, message)


def failed(webhook: str, error: CallFailed) -> ApiError:
    """Of a webhook that everything depends on."""
    return internal(f"failed calling webhook {show(webhook)}: {error}")


def internal(text: str) -> ApiError:
    return InternalError(f"Internal error occurred: {text}", causes=[FieldError("", "", text)])


def forbidden(attempt: Attempt, text: str, reason: str = "Forbidden", code: int = 0) -> ApiError:
    """A refusal by what an expression says; the code is the reason's own unless it is given."""
    resource = attempt.resource
    name = attempt.name or _given_name(attempt.object) or "Unknown"
    kind = refusal_class(code or _CODES.get(reason, 422), reason)
    error = kind(f'{resource.qualified} "{name}" is forbidden: {text}')
    error.name, error.group, error.kind = name, resource.group, resource.plural
    return error


_CODES = {"Forbidden": 403, "Unauthorized": 401, "RequestEntityTooLarge": 413, "Invalid": 422}


def _given_name(manifest: Manifest | None) -> str:
    metadata = (manifest or {}).get("metadata") or {}
    return str(metadata.get("name") or metadata.get("generateName") or "")


def answered_with(status: int, body: bytes) -> str:
    """What a client of the Go library says of an answer that is no success.

    Source: Kubernetes, k8s.io/apimachinery/pkg/api/errors/errors.go (NewGenericServerResponse).
    """
    said = body.decode(errors="replace").strip()
    known = {
        400: "the server rejected our request for an unknown reason",
        401: "the server has asked for the client to provide credentials",
        403: said or "the server does not allow access to the requested resource",
        404: "the server could not find the requested resource",
        405: "the server does not allow this method on the requested resource",
        406: "the server was unable to respond with a content type that the client supports",
        409: "the server reported a conflict",
        415: "the server was unable to respond with a content type that the client supports",
        422: "the server rejected our request due to an error in our request",
        429: "the server has received too many requests and has asked us to try again later",
        503: "the server is currently unable to handle the request",
        504: "the server was unable to return a response in the time allotted, but may still be processing the request",
    }
    if status in known:
        return known[status]
    if status >= 500:
        return f"an error on the server ({show(said or 'unknown')}) has prevented the request from succeeding"
    return f"the server responded with the status code {status} but did not return more information"
