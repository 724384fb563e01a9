"""The sandbox: what a query cannot read, do, learn or take."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from statedb import InvalidValue, QueryRefused, Store
from statedb.db.query import sandbox
from statedb.db.views import VIEWS
from tests.conftest import Opener
from tests.places import APART, only_sqlite

TABLES = [
    "agent_states", "agents", "state_versions", "state_commits", "commit_agents", "sessions", "session_touches",
    "state_touches", "store_info", "alembic_version", "sqlite_master", "sqlite_schema", "sqlite_temp_master",
    "sqlite_temp_schema", "sqlite_sequence", "sqlite_stat1", "dbstat", "sqlite_stmt", "fts5vocab", "bytecode",
    "tables_used", "pragma_database_list", "pragma_function_list", "pragma_module_list", "pragma_table_list",
    "pragma_compile_options", "sqlite_dbpage", "fts3tokenize", "rtree", "generate_series",
]  # fmt: skip

# How a table may be named: each must be refused, whatever the table. {t} the table, {T} in other letters.
NAMING = [
    "select * from {t}",
    "select count(*) from {t}",
    "select count(*) from {T}",
    'select count(*) from "{t}"',
    "select count(*) from [{T}]",
    "select count(*) from `{t}`",
    "select count(*) from '{t}'",
    "select 1 from {t}",
    "select rowid from {t}",
    "select count(*) from main.{t}",
    "select count(*) from temp.{t}",
    "select count(*) from store.{t}",
    "select * from states where state_key in {t}",
    "select exists (select * from {t})",
    "select (select count(*) from {t})",
    "with states as (select * from {t}) select * from states",
    "with states as (select count(*) from {t}) select * from states",
    "with x as (with {t} as (select 1) select 2) select count(*) from {t}",
    "with {t} as (select * from {t}) select * from {t}",
    "with {t} as (select * from main.{t}) select * from {t}",
    "with {t} as (select * from temp.{t}) select count(*) from {t}",
    "select * from states s join {t} states",
    "select * from states left join (select * from {t}) history",
    "select * from (select * from {t}) states",
    "select states.* from {t} states",
    "select max(1) over () from {t}",
    "with recursive states(x) as (select 1 union all select x + 1 from states, {t} where x < 3) select * from states",
    "values ((select count(*) from {t}))",
    "select state_key from states order by (select count(*) from {t}), state_key",
    "select 1 union all select count(*) from {t}",
    "select count(*) filter (where (select count(*) from {t})) from states",
    "select 1 from states group by (select count(*) from {t})",
    "select 1 limit (select count(*) from {t})",
]

STATEMENTS = [
    "explain select 1",
    "explain query plan select * from states",
    "EXPLAIN SELECT 1",
    "pragma table_info(agent_states)",
    "pragma writable_schema = on",
    "pragma query_only = off",
    "attach ':memory:' as x",
    "detach main",
    "begin",
    "commit",
    "rollback",
    "savepoint x",
    "vacuum",
    "vacuum into '/tmp/copy.db'",
    "analyze",
    "reindex",
    "insert into states values (1)",
    "insert into agents(name) values ('x')",
    "replace into agents(name) values ('x')",
    "update agent_states set value = 1",
    "delete from states",
    "drop view states",
    "drop table agent_states",
    "alter table agents rename to x",
    "create table x(y)",
    "create temp table x(y)",
    "create view x as select 1",
    "create trigger x after insert on agents begin select 1; end",
    "create temp trigger x instead of insert on states begin select 1; end",
    "create virtual table x using fts5(y)",
    "create virtual table temp.x using dbstat(main)",
    "with x as (select 1) insert into agents(name) select 1 from x",
    "with x as (select 1) delete from states",
    "with x as (select 1) update agent_states set value = 1",
    "with x as (insert into agents(name) values ('x') returning 1) select * from x",
    "select 1; select 2",
    "select 1; drop table agents",
    "select 1;\n-- \nselect 2",
    "select 1\0; drop table agents",
    "; select 1",
    "",
    " -- nothing",
    "/* select */ delete from states",
    "/* unended select 1",
    "-- select 1\ndelete from states",
    "select",
    "select from states",
    "select nonsense from states",
    "select * from nowhere",
    "select nonsense(1)",
    "select count(1, 2)",
    "select 'unended",
    "select * from states where value match 'x'",
    "select * from states where value regexp 'x'",
    "select raise(abort, 'x')",
    "select * from states indexed by x",
    "select * from states for update",
    "select json('{nonsense')",
    "select cast(x'ff' as text)",
]  # fmt: skip

FUNCTIONS = [
    "load_extension('x')", "load_extension('x', 'y')", "randomblob(100)", "zeroblob(100)", "printf('%99999999d', 1)",
    "format('%.*c', 99999999, 'x')", "replace('aaa', 'a', 'bbb')", "trim('aaa', 'a')", "ltrim('aaa', 'a')",
    "rtrim('aaa', 'a')", "json_patch('{}', '{}')", "json_set('{}', '$.a', 1)", "json_insert('{}', '$.a', 1)",
    "json_replace('{}', '$.a', 1)", "json_remove('{}', '$.a')", "readfile('/etc/passwd')", "writefile('/tmp/x', 'y')",
    "edit('x')", "fts5(1)", "fts3_tokenizer('x')", "rtreenode(1, 2)", "rtreecheck('main', 'x')", "sqlite_log(1, 'x')",
    "sqlite_version()", "sqlite_source_id()", "sqlite_compileoption_used('x')", "sqlite_compileoption_get(1)",
    "last_insert_rowid()", "changes()", "total_changes()", "sqlite_offset(value)", "highlight(1, 2, 3, 4)",
    "matchinfo(1)", "optimize(1)", "bm25(1)", "statedb_value(2, value, 'a', 'b', 'c')",
    "statedb_cut('a', 'b', 'c', 1)", "STATEDB_VALUE(4, value, 'a', 'b', 'c')",
]  # fmt: skip
# In a subquery under the names the library's own views might have, too.
CALLING = [
    "select {f} from states",
    "with states as (select {f} as x) select * from states",
    "select * from (select {f} as x from states) history",
    "select 1 from states order by {f}",
    "select count(*) filter (where {f}) from states",
]


def every_escape() -> list[str]:
    tables = [each.format(t=table, T=table.swapcase()) for table in TABLES for each in NAMING]
    return tables + STATEMENTS + [each.format(f=function) for function in FUNCTIONS for each in CALLING]


@pytest.fixture
def filled(store: Store) -> Store:
    store.states.set("a", "persistent", "prefs", {"theme": "dark"}, message="first")
    store.states.set("a", "persistent", "prefs", {"theme": "light", "big": "x" * 20_000})
    store.states.set("b", "session", "chat/topic", "ships", ttl=60)
    store.states.set("b", "local", "raw", b"bytes")
    return store


def digest(path: Path) -> str:
    """Return what a file holds, read by another process: closing it in this one would drop SQLite's locks."""
    script = "import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], 'rb').read()).hexdigest())"
    return subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True).stdout


