"""Events read: of one stream or of all, forward and backward, now or as of a revision; and snapshots.

Revisions rise with versions and positions alike: what stood as of a revision is what comes before the first beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Select, bindparam, func, literal_column, select

from statedb.db.entries import json_object, shown
from statedb.db.pairs import select_names
from statedb.db.statements import Row, Statement
from statedb.db.streams import LAST_VERSION, KeptSnapshot, Stream, digest_of_text, top_of
from statedb.db.tables import agents, event_streams, state_commits, stream_events, stream_snapshots
from statedb.db.tx import Tx
from statedb.models import UNAVAILABLE
from statedb.times import moment
from statedb.values.arguments import LARGEST
from statedb.values.codec import Stored
from statedb.values.event import EventStream, RecordedEvent, StreamSnapshot
from statedb.values.glob import Glob, glob
from statedb.values.names import name

_PAGE = 500
"""Events read at once where all of a stream are wanted, or few of many."""


# ---- a stream's


def read(
    tx: Tx, stream: Stream, first: int = 1, last: int = LARGEST, limit: int = LARGEST, *, backward: bool = False
) -> list[RecordedEvent]:
    """Return a stream's events from one version up to another, at most so many from that end."""
    staged = [stream.copied(tx, each) for each in stream.events if first <= each.version <= last]
    found: list[RecordedEvent] = []
    if stream.id is not None and first <= last:
        given = {"stream": stream.id, "first": first, "last": last, "limit": limit, "top": top_of(tx)}
        found = [_event(stream.name, row) for row in tx.db.all(_EVENTS[backward], given)]
    return ([*reversed(staged), *found] if backward else [*found, *staged])[:limit]


def pages(tx: Tx, stream: Stream, first: int, last: int) -> Iterator[list[RecordedEvent]]:
    """Yield a stream's events from one version up to another, some hundred at a time."""
    while page := read(tx, stream, first, last, _PAGE):
        yield page
        first = page[-1].version + 1


def marks(tx: Tx, stream: Stream, first: int, last: int) -> list[tuple[str, str, str]]:
    """Return the ids, types and digests of a stream's events from one version up to another."""
    given = {"stream": stream.id, "first": first, "last": last}
    rows = [] if stream.id is None else tx.db.all(_MARKS, given)
    before = stream.version - len(stream.marks)
    staged = stream.marks[max(first - before - 1, 0) : max(last - before, 0)]
    return [(id, type, digest.hex()) for id, type, digest in rows] + [mark[:3] for mark in staged]


# ---- the store's


def listed(tx: Tx, agent_id: str | None, names: Glob) -> list[EventStream]:
    """Return the streams of an agent, or all of them, whose names match, in order of their names."""
    given = {"agent": agent_id, "low": names.low, "high": names.high, "top": top_of(tx)}
    found = {
        name: EventStream(name, agent, version, made, moment(made_at), changed, moment(changed_at))
        for name, agent, version, made, made_at, changed, changed_at in tx.db.all(_LISTED[agent_id is not None], given)
    }
    for stream in tx.streams.values():
        if stream.events and agent_id in (None, stream.agent_id) and names.low <= stream.name < names.high:
            found[stream.name] = _left(stream, found.get(stream.name))
    return [found[name] for name in sorted(names.pick(list(found)))]


def _left(stream: Stream, before: EventStream | None) -> EventStream:
    made, changed = (0, stream.events[0].at), (0, stream.events[-1].at)
    if before is not None:
        made = (before.created_revision, before.created_at)
    return EventStream(stream.name, stream.agent_id, stream.version, *made, *changed)


