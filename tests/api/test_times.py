from datetime import UTC, datetime

import pytest

from holdfast.api import times


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.123456789Z", datetime(2026, 1, 2, 3, 4, 5, 123456, tzinfo=UTC)),
        ("2026-01-02T05:04:05.5+02:00", datetime(2026, 1, 2, 3, 4, 5, 500000, tzinfo=UTC)),
        ("2026-01-01T22:34:05-04:30", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
    ],
)
def test_fractions_and_offsets_are_read(text: str, moment: datetime) -> None:
    assert times.parse_time(text) == moment


def test_times_are_written_in_utc_and_whole_seconds_a4() -> None:
    assert times.canonical_time("2026-01-02T05:04:05.999+02:00") == "2026-01-02T03:04:05Z"
    assert times.canonical_micro_time("2026-01-02T03:04:05Z") == "2026-01-02T03:04:05.000000Z"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("yesterday", 'as "2006-01-02T15:04:05Z07:00": cannot parse "yesterday" as "2006"'),
        ("2026-01-02", 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T"'),
        ("2026-01-02T03:04:05", 'as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00"'),
        ("2026-01-02T03:04:05Zx", ': extra text: "x"'),
        ("2026-13-02T03:04:05Z", ": month out of range"),
        ("2026-02-30T03:04:05Z", ": day out of range"),
    ],
)
def test_bad_times_are_refused_in_the_words_of_go_a62(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="parsing time") as refusal:
        times.parse_time(text)
    assert str(refusal.value) == f'parsing time "{text}"' + (message if message[0] == ":" else f" {message}")
