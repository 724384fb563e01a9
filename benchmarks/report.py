"""The tables, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.crowd import Crowd
from benchmarks.peers.races import PeerRow
from benchmarks.rounds import Row
from benchmarks.storage import Room

HEADINGS = ("what", "statedb µs", "floor µs", "ratio", "best", "target", "")
PEERS = ("what", "peer", "statedb µs", "peer µs", "peer / statedb", "target", "")
ROOMS = ("history", "store", "MB", "statedb / store", "target", "")
CROWD = ("what", "measured", "target", "")


class Table(NamedTuple):
    """What was measured on one database, and the facts of it."""

    database: str
    rows: Sequence[Row]
    facts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Beside:
    """What was measured beside other stores, and the facts of them. `skipped` says what storage was not measured."""

    peers: Sequence[PeerRow]
    rooms: Sequence[Room]
    recall: Sequence[Row]
    crowd: Crowd
    facts: Sequence[str]
    skipped: str | None


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown."""
    return grid(HEADINGS, [_cells(row) for row in rows], 1)


def grid(headings: Sequence[str], lines: Sequence[Sequence[str]], left: int) -> str:
    """Return a table of Markdown, `left` columns of it words, columns aligned so that a terminal shows it well too."""
    cells = [headings, *lines]
    widths = [max(len(line[column]) for line in cells) for column in range(len(headings))]
    printed = ["| " + " | ".join(_aligned(line, widths, left)) + " |" for line in cells]
    rule = "|".join(f"{'-' * (width + 1)}{'-' if column < left else ':'}" for column, width in enumerate(widths))
    return "\n".join([printed[0], f"|{rule}|", *printed[1:]])


def page(tables: Sequence[Table], beside: Beside, facts: Sequence[str]) -> str:
    """Return the whole of RESULTS.md."""
    parts = [_PREFACE.format(facts=", ".join(facts)), peers(beside), *(_section(each) for each in tables)]
    return "\n".join(parts)


def peers(beside: Beside) -> str:
    """Return what was measured beside other stores."""
    words = {row.peer: row.against for row in beside.peers}
    reasons = [row.missing for row in beside.peers] + [room.missing for room in beside.rooms]
    missing = dict.fromkeys(filter(None, reasons))
    return _PEERS.format(
        facts=", ".join(beside.facts),
        peers=grid(PEERS, [_peer(row) for row in beside.peers], 2),
        words="\n".join(f"- {name}: {word}." for name, word in words.items()),
        missing="".join(f"\nRows without figures: {why}.\n" for why in missing),
        rooms=grid(ROOMS, [_room(row) for row in beside.rooms], 2),
        skipped=f"\n{beside.skipped}\n" if beside.skipped else "",
        recall=table(beside.recall),
        against="\n".join(f"- {row.name}: {row.against}." for row in beside.recall),
        crowd=grid(CROWD, beside.crowd.facts(), 1),
        seconds=f"{beside.crowd.seconds:g}",
        processes=beside.crowd.processes,
    )


_PREFACE = """# What statedb costs, beside other stores and beside doing the same by hand
Made by `make bench` (`python -m benchmarks`): {facts}. How the costs grow is in [SCALE.md](SCALE.md).

Two contenders take turns, round by round, each beginning every other round; times are medians over rounds. Every row is
here, also those where another is faster, and those where a target is missed (`short`).
"""

_PEERS = """## Beside other stores
Measured on: {facts}.

The same values of 1,024 bytes of JSON under the same 1,000 keys, in files on the same disk, in WAL mode with the same
`synchronous`: `normal` or `full`, as the row says. `peer / statedb` is how many times faster statedb is: below 1, the
peer is faster. A set of statedb writes the newest value, its version with digest and chained hash, and its commit. What
each peer keeps of the value before, and how its durability was made the same:

{words}

`on one core`, the threads of both share one, and a hop from thread to thread costs least. `across cores`, they lie
where the scheduler puts them, as in most programs.

![times of set and get, statedb and its peers](plots/peers.svg)

{peers}
{missing}
### On disk
Each history in a file of its own, which has been closed. git has one commit for each version of one file of compact
JSON; its size is that of all its objects and their index after `gc`, the other stores' that of all their files.

![bytes on disk, statedb and its peers](plots/storage.svg)

{rooms}
{skipped}
### An old version, and what a cache saves

{recall}

The floor of each row:

{against}

### {processes} processes write for {seconds} s
Each sets a key of its own, at `normal`, on one file; one process alone does before and after.

{crowd}
"""

