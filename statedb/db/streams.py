"""Streams of events: what happened, numbered in its stream and in the store, and never changed.

    append ──▶ a deed: ids, types and digests ──▶ under the commit's hash
        └────▶ rows: the events themselves, at the deed's positions

A stream's events count 1, 2, 3…, and so do those of the whole store, in the order of commits. Positions need no counter
of their own: who appends relies on the whole log, so that nobody comes in between. Streams are the store's: whoever
stands on a branch appends to the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import Select, bindparam, func, insert, literal_column, select, update

from statedb.db.deeds import Deed, do
from statedb.db.entries import json_object, shown
from statedb.db.pairs import select_names
from statedb.db.rows import agent_id_of
from statedb.db.statements import Row, Statement
from statedb.db.tables import agents, event_streams, state_commits, stream_events, stream_snapshots
from statedb.db.tx import Tx
from statedb.models import UNAVAILABLE
from statedb.times import moment
from statedb.values import codec
from statedb.values.arguments import LARGEST
from statedb.values.codec import Encoded, Stored
from statedb.values.event import EventStream, RecordedEvent, StreamSnapshot
from statedb.values.glob import Glob

_PAGE = 500
"""Events read at once where all of a stream are wanted."""

_MANY = 8
"""From so many events on they are written together, which takes a file a third of the time."""


class Prepared(NamedTuple):
    """An event ready to be appended; `metadata` is JSON."""

    id: str
    type: str
    encoded: Encoded
    metadata: str | None


Mark = tuple[str, str, str, str | None]
"""What the log says of an event: its id, its type, the digests of its data and, if it has some, of its metadata."""


@dataclass(slots=True)
class Stream:
    """A stream as the transaction leaves it, with what it adds; `id` is None until it is written.

    `stands` is the position of the store's last event, as the database has it.
    """

    name: str
    id: int | None
    agent_id: str | None
    version: int
    salt: bytes
    stands: int
    events: list[RecordedEvent] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    snapshots: dict[int, KeptSnapshot] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Appending(Deed):
    """Events that a transaction appends, before they are in the log."""

    last: int


# ---- writing


def append(tx: Tx, stream: Stream, given: Sequence[Prepared]) -> list[RecordedEvent]:
    """Stage events at the end of a stream, and return them as they will stand there."""
    tx.streams[stream.name] = stream
    first, at, by = last_position(tx, stream) + 1, moment(tx.now), tx.writing.actor
    version = stream.version + 1
    made = [
        RecordedEvent(
            stream.name, version + n, first + n, each.id, each.type, codec.parse(each.encoded),
            json_object(each.metadata), 0, at, by,
        )
        for n, each in enumerate(given)
    ]  # fmt: skip
    marked = [(each.id, each.type, *digests(stream.salt, each.encoded, each.metadata)) for each in given]
    said = {"do": "append", "name": stream.name, "agent": stream.agent_id, "version": version, "position": first}
    stream.version += len(made)
    stream.events += made
    stream.marks += marked
    write = partial(_write, stream=stream, made=made, given=given, marked=marked)
    do(tx, Appending("append", said | {"events": marked}, write, made[-1].position))
    tx.outcomes += made
    return made


def digests(salt: bytes, encoded: Encoded, metadata: str | None) -> tuple[str, str | None]:
    """Return what the log says of a value and of its metadata, which tells nothing without the stream's salt."""
    return codec.digest(salt, encoded).hex(), None if metadata is None else digest_of_text(salt, metadata)


def digest_of_text(salt: bytes, text: str) -> str:
    return codec.digest(salt, Encoded(Stored(codec.JSON_TEXT, text, None), text.encode())).hex()


def last_position(tx: Tx, stream: Stream) -> int:
    """Return the position of the last event there is, the transaction's own included."""
    return next((deed.last for deed in reversed(tx.deeds) if isinstance(deed, Appending)), stream.stands)


def _write(
    tx: Tx, stream: Stream, made: list[RecordedEvent], given: Sequence[Prepared], marked: Sequence[Mark]
) -> None:
    version = made[-1].version
    if stream.id is None:
        stream.id = tx.connection.new_id(event_streams)
        agent = None if stream.agent_id is None else agent_id_of(tx, stream.agent_id)
        row = {"id": stream.id, "name": stream.name, "agent_id": agent, "salt": stream.salt, "version": version}
        tx.connection.run(_INSERT_STREAM, {**row, "revision": tx.revision, "created_revision": tx.revision})
    else:
        tx.connection.run(_UPDATE_STREAM, {"row": stream.id, "version": version, "revision": tx.revision})
    if len(given) > _MANY:
        tx.connection.gather()
    for event, each, mark in zip(made, given, marked, strict=True):
        row = {"stream_id": stream.id, "version": event.version, "position": event.position, "revision": tx.revision}
        called = {"event_id": each.id, "event_type": each.type}
        tx.connection.run(_INSERT_EVENT, row | called | _content(mark[2], each.encoded, each.metadata))


