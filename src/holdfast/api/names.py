"""What names may be: each rule takes a text and returns the first thing that is wrong with it, empty if nothing is.

`every` has all of it: upstream tells of each, as of a name that is both too long and malformed.

Source: Kubernetes, k8s.io/apimachinery/pkg/util/validation (A66); the wording is that of 1.36.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

GENERATED_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What generated names end in: no vowels, no words; nothing that looks like something else (A67)."""

_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_RFC1035_LABEL = "[a-z]([-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = rf"{_DNS_LABEL}(\.{_DNS_LABEL})*"
_LABEL_WITH_UNDERSCORES = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_SUBDOMAIN_WITH_UNDERSCORES = rf"{_LABEL_WITH_UNDERSCORES}(\.{_LABEL_WITH_UNDERSCORES})*"
_QUALIFIED = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]"
_LABEL_VALUE = f"({_QUALIFIED})?"

_is_dns_label = re.compile(_DNS_LABEL).fullmatch
_is_rfc1035_label = re.compile(_RFC1035_LABEL).fullmatch
_is_dns_subdomain = re.compile(_DNS_SUBDOMAIN).fullmatch
_is_subdomain_with_underscores = re.compile(_SUBDOMAIN_WITH_UNDERSCORES).fullmatch
_is_qualified = re.compile(_QUALIFIED).fullmatch
_is_label_value = re.compile(_LABEL_VALUE).fullmatch
_is_wildcard = re.compile(rf"\*\.{_DNS_SUBDOMAIN}").fullmatch
_is_port_name = re.compile("[-a-z0-9]+").fullmatch
_is_environment_name = re.compile("[ -<>-~]+").fullmatch
_is_config_key = re.compile("[-._a-zA-Z0-9]+").fullmatch


def _mismatch(message: str, pattern: str, *examples: str) -> str:
    shown = "".join(f"'{example}', {'' if last else ' or '}" for example, last in _with_last(examples))
    return f"{message} (e.g. {shown}regex used for validation is '{pattern}')"


def _with_last(examples: tuple[str, ...]) -> list[tuple[str, bool]]:
    return [(example, number == len(examples)) for number, example in enumerate(examples, 1)]


_NOT_DNS_LABEL = _mismatch(
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character",
    _DNS_LABEL,
    "my-name",
    "123-abc",
)
_NOT_DNS_SUBDOMAIN = _mismatch(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character",
    _DNS_SUBDOMAIN,
    "example.com",
)
_NOT_WILDCARD = _mismatch(
    "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
    "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
    rf"\*\.{_DNS_SUBDOMAIN}",
    "*.example.com",
)
_NOT_SUBDOMAIN_WITH_UNDERSCORES = _mismatch(
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', "
    "and must start and end with an alphanumeric character",
    _SUBDOMAIN_WITH_UNDERSCORES,
    "example.com",
)
_NOT_RFC1035_LABEL = _mismatch(
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic "
    "character, and end with an alphanumeric character",
    _RFC1035_LABEL,
    "my-name",
    "abc-123",
)
_QUALIFIED_MISMATCH = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
)
_NOT_QUALIFIED = _mismatch(_QUALIFIED_MISMATCH, _QUALIFIED, "MyName", "my.name", "123-abc")
_NOT_LABEL_VALUE = _mismatch(
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character",
    _LABEL_VALUE,
    "MyValue",
    "my_value",
    "12345",
)
_NOT_CONFIG_KEY = _mismatch(
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
    "[-._a-zA-Z0-9]+",
    "key.name",
    "KEY_NAME",
    "key-name",
)


class Rule:
    """A rule, made of a function that yields all that is wrong with a text."""

    def __init__(self, all_of: Callable[[str], Iterator[str]]) -> None:
        self.__doc__ = all_of.__doc__
        self._all_of = all_of

    def __call__(self, text: str) -> str:
        return next(self._all_of(text), "")

    def every(self, text: str) -> list[str]:
        return list(self._all_of(text))


def every(rule: Callable[[str], str], text: str) -> list[str]:
    """All that is wrong with a text; of a plain function, the one thing it tells."""
    if isinstance(rule, Rule):
        return rule.every(text)
    error = rule(text)
    return [error] if error else []