class Wanted(NamedTuple):
    """Which events of the store: an agent's, a stream's, those of some types, of streams whose names match."""

    agent_id: str | None = None
    stream_id: str | None = None
    types: tuple[str, ...] | None = None
    names: Glob | None = None

    @classmethod
    def of(cls, agent_id: str | None, stream: str | None, types: str | Iterable[str] | None, pattern: str) -> Wanted:
        """Return which events are meant. Raises InvalidKey."""
        several = None
        if types is not None:
            several = tuple(name(each, "event type") for each in ([types] if isinstance(types, str) else types))
        return cls(
            None if agent_id is None else name(agent_id, "agent_id"),
            None if stream is None else name(stream, "stream"),
            several,
            None if pattern == "*" else glob(name(pattern, "pattern")),
        )

    def takes(self, stream: Stream, event: RecordedEvent) -> bool:
        """Tell whether an event is one of them."""
        of = self.agent_id in (None, stream.agent_id) and self.stream_id in (None, event.stream_id)
        named = self.names is None or self.names.takes(event.stream_id)
        return of and named and (self.types is None or event.type in self.types)


def everything(
    tx: Tx, first: int, last: int, limit: int, wanted: Wanted, *, backward: bool = False
) -> list[RecordedEvent]:
    """Return events of the whole store from one position up to another, at most so many from that end."""
    found: list[RecordedEvent] = []
    own = [(stream, each) for stream in tx.streams.values() for each in stream.events if wanted.takes(stream, each)]
    staged = [stream.copied(tx, each) for stream, each in own if first <= each.position <= last]
    staged.sort(key=lambda each: each.position)
    if backward:
        found += reversed(staged)
    by = (wanted.agent_id is not None, wanted.stream_id is not None, wanted.types is not None)
    given = {
        "agent": wanted.agent_id,
        "stream": wanted.stream_id,
        "types": to_json([[each] for each in wanted.types or ()]).decode(),
        "top": top_of(tx),
    }
    while len(found) < limit and first <= last:
        size = limit - len(found) if wanted.names is None else max(limit, _PAGE)
        rows = tx.db.all(_EVERYTHING[(*by, backward)], {**given, "first": first, "last": last, "limit": size})
        found += [_event(name, row) for name, *row in rows if wanted.names is None or wanted.names.takes(name)]
        if len(rows) < size:
            break
        first, last = (first, rows[-1][2] - 1) if backward else (rows[-1][2] + 1, last)
    return (found if backward else found + staged)[:limit]


# ---- snapshots


def newest_snapshot(tx: Tx, stream: Stream, version: int) -> KeptSnapshot | None:
    """Return the newest snapshot of a stream at or before a version."""
    staged = max((each for each in stream.snapshots if each <= version), default=0)
    row = None
    if stream.id is not None:
        row = tx.db.one(_SNAPSHOT, {"stream": stream.id, "version": version, "top": top_of(tx)})
    if row is None or staged >= row[0]:
        return stream.snapshots[staged].copied(tx) if staged else None
    return _kept(stream, row)


def snapshot_of(tx: Tx, stream: Stream, version: int, revision: int) -> StreamSnapshot:
    """Return the snapshot of a version that a commit saved. Raises Erased."""
    row = tx.db.one(_SNAPSHOT, {"stream": stream.id, "version": version, "top": revision})
    assert row is not None, "it is this very commit that saved it"
    return _kept(stream, row).read()


def _kept(stream: Stream, row: Row) -> KeptSnapshot:
    found, revision, metadata, at, by, digest, *stored = row
    made = StreamSnapshot(stream.name, found, UNAVAILABLE, json_object(metadata), revision, moment(at), by)
    beside = None if metadata is None else digest_of_text(stream.salt, metadata)
    return KeptSnapshot(made, Stored(*stored), metadata, (digest.hex(), beside))


def _event(name: str, row: Row | list[Any]) -> RecordedEvent:
    version, position, id, type, metadata, revision, at, by, *stored = row
    value = shown(Stored(*stored))
    return RecordedEvent(name, version, position, id, type, value, json_object(metadata), revision, moment(at), by)


# ---- statements

_s, _e, _n, _a, _c = event_streams.c, stream_events.c, stream_snapshots.c, agents.c, state_commits.c
_made = state_commits.alias("made").c
_x = stream_events.alias("x").c
_until = _e.revision <= bindparam("top")