def refused(store: Any, sql: str, *given: Any, **named: Any) -> str:
    with pytest.raises(QueryRefused) as caught:
        store.query(sql, *given, **named)
    return str(caught.value)


def test_no_query_escapes(filled: Store) -> None:
    secret = re.compile(r"[rvs]_[0-9a-f]{8}|/tmp|/root|/home|store\.db")
    for sql in every_escape():
        try:
            said = f"found {filled.query(sql)}"
        except QueryRefused as error:
            said = str(error)
        assert not said.startswith("found"), (sql, said)
        assert not secret.search(said.replace(sql, "")), (sql, said)


@only_sqlite
def test_what_was_refused_has_changed_nothing(filed: Store, path: Path) -> None:
    filed.states.set("a", "persistent", "prefs", {"theme": "dark"})
    before = digest(path), digest(Path(f"{path}-wal")), filed.health.check()
    for sql in [*STATEMENTS, "select * from states", "select count(*) from agents"]:
        try:
            filed.query(sql)
        except QueryRefused:
            continue
    assert (digest(path), digest(Path(f"{path}-wal")), filed.health.check()) == before


def test_the_names_of_with_clauses_are_the_callers_own(filled: Store) -> None:
    assert filled.query("with states as (select 1 as x) select * from states") == [(1,)]
    assert filled.query("with states(x) as (values (1)) select count(*) from states") == [(1,)]
    assert filled.query("with Mine as (select * from states) select count(*) from MINE") == [(3,)]
    assert filled.query("with agents as (select 1 as x) select x from agents") == [(1,)]
    assert filled.query('with "odd name" as (select 1) select count(*) from [odd name]') == [(1,)]
    # A clause called like a base table must not come between a view and that table.
    hijack = (
        "with {t} as (select 1 as id, 'mine' as name, 'x' as salt) select agent_id, state_key from states order by 1"
    )
    for table in (*TABLES[:8], *VIEWS):
        if table != "states":
            assert filled.query(hijack.format(t=table))[0] == ("a", "prefs"), table


