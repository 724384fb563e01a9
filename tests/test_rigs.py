"""The rigs, for a few seconds each; `make gaps crash torn linear watchers exclusion` runs them for long."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.places import only_postgres
from tests.rigs.crash import crash
from tests.rigs.exclusion import exclude
from tests.rigs.gaps import hunt
from tests.rigs.linear import line_up
from tests.rigs.server import Server
from tests.rigs.torn import LARGE, tear
from tests.rigs.watchers import keep_watch

SECONDS = 2.0
KILLS = 2


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


@pytest.mark.parametrize("name", LARGE)
def test_a_process_killed_in_the_middle_of_a_large_change_has_made_it_or_not(name: str, where: str) -> None:
    torn = tear(name, KILLS, lambda _: where)
    print(torn)
    assert torn.found.total() == KILLS


def test_what_processes_are_told_of_a_key_can_be_put_in_one_order(where: str, tmp_path: Path) -> None:
    print(line_up(where, tmp_path / "linear", SECONDS / 2))


def test_what_watchers_are_promised_is_kept_though_they_are_killed_and_old_versions_cut(
    where: str, tmp_path: Path
) -> None:
    print(keep_watch(where, tmp_path / "watchers", SECONDS / 2))


def test_no_two_hold_what_excludes_the_other_though_holders_are_stopped_and_killed(where: str, tmp_path: Path) -> None:
    print(exclude(where, tmp_path / "exclusion", SECONDS / 2))