_ABOUT = {
    "SQLite": """Where the two ratios of a write differ, `ratio` has a share of checkpoints in it, which cost both the
same, and `best` has none.""",
    "PostgreSQL": """The floor is psycopg on a connection kept open: what is said often is prepared, and a write takes
the same lock, so that revisions become visible in their order. Each of its statements waits for its answer, as in most
programs; the rows with the floor pipelined or batched show what more could be had by hand. The server runs on the same
machine, behind a socket: the nearest a server can be, so nothing hides behind the way to it. *Apart*, it has cores of
its own and the client another; *on one core*, they share one, and waiting costs least. Rows that say neither are
measured apart, those of processes wherever the scheduler puts them. `durability="normal"` is `synchronous_commit` off,
for both.""",
}

_BY_HAND = """The floor does the same rows on an equal database with the same promises in the same run, and leaves out
what statedb adds: checks, digests, the hash chain (16 bytes stand in for each), expiry, typed results. `ratio` is that
of the medians, `best` that of the fastest rounds. Values are 465 bytes of JSON in a store of 10,000 keys unless the row
says otherwise. A ratio below 1 means statedb is faster."""


def _section(measured: Table) -> str:
    floors = "\n".join(f"- {row.name}: {row.against}." for row in measured.rows)
    return f"""## By hand, on {measured.database}
Measured on: {", ".join(measured.facts)}.

{_BY_HAND}

{_ABOUT[measured.database]}

{table(measured.rows)}

The floor of each row:

{floors}
"""


def machine() -> list[str]:
    """Return what a reader needs to judge the figures by, and nothing that tells whose machine it is."""
    return [
        f"{datetime.now(UTC):%Y-%m-%d}",
        f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        f"Python {platform.python_version()} ({sys.implementation.name})",
        f"an fsync of one page takes {_fsync():.0f} µs",
    ]


def sqlite() -> list[str]:
    """Return what SQLite it is."""
    return [f"SQLite {sqlite3.sqlite_version}"]


def _fsync() -> float:
    with tempfile.TemporaryDirectory() as folder, Path(folder, "page").open("wb", buffering=0) as file:
        times = []
        for _ in range(50):
            file.write(os.urandom(4096))
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append((time.perf_counter() - begun) * 1e6)
    return median(times)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        micros(median(row.statedb)),
        micros(median(row.floor)) if row.floor else "",
        _ratio(row.ratio),
        _ratio(row.best),
        _target(row),
        row.verdict,
    )


def _target(row: Row) -> str:
    if row.at_most is not None:
        return f"≤ {row.at_most:.0f} µs"
    return "" if row.target is None else f"≤ {row.target:.1f}"


def _peer(row: PeerRow) -> tuple[str, ...]:
    target = "" if row.faster is None else f"≥ {row.faster:g}"
    if row.missing or not row.floor:
        return row.name, row.peer, "", "", "", target, "missing"
    ours, theirs = micros(median(row.statedb)), micros(median(row.floor))
    return row.name, row.peer, ours, theirs, _ratio(row.times), target, row.verdict


def _room(row: Room) -> tuple[str, ...]:
    target = "" if row.most is None else f"≤ {row.most:g} MB" if row.store == "statedb" else f"≤ {row.most:g}"
    if row.size is None:
        return row.history, row.store, "", "", target, "missing"
    ratio = "" if row.store == "statedb" else f"{row.ratio:.3g}"
    return row.history, row.store, f"{row.size / 1e6:.3f}", ratio, target, row.verdict


def micros(time: float) -> str:
    """Return microseconds as a table shows them."""
    return f"{time:,.0f}" if time >= 100 else f"{time:.1f}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _aligned(line: Sequence[str], widths: Sequence[int], left: int) -> list[str]:
    return [
        cell.ljust(width) if at < left else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