def _listed(of_agent: bool) -> Statement:
    joined = (
        event_streams.join(_made.revision.table, _made.revision == _s.created_revision)
        .join(stream_events, (_e.stream_id == _s.id) & (_e.version == LAST_VERSION))
        .join(state_commits, _c.revision == _e.revision)
        .outerjoin(agents, _a.id == _s.agent_id)
    )
    found = (
        select(_s.name, _a.name, _e.version, _s.created_revision, _made.at, _e.revision, _c.at)
        .select_from(joined)
        .where(_s.name >= bindparam("low"), _s.name < bindparam("high"), _s.created_revision <= bindparam("top"))
    )
    return Statement(found.where(_a.name == bindparam("agent")) if of_agent else found)


_LISTED = {of_agent: _listed(of_agent) for of_agent in (False, True)}

_ROW = (
    _e.version, _e.position, _e.event_id, _e.event_type, _e.metadata, _e.revision, _c.at, _c.actor, _e.codec, _e.value,
    _e.data,
)  # fmt: skip


def _events(backward: bool) -> Statement:
    found = (
        select(*_ROW)
        .select_from(stream_events.join(state_commits, _c.revision == _e.revision))
        .where(_e.stream_id == bindparam("stream"), _between(_e.version), _until)
    )
    return Statement(_in_order(found, _e.version, backward))


def _everything(of_agent: bool, of_stream: bool, of_types: bool, backward: bool) -> Statement:
    found = (
        select(_s.name, *_ROW)
        .select_from(
            stream_events.join(state_commits, _c.revision == _e.revision).join(event_streams, _s.id == _e.stream_id)
        )
        .where(_between(_e.position), _until)
    )
    if of_agent:
        found = found.where(_s.agent_id == select(_a.id).where(_a.name == bindparam("agent")).scalar_subquery())
    if of_stream:
        stream = select(_s.id).where(_s.name == bindparam("stream")).scalar_subquery()
        found = found.where(_e.stream_id == stream)
        if not backward:
            # Found from the end: who follows a stream reads what is new, however long it is.
            found = found.where(_e.version > func.coalesce(_last_before(stream), literal_column("0")))
    if of_types:
        found = found.where(_e.event_type.in_(select_names("types", "type")))
    return Statement(_in_order(found, _e.version if of_stream else _e.position, backward))


def _last_before(stream: Any) -> Any:
    before = select(_x.version).where(_x.stream_id == stream, _x.position < bindparam("first"))
    return before.order_by(_x.version.desc()).limit(literal_column("1")).scalar_subquery()


def _between(number: Any) -> Any:
    return (number >= bindparam("first")) & (number <= bindparam("last"))


def _in_order(found: Select[*tuple[Any, ...]], number: Any, backward: bool) -> Select[*tuple[Any, ...]]:
    return found.order_by(number.desc() if backward else number).limit(bindparam("limit"))


_EVENTS = {backward: _events(backward) for backward in (False, True)}
_both = (False, True)
_EVERYTHING = {
    (agent, stream, types, backward): _everything(agent, stream, types, backward)
    for agent in _both
    for stream in _both
    for types in _both
    for backward in _both
}
_MARKS = Statement(
    select(_e.event_id, _e.event_type, _e.digest)
    .where(_e.stream_id == bindparam("stream"), _between(_e.version))
    .order_by(_e.version)
)
_SNAPSHOT = Statement(
    select(_n.version, _n.revision, _n.metadata, _c.at, _c.actor, _n.digest, _n.codec, _n.value, _n.data)
    .select_from(stream_snapshots.join(state_commits, _c.revision == _n.revision))
    .where(
        _n.stream_id == bindparam("stream"), _n.version <= bindparam("version"), _n.revision <= bindparam("top")
    )
    .order_by(_n.version.desc(), _n.revision.desc())
    .limit(literal_column("1"))
)  # fmt: skip