def _within(text: str, most: int, unit: str = "characters") -> Iterator[str]:
    if len(text) > most:
        yield f"must be no more than {most} {unit}"


@Rule
def dns_label(text: str) -> Iterator[str]:
    """An RFC 1123 label: lower-case letters, digits and `-`, at most 63 characters."""
    yield from _within(text, 63)
    if not _is_dns_label(text):
        yield "must not contain dots" if _is_dns_subdomain(text) else _NOT_DNS_LABEL


@Rule
def dns_subdomain(text: str) -> Iterator[str]:
    """RFC 1123 labels joined by dots, at most 253 characters."""
    yield from _within(text, 253)
    if not _is_dns_subdomain(text):
        yield _NOT_DNS_SUBDOMAIN


@Rule
def wildcard_subdomain(text: str) -> Iterator[str]:
    """A host as `*.example.com`: any name right below."""
    yield from _within(text, 253)
    if not _is_wildcard(text):
        yield _NOT_WILDCARD


@Rule
def dns_subdomain_with_underscores(text: str) -> Iterator[str]:
    """What a resolver may search: host names do not have underscores, other names in the DNS do."""
    yield from _within(text, 253)
    if not _is_subdomain_with_underscores(text):
        yield _NOT_SUBDOMAIN_WITH_UNDERSCORES


@Rule
def rfc1035_label(text: str) -> Iterator[str]:
    """As dns_label, beginning with a letter."""
    yield from _within(text, 63)
    if not _is_rfc1035_label(text):
        yield _NOT_RFC1035_LABEL


@Rule
def qualified_name(text: str) -> Iterator[str]:
    """A label key, an annotation key, a finalizer: `name` or `example.com/name`."""
    prefix, slash, name = text.partition("/")
    if "/" in name:
        yield f"a valid label key {_NOT_QUALIFIED} with an optional DNS subdomain prefix and '/' " + (
            "(e.g. 'example.com/MyName')"
        )
        return
    if not slash:
        name = text
    elif not prefix:
        yield "prefix part must be non-empty"
    else:
        yield from (f"prefix part {error}" for error in dns_subdomain.every(prefix))
    if not name:
        yield "name part must be non-empty"
    yield from (f"name part {error}" for error in _within(name, 63, "bytes"))
    if not _is_qualified(name):
        yield f"name part {_NOT_QUALIFIED}"


@Rule
def label_value(text: str) -> Iterator[str]:
    """The value of a label: at most 63 bytes, possibly none."""
    yield from _within(text, 63, "bytes")
    if not _is_label_value(text):
        yield _NOT_LABEL_VALUE


@Rule
def port_name(text: str) -> Iterator[str]:
    """The name of a port: at most 15 characters, at least one letter, no two `-` in a row."""
    yield from _within(text, 15)
    if not _is_port_name(text):
        yield "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", text):
        yield "must contain at least one letter (a-z)"
    if "--" in text:
        yield "must not contain consecutive hyphens"
    if text.startswith("-") or text.endswith("-"):
        yield "must not begin or end with a hyphen"


@Rule
def path_segment_name(text: str) -> Iterator[str]:
    """What may stand between two slashes of a URL: the names of RBAC objects."""
    if text in (".", ".."):
        yield f"may not be '{text}'"
        return
    yield from (f"may not contain '{character}'" for character in "/%" if character in text)


def environment_name(text: str) -> str:
    """The name of an environment variable: printable ASCII without `=`."""
    if not text:
        return "environment variable name must be non-empty"
    if _is_environment_name(text):
        return ""
    return "a valid environment variable name must consist only of printable ASCII characters other than '='"


@Rule
def config_key(text: str) -> Iterator[str]:
    """A key of a ConfigMap's or Secret's data."""
    yield from _within(text, 253)
    if not _is_config_key(text):
        yield _NOT_CONFIG_KEY
    if text in (".", ".."):
        yield f"must not be '{text}'"
    elif text.startswith(".."):
        yield "must not start with '..'"
