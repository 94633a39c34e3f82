"""What names may be: each function takes a text and returns what is wrong with it, empty if nothing is.

Source: Kubernetes, k8s.io/apimachinery/pkg/util/validation (A66); the wording is that of 1.36.
"""

from __future__ import annotations

import re

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


def dns_label(text: str) -> str:
    """An RFC 1123 label: lower-case letters, digits and `-`, at most 63 characters."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    if _is_dns_label(text):
        return ""
    return "must not contain dots" if _is_dns_subdomain(text) else _NOT_DNS_LABEL


def dns_subdomain(text: str) -> str:
    """RFC 1123 labels joined by dots, at most 253 characters."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    return "" if _is_dns_subdomain(text) else _NOT_DNS_SUBDOMAIN


def wildcard_subdomain(text: str) -> str:
    """A host as `*.example.com`: any name right below."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    return "" if _is_wildcard(text) else _NOT_WILDCARD


def dns_subdomain_with_underscores(text: str) -> str:
    """What a resolver may search: host names do not have underscores, other names in the DNS do."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    return "" if _is_subdomain_with_underscores(text) else _NOT_SUBDOMAIN_WITH_UNDERSCORES


def rfc1035_label(text: str) -> str:
    """As dns_label, beginning with a letter."""
    if len(text) > 63:
        return "must be no more than 63 characters"
    return "" if _is_rfc1035_label(text) else _NOT_RFC1035_LABEL


def qualified_name(text: str) -> str:
    """A label key, an annotation key, a finalizer: `name` or `example.com/name`."""
    prefix, slash, name = text.partition("/")
    if "/" in name:
        return f"a valid label key {_NOT_QUALIFIED} with an optional DNS subdomain prefix and '/' " + (
            "(e.g. 'example.com/MyName')"
        )
    if not slash:
        prefix, name = "", text
    elif not prefix:
        return "prefix part must be non-empty"
    elif error := dns_subdomain(prefix):
        return f"prefix part {error}"
    if not name:
        return "name part must be non-empty"
    if len(name) > 63:
        return "name part must be no more than 63 bytes"
    return "" if _is_qualified(name) else f"name part {_NOT_QUALIFIED}"


def label_value(text: str) -> str:
    """The value of a label: at most 63 bytes, possibly none."""
    if len(text) > 63:
        return "must be no more than 63 bytes"
    return "" if _is_label_value(text) else _NOT_LABEL_VALUE


def port_name(text: str) -> str:
    """The name of a port: at most 15 characters, at least one letter, no two `-` in a row."""
    if len(text) > 15:
        return "must be no more than 15 characters"
    if not _is_port_name(text):
        return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)"
    if not re.search("[a-z]", text):
        return "must contain at least one letter (a-z)"
    if "--" in text:
        return "must not contain consecutive hyphens"
    if text.startswith("-") or text.endswith("-"):
        return "must not begin or end with a hyphen"
    return ""


def path_segment_name(text: str) -> str:
    """What may stand between two slashes of a URL: the names of RBAC objects."""
    if text in (".", ".."):
        return f"may not be '{text}'"
    return next((f"may not contain '{character}'" for character in "/%" if character in text), "")


def environment_name(text: str) -> str:
    """The name of an environment variable: printable ASCII without `=`."""
    if not text:
        return "environment variable name must be non-empty"
    if _is_environment_name(text):
        return ""
    return "a valid environment variable name must consist only of printable ASCII characters other than '='"


def config_key(text: str) -> str:
    """A key of a ConfigMap's or Secret's data."""
    if len(text) > 253:
        return "must be no more than 253 characters"
    if not _is_config_key(text):
        return _NOT_CONFIG_KEY
    if text == ".":
        return "must not be '.'"
    if text == "..":
        return "must not be '..'"
    return "must not start with '..'" if text.startswith("..") else ""
