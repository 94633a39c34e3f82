"""Named formats in CEL: `format.dns1123Label().validate(...)` (A212).

Both functions return optional values, and no function of ours can. So they return maps that have what there is, and
every call of one is followed by what looks into it: `.?errors`, `.?format`.

Source: Kubernetes, k8s.io/apiserver/pkg/cel/library/format.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from holdfast.api import names

from .formats import FORMATS
from .go_urls import check_request_uri
from .signatures import Function, Made, Opaque, listed, member, plain
from .tokens import TOKEN

FORMAT = Opaque("kubernetes.NamedFormat", "format")

_LOOKS: Mapping[str, str] = {"validate": ".?errors", "named": ".?format"}


def declared() -> Iterator[Function]:
    for name in _WRONG:
        yield plain(f"format.{name}", FORMAT, [], lambda name=name: {"format": name})
    yield plain("format.named", Made("optional", FORMAT), ["string"], _named)
    yield member("validate", Made("optional", listed("string")), [FORMAT, "string"], _validate)


def with_optional_values(expression: str) -> str:
    """The same, with the calls of both functions followed by what makes their result optional."""
    if "validate" not in expression and "named" not in expression:
        return expression
    written: list[str] = []
    open_calls: list[str] = []
    """What follows each bracket that is open."""
    before: list[str] = []
    """Tokens with a meaning."""
    for token in TOKEN.finditer(expression):
        text = token.group()
        written.append(text)
        if token.lastgroup == "open":
            open_calls.append(_look(before) if text == "(" else "")
        elif token.lastgroup == "close" and open_calls:
            written.append(open_calls.pop())
        if token.lastgroup != "space":
            before.append(text.strip())
    return "".join(written)


def _look(before: list[str]) -> str:
    match before[-3:]:
        case [_, ".", "validate"] | ["format", ".", "named"]:
            return _LOOKS[before[-1]]
    return ""


def _named(name: str) -> dict[str, Any]:
    return {"format": {"format": name}} if name in _WRONG else {}


def _validate(given: Any, text: str) -> dict[str, Any]:
    errors = _WRONG[given["format"]](text)
    return {"errors": errors} if errors else {}


def _prefix(rule: names.Rule) -> Callable[[str], list[str]]:
    """Of what a generated name may begin with: its last hyphen will be followed by something."""

    def every(text: str) -> list[str]:
        return rule.every(f"{text[:-2]}a" if len(text) > 1 and text.endswith("-") else text)

    return every


def _uri(text: str) -> list[str]:
    try:
        check_request_uri(text)
    except ValueError as error:
        return [str(error)]
    return []


def _fits(name: str, refusal: str) -> Callable[[str], list[str]]:
    return lambda text: [] if FORMATS[name](text) else [refusal]


_WRONG: Mapping[str, Callable[[str], list[str]]] = {
    "dns1123Label": names.dns_label.every,
    "dns1123Subdomain": names.dns_subdomain.every,
    "dns1035Label": names.rfc1035_label.every,
    "qualifiedName": names.qualified_name.every,
    "dns1123LabelPrefix": _prefix(names.dns_label),
    "dns1123SubdomainPrefix": _prefix(names.dns_subdomain),
    "dns1035LabelPrefix": _prefix(names.rfc1035_label),
    "labelValue": names.label_value.every,
    "uri": _uri,
    "uuid": _fits("uuid", "does not match the UUID format"),
    "byte": _fits("byte", "invalid base64"),
    "date": _fits("date", "invalid date"),
    "datetime": _fits("datetime", "invalid datetime"),
}
"""What is wrong with a text, by the name of the format."""
