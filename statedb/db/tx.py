"""A transaction: one moment of the store, and what the caller has changed in it so far.

Every operation is a plain function over a `Tx`. Reading goes overlay → database; writing only adds to the overlay, and
`journal.flush` turns it into a commit at the end. So a transaction that fails has nothing to take back, and revision,
time and hash are assigned in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import func, select

from statedb import times
from statedb.config import Settings
from statedb.db import cuts, heads
from statedb.db.connection import Connection
from statedb.db.heads import Head
from statedb.db.sessions import FIND_SESSION, Opening, Session, SessionName, session_name
from statedb.db.statements import Statement
from statedb.db.tables import MAIN, state_commits
from statedb.errors import InvalidValue, ReadOnly
from statedb.models import Address, Entry
from statedb.times import EARLIEST
from statedb.values.arguments import said
from statedb.values.codec import NOTHING, Encoded, Stored

NEWEST = Statement(
    select(state_commits.c.revision, state_commits.c.at, state_commits.c.hash).where(
        state_commits.c.revision == select(func.max(state_commits.c.revision)).scalar_subquery()
    )
)


class Point(NamedTuple):
    """A place in the log and the instant it is looked at: expiry changes what is visible without a commit."""

    revision: int
    instant: int


Asked = int | datetime | timedelta
"""A point before it is looked up: a revision, a time, or how long ago."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a shell stands for: the same operations over another context show another branch, moment or actor."""

    settings: Settings
    asked: Asked | None = None
    branch: int = MAIN

    def check_writable(self) -> None:
        """Raise ReadOnly where the shell shows the past."""
        if self.asked is not None:
            raise ReadOnly(f"this store shows {self.asked!s}, and the past is not written; use the store itself")

    def wall(self) -> int:
        """Return the wall clock, in microseconds."""
        return times.micros(self.settings.clock())


@dataclass(slots=True)
class Staged:
    """A key the transaction changes: as the store has it, and as the transaction leaves it.

    `change` is None where only the expiry moves. `entries` are those handed out, which learn their revision later.
    """

    before: Head | None
    head: Head
    change: str | None
    encoded: Encoded | None
    source_version: int | None = None
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Note:
    """Who writes and why: what the caller says about a commit."""

    actor: str | None = None
    message: str | None = None
    context: dict[str, Any] | None = None

    @classmethod
    def of(cls, actor: str | None, message: str | None, context: Mapping[str, Any] | None) -> Note:
        """Return a note of what somebody said. Raises InvalidValue."""
        if context is not None and not isinstance(context, Mapping):
            raise InvalidValue(f"context is {type(context).__name__}; it is a dict")
        return cls(said(actor, "actor"), said(message, "message"), None if context is None else dict(context))

    def say(self, message: str | None) -> None:
        """Add a write's message: the transaction's own comes first, then what its writes said, in order."""
        if said(message, "message") is None:
            return
        if self.message is None:
            self.message = message
        elif message not in self.message.split("\n"):
            self.message = f"{self.message}\n{message}"