def test_a_refusal_says_what_was_refused_and_what_is_there(filled: Store) -> None:
    assert "randomblob" in refused(filled, "select randomblob(5)")
    assert "states, history and commits" in refused(filled, "select * from nowhere")
    assert "nowhere" in refused(filled, "select * from nowhere")
    assert "insert" in refused(filled, "INSERT into states values (1)").lower()
    assert "near" in refused(filled, "select * frm states")
    assert "ambiguous" in refused(filled, "select state_key from states, states")
    assert "only read" in refused(filled, "select * from dbstat")


@only_sqlite
def test_what_sqlite_says_of_a_random_name_is_said_of_the_plain_one(filed: Store, where: str) -> None:
    scene = sandbox.Scene(where, {}, False, 1, 1)
    with closing(sandbox.Sandbox(scene, filed.settings, False)) as made:
        for random, plain in {**made._names.shown, **made._names.stored}.items():
            meant = str(made._meant(sqlite3.OperationalError(f"no such column: {random}.x.")))
            assert f"no such column: {plain}.x;" in meant
            assert random not in meant
        assert made._names.store not in str(made._meant(sqlite3.OperationalError(f"no table {made._names.store}.x")))


# ---- limits


def test_more_rows_than_the_limit_are_refused_and_never_cut(open_store: Opener) -> None:
    for where in (None, APART):
        store = open_store(where, query_max_rows=3)
        assert store.query("values (1), (2), (3)") == [(1,), (2,), (3,)]
        assert "query_max_rows" in refused(store, "values (1), (2), (3), (4)")
        endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c"
        assert "query_max_rows" in refused(store, endless)
        assert len(store.query(f"{endless} limit 3")) == 3


BOMBS = [
    "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c",
    "with recursive c(x) as (select 1 union select x + 1 from c) select max(x) from c",
    "with recursive c(x) as (select 'a' union all select x || x from c) select max(length(x)) from c",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select group_concat(x) from c",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select x from c order by -x",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select count(distinct x) from c",
    "with recursive c(x) as (select 1 union all select x + 1 from c) select sum(x) over (order by x) from c",
    "with c(x) as (select value from json_each(?)) select count(*) from c a, c b, c d, c e, c f, c g",
    "with c(x) as (select value from json_each(?)) select json_group_array(a.x) from c a, c b, c d, c e, c f, c g",
    "select count(*) from json_each(?) a, json_each(?1) b, json_each(?1) c, json_each(?1) d, json_each(?1) e",
]


@pytest.mark.parametrize("sql", BOMBS)
def test_a_query_that_would_not_end_is_broken_off(anywhere: str, sql: str) -> None:
    given = [str(list(range(500)))] if "?" in sql else []
    with Store(anywhere, query_timeout=0.05) as store:
        refused(store, sql, given)
        assert store.query("select 1") == [(1,)]


def test_the_time_limit_is_named(open_store: Opener) -> None:
    store = open_store(query_timeout=0.01)
    assert "0.01 s (Settings.query_timeout)" in refused(store, BOMBS[0])


