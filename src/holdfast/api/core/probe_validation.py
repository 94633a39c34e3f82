"""Probes and lifecycle hooks of containers, and the handlers both have (N-J, N-K)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from holdfast.api.errors import FieldError, forbidden, invalid, required
from holdfast.api.field_rules import not_negative, port, port_number, present, required_and_supported
from holdfast.api.resource import Manifest

_HANDLERS = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")
_is_header = re.compile("[-A-Za-z0-9]+").fullmatch


def validate_probes(field: str, container: Manifest, grace_period_s: int) -> Iterator[FieldError]:
    """All three probes of a container that may have them."""
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if name not in container:
            continue
        probe, at = container[name], f"{field}.{name}"
        yield from _probe(at, probe, grace_period_s)
        if name == "readinessProbe":
            if "terminationGracePeriodSeconds" in probe:
                given = probe["terminationGracePeriodSeconds"]
                yield invalid(f"{at}.terminationGracePeriodSeconds", given, "must not be set for readinessProbes")
        elif probe.get("successThreshold", 1) != 1:
            yield invalid(f"{at}.successThreshold", probe["successThreshold"], "must be 1")


def validate_lifecycle(field: str, lifecycle: Manifest, grace_period_s: int) -> Iterator[FieldError]:
    for hook in ("postStart", "preStop"):
        if hook in lifecycle:
            yield from _handler(f"{field}.{hook}", lifecycle[hook], grace_period_s)


def _probe(field: str, probe: Manifest, grace_period_s: int) -> Iterator[FieldError]:
    yield from _handler(field, probe, grace_period_s)
    for number in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
        yield from not_negative(f"{field}.{number}", probe.get(number))
    own_grace_s = probe.get("terminationGracePeriodSeconds")
    if own_grace_s is not None and own_grace_s <= 0:
        yield invalid(f"{field}.terminationGracePeriodSeconds", own_grace_s, "must be greater than 0")


def _handler(field: str, handler: Manifest, grace_period_s: int) -> Iterator[FieldError]:
    given = [kind for kind in _HANDLERS if kind in handler]
    if not given:
        yield required(field, "must specify a handler type")
        return
    yield from _action(f"{field}.{given[0]}", given[0], handler[given[0]], grace_period_s)
    for kind in given[1:]:
        yield forbidden(f"{field}.{kind}", "may not specify more than 1 handler type")


def _action(field: str, kind: str, action: Manifest, grace_period_s: int) -> Iterator[FieldError]:
    match kind:
        case "exec":
            yield from present(f"{field}.command", action.get("command"))
        case "httpGet":
            yield from _http_get(field, action)
        case "tcpSocket":
            yield from port(f"{field}.port", action.get("port", 0))
        case "grpc":
            yield from port_number(f"{field}.port", action.get("port", 0))
        case "sleep":
            yield from _sleep(f"{field}.seconds", action.get("seconds", 0), grace_period_s)


def _http_get(field: str, action: Manifest) -> Iterator[FieldError]:
    yield from present(f"{field}.path", action.get("path"))
    yield from port(f"{field}.port", action.get("port", 0))
    yield from required_and_supported(f"{field}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS"))
    for header in action.get("httpHeaders", ()):
        if not _is_header(header.get("name", "")):
            yield invalid(
                f"{field}.httpHeaders",
                header.get("name", ""),
                "a valid HTTP header must consist of alphanumeric characters or '-' "
                "(e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
            )


def _sleep(field: str, seconds: int, grace_period_s: int) -> Iterator[FieldError]:
    if not 0 <= seconds <= grace_period_s:
        yield invalid(
            field, seconds, f"must be non-negative and less than terminationGracePeriodSeconds ({grace_period_s})"
        )
