from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from statedb.cli.exits import Usage
from statedb.cli.points import point


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("0", 0),
        ("17", 17),
        ("20261120", 20261120),
        ("45s", timedelta(seconds=45)),
        ("10m", timedelta(minutes=10)),
        ("1.5h", timedelta(hours=1.5)),
        ("3d", timedelta(days=3)),
        ("1w", timedelta(weeks=1)),
        ("2h ago", timedelta(hours=2)),
        ("5 minutes ago", timedelta(minutes=5)),
        ("now", timedelta(0)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T09:00Z", datetime(2026, 11, 20, 9, tzinfo=UTC)),
        (
            "2026-11-20T09:00:00.123456+02:00",
            datetime(2026, 11, 20, 9, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
        ),
        ("nov 19 2026 08:00", datetime(2026, 11, 19, 8, tzinfo=UTC)),
    ],
)
def test_a_point_is_a_revision_a_time_or_how_long_ago(text: str, meant: object) -> None:
    assert point(text) == meant


@pytest.mark.parametrize("text", ["soon", "5x", "m", "-5m", "1e3s", "٣", "2026-13-01", "1.2.3s", "ago", "2 ago"])
def test_what_is_no_time_is_a_checkpoints_name(text: str) -> None:
    assert point(text) == text


@pytest.mark.parametrize("text", ["", "9" * 30, "9" * 5000, "999999999w", "a\0b", "x" * 1025])
def test_what_names_no_point_is_wrong_usage(text: str) -> None:
    with pytest.raises(Usage):
        point(text)