def test_patterns_take_linear_time(filled: Store) -> None:
    text = "a" * 300_000
    for pattern in ("%a" * 15 + "b", "%" + "a%" * 500 + "b"):
        assert filled.query("select ? like ?, ? glob ?", [text, pattern, text, pattern.replace("%", "*")]) == [(0, 0)]
    assert filled.query("select instr(?, ?)", [text, "a" * 100_000 + "b"]) == [(0,)]
    assert "wildcards" in refused(filled, "select ? like ?", [text, "%" + "a_" * 500 + "b%"])
    assert "50,000" in refused(filled, "select 'a' glob ?", ["*a" * 30_000])


def test_a_query_too_large_to_compile_is_refused(filled: Store) -> None:
    assert "100,000" in refused(filled, "select " + "1," * 60_000 + "1")
    assert refused(filled, "select " + "(" * 300 + "1" + ")" * 300)
    assert refused(filled, "select " + "- " * 300 + "1")
    assert refused(filled, "select " + " + ".join(["1"] * 1_000))
    assert refused(filled, " union all ".join(["select 1"] * 101))
    assert refused(filled, "select " + ", ".join(["1"] * 201))
    assert refused(filled, "select * from " + ", ".join(["commits"] * 65))
    assert refused(filled, "select " * 200 + "1")
    assert refused(filled, "select * from " + "(select * from " * 200 + "states" + ")" * 200)
    assert refused(filled, f"select coalesce({', '.join(['1'] * 51)})")
    assert refused(filled, "select ?40000", [1])
    assert refused(filled, "select " + ", ".join(f"group_concat({n})" for n in range(17)))


def test_what_is_merely_large_is_answered(filled: Store) -> None:
    assert filled.query(f"select 5 in ({', '.join(map(str, range(10_000)))})") == [(1,)]
    assert len(filled.query("values " + ", ".join(["(1)"] * 5_000))) == 5_000
    assert filled.query("select count(*) from json_each(?)", [str(list(range(100_000)))]) == [(100_000,)]
    assert filled.query("select " + " or ".join(["0"] * 200)) == [(0,)]
    assert filled.query(
        "with " + ", ".join(f"c{n} as (select {n} as x)" for n in range(500)) + " select x from c7"
    ) == [(7,)]


def test_with_clauses_that_multiply_are_refused(filled: Store) -> None:
    for step in (
        "select * from c{b} where x in (select x from c{b})",
        "select x from c{b} union all select x from c{b}",
        "select x from 'C{b}' where x in \"c{b}\"",
        "select 1 as x from /**/ c{b} a join [c{b}] b",
    ):
        clauses = [f"c{n} as not materialized ({step.format(b=n - 1)})" for n in range(1, 40)]
        sql = f"with c0(x) as (select 1), {', '.join(clauses)} select * from c39"
        assert "WITH clauses" in refused(filled, sql), step
        backwards = f"with {', '.join(reversed(clauses))}, c0(x) as (select 1) select * from c39"
        assert "WITH clauses" in refused(filled, backwards), step
    nested = "select 1 as x"
    for n in range(30):
        nested = f"with d{n} as ({nested}) select * from d{n} where x in (select x from d{n})"
    assert "WITH clauses" in refused(filled, nested)
    assert "circle" in refused(filled, "with a as (select * from b), b as (select * from a) select * from a")


def test_a_text_longer_than_any_value_is_refused(filled: Store) -> None:
    doubling = "with recursive c(n, x) as (select 0, 'a' union all select n + 1, x || x from c where n < 26) "
    assert refused(filled, doubling + "select length(x) from c")
    assert refused(filled, "select group_concat(?) from json_each(?)", ["x" * 100_000, str(list(range(1000)))])
    assert refused(filled, "select hex(hex(hex(hex(hex(?)))))", ["x" * 1_000_000])


def test_a_result_too_large_to_hold_is_refused(filled: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "MAX_RESULT", 1_000_000)
    rows = "select ? from json_each(?)"
    assert len(filled.query(rows, ["x" * 1_000, str(list(range(500)))])) == 500
    assert "bytes" in refused(filled, rows, ["x" * 1_000, str(list(range(5_000)))])


