"""Where a reader of the log stands, and what is read from there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, TypeVar

from statedb.errors import InvalidValue, NoSuchRevision, StaleCursor
from statedb.values.arguments import natural

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far somebody has read: everything up to a revision, of one incarnation of a store.

    A store restored from a backup is another incarnation: its revisions may say something else.
    """

    incarnation: str
    revision: int


@dataclass(frozen=True, slots=True)
class Bookmark:
    """News that there is no news: up to here nothing has happened that was asked for, as of `at`."""

    cursor: Cursor
    at: datetime


class Page(NamedTuple, Generic[T_co]):
    """What was found after a place in the log: everything there is up to `upto`; there may be `more` behind that."""

    found: list[T_co]
    upto: int
    more: bool
    at: int


def started(since: object, standing: Cursor, what: str = "revision") -> Cursor:
    """Return where to read from, of a store that stands at some place: from there if nothing was said.

    Raises NoSuchRevision for a place the store has not reached, and StaleCursor for one of another incarnation.
    """
    if since is None:
        return standing
    if not isinstance(since, Cursor):
        if type(since) is not int:
            raise InvalidValue(f"since is {since!r:.80}; it is a {what}, a Cursor, or None for now")
        since = Cursor(standing.incarnation, natural(since, "since"))
    if since.incarnation != standing.incarnation:
        raise StaleCursor(
            f"the cursor at {what} {since.revision} is of another incarnation of the store, before a backup was "
            "restored; read what stands now, and go on from there"
        )
    if natural(since.revision, "the revision of the cursor") > standing.revision:
        raise NoSuchRevision(f"there is no {what} {since.revision}: the store is at {standing.revision}")
    return since
