"""Streams of events: what happened, in the order it did, and nothing of it ever changed."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import uuid4

from statedb.db import events as log
from statedb.db import streams
from statedb.db.events import Wanted
from statedb.db.streams import Prepared, Stream
from statedb.db.tx import Tx
from statedb.errors import Erased, InvalidValue, NoSuchVersion, ReadOnly, VersionConflict
from statedb.models import MISSING, UNAVAILABLE, Listing
from statedb.values import codec
from statedb.values.arguments import LARGEST, natural, natural_or_all, plain
from statedb.values.event import Event, EventStream, Expected, RecordedEvent, StreamSnapshot, wanted_version
from statedb.values.glob import glob
from statedb.values.metadata import metadata_text
from statedb.values.names import name
from statedb.values.typed import as_json


def append(
    tx: Tx,
    stream_id: str,
    events: Iterable[Event],
    expected_version: Expected = None,
    *,
    agent_id: str | None = None,
    message: str | None = None,
) -> builtins.list[RecordedEvent]:
    """Append events to a stream, all or none, in one commit; return them as they stand there.

    The first makes the stream, which belongs to `agent_id` for good, or to nobody. `expected_version` says what has to
    be there: so many events, "no_stream" (or 0), "exists", or None and "any" for whatever there is; otherwise raises
    VersionConflict. Events whose ids are given, and that stand right there already (after the version expected, or else
    at the stream's end), are what a call appended that lost its answer: they are returned, and nothing is written.
    Raises InvalidValue, and InvalidKey.
    """
    called, expected = name(stream_id, "stream_id"), wanted_version(expected_version)
    of = None if agent_id is None else name(agent_id, "agent_id")
    told = _several(events)
    given = [_prepared(tx, each) for each in told]
    if len({each.id for each in given}) < len(given):
        raise InvalidValue(f"two of the events to append to {called!r:.80} have one id, which is one event's alone")
    stream = streams.find(tx, called)
    if given and all(each.id is not None for each in told):
        made = _made_before(tx, stream, given, expected)
        if made:
            return made
    _check(stream, expected)
    _own(stream, of)
    if not given:
        return []
    tx.writing.say(message)
    return streams.append(tx, stream, given)


def read(
    tx: Tx, stream_id: str, start: int | None = None, limit: int | None = None, *, backward: bool = False
) -> builtins.list[RecordedEvent]:
    """Return a stream's events from version `start` on, at most `limit`; none where there is no such stream.

    With `backward` newest first, from `start` (else the newest) down. Erased data reads UNAVAILABLE.
    """
    stream = streams.find(tx, name(stream_id, "stream_id"))
    first, last = _span(start, backward=backward)
    return log.read(tx, stream, first, last, natural_or_all(limit, "limit"), backward=backward)


def read_all(
    tx: Tx,
    start: int | None = None,
    limit: int = 100,
    *,
    agent_id: str | None = None,
    types: str | Iterable[str] | None = None,
    stream: str | None = None,
    pattern: str = "*",
    backward: bool = False,
) -> builtins.list[RecordedEvent]:
    """Return the events of all streams from position `start` on, in the order they were appended, at most `limit`.

    `agent_id` picks those of an agent's streams, `types` those of one type or of several, `stream` one stream's,
    `pattern` those of streams whose ids match a glob. With `backward` newest first, from `start` (else the newest)
    down. To go on, pass the position after the last.
    """
    first, last = _span(start, backward=backward)
    picked = Wanted.of(agent_id, stream, types, pattern)
    return log.everything(tx, first, last, natural(limit, "limit", 1), picked, backward=backward)


def list(tx: Tx, agent_id: str | None = None, *, pattern: str = "*") -> Listing[EventStream]:
    """Return the streams of an agent, or without one all there are, in order of their ids; `pattern` is a glob."""
    of = None if agent_id is None else name(agent_id, "agent_id")
    return Listing(log.listed(tx, of, glob(name(pattern, "pattern"))))


def version(tx: Tx, stream_id: str) -> int:
    """Return how many events a stream has, 0 where there is none."""
    return streams.find(tx, name(stream_id, "stream_id")).version


def position(tx: Tx) -> int:
    """Return the position of the newest event of all streams, 0 where there is none."""
    return streams.last_position(tx)


# ---- what is made of them


def save_snapshot(
    tx: Tx,
    stream_id: str,
    version: int,
    state: Any,
    metadata: Mapping[str, Any] | None = None,
    *,
    message: str | None = None,
) -> StreamSnapshot:
    """Keep what was made of a stream's events up to a version, so that it need not be made again.

    `state` is any value a state may be. Saved for a version once more it takes the place of the one before; the same
    once more makes no commit. Raises NoSuchVersion for a version the stream has not reached.
    """
    stream = streams.find(tx, name(stream_id, "stream_id"))
    _reached(stream, natural(version, "version", 1))
    limit = tx.settings.max_value_bytes
    encoded, kept = codec.encode(as_json(state), limit), metadata_text(metadata, limit)
    before = log.newest_snapshot(tx, stream, version)
    if before is not None and before.made.version == version and before.holds(stream, encoded, kept):
        return before.read()
    tx.writing.say(message)
    return streams.snapshot(tx, stream, version, encoded, kept)


def load_snapshot(tx: Tx, stream_id: str, version: int | None = None) -> StreamSnapshot | None:
    """Return the newest snapshot of a stream, or the newest of no later version than told; None where there is none.

    Raises Erased.
    """
    top = LARGEST if version is None else natural(version, "version")
    found = log.newest_snapshot(tx, streams.find(tx, name(stream_id, "stream_id")), top)
    return None if found is None else found.read()


class Folded(NamedTuple):
    """What was made of a stream's events up to a version, and from which one on they had to be read."""

    state: Any
    version: int
    since: int


def fold(
    tx: Tx, stream_id: str, fn: Callable[[Any, RecordedEvent], Any], initial: Any, version: int | None = None
) -> Folded:
    """Return what a function makes of a stream's events, one after another, from the newest snapshot on."""
    plain(fn, "aggregate")
    stream = streams.find(tx, name(stream_id, "stream_id"))
    top = stream.version if version is None else natural(version, "version")
    _reached(stream, top)
    state, since = _start(tx, stream, initial, top)
    for page in log.pages(tx, stream, since + 1, top):
        for event in page:
            if event.data is UNAVAILABLE:
                raise Erased(
                    f"event {event.version} of the stream {stream.name!r:.80} was erased, and no snapshot stands for it"
                )
            state = fn(state, event)
    return Folded(state, top, since)


def aggregate(
    shell: Any,
    stream_id: str,
    fold: Callable[[Any, RecordedEvent], Any],
    initial: Any,
    *,
    version: int | None = None,
    snapshot_every: int | None = None,
) -> Any:
    """Return what `fold(state, event)` makes of a stream's events, up to a version or all, from the newest snapshot on.

    Where there is no snapshot it starts from `initial`. With `snapshot_every` the state is saved once so many events
    have been read since the last snapshot. A stream's snapshots are taken for those of this one function: whoever
    changes it saves new ones. Raises NoSuchVersion, and Erased for an event that was.
    """
    every = None if snapshot_every is None else natural(snapshot_every, "snapshot_every", 1)
    found: Folded = shell.streams._fold(stream_id, fold, initial, version)
    if _is_due(found, every):
        with suppress(ReadOnly):  # the past is read, or a file that may not be written
            shell.streams.save_snapshot(stream_id, found.version, found.state)
    return found.state


async def aggregate_on_loop(
    shell: Any,
    stream_id: str,
    fold: Callable[[Any, RecordedEvent], Any],
    initial: Any,
    *,
    version: int | None = None,
    snapshot_every: int | None = None,
) -> Any:
    """Return what `aggregate` does."""
    every = None if snapshot_every is None else natural(snapshot_every, "snapshot_every", 1)
    found: Folded = await shell.streams._fold(stream_id, fold, initial, version)
    if _is_due(found, every):
        with suppress(ReadOnly):
            await shell.streams.save_snapshot(stream_id, found.version, found.state)
    return found.state


# ---- inside


def _several(events: Iterable[Event]) -> builtins.list[Event]:
    given: builtins.list[Event] = [events] if isinstance(events, Event) else builtins.list(events)
    for each in given:
        if not isinstance(each, Event):
            raise InvalidValue(f"{each!r:.80} is {type(each).__name__}; what is appended are Events")
    return given


def _prepared(tx: Tx, event: Event) -> Prepared:
    limit = tx.settings.max_value_bytes
    id = uuid4().hex if event.id is None else name(event.id, "event id")
    encoded = codec.encode(as_json(event.data), limit)
    return Prepared(id, name(event.type, "event type"), encoded, metadata_text(event.metadata, limit))


def _made_before(
    tx: Tx, stream: Stream, given: builtins.list[Prepared], expected: int | str | None
) -> builtins.list[RecordedEvent]:
    """Return the events of these ids where they would stand had they been appended before, else none."""
    first = expected + 1 if isinstance(expected, int) else stream.version - len(given) + 1
    last = first + len(given) - 1
    if first < 1 or last > stream.version:
        return []
    marks = log.marks(tx, stream, first, last)
    if [id for id, _, _ in marks] != [each.id for each in given]:
        return []
    for (id, type, digest), each in zip(marks, given, strict=True):
        if (type, digest) != (each.type, codec.digest(stream.salt, each.encoded).hex()):
            raise InvalidValue(f"the stream {stream.name!r:.80} has another event of the id {id!r:.80}")
    return log.read(tx, stream, first, last)


def _check(stream: Stream, expected: int | str | None) -> None:
    if expected is None or expected == stream.version or (expected == "exists" and stream.version):
        return
    stands = f"is at version {stream.version}" if stream.version else "does not exist"
    if not expected:
        meant, then = "none was expected", "choose another id, or append to what there is"
    elif expected == "exists":
        meant, then = "one was expected", "append without that to make it"
    else:
        meant, then = f"version {expected} was expected", "read what has come, and append to that"
    raise VersionConflict(
        f"the stream {stream.name!r:.80} {stands}, and {meant}; {then}",
        agent_id=stream.agent_id,
        state_type=None,
        key=stream.name,
        expected_version=1 if expected == "exists" else expected,
        version=stream.version,
        base=MISSING,
        ours=MISSING,
        theirs=MISSING,
    )


def _own(stream: Stream, agent_id: str | None) -> None:
    """Have a stream that is to be made belong to an agent. Raises InvalidValue where it belongs to another."""
    if not stream.version:
        stream.agent_id = agent_id
    elif agent_id not in (None, stream.agent_id):
        whose = "nobody" if stream.agent_id is None else stream.agent_id
        raise InvalidValue(f"the stream {stream.name!r:.80} belongs to {whose}, and not to {agent_id}")


def _reached(stream: Stream, version: int) -> None:
    if version > stream.version:
        raise NoSuchVersion(
            f"the stream {stream.name!r:.80} is at version {stream.version}, and {version} was asked for"
        )


def _span(start: int | None, *, backward: bool) -> tuple[int, int]:
    if backward:
        return 1, LARGEST if start is None else natural(start, "start")
    return 1 if start is None else natural(start, "start"), LARGEST


def _start(tx: Tx, stream: Stream, initial: Any, top: int) -> tuple[Any, int]:
    found = log.newest_snapshot(tx, stream, top)
    try:
        return (initial, 0) if found is None else (found.read().state, found.made.version)
    except Erased:
        return initial, 0  # the events may be there all the same


def _is_due(found: Folded, every: int | None) -> bool:
    return every is not None and found.version - found.since >= every