class Tx:
    """One transaction. `point` is set where it shows the past, `note` where it may write."""

    __slots__ = (
        "branch",
        "db",
        "expired",
        "hash",
        "newest",
        "note",
        "now",
        "opening",
        "outcomes",
        "point",
        "revision",
        "sessions",
        "settings",
        "staged",
        "wall",
        "written",
    )

    def __init__(self, db: Connection, context: Context) -> None:
        self.db = db
        self.settings = context.settings
        self.wall: Callable[[], int] = context.wall
        self.branch = context.branch
        self.point: Point | None = None
        self.now = 0
        self.newest = 0
        self.revision = 0
        self.hash = b""
        self.note: Note | None = None
        self.staged: dict[Address, Staged] = {}
        self.expired: dict[Address, tuple[Head, Head]] = {}
        self.sessions: dict[SessionName, Session] = {}
        self.opening: Opening | None = None
        self.outcomes: list[Any] = []
        self.written: int | None = None

    def begin(self, note: Note, after: Tx | None = None) -> Tx:
        """Become a transaction that may write: the caller holds the write lock, and time stands still from here.

        `after` is the one written just before under the same lock, which knows the newest commit.
        """
        self.note = note
        if after is None:
            self.revision, self.newest, self.hash = self.db.one(NEWEST, {}) or (0, EARLIEST, b"")
        else:
            self.revision, self.newest, self.hash = after.revision, after.newest, after.hash
        self.now = max(self.wall(), self.newest)
        return self

    @property
    def writing(self) -> Note:
        """What the caller says about what is written."""
        assert self.note is not None, "a transaction that only reads cannot write"
        return self.note

    # ---- reading

    def value(self, at: Address) -> Stored:
        """Return the stored value of a key, NOTHING where there is none. The short way for the most frequent read."""
        if self.point is not None or self.staged or self.expired:
            head = self.find(at)
            return head.stored if head else NOTHING
        row = self.db.one(heads.PRESENT_VALUE, self._where(at))
        if row is None:
            return NOTHING
        codec, text, data, expires_at, newest = row
        if expires_at is not None and expires_at <= self._moment(newest):
            return NOTHING
        return Stored(codec, text, data)

    def find(self, at: Address) -> Head | None:
        """Return a key that has a value, None where it is absent, deleted or expired."""
        head = self.head(at)
        return head if head is not None and self.alive(head) else None

    def head(self, at: Address) -> Head | None:
        """Return a key as it stands, be it a tombstone or expired."""
        if (staged := self.staged.get(at)) is not None:
            return self._seen(at.agent_id, staged.head)
        if at in self.expired:
            return self.expired[at][1]
        if self.point is not None:
            return self.as_of(at, self.point.revision)
        row = self.db.one(heads.PRESENT_ONE, self._where(at))
        return self._seen(at.agent_id, Head(*row)) if row else None

    def as_of(self, at: Address, revision: int) -> Head | None:
        """Return a key as committed at a revision, None where it had no version. Raises Compacted."""
        row = self.db.one(heads.PAST_ONE, {**self._where(at), "revision": revision})
        head = Head(*row) if row else None
        # What has a version there tells its floor itself; only where there is none may that be retention's doing.
        if head is None or head.floor > revision:
            lost = cuts.in_range(self.db, self.branch, at, at.key + "\0", revision)
            cuts.settle(lost, revision, partial=False)
        return head

    def committed(self, at: Address) -> Head | None:
        """Return a key as the log has it, past what this transaction is about to write."""
        if at in self.expired:
            return self.expired[at][0]
        staged = self.staged.get(at)
        return staged.before if staged else self.head(at)

    def alive(self, head: Head) -> bool:
        """Tell whether a head has a value that has not expired."""
        if head.codec is None:
            return False
        return head.expires_at is None or head.expires_at > self._moment(head.newest)

    def range(self, agent_id: str, state_type: str, low: str, high: str) -> list[Head]:
        """Return the keys with a value from `low` up to but not including `high`, in order."""
        rows = self.members(agent_id, state_type, low, high)
        return [head for head in rows if self.alive(head)]

    def members(self, agent_id: str, state_type: str, low: str, high: str) -> list[Head]:
        """Return the keys of a range that have a value or had one until it expired, in order."""
        statement = heads.PRESENT_RANGE if self.point is None else heads.PAST_RANGE
        found = self.db.all(statement, self._within(agent_id, state_type, low, high))
        rows = [self._seen(agent_id, Head(*row)) for row in found]
        overlay = self._overlay(agent_id, state_type, low, high)
        if not overlay:
            return rows
        merged = {head.key: head for head in rows} | overlay
        return [merged[key] for key in sorted(merged) if merged[key].codec is not None]

    def names(self, agent_id: str, state_type: str, low: str, high: str) -> list[str]:
        """Return the names of the keys with a value in a range, in order, without reading the values."""
        statement = heads.PRESENT_NAMES if self.point is None else heads.PAST_NAMES
        rows = self.db.all(statement, self._within(agent_id, state_type, low, high))
        found = {key for key, expires_at, newest in rows if expires_at is None or expires_at > self._moment(newest)}
        for key, head in self._overlay(agent_id, state_type, low, high).items():
            (found.add if self.alive(head) else found.discard)(key)
        return sorted(found)

    def session(self, name: SessionName) -> Session | None:
        """Return a session's clock as it stands."""
        if (staged := self.sessions.get(name)) is not None:
            return staged
        row = self.db.one(FIND_SESSION, {"agent": name.agent_id, "branch": self.branch, "name": name.name})
        if row is None:
            return None
        found, ttl, expires_at = row
        return Session(name, found, ttl, expires_at, was=(ttl, expires_at))

    # ---- inside

    def _moment(self, newest: int | None) -> int:
        """Return the time expiry is judged by, with the newest commit's time as it was read beside the row."""
        if self.point is not None:
            return self.point.instant
        if self.note is not None:
            return self.now
        return max(self.wall(), newest or 0)

    def _seen(self, agent_id: str, head: Head) -> Head:
        """Return a head as read, with the clock of its session as this transaction has moved it."""
        name = session_name(agent_id, head.key) if self.sessions and head.session_id is not None else None
        if name is not None and name in self.sessions:
            head.ttl, head.expires_at = self.sessions[name].ttl, self.sessions[name].expires_at
        return head

    def _overlay(self, agent_id: str, state_type: str, low: str, high: str) -> dict[str, Head]:
        changed = {at: expired for at, (_, expired) in self.expired.items()}
        changed |= {at: staged.head for at, staged in self.staged.items()}
        mine = (agent_id, state_type)
        within = {at.key: head for at, head in changed.items() if at[:2] == mine and low <= at.key < high}
        return {key: self._seen(agent_id, head) for key, head in within.items()}

    def _where(self, at: Address) -> dict[str, Any]:
        return {"agent": at.agent_id, "branch": self.branch, "state_type": at.state_type, "key": at.key}

    def _within(self, agent_id: str, state_type: str, low: str, high: str) -> dict[str, Any]:
        given = {"agent": agent_id, "branch": self.branch, "state_type": state_type, "low": low, "high": high}
        if self.point is not None:
            given["revision"] = self.point.revision
        return given
