"""Streams as the deeds in the log have them: what the rows must show, and what they show instead.

    deeds, oldest first ──▶ ids, types, digests ─┐
    events, by position ─────────────────────────┴─▶ what differs

Both are in the order of commits, so that they are read side by side, and nothing but the streams themselves is held.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import bindparam, literal_column, select

from statedb.db.statements import Statement
from statedb.db.streams import digest_of_text
from statedb.db.tables import agents, event_streams, stream_events, stream_snapshots
from statedb.db.tx import Tx
from statedb.errors import Corrupted
from statedb.values import codec
from statedb.values.arguments import LARGEST
from statedb.values.codec import Encoded, Stored

_PAGE = 500


class Recorded(NamedTuple):
    """An event as its row has it."""

    position: int
    stream: str
    version: int
    revision: int
    id: str
    type: str
    content: Content


class Content(NamedTuple):
    """What an event or a snapshot holds, and what its digest is keyed with."""

    salt: bytes
    digest: bytes | None
    metadata: str | None
    codec: int | None
    text: str | None
    data: bytes | None

    def agrees(self, digest: str, beside: str | None) -> bool:
        """Tell whether it is what the log has the digests of, as far as it was not erased."""
        is_erased = self.codec == codec.ERASED
        of_metadata = None if self.metadata is None else digest_of_text(self.salt, self.metadata)
        if self.digest is None or self.digest.hex() != digest or not (is_erased or self._is_sound()):
            return False
        return of_metadata == beside or (is_erased and of_metadata is None)

    def _is_sound(self) -> bool:
        stored = Stored(self.codec, self.text, self.data)
        if stored.codec is None:
            return False
        try:
            return codec.digest(self.salt, Encoded(stored, codec.plain(stored))) == self.digest
        except Corrupted:
            return False


class Told:
    """What there is by the deeds done so far, and the rows up to there."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._streams: dict[str, list[Any]] = {}
        self._snapshots: dict[tuple[str, int, int], tuple[str, str | None]] = {}
        self._position = 0
        self._rows = _rows(tx)
        self._next = next(self._rows, None)

    def do(self, revision: int, said: dict[str, Any]) -> Iterator[str]:
        """Take in a deed of a commit, and yield how the rows differ from it."""
        if said["do"] == "snapshot":
            self._snapshots[said["name"], said["version"], revision] = (said["digest"], said["metadata"])
        elif said["do"] == "append":
            name, agent, version, position = said["name"], said["agent"], said["version"], said["position"]
            stream = self._streams.setdefault(name, [agent, 0, revision, revision])
            if (agent, version, position) != (stream[0], stream[1] + 1, self._position + 1):
                yield f"revision {revision} appends to the stream {name} what does not follow"
            for n, (id, type, *digests) in enumerate(said["events"]):
                where = (position + n, name, version + n, revision, id, type)
                yield from self._event(where, *digests)
                stream[1], stream[3], self._position = version + n, revision, position + n

    def _event(self, where: tuple[Any, ...], digest: str, beside: str | None) -> Iterator[str]:
        yield from self._unsaid(where[0])
        found, called = self._next, f"event {where[2]} of the stream {where[1]} (revision {where[3]})"
        if found is None or found.position > where[0]:
            yield f"{called} is not there as the log has it"
            return
        self._next = next(self._rows, None)
        if found[:-1] != where:
            yield f"{called} is there otherwise than the log has it"
        elif not found.content.agrees(digest, beside):
            yield f"{called} is not what was written: its digest differs"

    def _unsaid(self, position: int) -> Iterator[str]:
        """Yield the events before a position that no deed has appended."""
        while self._next is not None and self._next.position < position:
            yield f"event {self._next.version} of the stream {self._next.stream} is there, and no commit appended it"
            self._next = next(self._rows, None)

    def rest(self) -> Iterator[str]:
        """Yield what else differs, once all deeds have been done."""
        yield from self._unsaid(LARGEST)
        for name, *row in self._tx.db.all(_STREAMS, {}):
            if self._streams.pop(name, None) != row:
                yield f"the stream {name} is there otherwise than the log has it"
        for name in self._streams:
            yield f"the stream {name} is not there as the log has it"
        for name, version, revision, *content in self._tx.db.all(_SNAPSHOTS, {}):
            said = self._snapshots.pop((name, version, revision), None)
            if said is None or not Content(*content).agrees(*said):
                yield f"the snapshot of the stream {name} at version {version} is not what the log has"
        for name, version, _ in self._snapshots:
            yield f"the snapshot of the stream {name} at version {version} is not there as the log has it"


def _rows(tx: Tx) -> Iterator[Recorded]:
    after = -LARGEST
    while rows := tx.db.all(_EVENTS, {"after": after}):
        yield from (Recorded._make((*row[:6], Content._make(row[6:]))) for row in rows)
        after = rows[-1][0]


_s, _e, _n, _a = event_streams.c, stream_events.c, stream_snapshots.c, agents.c
_EVENTS = Statement(
    select(
        _e.position, _s.name, _e.version, _e.revision, _e.event_id, _e.event_type, _s.salt, _e.digest, _e.metadata,
        _e.codec, _e.value, _e.data,
    )
    .select_from(stream_events.outerjoin(event_streams, _s.id == _e.stream_id))
    .where(_e.position > bindparam("after"))
    .order_by(_e.position)
    .limit(literal_column(str(_PAGE)))
)  # fmt: skip
_STREAMS = Statement(
    select(_s.name, _a.name, _s.version, _s.created_revision, _s.revision).select_from(
        event_streams.outerjoin(agents, _a.id == _s.agent_id)
    )
)
_SNAPSHOTS = Statement(
    select(
        _s.name, _n.version, _n.revision, _s.salt, _n.digest, _n.metadata, _n.codec, _n.value, _n.data
    ).select_from(stream_snapshots.outerjoin(event_streams, _s.id == _n.stream_id))
)  # fmt: skip
