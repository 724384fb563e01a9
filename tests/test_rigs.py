"""The rigs, for a few seconds each; `make gaps` and `make crash` run them for long."""

from __future__ import annotations

from pathlib import Path

from tests.places import only_postgres
from tests.rigs.crash import crash
from tests.rigs.gaps import hunt
from tests.rigs.server import Server

SECONDS = 2.0


def test_the_feed_has_no_gap(where: str, tmp_path: Path) -> None:
    print(hunt(where, tmp_path / "hunt", SECONDS))


def test_the_feed_has_no_gap_where_writers_are_killed_and_one_is_slow(where: str, tmp_path: Path) -> None:
    print(hunt(where, tmp_path / "hunt", SECONDS, kill=True, held=SECONDS / 2))


def test_no_write_is_lost_or_doubled_where_all_writers_are_killed(where: str, tmp_path: Path) -> None:
    print(crash(where, tmp_path / "crash", SECONDS))


@only_postgres
def test_no_write_is_lost_or_doubled_where_the_server_is_killed(database: str, tmp_path: Path) -> None:
    with Server() as server:
        print(crash(server.create("store"), tmp_path / "crash", 2 * SECONDS, server))
