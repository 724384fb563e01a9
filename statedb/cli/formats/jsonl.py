"""JSON lines: the versions of one key in, and the whole history out and in."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

import typer

from statedb.cli.exits import Refused, Usage
from statedb.cli.formats.batches import MOST_BYTES, load, load_versions
from statedb.cli.formats.lines import Lines, reading, writing
from statedb.cli.stores import opened, place_of
from statedb.cli.terminal import output
from statedb.cli.terminal.progress import progress
from statedb.models import MISSING, Imported, StateType

HEADER = {"statedb": "history", "format": 1}
"""The first line of an export."""

_EARLIEST, _LATEST = -62_135_596_800, 253_402_300_799
"""The years 1 and 9999, in seconds since 1970: what a datetime can tell."""

_MOST_COMMITS = 1000


def import_versions(context: typer.Context, file: str, agent: str, state_type: StateType, key: str) -> None:
    """Import lines that are versions of one key."""
    with reading(file) as lines:
        count = load_versions(context, lines, lines.batches(_version), (agent, state_type, key))
    output.line(f"imported {count:,} versions of {key}")


def import_history(context: typer.Context, file: str) -> None:
    """Import an export."""
    with reading(file) as lines:
        _check_header(lines)
        count = load(context, lines, lines.batches(_record), lambda store, batch: store.transfer.load(batch))
    output.line(f"imported {count:,} commits")


def export_history(context: typer.Context, to: str | None) -> None:
    """Write the whole history to a file, or to standard output."""
    if to is not None and os.path.realpath(to) in place_of(context).files:
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


def _next_page(page: int, size: int) -> int:
    """Return how many commits to ask for next, so that a page holds about what a batch may; commits differ widely."""
    return max(1, min(2 * page, _MOST_COMMITS, page * MOST_BYTES // max(size, 1)))


def _version(document: Any) -> Imported:
    """Return the version a line means. ValueError for a line that means none."""
    if not isinstance(document, dict) or "at" not in document or ("value" in document) == _is_deletion(document):
        raise ValueError('is no version: it takes {"at": seconds since 1970, "value": …}, or "deleted": true instead')
    at = document["at"]
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        raise ValueError("has an 'at' that is no number of seconds since 1970")
    if not _EARLIEST <= at <= _LATEST:
        raise ValueError(f"has an 'at' of {at:g} seconds since 1970, which no calendar holds; is it in milliseconds?")
    return Imported(at, document.get("value", MISSING), _text(document, "by"), _text(document, "message"))


def _is_deletion(document: dict[str, Any]) -> bool:
    deleted = document.get("deleted", False)
    if not isinstance(deleted, bool):
        raise ValueError("has a 'deleted' that is neither true nor false")
    return deleted


def _text(document: dict[str, Any], name: str) -> str | None:
    text = document.get(name)
    if text is not None and not isinstance(text, str):
        raise ValueError(f"has a '{name}' that is no text")
    return text


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