@pytest.mark.parametrize(
    "sql",
    [
        "with x(name) as (select 1) select name from x full join agents using (name)",
        "with x(value) as (select 1) select value from x full join state_versions using (value)",
        'with x(value) as (select 1) select value from x full join "STATE_Versions" using (value)',
        "with x(sql) as (select 1) select sql from x full join sqlite_temp_master using (sql)",
        "with x(sql) as (select 1) select sql from x full join 'SQLite_Temp_Master' using (sql)",
        "with x(name) as (values ('a')) select count(*) from x join agents using (name)",
        "select count(*) from agents natural join agents b",
        "select count(*) from [sqlite_temp_master] natural join sqlite_temp_master b",
        "with agents as (select * from agents) select * from agents",
        "select count(*) from states natural join agent_states",
        "select exists(select 1 from states natural join alembic_version)",
    ],
)
def test_no_table_is_read_by_using_and_natural(store: Store, sql: str) -> None:
    """SQLite asks the authorizer nothing about the columns these compare, nor about their coalesce()."""
    store.states.set("a", "local", "k", "secret")
    for shown in (store, store.at(1)):
        with pytest.raises(QueryRefused):
            shown.query(sql)


def test_a_clause_called_like_a_table_is_the_clause(store: Store) -> None:
    assert store.query("with agents as (select 1 as n) select n from agents join agents b using (n)") == [(1,)]


COPIED: dict[str, tuple[str, str, Any]] = {
    "a vertical tab behind a space": ("b0 as (select 1)", "select 1 from \x0b{0} q join \x0b{0} r", []),
    "a numbered parameter before in": ("b0 as (select 1)", "select 1 where ?1in {0} and ?1in {0}", [1]),
    "a parameter as Tcl has them": ("b0 as (select $a('))", "select q.* from {0} q join {0} r", {"a(')": 1}),
}


@pytest.mark.parametrize("how", COPIED)
def test_no_use_of_a_clause_is_overlooked(store: Store, how: str) -> None:
    """SQLite would copy the first clause 2**24 times, and nothing could interrupt it."""
    first, body, given = COPIED[how]
    clauses = [first, *(f"b{each} as ({body.format(f'b{each - 1}')})" for each in range(1, 25))]
    with pytest.raises(QueryRefused):
        store.query(f"with {', '.join(clauses)} select 1 from b24 --'", given)


def test_what_takes_much_in_one_step_is_rationed(store: Store) -> None:
    large = "[" + "1," * 9_000 + "1]"
    for refused in (
        "select 1 from " + ", ".join(f"json_each(?1) a{each}" for each in range(5)),
        "with j as (select * from json_each(?1)) select 1 from " + ", ".join(f"j a{each}" for each in range(17)),
        "select " + ", ".join(["strftime(?1, 'now')"] * 5),
    ):
        with pytest.raises(QueryRefused, match=r"at most|over"):
            store.query(refused, [large])
    wide = "*[" + "".join(map(chr, range(0x10000, 0x1A000, 2))) + "]zz*"
    with pytest.raises(QueryRefused, match="wildcards"):
        store.query("with recursive x(t) as (values (?2) union all select t || t from x where length(t) < 100000) "
                    "select max(glob(?1, t)) from x", [wide, "x" * 1000])  # fmt: skip
    with pytest.raises(InvalidValue, match="most"):
        store.query("select ?", ["x" * 2_000_000])


@only_sqlite
def test_who_asks_for_the_stores_own_tables_is_told_what_there_is(filed: Store) -> None:
    for table in ("agent_states", "stream_events", "state_locks"):
        with pytest.raises(QueryRefused, match="a table of the store's own; it sees the views states"):
            filed.query(f"select * from {table}")


@only_sqlite
def test_a_table_somebody_made_in_the_file_is_hidden_too_and_does_no_harm(filed: Store, path: Path) -> None:
    filed.states.set("a", "local", "k", 1)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute('create table "odd ""name""" (x)')
        raw.execute("create table Mine (x)")
        raw.commit()
    assert filed.query("select count(*) from states") == [(1,)]
    for table in ("mine", '"odd ""name"""', "mine natural join mine m"):
        with pytest.raises(QueryRefused):
            filed.query(f"select count(*) from {table}")
