"""What a session of the server begins with is its owner's to say: a store works alike, or says why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from statedb import NotAStore, ReadOnly, Store
from tests.places import only_postgres
from tests.postgres import SCHEMA, connect, server

SETTINGS = {
    "default_transaction_isolation": "serializable",
    "client_encoding": "LATIN1",
    "standard_conforming_strings": "off",
    "datestyle": "SQL, DMY",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "plan_cache_mode": "force_custom_plan",
    "enable_nestloop": "off",
    "transform_null_equals": "on",
    "search_path": "nowhere",
    "idle_in_transaction_session_timeout": "5s",
}
VALUES = ({"ü\u2028": "😀\\'\"$1%s\0"}, b"", b"\0\xff\\", -0.0, 10**4299, "\ud7ff\ue000\U0010ffff")


@only_postgres
@pytest.mark.parametrize("name", SETTINGS)
def test_what_a_session_begins_with_changes_nothing(where: str, name: str, raw_setting: Any) -> None:
    raw_setting(name, SETTINGS[name])
    with Store(where) as store:
        for number, value in enumerate(VALUES):
            entry = store.states.set("é😀", "session", f"c/{number}", value, ttl=60, message="$1 \\ €")
            assert repr(store.states.entry("é😀", "session", f"c/{number}")) == repr(entry)
            assert repr(store.states.get("é😀", "session", f"c/{number}")) == repr(value)
        with store.transaction() as tx:
            tx.agent("é😀").session("c", ttl=90).touch("0")
        assert tx.revision is not None
        assert len(store.at(tx.revision).states.keys("é😀", "session", "c/*")) == len(VALUES)
        store.undo(len(VALUES))
        assert store.health.check().problems == ()


@pytest.fixture
def in_a_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of an encoding."""
    name = f"statedb_test_in_{request.param.lower()}"
    named = sql.Identifier(name)
    with closing(connect(server())) as link:
        link.execute(sql.SQL("drop database if exists {} with (force)").format(named))
        made = "create database {} template template0 encoding {} locale 'C'"
        link.execute(sql.SQL(made).format(named, sql.Literal(request.param)))
        yield make_url(server()).set(database=name, drivername="postgresql+psycopg").render_as_string(False)
        link.execute(sql.SQL("drop database {} with (force)").format(named))


@pytest.mark.parametrize("in_a_database", ["SQL_ASCII", "LATIN1"], indirect=True)
def test_a_database_that_cannot_hold_every_text_is_refused(in_a_database: str) -> None:
    with pytest.raises(NotAStore, match="UTF8"):
        Store(in_a_database)


@only_postgres
def test_a_store_that_cannot_be_made_says_so(places: Any, raw_setting: Any) -> None:
    bare = places.another(bare=True)
    with closing(connect(bare)) as link:
        database = make_url(bare).database
        link.execute(f'alter database "{database}" set default_transaction_read_only = on'.encode())
        try:
            with pytest.raises(ReadOnly, match="CREATE SCHEMA"):
                Store(bare)
        finally:
            link.execute(f'alter database "{database}" reset default_transaction_read_only'.encode())
        assert link.execute("select to_regnamespace(%s)", [SCHEMA]).fetchall() == [(None,)]


def test_an_address_with_a_parameter_that_nobody_knows_is_refused() -> None:
    with pytest.raises(NotAStore, match="foo"):
        Store("postgresql+psycopg://somebody@/nowhere?foo=1")