def _content(digest: str, encoded: Encoded, metadata: str | None) -> dict[str, Any]:
    code, text, data = encoded.stored
    return {"digest": bytes.fromhex(digest), "metadata": metadata, "codec": code, "value": text, "data": data}


def snapshot(tx: Tx, stream: Stream, version: int, encoded: Encoded, metadata: str | None) -> StreamSnapshot:
    """Stage what somebody made of a stream's events up to a version."""
    tx.streams[stream.name] = stream
    state, by = codec.parse(encoded), tx.writing.actor
    made = StreamSnapshot(stream.name, version, state, json_object(metadata), 0, moment(tx.now), by)
    digest, beside = marked = digests(stream.salt, encoded, metadata)
    said = {"do": "snapshot", "name": stream.name, "version": version, "digest": digest, "metadata": beside}
    kept = stream.snapshots[version] = KeptSnapshot(made, None, marked)

    def write(tx: Tx) -> None:
        if stream.snapshots[version] is kept:  # the last of this commit for the version
            row = {"stream_id": stream.id, "version": version, "revision": tx.revision}
            tx.connection.run(_INSERT_SNAPSHOT, row | _content(digest, encoded, metadata))

    do(tx, Deed("append", said, write))
    tx.outcomes.append(made)
    return made


# ---- finding


def find(tx: Tx, name: str) -> Stream:
    """Return a stream as it stands; one that does not exist is at version 0."""
    if (staged := tx.streams.get(name)) is not None:
        return staged  # type: ignore[no-any-return]
    row = tx.db.one(_FIND, {"name": name, "top": _top(tx)})
    assert row is not None, "there is a row, be there a stream or not"
    stands, id, agent, version, salt = row
    if id is None or not version:
        return Stream(name, None, None, 0, os.urandom(16), stands)
    return Stream(name, id, agent, version, salt, stands)


def listed(tx: Tx, agent_id: str | None, names: Glob) -> list[EventStream]:
    """Return the streams of an agent, or all of them, whose names match, in order of their names."""
    given = {"agent": agent_id, "low": names.low, "high": names.high, "top": _top(tx)}
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


def events(
    tx: Tx, stream: Stream, first: int = 1, last: int = LARGEST, limit: int = LARGEST, *, backward: bool = False
) -> list[RecordedEvent]:
    """Return a stream's events from one version up to another, at most so many from that end."""
    staged = [each for each in stream.events if first <= each.version <= last]
    found: list[RecordedEvent] = []
    if stream.id is not None and first <= last:
        given = {"stream": stream.id, "first": first, "last": last, "limit": limit, "top": _top(tx)}
        found = [_event(stream.name, row) for row in tx.db.all(_EVENTS[backward], given)]
    return ([*reversed(staged), *found] if backward else [*found, *staged])[:limit]


def pages(tx: Tx, stream: Stream, first: int, last: int) -> Iterator[list[RecordedEvent]]:
    """Yield a stream's events from one version up to another, some hundred at a time."""
    while page := events(tx, stream, first, last, _PAGE):
        yield page
        first = page[-1].version + 1


def marks(tx: Tx, stream: Stream, first: int, last: int) -> list[tuple[str, str, str]]:
    """Return the ids, types and digests of a stream's events from one version up to another."""
    given = {"stream": stream.id, "first": first, "last": last}
    rows = [] if stream.id is None else tx.db.all(_MARKS, given)
    before = stream.version - len(stream.marks)
    staged = stream.marks[max(first - before - 1, 0) : max(last - before, 0)]
    return [(id, type, digest.hex()) for id, type, digest in rows] + [mark[:3] for mark in staged]


class Wanted(NamedTuple):
    """Which events of the store: an agent's, a stream's, those of some types, of streams whose names match."""

    agent_id: str | None = None
    stream_id: str | None = None
    types: tuple[str, ...] | None = None
    names: Glob | None = None

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
    own = [each for stream in tx.streams.values() for each in stream.events if wanted.takes(stream, each)]
    staged = sorted((each for each in own if first <= each.position <= last), key=lambda each: each.position)
    if backward:
        found += reversed(staged)
    by = (wanted.agent_id is not None, wanted.stream_id is not None, wanted.types is not None)
    given = {
        "agent": wanted.agent_id,
        "stream": wanted.stream_id,
        "types": to_json([[each] for each in wanted.types or ()]).decode(),
        "top": _top(tx),
    }
    while len(found) < limit and first <= last:
        size = limit - len(found) if wanted.names is None else max(limit, _PAGE)
        rows = tx.db.all(_EVERYTHING[(*by, backward)], {**given, "first": first, "last": last, "limit": size})
        found += [_event(name, row) for name, *row in rows if wanted.names is None or wanted.names.takes(name)]
        if len(rows) < size:
            break
        first, last = (first, rows[-1][2] - 1) if backward else (rows[-1][2] + 1, last)
    return (found if backward else found + staged)[:limit]


