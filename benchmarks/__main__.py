"""The command: `python -m benchmarks` for the figures and RESULTS.md, `--quick` for a look in twenty seconds."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import past, postgres, processes, reads, report, together, writes
from benchmarks.report import Table
from benchmarks.rounds import FULL, QUICK, Row, Sizes
from benchmarks.sample import template

RESULTS = Path(__file__).with_name("RESULTS.md")


def measure(folder: Path, sizes: Sizes) -> list[Row]:
    """Run everything that is measured on SQLite in a folder and return the rows."""
    made = template(folder, sizes.keys)
    return [row for part in (reads, past, writes, together, processes) for row in part.rows(made, sizes)]


def main() -> None:
    """Print the tables; write RESULTS.md after a full run."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--quick", action="store_true", help="a smoke run: few rounds, small store, no RESULTS.md")
    asked.add_argument("--only", choices=("sqlite", "postgres"), help="one of the databases; no RESULTS.md")
    told = asked.parse_args()
    sizes = QUICK if told.quick else FULL
    facts = report.machine()
    print(", ".join(facts))
    tables = []
    if told.only != "postgres":
        with tempfile.TemporaryDirectory() as folder:
            tables.append(Table("SQLite", measure(Path(folder), sizes), report.sqlite()))
        print(report.table(tables[-1].rows))
    if told.only != "sqlite":
        with postgres.Server() as server:
            tables.append(Table("PostgreSQL", postgres.measure(server, sizes), server.facts()))
        print(report.table(tables[-1].rows))
    if len(tables) == 2 and not told.quick:
        RESULTS.write_text(report.page(tables, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
