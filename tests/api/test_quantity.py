from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.api import quantity


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("2000Mi", "2000Mi"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1500e-3", "1500e-3"),
        ("2000", "2k"),
        ("128974848", "128974848"),
        ("0.1", "100m"),
        ("512Ki", "512Ki"),
        ("0.5Ki", "512"),
        ("1.0001Ki", "1024102400u"),
        ("0", "0"),
        ("0Mi", "0"),
        ("-1024Mi", "-1Gi"),
        ("+3", "3"),
        ("100Ei", "9223372036854775807"),
        ("0.1n", "1n"),
        (".5", "500m"),
        ("5.", "5"),
        (3, "3"),
        (0.5, "500m"),
    ],
)
def test_canonical_form_a5(written: str | float, stored: str) -> None:
    assert quantity.canonical(written) == stored


def test_n5_a5_resource_lists_round_up_to_milli() -> None:
    assert quantity.canonical_resource("0.0001") == "1m"
    assert quantity.canonical_resource("1.5Gi") == "1536Mi"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "quantities must match the regular expression"),
        ("lots", "quantities must match the regular expression"),
        ("1 Gi", "quantities must match the regular expression"),
        ("1.2.3", "quantities must match the regular expression"),
        ("1GiB", "quantities must match the regular expression"),
        ("1Mk", "unable to parse quantity's suffix"),
        ("Ki", "unable to parse numeric part of quantity"),
    ],
)
def test_bad_quantities_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        quantity.canonical(text)


def test_values_are_compared_not_texts_a314() -> None:
    assert quantity.compare("1Gi", "1024Mi") == 0
    assert quantity.compare("0.1", "99m") == 1
    assert quantity.parse("1Gi") < quantity.parse("2G")
    assert quantity.whole("1.5") == 2
    assert quantity.milli("0.0001") == 1


def test_sums_stay_in_the_family_of_the_first() -> None:
    assert quantity.add("0", "512Mi", "1G") == "1536870912"
    assert quantity.add("512Mi", "512Mi") == "1Gi"
    assert quantity.add("250m", "0.75") == "1"
    assert quantity.subtract("1Gi", "512Mi") == "512Mi"
    assert quantity.add() == "0"


@given(
    st.integers(0, 8 * 10**6),
    st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "Ti", "e3", "u", "n"]),
)
def test_canonical_form_keeps_the_value_and_is_stable(number: int, suffix: str) -> None:
    text = quantity.canonical(f"{number}{suffix}")
    scale = {
        "m": Fraction(1, 1000), "u": Fraction(1, 10**6), "n": Fraction(1, 10**9), "": 1, "k": 1000, "e3": 1000,
        "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
    }[suffix]  # fmt: skip
    assert Fraction(quantity.parse(text)) == number * scale
    assert quantity.canonical(text) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (512, "512"), (1 << 30, "1Gi"), (1000 << 10, "1000Ki"), (2 << 50, "2Pi")]
)
def test_a_number_of_bytes_is_written_as_upstream_writes_sizes(number, text):
    assert quantity.binary(number) == text
