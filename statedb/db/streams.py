"""Streams of events: what happened, numbered in its stream and in the store, and never changed.

    append ──▶ a deed: ids, types and digests ──▶ under the commit's hash
        └────▶ rows: the events themselves, at the deed's positions

A stream's events count 1, 2, 3…, and so do those of the whole store, in the order of commits. Positions need no counter
of their own: who appends relies on where all streams stand, so that nobody else's events come in between. Streams are
the store's: whoever stands on a branch appends to the same ones.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import bindparam, func, insert, literal_column, select, update

from statedb.db.deeds import Deed, do
from statedb.db.entries import json_object
from statedb.db.rows import agent_id_of
from statedb.db.statements import Row, Statement
from statedb.db.tables import agents, event_streams, stream_events, stream_snapshots
from statedb.db.tx import Tx
from statedb.models import UNAVAILABLE, Address
from statedb.times import moment
from statedb.values import codec
from statedb.values.arguments import LARGEST
from statedb.values.codec import Encoded, Stored
from statedb.values.event import RecordedEvent, StreamSnapshot

STREAM = "stream"
"""In place of a tier, in what a transaction has found: an address that is a stream."""

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


class KeptSnapshot(NamedTuple):
    """A snapshot as it is kept, to be read if it is wanted."""

    made: StreamSnapshot
    stored: Stored
    metadata: str | None
    digests: tuple[str, str | None]

    def holds(self, stream: Stream, encoded: Encoded, metadata: str | None) -> bool:
        """Tell whether it is just this."""
        return self.stored.codec != codec.ERASED and self.digests == digests(stream.salt, encoded, metadata)

    def read(self) -> StreamSnapshot:
        """Return it with what it holds. Raises Erased."""
        object.__setattr__(self.made, "state", codec.decode(self.stored))
        return self.made

    def copied(self, tx: Tx) -> KeptSnapshot:
        """Return one of its own for whoever reads what his transaction saves, which learns its revision later."""
        made = replace(self.made, state=UNAVAILABLE, metadata=json_object(self.metadata))
        tx.outcomes.append(made)
        return self._replace(made=made)


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
    given: list[Prepared] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    snapshots: dict[int, KeptSnapshot] = field(default_factory=dict)

    @property
    def reached(self) -> int:
        """The position of the last event that is added, 0 for none."""
        return self.events[-1].position if self.events else 0

    def copied(self, tx: Tx, event: RecordedEvent) -> RecordedEvent:
        """Return an event it adds as it was given, for whoever reads it: what he does to it, he does to no other."""
        given = self.given[event.version - self.events[0].version]
        made = replace(event, data=codec.parse(given.encoded), metadata=json_object(given.metadata))
        tx.outcomes.append(made)
        return made


@dataclass(frozen=True, slots=True)
class Appending(Deed):
    """Events that a transaction appends, before they are in the log."""

    last: int


# ---- writing


def append(tx: Tx, stream: Stream, given: Sequence[Prepared]) -> list[RecordedEvent]:
    """Stage events at the end of a stream, and return them as they will stand there."""
    tx.streams[stream.name] = stream
    first, at, by = (_last_staged(tx) or stream.stands) + 1, moment(tx.now), tx.writing.actor
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
    stream.given += given
    stream.marks += marked
    write = partial(_write, stream=stream, made=made, given=given, marked=marked)
    do(tx, Appending("append", said | {"events": marked}, write, made[-1].position, whole=False, agent=stream.agent_id))
    tx.outcomes += made
    return made


def digests(salt: bytes, encoded: Encoded, metadata: str | None) -> tuple[str, str | None]:
    """Return what the log says of a value and of its metadata, which tells nothing without the stream's salt."""
    return codec.digest(salt, encoded).hex(), None if metadata is None else digest_of_text(salt, metadata)


def digest_of_text(salt: bytes, text: str) -> str:
    return codec.digest(salt, Encoded(Stored(codec.JSON_TEXT, text, None), text.encode())).hex()


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
    kept = stream.snapshots[version] = KeptSnapshot(made, encoded.stored, metadata, marked)

    def write(tx: Tx) -> None:
        if stream.snapshots[version] is kept:  # the last of this commit for the version
            row = {"stream_id": stream.id, "version": version, "revision": tx.revision}
            tx.connection.run(_INSERT_SNAPSHOT, row | _content(digest, encoded, metadata))

    do(tx, Deed("append", said, write, agent=stream.agent_id))
    tx.outcomes.append(made)
    return made


# ---- finding


def find(tx: Tx, name: str) -> Stream:
    """Return a stream as it stands; one that does not exist is at version 0."""
    staged: Stream | None = tx.streams.get(name)
    if staged is not None:
        return staged
    if tx.earlier is not None and (left := tx.earlier.streams.get(name)) is not None:
        _rely(tx)
        return Stream(name, left.id, left.agent_id, left.version, left.salt, tx.earlier.position)
    stands, id, agent, version, salt = _row(tx, name)
    if tx.earlier is not None:
        stands = max(stands, tx.earlier.position)
    if id is None or not version:
        return Stream(name, None, None, 0, os.urandom(16), stands)
    return Stream(name, id, agent, version, salt, stands)


def last_position(tx: Tx) -> int:
    """Return the position of the store's last event, the transaction's own included; 0 where there is none."""
    return _last_staged(tx) or find(tx, "").stands


def _row(tx: Tx, name: str) -> Row:
    """Return where a stream stands, or with an empty name all of them. A transaction that writes asks once."""
    given = {"name": name, "top": top_of(tx)}
    if tx.note is None:
        row = tx.db.one(_FIND, given)
    else:
        _rely(tx)
        at = Address("", STREAM, name)
        row = tx.found[at] if at in tx.found else tx.once(_FIND, given)
        tx.found[at] = row
    assert row is not None, "there is a row, be there a stream or not"
    return row


def _rely(tx: Tx) -> None:
    """Note that where the streams stand is looked at, which others may change meanwhile by appending alone."""
    if tx.footprint is not None:
        tx.footprint.streams = True


def _last_staged(tx: Tx) -> int:
    return next((deed.last for deed in reversed(tx.deeds) if isinstance(deed, Appending)), 0)


def top_of(tx: Tx) -> int:
    """Return the last revision of which events are seen."""
    return LARGEST if tx.point is None else tx.point.revision


# ---- statements

_s, _e, _a = event_streams.c, stream_events.c, agents.c
_l = stream_events.alias("latest").c


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
    select(_e.position).where(_until).order_by(_e.position.desc()).limit(literal_column("1")).scalar_subquery(),
    literal_column("0"),
)
LAST_VERSION = (
    select(_l.version)
    .where(_l.stream_id == _s.id, _l.revision <= bindparam("top"))
    .order_by(_l.version.desc())
    .limit(literal_column("1"))
    .correlate(event_streams)
    .scalar_subquery()
)
"""The version of a row's stream as of a revision."""
_nothing = select(literal_column("1").label("one")).subquery()
_FIND = Statement(
    select(_position, _s.id, _a.name, LAST_VERSION, _s.salt).select_from(
        _nothing.outerjoin(event_streams, _s.name == bindparam("name")).outerjoin(agents, _a.id == _s.agent_id)
    )
)
