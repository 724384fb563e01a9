"""import, export: a history as JSON lines, into a store and out of one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from statedb.cli import output
from statedb.cli.exits import Refused, Usage
from statedb.cli.lines import BATCH_BYTES, Batch, Lines, reading, writing
from statedb.cli.progress import progress
from statedb.cli.stores import file_of, opened
from statedb.errors import InvalidKey, InvalidValue, StateDBError
from statedb.models import StateType

if TYPE_CHECKING:
    from statedb.store import Store

T = TypeVar("T")
Load = Callable[["Store", Batch[T]], int]

File = Annotated[
    str, typer.Argument(metavar="FILE", help="JSON lines, zstd or not; - for standard input.", show_default=False)
]
Output = Annotated[
    str | None, typer.Option("-o", "--output", metavar="FILE", help="Write there; .zst at the end compresses.")
]

HEADER = {"statedb": "history", "format": 1}
"""The first line of an export."""

_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
"""The years 1 and 9999, in seconds since 1970: what a datetime can tell."""

_MOST_COMMITS = 1000


def import_(
    context: typer.Context,
    file: File,
    agent: Annotated[str | None, typer.Option("--agent", metavar="AGENT", help="Import versions: whose.")] = None,
    state_type: Annotated[StateType | None, typer.Option("--type", help="Import versions: of which tier.")] = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="Import versions: of which key.")] = None,
) -> None:
    """Import a history made by export; or, with --agent, --type and --key, the versions of one key.

    FILE holds JSON lines, compressed with zstd or not. A version is a line {"at": seconds since 1970, "value": …}. What
    is imported keeps its times, authors and messages; a file with an error leaves in the store the lines before it, in
    whole batches, and says how many these were.
    """
    if agent is not None and state_type is not None and key is not None:
        _import_versions(context, file, agent, state_type, key)
    elif agent is None and state_type is None and key is None:
        _import_history(context, file)
    else:
        raise Usage("--agent, --type and --key go together: they name the key whose versions FILE holds")


def export(context: typer.Context, to: Output = None) -> None:
    """Write the whole history as JSON lines, which import takes back to the same history.

    A file appears under its name once it is whole. Commits made meanwhile are not in it: it ends with the newest one
    there was at the start.
    """
    if to is not None and os.path.realpath(to) in _files_of(file_of(context)):
        raise Usage(f"{to} is the store itself; an export takes another name")
    with opened(context) as store, writing(to) as write:
        top = store.transfer.head()
        past = store.at(top)
        write(HEADER)
        since, page = 0, 1
        with progress("exporting", top) as advance:
            while since < top:
                records = past.transfer.export(since=since, limit=page)
                since += page
                size = sum(map(write, records))
                page = _next_page(page, size)
                advance(since)
    if to is not None and to != "-":
        output.line(f"exported {top:,} commits to {to}")


# ---- inside


def _files_of(path: str) -> set[str]:
    """Return the files a store is kept in."""
    return {os.path.realpath(path) + end for end in ("", "-wal", "-shm")}


def _next_page(page: int, size: int) -> int:
    """Return how many commits to ask for next, so that a page holds about what a batch may; commits differ widely."""
    return max(1, min(2 * page, _MOST_COMMITS, page * BATCH_BYTES // max(size, 1)))


def _import_versions(context: typer.Context, file: str, agent: str, state_type: StateType, key: str) -> None:
    with reading(file) as lines:
        count = _load(
            context,
            lines,
            lines.batches(_version),
            lambda store, batch: store.transfer.load_versions(agent, state_type, key, batch),
        )
    output.line(f"imported {count:,} versions of {key}")


def _import_history(context: typer.Context, file: str) -> None:
    with reading(file) as lines:
        _check_header(lines)
        count = _load(context, lines, lines.batches(_record), lambda store, batch: store.transfer.load(batch))
    output.line(f"imported {count:,} commits")


def _load(context: typer.Context, lines: Lines, batches: Iterator[Batch[T]], load: Load[T]) -> int:
    """Load batches, each wholly or not at all, and return how many lines that were."""
    count = 0
    with progress("importing", lines.total) as advance:
        try:
            # Read before the store is made: a file that cannot be read leaves nothing behind.
            first: Batch[T] = next(batches, Batch())
            with opened(context, create=True) as store:
                for batch in chain([first], batches):
                    count += _load_batch(store, batch, load)
                    advance(lines.done)
        except (Refused, StateDBError) as error:
            raise Refused(f"{error}; {_standing(count)}") from error
    return count


def _load_batch(store: Store, batch: Batch[T], load: Load[T]) -> int:
    try:
        return load(store, batch)
    except (InvalidKey, InvalidValue) as error:
        if not batch.line:
            raise  # no line had been looked at yet: it is --agent or --key that cannot be
        # A record is counted by the store within its batch; here it is named by its line.
        because = re.sub(r"^record \d+ is not one", "no record", str(error))
        raise Refused(f"line {batch.line}: {because}") from error


def _standing(count: int) -> str:
    return f"the first {count:,} are in the store" if count else "nothing was imported"


def _version(document: Any) -> tuple[float, Any]:
    """Return the time and the value of a line. ValueError for one that has not both."""
    if not isinstance(document, dict) or "value" not in document or "at" not in document:
        raise ValueError('is no version: it takes {"at": seconds since 1970, "value": …}')
    at = document["at"]
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        raise ValueError("has an 'at' that is no number of seconds since 1970")
    if not _EARLIEST <= at <= _LATEST:
        raise ValueError(f"has an 'at' of {at:g} seconds since 1970, which no calendar holds; is it in milliseconds?")
    return at, document["value"]


def _record(document: Any) -> Mapping[str, Any]:
    if not isinstance(document, dict):
        raise ValueError("is no record of an export")
    return document


def _check_header(lines: Lines) -> None:
    found = lines.next()
    header = found[1] if found else None
    if not isinstance(header, dict) or header.get("statedb") != HEADER["statedb"]:
        raise Refused(
            "line 1 is not the first line of an export; to import versions of one key, name it: --agent, --type, --key"
        )
    if header.get("format") != HEADER["format"]:
        raise Refused(
            f"the export has format {header.get('format')!r:.40}, which this statedb does not know; upgrade it"
        )
