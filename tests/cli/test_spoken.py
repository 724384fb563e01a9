from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb.cli.spoken import spoken
from tests.cli.helpers import Cli, Program
from tests.helpers import Clock


@pytest.fixture(params=["sqlite"])
def database(request: pytest.FixtureRequest) -> str:
    """One database is enough: what is tested here does not depend on it."""
    return str(request.param)


NOW = datetime(2026, 11, 20, 10, 30, tzinfo=UTC)
"""A Friday."""


def day(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("now", timedelta(0)),
        ("5 minutes ago", timedelta(minutes=5)),
        ("1 minute ago", timedelta(minutes=1)),
        ("an hour ago", timedelta(hours=1)),
        ("2 days ago", timedelta(days=2)),
        ("3 weeks ago", timedelta(weeks=3)),
        ("1 month ago", timedelta(days=31)),
        ("a year ago", timedelta(days=365)),
        ("1 hour 30 minutes ago", timedelta(hours=1.5)),
        ("1 day, 2 hours ago", timedelta(hours=26)),
        ("  5   MINUTES ago ", timedelta(minutes=5)),
    ],
)
def test_what_is_said_to_be_ago_is_how_long_ago(text: str, ago: timedelta) -> None:
    assert spoken(text, NOW) == ago


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("today", day(2026, 11, 20)),
        ("today 09:30", day(2026, 11, 20, 9, 30)),
        ("yesterday", day(2026, 11, 19)),
        ("yesterday 14:00", day(2026, 11, 19, 14)),
        ("yesterday at 2pm", day(2026, 11, 19, 14)),
        ("yesterday noon", day(2026, 11, 19, 12)),
        ("monday", day(2026, 11, 16)),
        ("Thursday 23:59:59", day(2026, 11, 19, 23, 59, 59)),
        ("friday", day(2026, 11, 13)),
        ("last friday 18:00", day(2026, 11, 13, 18)),
        ("sat", day(2026, 11, 14)),
        ("nov 19 2026 08:00", day(2026, 11, 19, 8)),
        ("19 november, 2026 8:00 pm", day(2026, 11, 19, 20)),
        ("November 19th, 2026", day(2026, 11, 19)),
        ("may 5", day(2026, 5, 5)),
        ("dec 5", day(2025, 12, 5)),
        ("feb 29", day(2024, 2, 29)),
        ("2026-11-12 8:00", day(2026, 11, 12, 8)),
        ("yesterday 14:00Z", day(2026, 11, 19, 14)),
        ("yesterday 14:00 +02:00", day(2026, 11, 19, 12)),
        ("yesterday 23:30 -0500", day(2026, 11, 20, 4, 30)),
    ],
)
def test_a_day_is_a_day_of_utc_and_one_without_a_time_its_beginning(text: str, meant: datetime) -> None:
    assert spoken(text, NOW) == meant


@pytest.mark.parametrize(
    "text",
    """
    |12|may|a|5|1e9|-1|0|tomorrow|in 5 minutes|5 minutes|5 minutes from now|next friday|this friday|soon|ago|last|
    a ago|5 ago|-5 minutes ago|1e3 seconds ago|\u0663 days ago|\uff15 minutes ago|99999999 days ago|
    5000 years ago|1.5 hours ago|monday monday|monday tuesday|today 25:00|today 24:00|today 9:60|today 13pm|
    today 0am|today 5|today 1:2|mar|dec|2026|may 2026|11/12/2026|1/2/26|nov 31 2026|feb 29 2026|nov 0|00 nov 2026|
    10:00|noon|6pm|last week|yesterday 14:00 CET|yesterday 14:00 +25:00|5 minutes ago tomorrow|
    yesterday yesterday|prefs|agent-1|local|second|day|1700000000.5|yesterday\x1b[2J|yesterday\x00|
    2026-13-01 8:00|now now|1 jan 0001 00:00 +14:00|31 dec 9999 23:59 -14:00
    """.replace("\n    ", "").split("|"),
)
def test_what_says_no_time_is_none(text: str) -> None:
    assert spoken(text, NOW) is None


@given(st.text(max_size=30))
def test_no_text_at_all_is_more_than_none(text: str) -> None:
    assert spoken(text, NOW) is None or text.split()[0].lower().isalnum()


@given(st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1)), st.sampled_from(["yesterday", "monday", "may 5"]))
def test_what_is_said_lies_in_the_past(now: datetime, text: str) -> None:
    found = spoken(text, now.replace(tzinfo=UTC))
    assert isinstance(found, datetime)
    assert found <= now.replace(tzinfo=UTC)


def test_a_time_that_was_said_is_read_from_the_store(cli: Cli, clock: Clock) -> None:
    cli.ok("set", "a", "local", "k", "1")
    assert cli.ok("get", "a", "local", "k", "--at", "now").json == 1
    assert cli.ok("at", "0 seconds ago", "a", "local", "k").json == 1
    assert cli.refused("get", "a", "local", "k", "--at", "2 days ago") == "k (local of a) has no value at 2 days ago"
    assert "has no value at yesterday 14:00" in cli.refused("at", "yesterday 14:00", "a", "local", "k")
    assert "lies in the future" in cli.refused("at", "nov 19 2999 08:00", "a")


@pytest.mark.parametrize(
    "text", ["12.5", "may", "a", "1e9", "tomorrow", "in 5 minutes", "today 25:00", "1 jan 0001 00:00 +14:00"]
)
def test_a_time_that_is_none_is_taken_for_a_checkpoint(cli: Cli, text: str) -> None:
    cli.ok("init")
    assert "names no point" in cli.refused("get", "a", "local", "k", "--at", text)


def test_nothing_is_warned_of_wherever_the_clock_hangs(program: Program) -> None:
    program("set", "a", "local", "k", "1")
    for zone in ("UTC", "America/New_York", "Nowhere/Land", ""):
        program.env |= {"TZ": zone, "PYTHONWARNINGS": "error"}
        ran = program("get", "a", "local", "k", "--at", "last friday 18:00")
        assert (ran.code, ran.line) == (1, "k (local of a) has no value at last friday 18:00")


def test_simpler_times_are_read_without_the_library_for_it() -> None:
    script = (
        "import sys; from statedb.cli.points import point;"
        "[point(each) for each in ('17', '2h', '2026-11-20T09:00Z', 'now')]; sys.exit('dateparser' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
