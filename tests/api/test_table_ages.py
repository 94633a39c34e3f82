from datetime import UTC, datetime, timedelta

import pytest

from holdfast.api.table import age, human_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (121, "2m1s"), (600, "10m"),
     (10799, "179m"), (10800, "3h"), (28799, "7h59m"), (28800, "8h"), (172799, "47h"), (172800, "2d"),
     (180000, "2d2h"), (691200, "8d"), (500 * 86400, "500d"), (1115 * 86400, "3y20d"), (9 * 365 * 86400, "9y")],
)  # fmt: skip
def test_s199_n58_a349_human_ages(seconds: int, text: str) -> None:
    assert human_duration(timedelta(seconds=seconds)) == text


def test_s199_n58_a190_age_of_an_object() -> None:
    now = datetime(2026, 1, 1, 0, 2, 1, tzinfo=UTC)
    assert age("2026-01-01T00:00:00Z", now) == "2m1s"
    assert age(None, now) == "<unknown>"
