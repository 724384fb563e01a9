"""A time as people say it: now, 5 minutes ago, yesterday 14:00, last friday 18:00, nov 19 2026 08:00.

dateparser reads it, but is asked only for what has one of two forms: an amount of time ago, or a day with or without a
time of day. It would find a time in almost anything: in "5" and "a", in "today 25:00", in "12".
"""

from __future__ import annotations

import re
import warnings
from datetime import UTC, datetime, timedelta

_UNIT = r"(?:sec|second|min|minute|hr|hour|day|week|month|year)s?"
_AMOUNT = rf"(?:\d{{1,6}}|an?) {_UNIT}"
_AGO = re.compile(rf"{_AMOUNT}(?:(?: |, ?| and ){_AMOUNT})* ago", re.ASCII)

_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?"
    r"|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_DATE = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th)?"
_YEAR = r"(?:,? \d{4})?"
_ISO = r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])"  # in 2026-13-01 the 13 would be taken for the day
_DAY = rf"today|yesterday|{_WEEKDAY}|{_MONTH} {_DATE}{_YEAR}|{_DATE} {_MONTH}{_YEAR}|{_ISO}"
_CLOCK = r"(?:[01]?\d|2[0-3]):[0-5]\d(?::[0-5]\d)?|(?:0?[1-9]|1[0-2])(?::[0-5]\d)? ?[ap]m|noon|midnight"
_ZONE = r"(?: ?(?:z|utc|gmt|[+-](?:0\d|1[0-4]):?[0-5]\d))?"
_ON_A_DAY = re.compile(
    rf"(?:last (?={_WEEKDAY}))?(?P<day>{_DAY})(?: (?:at )?(?P<clock>(?:{_CLOCK}){_ZONE}))?", re.ASCII
)


def spoken(text: str, now: datetime | None = None) -> datetime | timedelta | None:
    """Return the time a text says, how long ago where it says that, None where it says none.

    What is said without a zone is UTC, a day without a time of day its first moment, a weekday the last one before
    today, a date without a year the last one there was.
    """
    said = " ".join(text.lower().split())
    if said == "now":
        return timedelta(0)
    base = datetime.now(UTC) if now is None else now
    if _AGO.fullmatch(said):
        found = _read(said, base)
        return None if found is None else base - found
    if form := _ON_A_DAY.fullmatch(said):
        return _read(f"{form['day']} {form['clock'] or '00:00'}", base)
    return None


def _read(said: str, base: datetime) -> datetime | None:
    with warnings.catch_warnings():
        # It warns of what its own dependencies do; nobody who typed a time can do anything about that.
        warnings.simplefilter("ignore")
        from dateparser import parse

        settings = {
            "RELATIVE_BASE": base.replace(tzinfo=None),
            "TIMEZONE": "UTC",
            "TO_TIMEZONE": "UTC",
            "RETURN_AS_TIMEZONE_AWARE": True,
            "PREFER_DATES_FROM": "past",
            "STRICT_PARSING": False,
            "PARSERS": ["relative-time", "absolute-time"],
        }
        try:
            found: datetime | None = parse(said, languages=["en"], settings=settings)
        except OverflowError:
            return None  # with its zone it lies in UTC before the calendar begins
    return found
