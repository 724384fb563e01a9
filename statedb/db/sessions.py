"""A session: the clock that the keys below one name share, so that they expire together.

    session "c7", ttl 1 h ── expires_at ◀── every write to c7/…, restarts it
        ├── c7/topic
        └── c7/draft      neither has an expiry of its own

One clock instead of one expiry per key: a write restarts it with one row, however many keys the session holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import and_, bindparam, func, select

from statedb.db.statements import Statement
from statedb.db.tables import agents, session_touches, sessions
from statedb.times import LATEST


class SessionName(NamedTuple):
    """Whose session, and what it is called."""

    agent_id: str
    name: str

    @property
    def low(self) -> str:
        """The lowest key of the session; its keys all begin with this."""
        return f"{self.name}/"

    @property
    def high(self) -> str:
        """The key just above the session's highest: "0" is the character after "/"."""
        return f"{self.name}0"


class Opening(NamedTuple):
    """The session a handle writes to: begun by the first write, with `ttl` where the handle was told one.

    One that is not `sliding` ends so long after it began, whatever is written to it meanwhile; or, with `ends`, then.
    """

    name: SessionName
    ttl: int | None
    told: bool
    sliding: bool = True
    ends: int | None = None


@dataclass(slots=True)
class Session:
    """A session's clock, in microseconds: without `ttl` no write restarts it, and without `expires_at` it never ends.

    `id` is None until it is written. `was` is what the database has; None for a session it has not.
    """

    @property
    def moved(self) -> bool:
        return self.was != (self.ttl, self.expires_at)

    @property
    def is_absolute(self) -> bool:
        """Whether it ends at a time that no write moves."""
        return self.ttl is None and self.expires_at is not None

    name: SessionName
    id: int | None
    ttl: int | None
    expires_at: int | None
    was: tuple[int | None, int | None] | None = None

    def settled(self) -> Session:
        """Return a clock of its own, as one the database has."""
        return Session(self.name, self.id, self.ttl, self.expires_at, was=(self.ttl, self.expires_at))

    def ended(self, now: int) -> bool:
        return self.expires_at is not None and self.expires_at <= now


class Told(NamedTuple):
    """A ttl in microseconds that a write was told for itself."""

    ttl: int | None


Clock = tuple[int | None, int | None]
"""A ttl, and when that ends."""


def restarted(now: int, session: Session | None, opening: Opening | None, told: Told | None, default: int) -> Clock:
    """Return a session's clock after a write; one that had ended, or is none yet, begins."""
    stands = session is not None and session.is_absolute and not session.ended(now)
    of_handle = opening if opening is not None and (opening.told or session is None) else None
    if told is not None:
        return clock(now, told.ttl, sliding=not stands and (of_handle is None or of_handle.sliding))
    if session is not None and stands and (of_handle is None or not of_handle.sliding):
        return session.ttl, session.expires_at
    if of_handle is not None:
        begun = clock(now, of_handle.ttl, sliding=of_handle.sliding)
        return begun if of_handle.ends is None else (None, of_handle.ends)
    if session is not None and not session.is_absolute:
        return clock(now, session.ttl)
    # It had ended, and nothing tells how long it was meant to be.
    return clock(now, default) if opening is None else clock(now, opening.ttl, sliding=opening.sliding)


def clock(now: int, ttl: int | None, *, sliding: bool = True) -> Clock:
    """Return the clock of a session that begins at a time."""
    return ttl if sliding else None, None if ttl is None else min(now + ttl, LATEST)


UNWRITTEN = 0
"""Stands for the id of a session that the running transaction makes."""

_w, _a = sessions.c, agents.c

FIND_SESSION = Statement(
    select(_w.id, _w.ttl, _w.expires_at)
    .select_from(agents.join(sessions, _w.agent_id == _a.id))
    .where(_a.name == bindparam("agent"), _w.branch_id == bindparam("branch"), _w.name == bindparam("name"))
)
_t, _x = session_touches.c, session_touches.alias("x").c
_newest = select(func.max(_x.revision)).where(_x.session_id == _w.id, _x.revision <= bindparam("revision"))
PAST_SESSION = Statement(
    select(_t.ttl, _t.expires_at)
    .select_from(
        agents.join(sessions, _w.agent_id == _a.id).join(
            session_touches, and_(_t.session_id == _w.id, _t.revision == _newest.scalar_subquery())
        )
    )
    .where(_a.name == bindparam("agent"), _w.branch_id == bindparam("branch"), _w.name == bindparam("name"))
)


def session_name(agent_id: str, key: str) -> SessionName | None:
    """Return the session a key of the session tier would belong to: what stands before its first slash."""
    name, slash, _ = key.partition("/")
    return SessionName(agent_id, name) if slash else None
