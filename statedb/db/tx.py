"""A transaction: one moment of the store, and what the caller has changed in it so far.

Every operation is a plain function over a `Tx`. Reading goes overlay → database; writing only adds to the overlay, and
`journal.flush` turns it into a commit at the end. So a transaction that fails has nothing to take back, and revision,
time and hash are assigned in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from statedb.db import cuts, heads, inherited, ranges
from statedb.db.connection import Connection
from statedb.db.contents import Base, Contents
from statedb.db.context import Context, Point
from statedb.db.deeds import Deed
from statedb.db.earlier import Earlier
from statedb.db.footprint import Footprint, Watched
from statedb.db.heads import Head
from statedb.db.lineage import TRUNK, Level, Line, line_of, upto
from statedb.db.newest import Newest
from statedb.db.ranges import Range
from statedb.db.sessions import FIND_SESSION, UNWRITTEN, Opening, Session, SessionName, session_name
from statedb.db.statements import Parameters, Row, Statement
from statedb.db.tables import MAIN
from statedb.errors import InvalidValue
from statedb.models import Address, Entry, StateType
from statedb.values.arguments import LARGEST, said
from statedb.values.codec import NOTHING, Encoded, Stored
from statedb.values.glob import just_above


@dataclass(slots=True)
class Staged:
    """A key the transaction changes: as the store has it, and as the transaction leaves it.

    `change` is None where only the expiry moves. `base` is what its content is kept as a delta on, where that had to be
    looked up. `entries` are those handed out, which learn their revision later.
    """

    before: Head | None
    head: Head
    change: str | None
    encoded: Encoded | None
    source_version: int | None = None
    base: Base | None = None
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
    """One transaction. `point` is set where it shows the past, `note` where it may write.

    `glancing` is set where a single statement reads all and no snapshot is held, so that the caches may answer, and
    `elsewhere` where level 2 has been asked in vain. `db` is what rooms read by, `connection` what the transaction
    itself does: where others may commit while it runs, it notes what it looks at in a `footprint`, and `db` that it may
    have looked at anything.
    """

    __slots__ = (
        "agents",
        "ancestors",
        "asides",
        "branch",
        "cache",
        "clock",
        "connection",
        "contents",
        "db",
        "deeds",
        "due",
        "earlier",
        "elsewhere",
        "expired",
        "footprint",
        "found",
        "glancing",
        "hash",
        "joined",
        "kind",
        "lease_clock",
        "leases",
        "locks",
        "merge_parent",
        "named",
        "newest",
        "note",
        "now",
        "opening",
        "outcomes",
        "point",
        "policies",
        "revision",
        "schedule",
        "sessions",
        "settings",
        "staged",
        "streams",
        "token",
        "told",
        "wall",
        "written",
    )

    ancestors: Line
    branch: int
    clock: int
    now: int
    leases: int
    newest: int
    policies: int
    revision: int
    hash: bytes
    contents: Contents

    def __init__(self, connection: Connection, context: Context, footprint: Footprint | None = None) -> None:
        self.connection = connection
        self.footprint = footprint
        self.db: Connection = connection if footprint is None else Watched(connection, footprint)
        self.settings = context.settings
        self.wall: Callable[[], int] = connection.wall
        if context.branch is None:
            self.branch, self.ancestors = MAIN, ()
        self.named = context.branch
        self.cache = context.cache
        self.schedule = context.schedule
        self.glancing = False
        self.elsewhere: Any = None
        self.point: Point | None = None
        self.note: Note | None = None
        self.earlier: Earlier | None = None
        self.staged: dict[Address, Staged] = {}
        self.expired: dict[Address, tuple[Head, Head]] = {}
        self.sessions: dict[SessionName, Session] = {}
        self.found: dict[Address, Row | None] = {}
        self.agents: dict[str, int] = {}
        self.opening: Opening | None = None
        self.deeds: list[Deed] = []
        self.asides: list[Callable[[Tx], None]] = []
        self.locks: dict[Any, Any] = {}
        self.streams: dict[str, Any] = {}
        self.lease_clock: int | None = None
        self.due: int | None = None
        self.kind: str | None = None
        self.joined = False
        self.merge_parent: int | None = None
        self.outcomes: list[Any] = []
        self.told: list[Any] = []
        self.token: str | None = None
        self.written: int | None = None

    def begin(self, note: Note, after: Tx | None = None) -> Tx:
        """Become a transaction that may write; time stands still from here.

        `after` is the one written just before in the same transaction of the database, which knows the newest commit.
        """
        self.note = note
        if after is None:
            self._stand(self.connection.newest())
        else:
            self.revision, self.newest, self.hash, self.clock = after.revision, after.newest, after.hash, after.clock
            self.policies, self.leases = after.policies, after.leases
            self.now = max(self.time(), self.newest)
        return self

    def make_many(self) -> None:
        """Prepare for making many commits: each is read through what those before it left, and rows go in bulk."""
        self.earlier = self.earlier or Earlier()
        self.connection.gather()

    def __getattr__(self, name: str) -> Any:
        # Where the log stands may be asked for with the first thing that is read, in one journey to the server: so it
        # is looked up when somebody wants to know, unless `begin` has done so already.
        if name == "contents":
            self.contents = Contents(self.connection, {} if self.earlier is None else self.earlier.links)
            return self.contents
        if name in ("branch", "ancestors"):
            self.stand_on(self.named or TRUNK)
            return getattr(self, name)
        if name not in ("now", "newest", "revision", "hash", "clock", "policies", "leases"):
            raise AttributeError(name)
        self._stand(self.connection.newest())
        return getattr(self, name)

    def stand_on(self, name: str) -> None:
        """Read and write on a branch from now on. Raises NoSuchBranch."""
        if self.footprint is not None:
            self.footprint.wider.add(("", "branch", name, just_above(name)))
        mine, *beneath = line_of(self.connection, name)
        self.named, self.branch, self.ancestors = name, mine.branch, tuple(beneath)

    @property
    def line(self) -> Line:
        """What is seen of this branch and of those beneath it, nearest first."""
        return (Level(self.branch, LARGEST), *self.ancestors)

    def _stand(self, newest: Newest) -> None:
        self.revision, self.newest, self.hash, self.clock, self.policies, self.leases = newest
        self.now = max(self.time(), self.newest)

    def time(self) -> int:
        """Return the wall clock's time, or the server's at the transaction's beginning, in microseconds."""
        return max(self.wall(), self.clock)

    @property
    def writing(self) -> Note:
        """What the caller says about what is written."""
        assert self.note is not None, "a transaction that only reads cannot write"
        return self.note

    # ---- reading

    def value(self, at: Address) -> Stored:
        """Return the stored value of a key, NOTHING where there is none. The short way for the most frequent read."""
        if self.note is not None or self.point is not None or self.ancestors:
            head = self.find(at)
            return head.stored if head else NOTHING
        row = self.connection.one(heads.PRESENT_VALUE, self.where(at))
        if row is None:
            return NOTHING
        codec, text, data, expires_at, newest, _ = row
        if expires_at is not None and expires_at <= self.moment(newest):
            return NOTHING
        return Stored(codec, text, data)

    def find(self, at: Address) -> Head | None:
        """Return a key that has a value, None where it is absent, deleted or expired."""
        head = self.head(at)
        return head if head is not None and self.alive(head) else None

    def head(self, at: Address) -> Head | None:
        """Return a key as it stands, be it a tombstone or expired."""
        if (staged := self.staged.get(at)) is not None:
            return self.seen(at.agent_id, at.state_type, staged.head)
        if at in self.expired:
            return self.expired[at][1]
        if self.point is not None:
            return self.as_of(at, self.point.revision)
        if self.footprint is not None:
            self.footprint.keys.add(at)
        if self.earlier is not None and (left := self.earlier.on(self.branch).heads.get(at)) is not None:
            return self.seen(at.agent_id, at.state_type, left.copy())
        row = self._row(at)
        if row is None:
            return inherited.head(self, at) if self.ancestors else None
        return self.seen(at.agent_id, at.state_type, Head(*row))

    def as_of(self, at: Address, revision: int) -> Head | None:
        """Return a key as committed at a revision, None where it had no version. Raises Compacted."""
        for level in upto(self.line, revision):
            given = {**self.where(at), "branch": level.branch, "revision": level.top}
            row = self.db.one(heads.PAST_ONE, given)
            head = self.contents.heads([row])[0] if row else None
            # What has a version there tells its floor itself; only where there is none may that be retention's doing.
            if head is None or head.floor > level.top:
                lost = cuts.in_range(self.db, (level,), at, just_above(at.key), level.top)
                cuts.settle(lost, level.top, partial=False)
            if head is not None:
                own = level.branch == self.branch
                return head if own else inherited.adopted(self, at.agent_id, at.state_type, head, revision)
        return None

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
        if head.expires_at is None:
            return True
        alive = head.expires_at > self.moment(head.newest)
        if alive and self.footprint is not None:
            self.footprint.ends(head.expires_at)
        return alive

    def range(self, agent_id: str, state_type: str, low: str, high: str) -> list[Head]:
        """Return the keys with a value from `low` up to but not including `high`, in order."""
        return [head for head in self.members(agent_id, state_type, low, high) if self.alive(head)]

    def members(self, agent_id: str, state_type: str, low: str, high: str) -> list[Head]:
        """Return the keys of a range that have a value or had one until it expired, in order."""
        return ranges.members(self, Range(agent_id, state_type, low, high))

    def names(self, agent_id: str, state_type: str, low: str, high: str) -> list[str]:
        """Return the names of the keys with a value in a range, in order, without reading the values."""
        if self.note is not None or self.ancestors:
            return [head.key for head in self.range(agent_id, state_type, low, high)]
        return ranges.names(self, Range(agent_id, state_type, low, high))

    def session(self, name: SessionName) -> Session | None:
        """Return a session's clock as it stands."""
        if (staged := self.sessions.get(name)) is not None:
            return staged
        if self.footprint is not None:
            self.footprint.wider.add((name.agent_id, StateType.SESSION.value, name.low, name.high))
        if self.earlier is not None and (left := self.earlier.on(self.branch).sessions.get(name)) is not None:
            return left.settled()
        row = self.once(FIND_SESSION, {"agent": name.agent_id, "branch": self.branch, "name": name.name})
        if row is None:
            return inherited.session(self, name, self.ancestors) if self.ancestors else None
        return Session(name, *row).settled()

    def where(self, at: Address) -> dict[str, Any]:
        """Return what the statements on one key are given."""
        return {"agent": at.agent_id, "branch": self.branch, "state_type": at.state_type, "key": at.key}

    def moment(self, newest: int | None) -> int:
        """Return the time expiry is judged by, with the newest commit's time as it was read beside the row."""
        if self.point is not None:
            return self.point.instant
        if self.note is not None:
            return self.now
        return max(self.wall(), newest or 0)

    # ---- inside

    def _row(self, at: Address) -> Row | None:
        if self.note is None:
            return self.connection.one(heads.PRESENT_ONE, self.where(at))
        # A transaction that writes sees one moment, so it asks once: `update` would ask twice, of a server far away.
        if at not in self.found:
            self.found[at] = self.once(heads.PRESENT_ONE, self.where(at))
        return self.found[at]

    def once(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Return the first row as the database has it; what earlier ones of a batch have kept back lies over it."""
        if self.earlier is None:
            return self.connection.one(statement, parameters)
        rows = self.connection.beneath(statement, parameters)
        return rows[0] if rows else None

    def seen(self, agent_id: str, state_type: str, head: Head) -> Head:
        """Return a head as read, with the clock of its session as it has been moved, or has begun, since."""
        name = session_name(agent_id, head.key) if state_type == StateType.SESSION else None
        moved = None if name is None else self.sessions.get(name)
        if moved is None and name is not None and self.earlier is not None:
            moved = self.earlier.on(self.branch).sessions.get(name)
        if moved is not None:
            head.ttl, head.expires_at = moved.ttl, moved.expires_at
            head.session_id = UNWRITTEN if moved.id is None else moved.id
        return head
