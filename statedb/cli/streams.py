"""stream append, read, list, watch, and the snapshots: what happened, as events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from statedb.cli import completion
from statedb.cli.arguments import Json, Limit, Message, Timeout
from statedb.cli.exits import Refused, Usage
from statedb.cli.follow import follow
from statedb.cli.forms import form
from statedb.cli.signals import until_asked
from statedb.cli.states import given_bytes, given_metadata, parsed
from statedb.cli.stores import opened
from statedb.cli.terminal import output, tables
from statedb.cli.terminal.marks import event_line

if TYPE_CHECKING:
    from statedb.store import Store
    from statedb.values.event import EventStream, Expected, RecordedEvent

Stream = Annotated[
    str, typer.Argument(metavar="STREAM", help="Which stream.", show_default=False, autocompletion=completion.streams)
]
Streams = Annotated[
    str | None,
    typer.Argument(
        metavar="STREAM", help="Of this stream; else of all.", show_default=False, autocompletion=completion.streams
    ),
]
Pattern = Annotated[
    str,
    typer.Argument(metavar="PATTERN", help="Only streams of this glob: 'order-*'.", autocompletion=completion.streams),
]
Type = Annotated[str, typer.Argument(metavar="TYPE", help="What kind of event it is.", show_default=False)]
Data = Annotated[str, typer.Argument(metavar="DATA", help="JSON text, or - for standard input.", show_default=False)]
State = Annotated[str, typer.Argument(metavar="STATE", help="JSON text, or - for standard input.", show_default=False)]
Version = Annotated[
    int, typer.Argument(metavar="VERSION", min=1, help="Up to which event it was made.", show_default=False)
]
Expected_ = Annotated[
    str | None,
    typer.Option("--expect", metavar="VERSION", help="Append only at this version of the stream; 0: only a new one."),
]
Owner = Annotated[
    str | None,
    typer.Option(
        "--agent", metavar="AGENT", help="Whose a new stream is to be, for good.", autocompletion=completion.agents
    ),
]
Whose = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Only of this one's streams.", autocompletion=completion.agents),
]
Id = Annotated[
    str | None,
    typer.Option(
        "--id", metavar="ID", help="The event's own name: the newest, appended by the same once more, stays one."
    ),
]
Metadata = Annotated[str | None, typer.Option("--metadata", metavar="JSON", help="A JSON object kept with the event.")]
OfSnapshot = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON", help="A JSON object kept with the snapshot.")
]
Raw = Annotated[bool, typer.Option("--bytes", help="What is given is no JSON but bytes, kept as they are.")]
From = Annotated[
    int | None,
    typer.Option("--from", metavar="N", min=1, help="From this version on; of all streams, from this position on."),
]
Backward = Annotated[bool, typer.Option("--backward", help="Newest first, from --from down.")]
Types = Annotated[
    list[str] | None, typer.Option("--type", metavar="TYPE", help="Only of this type; may be given again.")
]
UpTo = Annotated[
    int | None, typer.Option("--version", metavar="N", min=1, help="The newest of no later version; else of all.")
]

_WORDS = ("any", "no_stream", "exists")


def append(
    context: typer.Context,
    stream: Stream,
    type: Type,
    data: Data,
    expect: Expected_ = None,
    agent: Owner = None,
    id: Id = None,
    message: Message = None,
    metadata: Metadata = None,
    raw: Raw = False,
    as_json: Json = False,
) -> None:
    """Append an event to a stream, which the first one makes.

    With --expect the stream must be at that version, so many events as somebody has read: 0 or no_stream for none at
    all, exists for any but none. A store that does not exist yet is made.
    """
    from statedb.values.event import Event

    expected, said = _expected(expect), given_metadata(metadata)
    event = Event(type, _given(data, raw, "DATA"), said, id)
    with opened(context, create=True) as store:
        [made] = store.streams.append(stream, [event], expected, agent_id=agent, message=message)
    if as_json:
        output.json(form(made))
    else:
        output.line(f"{stream}: version {made.version}, position {made.position}, revision {made.revision}")


def read(
    context: typer.Context,
    stream: Streams = None,
    first: From = None,
    limit: Limit = None,
    backward: Backward = False,
    types: Types = None,
    agent: Whose = None,
    as_json: Json = False,
) -> None:
    """Print a stream's events, oldest first, or those of all streams in the order they were appended.

    Each line is an event: its place in its stream, with all streams also its position among all events, then what kind
    it is, when it was appended and by whom, and its data. Erased data is gone, and its place is kept.
    """
    with opened(context) as store:
        if stream is None:
            found = store.streams.read_all(first, _all(limit), agent_id=agent, types=types or None, backward=backward)
        elif types or agent is not None:
            raise Usage("--type and --agent pick events of all streams; leave them or the stream out")
        else:
            found = store.streams.read(stream, first, limit, backward=backward)
            if not found and not store.streams.version(stream):
                raise Refused(f"there is no stream {stream}")
    if as_json:
        output.json([form(each) for each in found])
    else:
        _event_table(found, several=stream is None)


def list_(context: typer.Context, pattern: Pattern = "*", agent: Whose = None, as_json: Json = False) -> None:
    """Print the streams there are, in order of their names.

    Each line is a stream: whose it is, how many events it has, and when the first and the last were appended.
    """
    with opened(context) as store:
        found = store.streams.list(agent, pattern=pattern)
    if as_json:
        output.json([form(each) for each in found])
    else:
        tables.table(("stream", "agent", "version", "since", "at"), map(_stream_row, found))


def watch(
    context: typer.Context,
    stream: Streams = None,
    first: From = None,
    types: Types = None,
    agent: Whose = None,
    limit: Limit = None,
    timeout: Timeout = None,
    as_json: Json = False,
) -> None:
    """Print events as they are appended, of one stream or of all, until interrupted.

    Without --from they are those from now on. Each line is an event: its commit, when that was made and by whom, its
    place in its stream, its type and its data.
    """
    with until_asked(), opened(context) as store:
        since = None if first is None else _before(store, stream, first)
        with store.streams.watch(stream, agent_id=agent, types=types or None, since=since, timeout=timeout) as events:
            follow(events, event_line, limit, as_json)


def show_snapshot(context: typer.Context, stream: Stream, version: UpTo = None, as_json: Json = False) -> None:
    """Print the newest snapshot of a stream, or the newest of no later version than told.

    Where there is none, the command ends with status 1.
    """
    with opened(context) as store:
        found = store.streams.load_snapshot(stream, version)
    if found is None:
        raise Refused(f"{stream} has no snapshot" + (f" as old as version {version}" if version else ""))
    if as_json:
        output.json(form(found))
    else:
        names = {"stream_id": "stream", "state": "value"}
        output.facts((names.get(name, name), known) for name, known in form(found).items())


def save_snapshot(
    context: typer.Context,
    stream: Stream,
    version: Version,
    state: State,
    message: Message = None,
    metadata: OfSnapshot = None,
    raw: Raw = False,
    as_json: Json = False,
) -> None:
    """Keep what was made of a stream's events up to a version.

    Another one for the same version takes its place.
    """
    given, said = _given(state, raw, "STATE"), given_metadata(metadata)
    with opened(context) as store:
        made = store.streams.save_snapshot(stream, version, given, said, message=message)
    if as_json:
        output.json(form(made))
    else:
        output.line(f"{stream}: snapshot of version {made.version}, revision {made.revision}")


# ---- inside


def _expected(text: str | None) -> Expected:
    if text is None or text in _WORDS:
        return text  # type: ignore[return-value]  # one of its words
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    raise Usage(f"--expect is {text!r:.80}; it is a version, or one of {', '.join(_WORDS)}")


def _given(text: str, raw: bool, what: str) -> Any:
    given = given_bytes(text)
    return given if raw else parsed(given, what)


def _all(limit: int | None) -> int:
    from statedb.values.arguments import LARGEST

    return LARGEST if limit is None else limit


def _event_table(found: Sequence[RecordedEvent], *, several: bool) -> None:
    headings = (*(("position", "stream") if several else ()), "version", "type", "at", "by", "data")
    tables.table(headings, (_event_row(each, several=several) for each in found))


def _event_row(found: RecordedEvent, *, several: bool) -> tuple[object, ...]:
    place = (found.position, found.stream_id) if several else ()
    return (*place, found.version, found.type, output.when(found.at), found.by, output.brief(found.data))


def _stream_row(found: EventStream) -> tuple[object, ...]:
    times = output.when(found.created_at), output.when(found.updated_at)
    return (found.stream_id, found.agent_id, found.version, *times)


def _before(store: Store, stream: str | None, first: int) -> int:
    """Return the position before that of a stream's version, or of all streams' position."""
    if stream is None or first == 1:
        return first - 1
    found = store.streams.read(stream, first - 1, 1)
    if not found:
        raise Refused(f"{stream} is at version {store.streams.version(stream)}, and --from is {first}")
    return found[0].position
