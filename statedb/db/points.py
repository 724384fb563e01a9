"""A point as a caller names it, made a place in the log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, func, select

from statedb.db import checkpoints
from statedb.db.context import Asked, Point
from statedb.db.statements import Statement
from statedb.db.tables import state_commits
from statedb.db.tx import Tx
from statedb.errors import InvalidKey, InvalidValue, NoSuchRevision
from statedb.times import EARLIEST, LATEST, micros, moment
from statedb.values.arguments import LARGEST
from statedb.values.names import name

_c = state_commits.c
_x = state_commits.alias("x").c

# The commit at a revision, or the nearest before it.
_NEAREST = Statement(
    select(_c.revision, _c.at).where(
        _c.revision == select(func.max(_x.revision)).where(_x.revision <= bindparam("revision")).scalar_subquery()
    )
)


Named = int | str | datetime | timedelta
"""A point as a caller names it."""


def checked(asked: Any) -> Asked:
    """Return a point that can be looked up. Raises InvalidValue for what cannot be one.

    A text becomes the datetime it means, or else is taken for a checkpoint's name.
    """
    if isinstance(asked, datetime | timedelta) or type(asked) is int:
        return asked
    try:
        if not isinstance(asked, str):
            raise InvalidKey(f"it is {type(asked).__name__}")
        return time_in(asked) or name(asked, "the name")
    except InvalidKey as error:
        raise InvalidValue(
            f"{asked!r:.80} names no point: give a revision, a time (ISO 8601 or datetime), how long ago (timedelta), "
            f"or a checkpoint's name ({error!s:.200})"
        ) from None


def time_in(text: str) -> datetime | None:
    """Return the time a text means in ISO 8601, None where it means none."""
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None


def resolve(tx: Tx, asked: Asked, agent_id: str | None = None) -> Point:
    """Return the place in the log of a checked point. NoSuchRevision for the future, NoSuchCheckpoint.

    A revision means its commit's own time; a time means the last commit at or before it, looked at then. Of the
    checkpoints of one name `agent_id` says whose is meant, as `checkpoints.meant` has it.
    """
    if isinstance(asked, str):
        return checkpoints.point_of(tx, checkpoints.meant(tx, asked, agent_id))
    newest, now = newest_point(tx)
    if isinstance(asked, int):
        return _at_revision(tx, asked, newest)
    instant = max(EARLIEST, now - micros_of(asked)) if isinstance(asked, timedelta) else micros(asked)
    return _at_time(tx, instant, newest, now)


def span(tx: Tx, since: Named | None, until: Named | None, agent_id: str | None = None) -> tuple[int, int]:
    """Return the revision after which, and the one up to which, something of an agent or of all is asked for."""
    top = tx.point.revision if tx.point else LARGEST
    first = 0 if since is None else resolve(tx, checked(since), agent_id).revision
    return first, top if until is None else min(top, resolve(tx, checked(until), agent_id).revision)


def micros_of(ago: timedelta) -> int:
    return ago // timedelta(microseconds=1)


def fresh_name(text: str) -> str:
    """Return a text as the name of a checkpoint. Raises InvalidKey for one that is a time wherever a point is asked."""
    called = name(text, "checkpoint name")
    if time_in(called) is not None:
        raise InvalidKey(f"{called!r:.80} is a time wherever a point is asked for; call the checkpoint something else")
    return called


def newest_point(tx: Tx) -> Point:
    """Return the newest place there is, which in a store that shows the past is the one it shows."""
    if tx.point is not None:
        return tx.point
    if tx.note is not None:  # time stands still inside a transaction
        return Point(tx.revision, tx.now)
    newest = tx.db.newest()
    return Point(newest.revision, max(tx.wall(), newest.at, newest.clock))


def _at_revision(tx: Tx, revision: int, newest: int) -> Point:
    if not 0 <= revision <= newest:
        raise NoSuchRevision(f"there is no revision {revision}: the store is at {newest}")
    row = tx.db.one(_NEAREST, {"revision": revision})
    return Point(revision, row[1] if row else EARLIEST)


def _at_time(tx: Tx, instant: int, newest: int, now: int) -> Point:
    if instant > now:
        asked = moment(min(instant, LATEST))
        raise NoSuchRevision(f"{asked.isoformat()} lies in the future: it is {moment(now).isoformat()}")
    return Point(last_before(tx, instant, newest), instant)


def last_before(tx: Tx, instant: int, newest: int) -> int:
    """Return the last revision made at or before an instant, 0 where there is none.

    Times never go back along the log, so this is a binary search over the primary key, and times need no index.
    """
    low, high = 0, newest
    while low < high:
        middle = (low + high + 1) // 2
        row = tx.db.one(_NEAREST, {"revision": middle})
        if row is None or row[1] <= instant:
            low = middle
        else:
            high = row[0] - 1
    return low
