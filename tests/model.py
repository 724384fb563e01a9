"""A store in plain Python: what TOUR.md says, without a database. Slow, whole copies everywhere, nothing clever.

A `Work` is a transaction: it changes a copy, and committing compares the copy with what was.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from statedb import TIERS, StateType
from statedb.values.same import same

Where = tuple[str, str, str]
SessionName = tuple[str, str]
KEEP: Literal["keep"] = "keep"
"""In place of a ttl: the key's own, restarted."""


class Gone:
    def __repr__(self) -> str:
        return "GONE"

    def __deepcopy__(self, memo: object) -> Gone:
        return self


GONE = Gone()


class Content(NamedTuple):
    value: Any
    metadata: dict[str, Any] | None


class Lease(NamedTuple):
    """A ttl and when it ends, microseconds; None is for ever."""

    ttl: int | None
    at: int | None


FOREVER = Lease(None, None)
DAY = 24 * 3600.0


@dataclass
class Made:
    """A version."""

    content: Content
    change: str
    at: int
    by: str | None
    revision: int
    source: int | None
    expires_at: int | None


@dataclass
class Key:
    made: list[Made] = field(default_factory=list)
    lease: Lease = FOREVER
    created: tuple[int, str | None] = (0, None)

    @property
    def content(self) -> Content:
        return self.made[-1].content if self.made else Content(GONE, None)


class Seen(NamedTuple):
    """A key as a snapshot has it: how many versions, until when, made when and by whom."""

    version: int
    expires_at: int | None
    created: tuple[int, str | None]


class Change(NamedTuple):
    where: Where
    change: str
    old: Any
    new: Any
    version: int
    metadata: dict[str, Any] | None


class Commit(NamedTuple):
    kind: str
    at: int
    by: str | None
    changes: list[Change]


def session_of(where: Where) -> SessionName | None:
    """Return the session a key belongs to once that exists."""
    agent, tier, key = where
    name, slash, _ = key.partition("/")
    return (agent, name) if tier == "session" and slash else None


def moment(stamp: int | None) -> datetime | None:
    return None if stamp is None else datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=stamp)


def lease(now: int, ttl: Any) -> Lease:
    if ttl is None or math.isinf(ttl):
        return FOREVER
    return Lease(round(ttl * 1_000_000), now + round(ttl * 1_000_000))


class Model:
    def __init__(self) -> None:
        self.keys: dict[Where, Key] = {}
        self.sessions: dict[SessionName, Lease] = {}
        self.commits: list[Commit] = []
        self.snapshots: list[dict[Where, Seen]] = [{}]

    def now(self, wall: int) -> int:
        return max(wall, self.commits[-1].at if self.commits else 0)

    def expires_at(self, where: Where) -> int | None:
        name = session_of(where)
        return self.sessions[name].at if name in self.sessions else self.keys[where].lease.at

    def append(self, commit: Commit) -> None:
        self.commits.append(commit)
        seen = {where: Seen(len(key.made), self.expires_at(where), key.created) for where, key in self.keys.items()}
        self.snapshots.append(seen)

    def alive(self, revision: int, instant: int) -> dict[Where, Made]:
        """Return what could be read at a point."""
        found = self.snapshots[revision].items()
        made = {where: self.keys[where].made[seen.version - 1] for where, seen in found if seen.version}
        expiry = {where: seen.expires_at for where, seen in found}
        return {
            where: each
            for where, each in sorted(made.items())
            if each.content.value is not GONE and ((at := expiry[where]) is None or at > instant)
        }

    def revision_at(self, instant: int) -> int:
        return sum(commit.at <= instant for commit in self.commits)


