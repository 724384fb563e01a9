"""What a query is fetched: no less than it needs, whatever it looks like, and no more where that is plain to see."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import Compacted, QueryRefused, Store
from statedb.db.query import fetching, sandbox
from statedb.db.query.extents import MOST, Extent, beginning, some
from statedb.db.sqlite.connection import DIALECT
from statedb.db.statements import Statement
from statedb.db.views import VIEWS
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART, Places, tamper
from tests.test_schema import POSTGRESQL

AGENTS = ["a", "A", "b", "é", "1"]
KEYS = ["k", "K", "k/1", "k/2", "l", "states", "é"]


def fill(store: Store, clock: Clock) -> None:
    for n, agent in enumerate(AGENTS):
        for m, key in enumerate(KEYS[n % 3 :]):
            store.states.set(agent, "shared" if m % 2 else "local", key, n)
        clock.advance(1)
    for agent in ("a", "b"):
        store.states.set(agent, "local", "k", "again")
    store.states.delete("a", "local", "k/1")
    store.states.set("a", "session", "s", 1, ttl=1)
    clock.advance(2)
    store.states.set("b", "persistent", "k/1", {"n": 1})


# ---- queries of every shape, most of which mean something

CONSTANTS = {
    str: ["'a'", "'A'", "'b'", "'k'", "'K'", "'k/1'", "'local'", "'shared'", "'é'", "'1'", "''", "?", "?1", "?2", "?3"],
    int: ["1", "3", "20", "7", "?", "?4", "30"],
}
ODD = ["null", "x'61'", '"a"', "-1", "1.0", "1", "'1'", "'states'", "?1", "?"]
NAMED = {"agent_id": str, "state_key": str, "state_type": str, "Agent_Id": str, '"state_key"': str, "`agent_id`": str}
COUNTED = {"revision": int, "[revision]": int, "version": int}
CALLED = ["s", "t", "S", "x", "é", '"a b"', "states", "history"]
JOINS = [",", "join", "left join", "inner join", "cross join", "left outer join"]
RARE_JOINS = ["natural join", "natural left join", "right join", "full join"]
GIVEN = st.sampled_from(["a", "b", "k", "k/1", "local", None, "A\0", 1.5, b"a"])


def columns(names: list[str]) -> st.SearchStrategy[tuple[str, type]]:
    bare = st.sampled_from([*NAMED.items(), *COUNTED.items()])
    whose = st.sampled_from(["", *(f"{name}." for name in names)])
    return st.builds(lambda of, column: (of + column[0], column[1]), whose, bare)


@st.composite
def comparisons(draw: st.DrawFn, names: list[str]) -> str:
    column, kind = draw(columns(names))
    one, two = (draw(st.sampled_from(CONSTANTS[kind] if draw(st.integers(0, 9)) else ODD)) for _ in range(2))
    plain = [
        f"{column} = {one}", f"{column} = {one}", f"{column} == {one}", f"{column} in ({one}, {two})",
        f"{column} >= {one}", f"{column} < {one}", f"{column} between {one} and {two}", f"{column} in ({one})",
    ]  # fmt: skip
    if kind is str:
        plain += [f"{column} glob 'k/*'", f"{column} glob {one}", f"{column} glob '*'"]
    if draw(st.integers(0, 3)):
        return draw(st.sampled_from(plain))
    other, _ = draw(columns(names))
    return draw(
        st.sampled_from([
            f"{column} = {other}", f"{column} = {other}", f"{column} = {other} = {one}", f"{column} <> {one}",
            f"{column} not between {one} and {two}", f"{column} not glob 'k*'", f"{column} like 'K%'",
            f"{column} is {one}", f"{column} is not {one}", f"{column} isnull", f"not {column} = {one}",
            f"{column} is distinct from {one}", f"{column} = {one} collate nocase", f"{one} = {column}",
            f"{column} collate nocase = {one}", f"+{column} = {one}", f"{column} = {one} || ''",
            f"{column} = {one} isnull", f"{column} not in ({one}, {two})", f"({column}, {other}) = ({one}, {two})",
            f"{column} in ()", f"{column} = {one} /* or */", f"case when {column} = {one} then 1 end",
            f"case {column} when {one} then 0 else 1 end and {column} = {two}", f"{column} in (select {other} from c)",
            f"{column} between {one} and {other} = {two}", f"{column} in c", f"{column} = {one} glob {two}",
        ])
    )  # fmt: skip


# True of about half of the rows, so that a condition that is misread is seen in the answer.
LIKELY = [
    "{}agent_id in ('a', 'b', ?)", "{}agent_id >= 'b'", "{}agent_id = 'a'", "{}state_type = 'local'", "1", "0",
    "{}state_key glob 'k*'", "{}state_key > 'k/1'", "{}revision > 17", "{}revision between 5 and 25", "{}revision = 7",
]  # fmt: skip
CONNECTED = [" and "] * 4 + [" or ", " and not "]


@st.composite
def conditions(draw: st.DrawFn, names: list[str], depth: int = 2) -> str:
    """A condition, written without parentheses as often as with them."""
    if not depth or draw(st.integers(0, 3)) == 0:
        if draw(st.integers(0, 2)) == 0:
            return draw(comparisons(names))
        return draw(st.sampled_from(LIKELY)).format(f"{draw(st.sampled_from(names))}." if draw(st.booleans()) else "")
    parts = draw(st.lists(conditions(names, depth - 1), min_size=2, max_size=3))
    first, second = parts[:2]
    how = draw(st.integers(0, 9))
    if how < 6:
        return first + "".join(draw(st.sampled_from(CONNECTED)) + part for part in parts[1:])
    if how < 8:
        return " and ".join(f"({part})" for part in parts)
    if how < 9:
        return f"{first} and {draw(st.sampled_from(['', 'not ']))}exists ({draw(selects(depth - 1, '1', names))})"
    return draw(
        st.sampled_from([
            f"not ({first} and {second})", f"1 between {first} and {second}", f"({first}) = ({second})",
            f"case when {first} then {second} else 1 end", f"{first} and ({second} or {parts[-1]})",
        ])
    )  # fmt: skip


@st.composite
def selects(draw: st.DrawFn, depth: int = 2, what: str = "", around: list[str] | None = None) -> str:
    names: list[str] = []
    clause = ""
    for n in range(draw(st.sampled_from([1, 1, 1, 2, 2, 3]))):
        table = draw(st.sampled_from([*VIEWS, *VIEWS, *VIEWS, "c", "temp.states", '"history"', "STATES"]))
        if depth and draw(st.integers(0, 9)) == 0:
            table = f"({draw(selects(depth - 1, '*'))})"
        called = draw(st.sampled_from(["", "", "", *(called for called in CALLED if called not in names)]))
        if n or "(" in table:
            called = called or f"n{n}"
        as_ = draw(st.sampled_from(["", "as "])) if called else ""
        name = called or table.rpartition(".")[2]
        join = draw(st.sampled_from(JOINS * 2 + RARE_JOINS)) if n else ""
        on = ""
        if n and join != "," and "natural" not in join:
            column = draw(st.sampled_from([*NAMED, "revision"]))
            on = draw(
                st.sampled_from(["", "using (agent_id)", "using (revision)", "using (agent_id, state_key)"])
                | st.just(f"on {name}.{column} = {names[-1]}.{column}")
                | st.builds("on {}".format, conditions([*names, name], 1))
            )
        names.append(name)
        clause += f" {join} {table} {as_}{called} {on}"
    where = draw(st.builds(" where {}".format, conditions([*names, *(around or [])], depth)) | st.just(""))
    last = names[-1]
    shown = [
        ("*", ""), (f"{names[0]}.*", " order by 1"), ("count(*)", ""), ("1 is distinct from 2, count(*)", " having 1"),
        (f"{last}.revision, count(*)", f" group by {last}.revision"), (f"distinct {last}.revision", ""),
    ]  # fmt: skip
    columns_, tail = (what, "") if what else draw(st.sampled_from(shown))
    return f"select {columns_} from {clause}{where}{tail}"


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, list[Any]]:
    clause = draw(st.sampled_from(["c"] * 9 + ["C", "states", "history"]))
    body = draw(st.just("select * from commits where revision < 9") | selects(1, "*"))
    body = draw(st.sampled_from([body, "select 1 as revision"])) if clause == "c" else body
    given = draw(st.tuples(GIVEN, GIVEN, GIVEN, st.integers(-1, 30)))
    return f"with {clause} as ({body}) {draw(selects())} limit 1000000 + coalesce(length(?4), 0)", list(given)


def asked(store: Any, sql: str, given: list[Any]) -> Any:
    """Return what a query finds, or "refused"."""
    try:
        return sorted(store.query(sql, given), key=repr)
    except QueryRefused:
        return "refused"


@pytest.fixture(scope="module", params=["memory", "postgres"])
def roads(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[tuple[Store, Store]]:
    """Two stores of the same content: a file, which a query reads where it lies, and one that it is fetched rows of."""
    folder, clocks = tmp_path_factory.mktemp("needs"), (Clock(), Clock())
    with (
        Places(request.param, folder) as places,
        Store(folder / "store.db", clock=clocks[0], durability="normal") as file,
        Store(places.another(), clock=clocks[1]) as fetching_,
    ):
        fill(file, clocks[0])
        fill(fetching_, clocks[1])
        yield file, fetching_


@settings(max_examples=80)
@given(query=queries(), at=st.none() | st.integers(0, 36))
def test_a_query_finds_what_it_would_find_among_all_rows(
    roads: tuple[Store, Store], query: tuple[str, list[Any]], at: int | None
) -> None:
    file, memory = roads if at is None else [store.at(at) for store in roads]
    found = asked(memory, *query)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "needs", lambda *_: {})
        assert found == asked(memory, *query)
    assert found == asked(file, *query)


# ---- by example

Fetched = dict[str, list[Any]]


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> Fetched:
    """The rows that the last query was fetched, by view."""
    rows: Fetched = {}

    def noting(db: Any, reading: fetching.Reading, *rest: Any) -> Any:
        rows[reading.view] = fetching.fetch(db, reading, *rest)
        return rows[reading.view]

    monkeypatch.setattr(sandbox, "fetch", noting)
    return rows


# A query, and by view the condition that those rows fulfil which it is fetched.
NARROWED: list[tuple[str, Any, dict[str, str]]] = [
    ("select * from states where agent_id = ?", ["a"], {"states": "agent_id = 'a'"}),
    ("select * from states where agent_id = :a and $t == State_Type and state_type = $t", {"a": "a", "t": "local"},
     {"states": "agent_id = 'a' and state_type = 'local'"}),
    ("select * from states s where s.state_key glob 'k/*' order by 1", [], {"states": "state_key glob 'k/*'"}),
    ("select * from states s where [s].\"state_key\" glob 'k'", [], {"states": "state_key = 'k'"}),
    ("select * from states where state_key > 'k' and state_key < 'l'", [], {"states": "state_key between 'k' and 'l'"}),
    ("select * from states where state_key between ?2 and ?1", ["l", "k"], {"states": "state_key between 'k' and 'l'"}),
    ("select agent_id, count(*) from history where agent_id in ('a', ?) group by 1", ["b"],
     {"history": "agent_id in ('a', 'b')"}),
    ("select agent_id is distinct from 'a' from states where agent_id = 'a'", [], {"states": "agent_id = 'a'"}),
    ("select count(*) over w from states where agent_id = 'a' and state_key = 'k' window w as (order by version)", [],
     {"states": "agent_id = 'a'"}),
    ("select * from history where revision > 5 and revision <= 9", [], {"history": "revision between 5 and 9"}),
    ("select count(*) from commits where revision in (1, 2, 3)", [], {"commits": "revision < 4"}),
    ("select * from states where ((agent_id = 'a') and (version = 1 or 1))", [], {"states": "agent_id = 'a'"}),
    ("select * from states where version between 1 and 2 and agent_id = 'a'", [], {"states": "agent_id = 'a'"}),
    ("select * from states where agent_id = 'a' and agent_id = 'b'", [], {"states": "0"}),
    ("select * from states where agent_id = 'a' and state_key in ()", [], {"states": "0"}),
    ("select * from states s, states t where s.agent_id = 'a' and t.agent_id = 'b'", [],
     {"states": "agent_id in ('a', 'b')"}),
    ("select * from states where agent_id = 'a' union select * from states where agent_id = 'b' and state_key = 'k'",
     [], {"states": "agent_id in ('a', 'b')"}),
    ("select * from states s join history h using (agent_id, state_key) where agent_id = 'a' and s.state_key = 'k'", [],
     {"states": "agent_id = 'a' and state_key = 'k'", "history": "agent_id = 'a' and state_key = 'k'"}),
    ("select * from states s left join history h on h.agent_id = s.agent_id and h.revision < 9 where s.agent_id = 'a'",
     [], {"states": "agent_id = 'a'", "history": "agent_id = 'a' and revision <= 9"}),
    ("select * from states s left join history h on h.agent_id = s.agent_id where h.agent_id = 'a'", [],
     {"states": "1", "history": "agent_id = 'a'"}),
    ("select * from history h join commits c on c.revision = h.revision and c.revision = 7", [],
     {"history": "revision = 7", "commits": "revision = 7"}),
    ("with x as (select * from states where agent_id = 'a') select * from x a, x b", [], {"states": "agent_id = 'a'"}),
    ("select (select count(*) from history where agent_id = 'a' and state_key = s.state_key) from states s "
     "where exists (select 1 from commits where revision = 7)", [],
     {"history": "agent_id = 'a'", "states": "1", "commits": "revision = 7"}),
    ("select 1 from states where agent_id in (select agent_id from history where agent_id = 'a')", [],
     {"states": "1", "history": "agent_id = 'a'"}),
]  # fmt: skip

# What may look like a condition on every row, and is none.
WHOLE: list[tuple[str, Any, str]] = [
    ("select * from states where agent_id = 'a' or 1", [], "states"),
    ("select * from states where agent_id = 'b' or state_key = 'k' and agent_id = 'a'", [], "states"),
    ("select * from states where not agent_id = 'a'", [], "states"),
    ("select * from states where version between 0 and agent_id = 'a'", [], "states"),
    ("select * from states where case when 0 then 1 and agent_id = 'a' and 1 else 1 end", [], "states"),
    ("select * from states where agent_id = 'a' collate nocase", [], "states"),
    ("select * from states where agent_id collate nocase = 'a'", [], "states"),
    ("select * from states where agent_id = 'a' || 'b'", [], "states"),
    ("select * from states where agent_id = 'a' isnull = 0", [], "states"),
    ("select * from states where agent_id = 1", [], "states"),
    ("select * from states where state_key = ?", [None], "states"),
    ("select * from states where state_key = ?", ["k\0"], "states"),
    ("select * from states where agent_id <> 'b'", [], "states"),
    ("select * from states where agent_id != 'b'", [], "states"),
    ("select * from states where 'agent_id' glob 'agent*'", [], "states"),
    ("select * from states where agent_id = \"b\"", [], "states"),
    ("select * from states where agent_id = x'61'", [], "states"),
    ("select * from states where 'agent_id' <> 'a' and 'agent_id' = 'agent_id'", [], "states"),
    ("select * from states where (agent_id, state_key) <> ('a', 'k')", [], "states"),
    ("select * from states where agent_id not in ('a')", [], "states"),
    ("select * from states where state_key like 'k'", [], "states"),
    ("select * from states where state_key glob '*'", [], "states"),
    ("select * from states where (select 1 from history where version = 1 and agent_id = 'a')", [], "states"),
    ("select agent_id is distinct from 'a' from states", [], "states"),
    ("select count(*) filter (where agent_id = 'a'), count(*) from states", [], "states"),
    ("select agent_id from states group by 1 having agent_id = 'a' or 1", [], "states"),
    ("select * from states where agent_id = 'a' union all select * from states", [], "states"),
    ("select * from states s, states t where s.agent_id = 'a'", [], "states"),
    ("select * from states s left join history h on s.agent_id = 'a' and s.revision = h.revision", [], "states"),
    ("select * from history h left join states s on s.agent_id = h.agent_id and s.agent_id = 'a'", [], "history"),
    ("select * from commits left join states history on 1, history s where history.agent_id = 'a'", [], "history"),
    ("select * from states where agent_id in (select 'b' from history states where states.agent_id = 'a')", [],
     "states"),
    ("with history as (select 'a' as agent_id) select * from history where agent_id = 'a' "
     "union select agent_id from temp.history", [], "history"),
    ("with c as (select 'a' as agent_id) select * from states s, c where c.agent_id = 'a'", [], "states"),
    ("select * from states k where exists "
     "(select 1 from history \u212a where k.agent_id = 'a' and \u212a.revision > 14)", [], "history"),
    ("with c as (select 'b' as agent_id) select * from c, states s join history h using (agent_id) "
     "where s.agent_id = 'a'", [], "history"),
    ("with c as (select 'a' as agent_id) select 1 from c where exists (select 1 from commits, states s "
     "where c.agent_id = 'a')", [], "states"),
    ("select * from (states s join commits c on c.revision = s.revision), history h where s.agent_id = 'a'", [],
     "history"),
    ("select 1 from states s where exists (select 1 from commits where agent_id = 'a' and s.revision = revision)", [],
     "commits"),
    ("select 1 from commits where revision = 1 and "
     "(1, 'write', 1700000000000000, null, null, null, null) in commits is null", [], "commits"),
    ("select count(*) over w from states window w as (order by agent_id)", [], "states"),
    ("select count(*) from states window, history states where states.agent_id = 'a'", [], "states"),
    ("select * from states s right join history h on h.agent_id = 'a' and s.version = 9", [], "history"),
    ("select * from history h full join states s on h.agent_id = 'a' and s.version = 9", [], "history"),
    ("select count(*) from states s join history s using (agent_id) where s.agent_id = 'a'", [], "history"),
    ("with recursive r(n) as (select 1 union select n + 1 from r, states where agent_id <> 'a' and n < 3) "
     "select * from r", [], "states"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "given_", "conditions_"), NARROWED, ids=[each[0] for each in NARROWED])
def test_no_more_is_fetched_than_plain_conditions_ask_for(
    roads: tuple[Store, Store], fetched: Fetched, sql: str, given_: Any, conditions_: dict[str, str]
) -> None:
    for file, memory in (roads, tuple(store.at(33) for store in roads)):
        assert asked(memory, sql, given_) == asked(file, sql, given_) != "refused"
        assert {view: len(rows) for view, rows in fetched.items()} == {
            view: file.query(f"select count(*) from {view} where {each}")[0][0] for view, each in conditions_.items()
        }


@pytest.mark.parametrize(("sql", "given_", "view"), WHOLE, ids=[each[0] for each in WHOLE])
def test_all_is_fetched_where_less_might_not_do(
    roads: tuple[Store, Store], fetched: Fetched, sql: str, given_: Any, view: str
) -> None:
    file, memory = roads
    try:
        expected = sorted(file.query(sql, given_), key=repr)
    except QueryRefused as error:
        pytest.fail(str(error))
    assert sorted(memory.query(sql, given_), key=repr) == expected
    assert len(fetched[view]) == file.query(f"select count(*) from {view}")[0][0]


def test_values_are_fetched_where_a_query_may_look_at_them(roads: tuple[Store, Store], fetched: Fetched) -> None:
    memory = roads[1]
    places = {view: VIEWS[view].shown.index("value") for view in ("states", "history")}
    for sql, valued in {
        "select count(*), max(version) from states": "",
        "select s.state_key from states s left join history h using (agent_id, state_key)": "",
        "select * from states": "states",
        "with x as (select * from states) select count(*) from x, history": "states",
        "with x(a, b, c, d, e, f, g) as (select agent_id, 1, 1, 1, 1, 1, value from states) select g from x": "states",
        "select h.* from states s join history h on s.version": "history",
        "select 1 from states s join history h order by h.value": "states history",
        "select count(*) from states join history using (value)": "states history",
        "select count(*) from states natural join history": "states history",
        "select count(*) from states natural full join history": "states history",
    }.items():
        fetched.clear()
        # In no order that anybody asked for, and a server's changes with what it knows of its tables.
        assert sorted(memory.query(sql), key=repr) == sorted(roads[0].query(sql), key=repr), sql
        for view, rows in fetched.items():
            assert any(row[places[view]] is not None for row in rows) == (view in valued), sql


def test_values_that_are_not_looked_at_need_not_be_readable(open_store: Opener) -> None:
    """Beside a FULL JOIN SQLite makes the whole of a view's row, so what is not fetched must not be decoded."""
    for where in ([], [":memory:"]):
        store = open_store(*where)
        store.states.set("a", "local", "k", b"bytes")
        store.states.set("a", "local", "l", "x" * 20_000)
        sql = "select s.state_key from commits c full join states s on s.revision = c.revision"
        assert sorted(store.query(sql)) == [("k",), ("l",)]


