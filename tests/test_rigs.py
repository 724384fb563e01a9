"""The rigs, for a few seconds each; `make gaps` and `make crash` run them for long."""

from __future__ import annotations

from pathlib import Path

from tests.rigs.crash import crash
from tests.rigs.gaps import hunt

SECONDS = 3.0


def test_the_feed_has_no_gap(where: str, tmp_path: Path) -> None:
    print(hunt(where, tmp_path / "hunt", SECONDS))


def test_the_feed_has_no_gap_where_writers_are_killed_and_a_transaction_is_left_open(where: str, tmp_path: Path) -> None:
    print(hunt(where, tmp_path / "hunt", SECONDS, kill=True, held=SECONDS / 3))


def test_no_write_is_lost_or_doubled_where_all_writers_are_killed(path: Path, tmp_path: Path) -> None:
    print(crash(str(path), tmp_path / "crash", SECONDS))