@dataclass
class Work:
    """A transaction over a model."""

    model: Model
    now: int
    actor: str | None = None

    def __post_init__(self) -> None:
        keys = self.model.keys
        self.contents = {where: key.content for where, key in keys.items()}
        self.leases = {where: key.lease for where, key in keys.items()}
        self.sessions = dict(self.model.sessions)
        self.opened: dict[SessionName, tuple[float | None, bool]] = {}
        self.moved: set[SessionName] = set()
        self.ended: set[Where] = set()
        self.expired: set[Where] = set()
        self.sources: dict[Where, int] = {}

    # ---- reading

    def value(self, where: Where) -> Any:
        content = self.contents.get(where)
        return GONE if content is None or not self.is_alive(where) else content.value

    def is_alive(self, where: Where) -> bool:
        if self.contents.get(where, Content(GONE, None)).value is GONE:
            return False
        name = session_of(where)
        ends = self.leases[where].at
        if name in self.sessions and (name in self.model.sessions or name in self.moved):
            ends = self.sessions[name].at
        return ends is None or ends > self.now

    def listed(self, agent: str, tier: str) -> list[tuple[str, Any]]:
        return [
            (w[2], self.contents[w].value) for w in sorted(self.contents) if w[:2] == (agent, tier) and self.is_alive(w)
        ]

    def base(self, where: Where) -> Content:
        """Return a key as the transaction found it, its expiry recorded."""
        key = self.model.keys.get(where)
        return Content(GONE, None) if key is None or where in self.expired else key.content

    def version(self, where: Where) -> int:
        key = self.model.keys.get(where)
        return (len(key.made) if key else 0) + (where in self.expired) + (self.change(where) is not None)

    def change(self, where: Where) -> str | None:
        base, content = self.base(where), self.contents.get(where, Content(GONE, None))
        if content.value is GONE:
            return None if base.value is GONE else "expire" if where in self.ended else "delete"
        if base.value is GONE:
            return "create"
        return None if same(list(base), list(content)) else "update"

    # ---- writing

    def put(self, where: Where, value: Any, metadata: Any = None, ttl: Any = None, source: int | None = None) -> None:
        if self.contents.get(where, Content(GONE, None)).value is not GONE and not self.is_alive(where):
            self.record(where)
        if value is GONE and self.base(where).value is GONE:
            self.contents[where], self.leases[where] = Content(GONE, None), FOREVER
            return
        self.restart(where, ttl)
        self.renew(where, ttl)
        if value is GONE:
            self.leases[where] = FOREVER
        self.contents[where] = Content(deepcopy(value), metadata)
        self.ended.discard(where)
        self.sources.pop(where, None)
        if source is not None:
            self.sources[where] = source

    def touch(self, where: Where, ttl: Any) -> bool:
        if not self.is_alive(where):
            return False
        self.restart(where, ttl)
        self.renew(where, ttl)
        return True

    def renew(self, where: Where, ttl: Any) -> None:
        """Set a key's own lease."""
        tier = TIERS[StateType(where[1])].ttl
        if ttl is KEEP and self.contents.get(where, Content(GONE, None)).value is not GONE:
            own = self.leases[where].ttl
            self.leases[where] = lease(self.now, None if own is None else own / 1_000_000)
        elif ttl is None or ttl is KEEP:
            self.leases[where] = lease(self.now, None if tier is None else tier.total_seconds())
        else:
            self.leases[where] = lease(self.now, ttl)

    def restart(self, where: Where, ttl: Any) -> None:
        """Restart the clock of the session a key belongs to; one that had ended begins anew, without its old keys."""
        name = session_of(where)
        if name is None or name not in self.sessions:
            return
        known, (handles, slides) = self.sessions[name], self.opened.pop(name, (None, True))
        ended = known.at is not None and known.at <= self.now
        if ended:
            self.record_members(name)
        self.moved.add(name)
        fixed = known.ttl is None and known.at is not None and not ended
        told = ttl is not None and ttl is not KEEP
        if fixed and not told and (handles is None or not slides):
            return
        if told:
            made, slides = lease(self.now, ttl), not fixed and (handles is None or slides)
        elif handles is not None:
            made = lease(self.now, handles)
        elif known.ttl is not None or known.at is None:
            made, slides = Lease(known.ttl, None if known.ttl is None else self.now + known.ttl), True
        else:
            made = lease(self.now, DAY)  # nothing tells how long it was to be
        self.sessions[name] = made if slides else Lease(None, made.at)

    def open(self, name: SessionName, ttl: float | None, sliding: bool) -> None:
        if name not in self.sessions:
            self.record_members(name)
            self.sessions[name] = FOREVER
            ttl = DAY if ttl is None else ttl
        self.opened[name] = (ttl, sliding)

    def close(self, name: SessionName) -> bool:
        known = self.sessions.get(name)
        if known is None or (known.at is not None and known.at <= self.now):
            return False
        for where in self.members(name):
            self.ended.add(where)
            self.contents[where], self.leases[where] = Content(GONE, None), FOREVER
        self.sessions[name] = Lease(known.ttl, self.now)
        self.moved.add(name)
        return True

    def sweep(self) -> int:
        late = [w for w, content in self.contents.items() if content.value is not GONE and not self.is_alive(w)]
        for where in late:
            self.record(where)
        return len(late)

    def record(self, where: Where) -> None:
        self.expired.add(where)
        self.contents[where], self.leases[where] = Content(GONE, None), FOREVER

    def record_members(self, name: SessionName) -> None:
        for where in self.members(name):
            if not self.is_alive(where):
                self.record(where)

    def members(self, name: SessionName) -> list[Where]:
        return [w for w, content in self.contents.items() if session_of(w) == name and content.value is not GONE]

    # ---- committing

    def commit(self) -> int | None:
        """Make what was done part of the model; return the revision, None where nothing was done."""
        model, before = self.model, len(self.model.commits)
        # A clock that was set to what it showed already did not move.
        self.moved = {name for name in self.moved if self.sessions[name] != model.sessions.get(name)}
        changes = {where: change for where in sorted(self.contents) if (change := self.change(where))}
        touches = [where for where in sorted(self.contents) if where not in changes and self.is_touched(where)]
        if self.expired:
            lines = [self.append(where, Content(GONE, None), "expire", None) for where in sorted(self.expired)]
            model.append(Commit("expire", self.now, None, lines))
        if changes or touches or self.moved:
            lines = [self.append(where, self.contents[where], change, self.actor) for where, change in changes.items()]
            for where in touches:
                model.keys[where].lease = self.leases[where]
            for name in self.moved:
                model.sessions[name] = self.sessions[name]
            for where, key in model.keys.items():
                if session_of(where) in model.sessions:
                    key.lease = FOREVER
            made = set(changes.values())
            kind = "touch" if not made else "expire" if made == {"expire"} else "write"
            model.append(Commit(kind, self.now, self.actor, lines))
        return len(model.commits) if len(model.commits) > before else None

    def is_touched(self, where: Where) -> bool:
        if where not in self.model.keys or session_of(where) in self.model.sessions.keys() | self.moved:
            return False
        return self.contents[where].value is not GONE and self.leases[where] != self.model.keys[where].lease

    def append(self, where: Where, content: Content, change: str, by: str | None) -> Change:
        key = self.model.keys.setdefault(where, Key())
        old = key.content.value
        if change == "create":
            key.created = (self.now, by)
        key.lease = FOREVER if change == "expire" else self.leases[where]
        joined = session_of(where) in self.model.sessions.keys() | self.moved and change != "expire"
        revision = len(self.model.commits) + 1
        made = Made(content, change, self.now, by, revision, None, None if joined else key.lease.at)
        key.made.append(made if change == "expire" else replace(made, source=self.sources.get(where)))
        return Change(where, change, old, content.value, len(key.made), content.metadata)


def shown(value: Any) -> Any:
    """Return a value as the store shows it: None where there is none."""
    return None if value is GONE else value


def live(items: dict[Where, Made]) -> Iterator[tuple[Where, Any]]:
    return ((where, made.content.value) for where, made in items.items())
