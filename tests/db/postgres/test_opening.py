"""The schema on a server: what the migrations make is what is declared, and every older store is upgraded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from statedb import NotAStore, Settings, Store, StoreTooNew
from statedb.db import migrate
from statedb.db.location import place_of
from statedb.db.postgres.opening import create_at
from statedb.db.postgres.site import Site
from statedb.db.views import metadata
from tests.places import bare_place, raw
from tests.postgres import SCHEMA, connect
from tests.test_schema import REVISIONS

DECLARED = "declared"

DESCRIPTION = {
    "relations": """
        select c.relname, c.relkind::text, c.relpersistence::text, c.reloptions from pg_class c
        where c.relnamespace = current_schema::regnamespace
    """,
    "columns": """
        select c.relname, a.attname, a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity::text,
               a.attgenerated::text, a.attstorage::text, l.collname, pg_get_expr(d.adbin, d.adrelid)
        from pg_attribute a join pg_class c on c.oid = a.attrelid
        left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
        left join pg_collation l on l.oid = a.attcollation
        where c.relnamespace = current_schema::regnamespace and a.attnum > 0 and not a.attisdropped
    """,
    "indexes": """
        select c.relname, pg_get_indexdef(i.indexrelid), i.indisvalid
        from pg_index i join pg_class c on c.oid = i.indexrelid
        where c.relnamespace = current_schema::regnamespace
    """,
    "constraints": """
        select k.conname, k.contype::text, k.convalidated, k.conrelid::regclass::text, pg_get_constraintdef(k.oid)
        from pg_constraint k where k.connamespace = current_schema::regnamespace
    """,
    "views": """
        select c.relname, pg_get_viewdef(c.oid) from pg_class c
        where c.relnamespace = current_schema::regnamespace and c.relkind = 'v'
    """,
    "sequences": """
        select sequencename, data_type::text, start_value, increment_by from pg_sequences
        where schemaname = current_schema
    """,
    "functions": "select proname from pg_proc where pronamespace = current_schema::regnamespace",
    "triggers": """
        select t.tgname from pg_trigger t join pg_class c on c.oid = t.tgrelid
        where c.relnamespace = current_schema::regnamespace and not t.tgisinternal
    """,
}
"""What a schema holds, by kind, as the server itself sees it."""


@pytest.fixture(params=["postgres"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which no store was ever opened."""
    with bare_place(request.param, tmp_path) as where:
        yield where


def described(link: psycopg.Connection[Any], schema: str) -> dict[str, set[Any]]:
    """Return what a schema holds, named as if it were the only one."""
    link.execute(f"set search_path = {schema}".encode())
    found = {}
    for kind, text in DESCRIPTION.items():
        rows = link.execute(text.encode()).fetchall()
        found[kind] = {tuple(str(each).replace(f"{schema}.", "") for each in row) for row in rows}
    return {kind: {row for row in rows if "alembic_version" not in str(row)} for kind, rows in found.items()}


def declare(link: psycopg.Connection[Any], schema: str) -> None:
    """Make the schema that the code declares."""
    link.execute(f"drop schema if exists {schema} cascade; create schema {schema}; set search_path = {schema}".encode())
    metadata.create_all(create_engine("postgresql+psycopg://", creator=lambda: link, poolclass=StaticPool))


def test_a_migrated_store_has_the_declared_schema(where: str) -> None:
    Store(where).close()
    with closing(connect(where)) as link, closing(connect(where)) as other:
        declare(other, DECLARED)
        migrated, declared = described(link, SCHEMA), described(link, DECLARED)
    assert migrated == declared
    assert {kind for kind, rows in declared.items() if not rows} <= {"functions", "triggers"}
    assert {row[0] for row in declared["views"]} == {"states", "history", "commits"}
    names = [row for row in declared["columns"] if row[1] in ("name", "state_type", "state_key") and row[8] != "C"]
    assert {row[0] for row in names} <= {"states", "history"}, "names are in the order of their code points"


@pytest.mark.parametrize(
    "change",
    [
        "alter table agents alter name type text collate \"default\"",
        "alter table agent_states alter digest set not null",
        "alter table agent_states alter floor drop default",
        "drop index ix_agent_states_floor; create index ix_agent_states_floor on agent_states (floor)",
        "alter table sessions drop constraint fk_sessions_agent_id",
        "create or replace view commits as "
        "select revision, kind, at, origin_at, actor, message, context from state_commits where branch_id = 2",
        "alter table state_versions set (fillfactor = 50)",
    ],
)  # fmt: skip
def test_a_schema_that_differs_is_noticed(where: str, change: str) -> None:
    Store(where).close()
    with closing(connect(where)) as link:
        before = described(link, SCHEMA)
        if "alter name" in change:
            link.execute("drop view states, history")
        link.execute(change.encode())
        assert described(link, SCHEMA) != before


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_store_of_every_older_schema_is_upgraded_when_it_is_opened(where: str, revision: str) -> None:
    create_at(Site(place_of(where), Settings()), revision)
    identity = raw(where, "select id from store_info")
    assert raw(where, "select version_num from alembic_version") == [(revision,)]
    with Store(where) as store:
        store.states.set("a", "local", "k", 1)
        assert store.health.check().ok
    assert raw(where, "select version_num from alembic_version") == [(migrate.HEAD,)]
    assert raw(where, "select id from store_info") == identity


def test_a_store_too_new_and_a_schema_of_something_else_are_refused_and_not_touched(where: str) -> None:
    with closing(connect(where)) as link:
        link.execute(f"create schema {SCHEMA}; create table {SCHEMA}.theirs (id int)")
        before = described(link, SCHEMA)
        with pytest.raises(NotAStore):
            Store(where)
        assert described(link, SCHEMA) == before
        link.execute(f"drop schema {SCHEMA} cascade")
        Store(where).close()
        link.execute(f"update {SCHEMA}.alembic_version set version_num = '9999'")
        before = described(link, SCHEMA)
        with pytest.raises(StoreTooNew) as caught:
            Store(where)
        assert (caught.value.found, caught.value.known) == ("9999", migrate.HEAD)
        assert described(link, SCHEMA) == before


def test_stores_in_schemas_of_one_database_know_nothing_of_each_other(where: str) -> None:
    with Store(where) as one, Store(where, postgres_schema="Another_1") as other:
        one.states.set("a", "local", "k", 1)
        assert other.states.get("a", "local", "k") is None
        other.states.set("a", "local", "k", 2)
        assert (one.states.get("a", "local", "k"), one.transfer.head(), other.transfer.head()) == (1, 1, 1)
        assert other.query("select value from states") == [("2",)]
        assert other.health.check().ok
