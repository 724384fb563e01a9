"""The tables, and the machine they were measured on."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks.rounds import Row

HEADINGS = ("what", "statedb µs", "floor µs", "ratio", "best", "target", "")


class Table(NamedTuple):
    """What was measured on one database, and the facts of it."""

    database: str
    rows: Sequence[Row]
    facts: Sequence[str]


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a table of Markdown, columns aligned so that a terminal shows it well too."""
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = ["| " + " | ".join(_aligned(line, widths)) + " |" for line in cells]
    rule = "|".join(f"{'-' * (width + 1)}{'-' if column == 0 else ':'}" for column, width in enumerate(widths))
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])


def page(tables: Sequence[Table], facts: Sequence[str]) -> str:
    """Return the whole of RESULTS.md."""
    return "\n".join([_PREFACE.format(facts=", ".join(facts)), *(_section(each) for each in tables)])


_PREFACE = """# What statedb costs over doing the same by hand
Made by `python -m benchmarks`: {facts}.

The floor does the same rows on an equal database with the same promises in the same run, and leaves out what statedb
adds: checks, digests, the hash chain (16 bytes stand in for each), expiry, typed results. The two take turns; times are
medians over rounds, `ratio` is that of the medians, `best` that of the fastest rounds. Values are 465 bytes of JSON in
a store of 10,000 keys unless the row says otherwise. A ratio below 1 means statedb is faster.
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


def _section(measured: Table) -> str:
    floors = "\n".join(f"- {row.name}: {row.against}." for row in measured.rows)
    return f"""## {measured.database}
Measured on: {", ".join(measured.facts)}.

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
        _time(median(row.statedb)),
        _time(median(row.floor)) if row.floor else "",
        _ratio(row.ratio),
        _ratio(row.best),
        "" if row.target is None else f"≤ {row.target:.1f}",
        row.verdict,
    )


def _time(micros: float) -> str:
    return f"{micros:,.0f}" if micros >= 100 else f"{micros:.1f}"


def _ratio(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}"


def _aligned(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        cell.ljust(width) if not at else cell.rjust(width)
        for at, (cell, width) in enumerate(zip(line, widths, strict=True))
    ]