def test_more_than_may_be_fetched_is_refused_and_what_helps_is_said(open_store: Opener) -> None:
    store = open_store(APART, query_max_fetch=3)
    for agent in ("a", "b"):
        store.states.set_many(agent, "local", {"k": 1, "l": 2, "m": 3})
    with pytest.raises(QueryRefused, match=r"more than 3 rows of states \(Settings.query_max_fetch\).*agent_id = \?"):
        store.query("select count(*) from states")
    with pytest.raises(QueryRefused, match=r"rows of history .* state_key or revision"):
        store.at(2).query("select count(*) from commits, history")
    assert store.query("select count(*) from states where agent_id = 'a'") == [(3,)]
    assert store.query("select count(*) from commits") == [(2,)]
    assert open_store(query_max_fetch=3).query("select count(*) from states, history, commits") == [(0,)]


def test_a_key_that_was_cut_is_not_met_where_it_is_not_asked_for(open_store: Opener, places: Places) -> None:
    where = places.apart()
    store = open_store(where, check=False)
    for key in ("cut", "kept"):
        store.states.set("a", "local", key, 1)
        store.states.set("a", "local", key, 2)
    tamper(where, "update agent_states set floor = 9 where state_key = 'cut'", by=store)
    past = store.at(4)
    assert past.query("select value from states where state_key = 'kept' and agent_id = 'a'") == [("2",)]
    for sql in ("select value from states where agent_id = 'a'", "select 1 from states where revision = 2",
                "select 1 from states where agent_id = 'a' and revision > 3"):  # fmt: skip
        with pytest.raises(Compacted):
            past.query(sql)


