"""The schema: one truth in code, and two other ways to write it down that must agree with it."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.schema import CreateIndex, CreateTable

import statedb
from statedb import Store
from statedb.db import migrate, schema
from statedb.db.sqlite import opening
from statedb.db.sqlite.connection import DIALECT
from statedb.db.statements import Statement
from statedb.db.views import metadata

ROOT = Path(__file__).parents[1]
POSTGRESQL: Any = PGDialect_psycopg()  # type: ignore[no-untyped-call]
REVISIONS = sorted(path.name[:4] for path in (ROOT / "migrations" / "versions").glob("*.py"))


def schema_of(path: Path) -> str:
    with sqlite3.connect(path) as raw:
        text = schema.text_of(raw)
    raw.close()
    return text


def test_a_migrated_store_has_the_declared_schema(tmp_path: Path) -> None:
    Store(tmp_path / "a.db").close()
    assert schema_of(tmp_path / "a.db") == schema.declared()


def test_schema_sql_is_the_declared_schema() -> None:
    # In a process of its own: a store that benchmarks compare with has SQLAlchemy spell a type otherwise for good.
    printed = subprocess.run([sys.executable, "-m", "statedb.db.schema"], capture_output=True, text=True, check=True)
    assert printed.stdout == (ROOT / "schema.sql").read_text(), "run `make schema`"


def test_schema_sql_makes_the_schema_it_shows() -> None:
    text = (ROOT / "schema.sql").read_text()
    raw = sqlite3.connect(":memory:")
    raw.executescript(text)
    assert schema.text_of(raw) == text
    raw.close()


def test_head_is_the_newest_migration_and_no_number_is_missing() -> None:
    assert REVISIONS[-1] == migrate.HEAD
    assert [int(number) for number in REVISIONS] == list(range(1, len(REVISIONS) + 1))


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_of_every_older_schema_is_upgraded_when_it_is_opened(tmp_path: Path, revision: str) -> None:
    path = tmp_path / "old.db"
    opening.create_at(str(path), revision)
    with sqlite3.connect(path) as raw:
        identity = raw.execute("select id from store_info").fetchall()
        assert opening.version_of(raw) == revision
    raw.close()
    with Store(path) as store:
        store.states.set("a", "local", "k", 1)
        assert store.health.check().ok
    assert schema_of(path) == schema.declared()
    with sqlite3.connect(path) as raw:
        assert raw.execute("select id from store_info").fetchall() == identity
    raw.close()


def test_every_statement_compiles_for_sqlite_and_postgresql() -> None:
    for statement in Statement.every:
        given = dict.fromkeys(re.findall(r":(\w+)", str(statement.clause)), 1) | {"content": b""}
        text, order = statement.on(DIALECT)
        assert text.count("?") == len(order(given)), text
        text, order = statement.on(POSTGRESQL)
        assert set(re.findall(r"%\((\w+)\)s", text)) <= set(order(given)), text


def test_every_table_index_and_view_compiles_for_postgresql() -> None:
    for table in metadata.sorted_tables:
        assert f" {table.name} " in f" {CreateTable(table).compile(dialect=POSTGRESQL)} ".replace("\n", " ")
        for index in table.indexes:
            assert f"INDEX {index.name} ON {table.name} " in str(CreateIndex(index).compile(dialect=POSTGRESQL))


def test_no_file_outside_db_names_a_dialect() -> None:
    package = Path(statedb.__file__).parent
    naming = re.compile(r"sqlite3|statedb\.db\.sqlite|postgres|pragma|json_each|dialects", re.IGNORECASE)
    found = [
        f"{path.relative_to(package)}:{number}"
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in ("db", "config.py") and "migrations" not in path.parts
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if naming.search(line)
    ]
    assert not found


def test_the_views_show_states_history_and_commits_to_any_sqlite_tool(tmp_path: Path) -> None:
    with Store(tmp_path / "a.db", actor="ui") as store:
        store.states.set("a", "persistent", "prefs", {"theme": "dark"}, message="first")
        store.states.set("a", "persistent", "prefs", {"theme": "light"})
        store.states.set("a", "persistent", "gone", 1)
        store.states.delete("a", "persistent", "gone")
    raw = sqlite3.connect(tmp_path / "a.db")
    query = "select agent_id, state_key, version, value ->> '$.theme' from states"
    assert raw.execute(query).fetchall() == [("a", "prefs", 2, "light")]
    history = raw.execute("select state_key, version, change, value ->> '$.theme' from history order by revision")
    assert history.fetchall() == [
        ("prefs", 1, "create", "dark"),
        ("prefs", 2, "update", "light"),
        ("gone", 1, "create", None),
        ("gone", 2, "delete", None),
    ]
    assert raw.execute("select revision, actor, message from commits where revision = 1").fetchall() == [
        (1, "ui", "first")
    ]
    raw.close()
