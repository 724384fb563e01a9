"""The benchmarks run, every row prints, and no figure is judged: a busy machine must not fail a test."""

from __future__ import annotations

from pathlib import Path

from benchmarks.__main__ import measure
from benchmarks.report import machine, page, table
from benchmarks.rounds import Sizes

TINY = Sizes(keys=50, rounds=2, operations=16, together=20, seconds=0.05, histories=(20, 40))


def test_every_row_is_measured_against_its_floor_and_printed(tmp_path: Path) -> None:
    rows = measure(tmp_path, TINY)
    printed = table(rows)
    assert len({row.name for row in rows}) == len(rows) == 35
    assert sum(row.target is not None for row in rows) == 6
    for row in rows:
        assert row.statedb
        assert row.floor
        assert f"| {row.name}" in printed
    assert all(row.verdict in ("ok", "short") for row in rows if row.target)
    assert printed in page(rows, machine())