# ---- the statements


def test_statements_are_few_and_fit_every_database(roads: tuple[Store, Store]) -> None:
    listed, memory = len(Statement.every), roads[1]
    fetching._statement.cache_clear()
    for size in range(1, 200):
        inside = ", ".join("?" * size)
        names = [f"name {n}" for n in range(size)]
        assert memory.query(f"select 1 from history where agent_id in ({inside}) and revision < {size}", names) == []
    assert fetching._statement.cache_info().currsize == 4
    assert len(Statement.every) == listed
    whole = [fetching.Form(column, few, True, True) for column in ("agent_id", "state_key") for few in (0, 1, MOST)]
    readings: tuple[Literal["now", "then", "level"], ...] = ("now", "then", "level")
    for view, when, values in product(VIEWS, readings, (False, True)):
        for form in [each for each in whole if each.column in VIEWS[view].narrowed]:
            statement = fetching._statement(fetching.Reading(view, when, values), (form,))
            for dialect in (DIALECT, POSTGRESQL):
                text, _ = statement.on(dialect)
                assert "POSTCOMPILE" not in text


SAMPLES = st.sampled_from(["", "a", "ab", "b", "k/1", "é", "\uffff", "\U0010ffff"])
EXTENTS = st.builds(Extent, st.none(), st.none() | SAMPLES, st.none() | SAMPLES) | st.builds(
    some, st.frozensets(SAMPLES)
)


@given(EXTENTS, EXTENTS, SAMPLES)
def test_extents_meet_in_what_both_hold_and_their_hull_holds_both(one: Extent, other: Extent, value: str) -> None:
    holding = [Extent.meet(Extent(frozenset([value])), each).few for each in (one, other)]
    assert bool(one.meet(other).meet(some(frozenset([value]))).few) == all(holding)
    if any(holding):
        assert some(frozenset([value])).meet(one.hull(other)).few


@given(st.text(min_size=1), st.text())
def test_what_begins_with_a_prefix_is_in_its_extent(prefix: str, more: str) -> None:
    assert some(frozenset([prefix + more])).meet(beginning(prefix)).few
