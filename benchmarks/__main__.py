"""The command: `python -m benchmarks` for the figures and RESULTS.md, `--quick` for a look in ten seconds."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from benchmarks import past, processes, reads, report, together, writes
from benchmarks.rounds import FULL, QUICK, Row, Sizes
from benchmarks.sample import template

RESULTS = Path(__file__).with_name("RESULTS.md")


def measure(folder: Path, sizes: Sizes) -> list[Row]:
    """Run everything in a folder and return the rows."""
    made = template(folder, sizes.keys)
    return [row for part in (reads, past, writes, together, processes) for row in part.rows(made, sizes)]


def main() -> None:
    """Print the table; write RESULTS.md after a full run."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    asked.add_argument("--quick", action="store_true", help="a smoke run: few rounds, small store, no RESULTS.md")
    quick = asked.parse_args().quick
    facts = report.machine()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), QUICK if quick else FULL)
    print(", ".join(facts))
    print(report.table(rows))
    if not quick:
        RESULTS.write_text(report.page(rows, facts), encoding="utf-8")


if __name__ == "__main__":
    main()
