from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from statedb import Store
from statedb.db import migrate
from statedb.db.sqlite import opening
from tests.cli.helpers import Cli
from tests.places import only_sqlite

pytestmark = only_sqlite


def _set_schema(path: Path, number: str) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("update alembic_version set version_num = ?", (number,))
    raw.close()


def test_init_makes_a_store_and_leaves_one_that_exists(cli: Cli) -> None:
    assert cli.ok("init").text == f"made {cli.path}\n"
    cli.ok("set", "a", "local", "k", "1")
    assert cli.ok("init").text == f"{cli.path} is a store already\n"
    assert cli.ok("get", "a", "local", "k").text == "1\n"
    assert [each.name for each in cli.path.parent.iterdir()] == [cli.path.name]


def test_init_where_no_folder_is_is_refused(cli: Cli, tmp_path: Path) -> None:
    ran = cli.bare("-f", str(tmp_path / "no" / "app.db"), "init")
    assert (ran.code, "does its folder exist" in ran.line) == (1, True)


def test_init_leaves_another_programs_file_alone(cli: Cli) -> None:
    cli.path.write_bytes(b"not a database, but long enough to look at" * 20)
    before = cli.path.read_bytes()
    assert "not an SQLite database" in cli.refused("init")
    assert "not an SQLite database" in cli.refused("migrate")
    assert cli.path.read_bytes() == before


def test_migrate_makes_a_store_where_there_is_none(cli: Cli) -> None:
    assert cli.ok("migrate").text == f"made {cli.path} with schema {migrate.HEAD}\n"
    assert cli.ok("migrate").text == f"{cli.path} has schema {migrate.HEAD} already\n"


def test_migrate_upgrades_an_older_store_and_says_so(cli: Cli) -> None:
    opening.create_at(str(cli.path), "0001")
    assert cli.ok("migrate").text == f"{cli.path}: from schema 0001 to {migrate.HEAD}\n"
    with Store(cli.name) as store:
        assert store.health.check().ok


@pytest.mark.parametrize("args", [("migrate",), ("init",), ("log",), ("set", "a", "local", "k", "1"), ("export",)])
def test_a_store_too_new_is_refused_and_not_touched(cli: Cli, args: tuple[str, ...]) -> None:
    cli.ok("set", "a", "local", "k", "0")
    _set_schema(cli.path, "9999")
    before = cli.path.read_bytes()
    assert "has schema 9999" in cli.refused(*args)
    assert cli.path.read_bytes() == before
