"""The command: `python -m benchmarks` for the figures and RESULTS.md, `--quick` for a look in a minute."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import caches, crowd, live, past, postgres, processes, reads, recall, report, storage, together, writes
from benchmarks.peers import git, races
from benchmarks.report import Beside, Table
from benchmarks.rounds import FULL, QUICK, Row, Sizes
from benchmarks.sample import template

RESULTS = Path(__file__).with_name("RESULTS.md")
PLOTS = Path(__file__).with_name("plots")


def measure(folder: Path, sizes: Sizes) -> list[Row]:
    """Run everything that is measured on SQLite by hand in a folder and return the rows."""
    made = template(folder, sizes.keys)
    by_hand = [row for part in (reads, past, writes, together, processes) for row in part.rows(made, sizes)]
    return by_hand + live.rows(str(folder / "live.db"), sizes)


def measure_beside(folder: Path, sizes: Sizes) -> Beside:
    """Run everything that is measured beside other stores in a folder."""
    return Beside(
        peers=races.rows(folder, sizes),
        rooms=storage.rows(folder, sizes),
        recall=[*recall.rows(folder / "recall", sizes), *caches.rows(folder / "caches", sizes)],
        crowd=crowd.measure(folder / "crowd", sizes),
        facts=[*report.sqlite(), *races.facts(), f"git {git.version() or 'not there'}"],
        skipped=storage.skipped(sizes),
    )


def main() -> None:
    """Print the tables; write RESULTS.md and its plots after a full run."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--quick", action="store_true", help="a smoke run: few rounds, small store, no RESULTS.md")
    asked.add_argument("--only", choices=("peers", "sqlite", "postgres"), help="one of the parts; no RESULTS.md")
    told = asked.parse_args()
    sizes = QUICK if told.quick else FULL
    facts = report.machine()
    print(", ".join(facts))
    tables, beside = [], None
    if told.only in (None, "peers"):
        with tempfile.TemporaryDirectory() as folder:
            beside = measure_beside(Path(folder), sizes)
        print(report.peers(beside))
    if told.only in (None, "sqlite"):
        with tempfile.TemporaryDirectory() as folder:
            tables.append(Table("SQLite", measure(Path(folder), sizes), report.sqlite()))
        print(report.table(tables[-1].rows))
    if told.only in (None, "postgres"):
        with postgres.Server() as server:
            tables.append(Table("PostgreSQL", postgres.measure(server, sizes), server.facts()))
        print(report.table(tables[-1].rows))
    if beside is not None and told.only is None and not told.quick:
        from benchmarks import plots  # matplotlib, which a look does without

        plots.peers(beside.peers, PLOTS / "peers.svg")
        plots.storage(beside.rooms, PLOTS / "storage.svg")
        RESULTS.write_text(report.page(tables, beside, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