def last_of_all(tx: Tx) -> int:
    """Return the position of the store's last event, 0 where there is none."""
    staged = next((deed.last for deed in reversed(tx.deeds) if isinstance(deed, Appending)), None)
    if staged is not None:
        return staged
    [[found]] = tx.db.all(_POSITION, {"top": _top(tx)})
    return int(found)


class KeptSnapshot(NamedTuple):
    """A snapshot as it is kept, to be read if it is wanted."""

    made: StreamSnapshot
    stored: Stored | None
    digests: tuple[str, str | None]

    def holds(self, stream: Stream, encoded: Encoded, metadata: str | None) -> bool:
        """Tell whether it is just this."""
        return self.digests == digests(stream.salt, encoded, metadata)

    def read(self) -> StreamSnapshot:
        """Return it with what it holds. Raises Erased."""
        if self.stored is not None:
            object.__setattr__(self.made, "state", codec.decode(self.stored))
        return self.made


def newest_snapshot(tx: Tx, stream: Stream, version: int) -> KeptSnapshot | None:
    """Return the newest snapshot of a stream at or before a version."""
    staged = max((each for each in stream.snapshots if each <= version), default=0)
    row = None
    if stream.id is not None:
        row = tx.db.one(_SNAPSHOT, {"stream": stream.id, "version": version, "top": _top(tx)})
    if row is None or staged >= row[0]:
        return stream.snapshots[staged] if staged else None
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
    return KeptSnapshot(made, Stored(*stored), (digest.hex(), beside))


# ---- inside


def _top(tx: Tx) -> int:
    return LARGEST if tx.point is None else tx.point.revision


def _event(name: str, row: Row | list[Any]) -> RecordedEvent:
    version, position, id, type, metadata, revision, at, by, *stored = row
    value = shown(Stored(*stored))
    return RecordedEvent(name, version, position, id, type, value, json_object(metadata), revision, moment(at), by)


# ---- statements

_s, _e, _n, _a, _c = event_streams.c, stream_events.c, stream_snapshots.c, agents.c, state_commits.c
_made = state_commits.alias("made").c


def _named(table: Any) -> dict[str, Any]:
    return {column.name: bindparam(column.name) for column in table.columns}


_INSERT_STREAM = Statement(insert(event_streams).values(_named(event_streams)))
_UPDATE_STREAM = Statement(
    update(event_streams)
    .where(_s.id == bindparam("row"))
    .values(version=bindparam("version"), revision=bindparam("revision"))
)
_INSERT_EVENT = Statement(insert(stream_events).values(_named(stream_events)))
_INSERT_SNAPSHOT = Statement(insert(stream_snapshots).values(_named(stream_snapshots)))

_until = _e.revision <= bindparam("top")
# Revisions rise with positions and versions, so that the last one up to a revision is found from the end.
_position = func.coalesce(
    select(_e.position).where(_until).order_by(_e.position.desc()).limit(1).scalar_subquery(), literal_column("0")
)
_version = (
    select(_e.version).where(_e.stream_id == _s.id, _until).order_by(_e.version.desc()).limit(1).scalar_subquery()
)
_nothing = select(literal_column("1").label("one")).subquery()
_FIND = Statement(
    select(_position, _s.id, _a.name, _version, _s.salt).select_from(
        _nothing.outerjoin(event_streams, _s.name == bindparam("name")).outerjoin(agents, _a.id == _s.agent_id)
    )
)
_POSITION = Statement(select(_position))


def _listed(of_agent: bool) -> Statement:
    last = select(func.max(_e.version)).where(_e.stream_id == _s.id, _until).correlate(event_streams).scalar_subquery()
    joined = (
        event_streams.join(_made.revision.table, _made.revision == _s.created_revision)
        .join(stream_events, (_e.stream_id == _s.id) & (_e.version == last))
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
        found = found.where(_e.stream_id == select(_s.id).where(_s.name == bindparam("stream")).scalar_subquery())
    if of_types:
        found = found.where(_e.event_type.in_(select_names("types", "type")))
    return Statement(_in_order(found, _e.position, backward))


def _between(number: Any) -> Any:
    return (number >= bindparam("first")) & (number <= bindparam("last"))


def _in_order(found: Select[Any], number: Any, backward: bool) -> Select[Any]:
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
