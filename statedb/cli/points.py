"""A point in time, as it is typed."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from statedb.cli.arguments import POINT
from statedb.cli.exits import Usage

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST_DIGITS = 18


def point(text: str) -> int | str | timedelta:
    """Return the point a text means, as `Store.at` takes it. Usage where it means none.

    Digits alone are a revision, though ISO 8601 would read eight of them as a day.
    """
    if (number := revision(text)) is not None:
        return number
    if ago := _AGO.fullmatch(text):
        return _span(float(ago[1]), _UNITS[ago[2]])
    try:
        datetime.fromisoformat(text)
    except ValueError:
        raise Usage(f"{text!r:.80} names no point in time; give {POINT}") from None
    return text


def revision(text: str) -> int | None:
    """Return the revision a text means, None where it means none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _span(number: float, unit: str) -> timedelta:
    try:
        return timedelta(**{unit: number})
    except OverflowError:
        raise Usage(f"{number:g} {unit} ago is before time began") from None
