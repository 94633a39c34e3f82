"""The machine's zone, found as Go finds it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import TZPATH

import pytest

from holdfast.world import local_zone

SUMMER = datetime(2026, 7, 1, 12, tzinfo=UTC)


@pytest.fixture
def berlin() -> Path:
    found = next((path for folder in TZPATH if (path := Path(folder, "Europe/Berlin")).exists()), None)
    if found is None:
        pytest.skip("no time zones on this machine")
    return found


@pytest.mark.parametrize("name", ["Europe/Berlin", ":Europe/Berlin"])
def test_a_name_counts_before_the_file(name: str, tmp_path: Path) -> None:
    assert SUMMER.astimezone(local_zone(name, tmp_path / "none")).hour == 14


def test_the_file_counts_without_a_name_and_knows_of_summer(berlin: Path) -> None:
    zone = local_zone(None, berlin)
    assert [SUMMER.replace(month=month).astimezone(zone).hour for month in (1, 7)] == [13, 14]


def test_a_name_may_be_a_file(berlin: Path, tmp_path: Path) -> None:
    assert SUMMER.astimezone(local_zone(f":{berlin}", tmp_path / "none")).hour == 14


@pytest.mark.parametrize("name", ["", "No/Where", "../etc/passwd", "/no/such/file", "/dev/null"])
def test_an_empty_name_and_one_that_leads_nowhere_mean_utc(name: str, berlin: Path) -> None:
    assert local_zone(name, berlin) == UTC


def test_a_file_that_is_none_or_no_zone_means_utc(tmp_path: Path) -> None:
    assert local_zone(None, tmp_path / "none") == UTC
    (tmp_path / "broken").write_bytes(b"TZif")
    assert local_zone(None, tmp_path / "broken") == UTC
