"""The benchmarks run, every row prints, and no figure is judged: a busy machine must not fail a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks import postgres, report
from benchmarks.__main__ import measure
from benchmarks.report import Table, page, table
from benchmarks.rounds import Row, Sizes

TINY = Sizes(keys=50, rounds=2, operations=16, together=20, seconds=0.05, crew=2, turns=1, histories=(20, 40))


def test_every_row_is_measured_against_its_floor_and_printed(tmp_path: Path) -> None:
    rows = measure(tmp_path, TINY)
    _check(rows, count=35, targets=6)
    assert table(rows) in page([Table("SQLite", rows, report.sqlite())], report.machine())


def test_every_row_on_a_server_is_measured_against_its_floor_and_printed() -> None:
    with postgres.Server() as server:
        rows, facts = postgres.measure(server, TINY), server.facts()
    _check(rows, count=28, targets=11)
    assert "fsync on" in facts
    assert table(rows) in page([Table("PostgreSQL", rows, facts)], report.machine())


def _check(rows: Sequence[Row], *, count: int, targets: int) -> None:
    printed = table(rows)
    assert len({row.name for row in rows}) == len(rows) == count
    assert sum(row.target is not None for row in rows) == targets
    for row in rows:
        assert row.statedb
        assert row.floor
        assert f"| {row.name}" in printed
    assert all(row.verdict in ("ok", "short") for row in rows if row.target)
