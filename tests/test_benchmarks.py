"""The benchmarks run, every row prints, and no figure is judged: a busy machine must not fail a test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import crowd, curves, postgres, report
from benchmarks.__main__ import measure, measure_beside
from benchmarks.axis import Lengths
from benchmarks.peers import races
from benchmarks.peers.peer import Durability, Named, Peer, version
from benchmarks.report import Beside, Table, page, peers, table
from benchmarks.rounds import Row, Sizes

TINY = Sizes(
    keys=50, rounds=2, operations=16, together=20, seconds=0.05, crew=2, turns=1, histories=(20, 40), steps=5,
    real=False, crowd=0.1,
)  # fmt: skip
SMALL = Lengths(
    versions=(20, 40), keys=(1, 2), changed=(1, 2), beside=(10, 20), others=(0, 8), processes=(1,), rounds=1, calls=1,
    seconds=0.05,
)  # fmt: skip
BESIDE = Beside([], [], [], crowd.Crowd(2, 0.1, alone=[1.0]), [], None)


def test_every_row_is_measured_against_its_floor_and_printed(tmp_path: Path) -> None:
    rows = measure(tmp_path, TINY)
    _check(rows, count=44, targets=6)
    assert table(rows) in page([Table("SQLite", rows, report.sqlite())], BESIDE, report.machine())


def test_every_row_on_a_server_is_measured_against_its_floor_and_printed() -> None:
    with postgres.Server() as server:
        rows, facts = postgres.measure(server, TINY), server.facts()
    _check(rows, count=37, targets=11)
    assert "fsync on" in facts
    assert table(rows) in page([Table("PostgreSQL", rows, facts)], BESIDE, report.machine())


def test_every_peer_has_its_rows_or_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(races, "KEYS", 20)
    beside = measure_beside(tmp_path, TINY)
    printed = peers(beside)
    everyone: tuple[type[Named], ...] = (*races.PEERS, *races.ASYNC)
    packages = {each.name: each.package for each in everyone}
    assert {row.peer for row in beside.peers} == set(packages)
    for row in beside.peers:
        assert bool(row.statedb and row.floor) == (not row.missing) == (version(packages[row.peer]) is not None)
        assert f"Rows without figures: {row.missing}" in printed or not row.missing
    assert {(room.store, room.size is None) for room in beside.rooms} >= {("statedb", False)}
    assert all(bool(room.size) != bool(room.missing) for room in beside.rooms)
    assert all(f"| {row.name}" in printed for row in beside.recall)
    assert beside.crowd.acknowledged
    assert not beside.crowd.errors
    assert not beside.crowd.lost
    assert "The real histories are left out" in printed


def test_a_peer_that_does_not_work_has_rows_that_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(Peer):
        name, package, keeps, same = "broken", "statedb", "nothing", "nothing"

        def __init__(self, folder: Path, durability: Durability) -> None:
            raise OSError("no library")

    monkeypatch.setattr(races, "PEERS", (Broken,))
    monkeypatch.setattr(races, "ASYNC", ())
    assert [row.missing for row in races.rows(tmp_path, TINY)] == [
        f"broken {version('statedb')} does not work here (OSError: no library)"
    ] * 3


def test_an_asynchronous_peer_is_raced_in_every_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Twin(races.Ours):
        name, package, keeps, same = "twin", "statedb", "every version", "a store's own"

        async def open(self, folder: Path, durability: Durability) -> None:
            (folder / "twin").mkdir()
            await super().open(folder / "twin", durability)

    monkeypatch.setattr(races, "KEYS", 20)
    monkeypatch.setattr(races, "PEERS", ())
    monkeypatch.setattr(races, "ASYNC", (Twin,))
    rows = races.rows(tmp_path, TINY)
    assert len(rows) == 9
    assert all(len(row.statedb) == len(row.floor or ()) >= 2 for row in rows)


def test_every_curve_has_a_time_at_every_size(tmp_path: Path) -> None:
    axes, crowds = curves.measure(tmp_path, SMALL)
    said = curves.said(axes, crowds, report.machine())
    assert [len(axis.curves) for axis in axes] == [9, 8, 8, 2, 4, 1, 2]
    for axis in axes:
        assert axis.name.capitalize() in said
        for curve in axis.curves:
            assert all(curve.times[size] for size in curve.sizes)
    assert not crowds[0].errors


ALONE = {
    "to another process, p50",
    "to another process, p99",
    "to another process, one after another, p99",
    "within a process, p50",
    "an idle watcher, CPU a second",
    "replay, each change",
}
"""What nothing raw does as well."""


def _check(rows: Sequence[Row], *, count: int, targets: int) -> None:
    printed = table(rows)
    assert len({row.name for row in rows}) == len(rows) == count
    assert sum(row.target is not None for row in rows) == targets
    for row in rows:
        assert row.statedb
        assert row.floor or row.name in ALONE
        assert f"| {row.name}" in printed
    assert all(row.verdict in ("ok", "short") for row in rows if row.target)
