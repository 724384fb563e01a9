"""Time as the store keeps it: integer microseconds since 1970, UTC. This file is the border to datetimes."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from statedb.errors import InvalidValue

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
LONGEST = 10**11
"""The longest time to live, in seconds."""
EARLIEST = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LATEST = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def micros(moment: float | datetime) -> int:
    """Return a moment in microseconds: seconds since 1970 or a datetime, which without a zone is UTC."""
    if isinstance(moment, datetime):
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (aware - _EPOCH) // _MICROSECOND
    if not EARLIEST <= moment * 1_000_000 <= LATEST:
        raise ValueError(f"{moment} is no time in seconds since 1970")
    return round(moment * 1_000_000)


def moment(stamp: int) -> datetime:
    """Return the aware datetime of microseconds."""
    return _EPOCH + timedelta(0, 0, stamp)


def maybe(stamp: int | None) -> datetime | None:
    """Return the aware datetime of microseconds, None for None."""
    return None if stamp is None else moment(stamp)


def span(ttl: float | timedelta) -> int | None:
    """Return a time to live in microseconds, None for for ever (`math.inf`).

    Raises InvalidValue for anything not above zero, or too long to be told from for ever.
    """
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0:
        raise InvalidValue("a ttl is seconds above zero, a timedelta, or math.inf for never")
    if seconds == math.inf:
        return None
    if seconds > LONGEST:
        raise InvalidValue(f"a ttl is {LONGEST:,} seconds at most (three thousand years); math.inf means never")
    return max(1, round(seconds * 1_000_000))
