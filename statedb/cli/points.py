"""A point in time, as it is typed."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from statedb.cli.arguments import POINT
from statedb.cli.exits import Usage
from statedb.errors import InvalidKey, NoSuchCheckpoint
from statedb.models import CheckpointType
from statedb.values.names import name

if TYPE_CHECKING:
    from statedb.store import Store

_AGO = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhdw])(?: ago)?", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_MOST_DIGITS = 18


Asked = int | str | datetime | timedelta
"""A point as `Store.at` takes it."""


def point(text: str) -> Asked:
    """Return the point a text means: a revision, a time or how long ago, or else a checkpoint of that name.

    Digits alone are a revision, though ISO 8601 would read eight of them as a day. Usage where it can be no name.
    """
    number = revision(text)
    if number is not None:
        return number
    found = _moment(text)
    return _name(text) if found is None else found


def as_of(store: Store, asked: Asked, agent: str | None) -> Store:
    """Return the store as it was at a point; of several checkpoints of one name the agent's own is meant.

    An automatic one names an instant, at which there need not have been a commit; any other names a commit.
    """
    if isinstance(asked, str):
        with suppress(NoSuchCheckpoint):
            own = store.checkpoints.get(asked, agent_id=agent)
            asked = own.at if own.type is CheckpointType.AUTOMATIC else own.revision
    return store.at(asked)


def revision_at(store: Store, asked: Asked, agent: str | None) -> int:
    """Return the newest revision up to a point; a number is one, be it there or not."""
    return asked if isinstance(asked, int) else as_of(store, asked, agent).transfer.head()


def span(text: str) -> timedelta:
    """Return how long a text says, such as 30m. Usage where it is no such text."""
    told = _AGO.fullmatch(text)
    if told is None or text.endswith("ago"):
        raise Usage(f"{text!r:.80} is no span of time; give a number and a unit: 45s, 30m, 2h, 3d, 1w")
    return _span(float(told[1]), _UNITS[told[2]])


def _moment(text: str) -> datetime | timedelta | None:
    if ago := _AGO.fullmatch(text):
        return _span(float(ago[1]), _UNITS[ago[2]])
    found = _iso(text)
    return _spoken(text) if found is None else found


def _name(text: str) -> str:
    try:
        if text.isascii() and text.isdigit():
            raise InvalidKey("no revision is as high as that")
        return name(text, "the name")
    except InvalidKey as error:
        raise Usage(f"{text!r:.80} names no point; give {POINT} ({error!s:.200})") from None


def revision(text: str) -> int | None:
    """Return the revision a text means, None where it means none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS else None


def _spoken(text: str) -> datetime | timedelta | None:
    from statedb.cli.spoken import spoken

    return spoken(text)


def _iso(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _span(number: float, unit: str) -> timedelta:
    try:
        return timedelta(**{unit: number})
    except OverflowError:
        raise Usage(f"{number:g} {unit} is longer than time is") from None
