import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api.json_syntax import syntax_error


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "unexpected end of JSON input"),
        (b"[{", "unexpected end of JSON input"),
        (b"{nope}", "invalid character 'n' looking for beginning of object key string"),
        (b"{'a':1}", r"invalid character '\'' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b"', "invalid character '\"' after object key:value pair"),
        (b"[1 2]", "invalid character '2' after array element"),
        (b"1 2", "invalid character '2' after top-level value"),
        (b"[x]", "invalid character 'x' looking for beginning of value"),
        (b"\x9e", r"invalid character '\x9e' looking for beginning of value"),
        (b'"a\n"', r"invalid character '\n' in string literal"),
        (b'"\\x"', "invalid character 'x' in string escape code"),
        (b'"\\u12g4"', r"invalid character 'g' in \u hexadecimal character escape"),
        (b"tru]", "invalid character ']' in literal true (expecting 'e')"),
        (b"-x", "invalid character 'x' in numeric literal"),
        (b"1.x", "invalid character 'x' after decimal point in numeric literal"),
        (b"1ex", "invalid character 'x' in exponent of numeric literal"),
    ],
)
def test_errors_read_as_gos_a62(text: bytes, message: str) -> None:
    assert syntax_error(text) == message


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(_VALUES)
def test_valid_json_has_no_error(value) -> None:
    assert syntax_error(json.dumps(value).encode()) == ""


@given(_VALUES, st.integers(0, 60))
def test_a_cut_document_ends_unexpectedly_or_is_whole(value, cut: int) -> None:
    text = json.dumps(value).encode()[:cut]
    try:
        json.loads(text)
    except ValueError:
        assert syntax_error(text)
    else:
        assert syntax_error(text) == ""
