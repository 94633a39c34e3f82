from collections.abc import Callable

import pytest

from holdfast.api import names


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (names.dns_label, ["a", "a-b", "0", "a" * 63]),
        (names.dns_subdomain, ["a", "a.b-c.d", "0.1", "a" * 253]),
        (names.rfc1035_label, ["a", "a-0"]),
        (names.qualified_name, ["a", "A_b.c", "example.com/A", "kubernetes.io/x-y"]),
        (names.label_value, ["", "a", "A_b.c-d", "1"]),
        (names.port_name, ["http", "a-1", "1a"]),
        (names.path_segment_name, ["system:node", "a b", "A"]),
        (names.environment_name, ["A", "a.b-c", "x y"]),
        (names.config_key, ["a", ".hidden", "a.b_c-D"]),
    ],
)
def test_good_names_pass(check, good) -> None:
    assert [check(name) for name in good] == [""] * len(good)


SUBDOMAIN = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    r"'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
LABEL = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
    "with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
QUALIFIED = (
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
    "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
VALUE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start "
    "and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation "
    "is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)


@pytest.mark.parametrize(
    ("check", "name", "message"),
    [
        (names.dns_subdomain, "A", SUBDOMAIN),
        (names.dns_subdomain, "", SUBDOMAIN),
        (names.dns_subdomain, "a" * 254, "must be no more than 253 characters"),
        (names.dns_label, "Abc", LABEL),
        (names.dns_label, "a.b", "must not contain dots"),
        (names.dns_label, "a" * 64, "must be no more than 63 characters"),
        (names.qualified_name, "a b", f"name part {QUALIFIED}"),
        (
            names.qualified_name,
            "a/b/c",
            f"a valid label key {QUALIFIED} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
        ),
        (names.qualified_name, "/a", "prefix part must be non-empty"),
        (names.qualified_name, "A/a", f"prefix part {SUBDOMAIN}"),
        (names.qualified_name, "a/", "name part must be non-empty"),
        (names.label_value, "-x-", VALUE),
        (names.label_value, "a" * 64, "must be no more than 63 bytes"),
        (names.port_name, "a" * 16, "must be no more than 15 characters"),
        (names.port_name, "80", "must contain at least one letter (a-z)"),
        (names.path_segment_name, "a/b", "may not contain '/'"),
        (names.path_segment_name, "..", "may not be '..'"),
        (names.config_key, "..", "must not be '..'"),
    ],
)
def test_bad_names_are_refused_in_upstreams_words_a66(check, name: str, message: str) -> None:
    assert check(name) == message


@pytest.mark.parametrize(
    ("rule", "text", "beginnings"),
    [
        (names.dns_label, "a", []),
        (names.dns_label, "A" * 64, ["must be no more than 63 characters", "a lowercase RFC 1123 label must"]),
        (names.qualified_name, "", ["name part must be non-empty", "name part must consist of"]),
        (
            names.qualified_name,
            "A/",
            ["prefix part a lower", "name part must be non-empty", "name part must consist of"],
        ),
        (names.label_value, "-" * 64, ["must be no more than 63 bytes", "a valid label must be an empty string or"]),
        (names.port_name, "1--", ["must contain at least one", "must not contain consecutive", "must not begin or"]),
        (names.path_segment_name, "a/b%", ["may not contain '/'", "may not contain '%'"]),
        (names.config_key, "..", ["must not be '..'"]),
        (lambda text: "no" if text else "", "a", ["no"]),
        (lambda text: "no" if text else "", "", []),
    ],
)
def test_all_that_is_wrong_with_a_name_is_told(rule: Callable[[str], str], text: str, beginnings: list[str]) -> None:
    found = names.every(rule, text)
    assert len(found) == len(beginnings)
    assert all(error.startswith(start) for error, start in zip(found, beginnings, strict=True))
    assert rule(text) == (found[0] if found else "")
