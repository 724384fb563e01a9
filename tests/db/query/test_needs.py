"""What a query is fetched: no less than it needs, whatever it looks like, and no more where that is plain to see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import QueryRefused, Store
from statedb.db.query import sandbox
from statedb.db.views import VIEWS
from tests.helpers import Clock

# ---- stores of the same content: in a file, which is read where it lies, and in memory, of which rows are fetched

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


@pytest.fixture(scope="module")
def roads(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Store]]:
    places = (tmp_path_factory.mktemp("needs") / "store.db", ":memory:")
    clocks = (Clock(), Clock())
    with (
        Store(places[0], clock=clocks[0], durability="normal") as file,
        Store(places[1], clock=clocks[1]) as memory,
    ):
        fill(file, clocks[0])
        fill(memory, clocks[1])
        yield file, memory


# ---- queries of every shape, most of which mean something

CONSTANTS = {
    str: ["'a'", "'A'", "'b'", "'k'", "'K'", "'k/1'", "'local'", "'shared'", "'é'", "'1'", "''", "?", "?1", "?2", "?3"],
    int: ["1", "3", "20", "7", "?", "?4", "30"],
}
ODD = ["null", "x'61'", '"a"', "-1", "1.0", "1", "'1'", "'states'", "?1", "?"]
NAMED = {"agent_id": str, "state_key": str, "state_type": str, "Agent_Id": str, '"state_key"': str, "`agent_id`": str}
COUNTED = {"revision": int, "[revision]": int, "version": int}
CALLED = ["s", "t", "S", "x", "é", '"a b"', "states", "history"]
JOINS = [",", "join", "left join", "inner join", "cross join", "left outer join", "natural join", "right join", "full join"]


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
            f"{column} between {one} and {other} = {two}", f"{column} in states", f"{column} = {one} glob {two}",
        ])
    )  # fmt: skip


@st.composite
def conditions(draw: st.DrawFn, names: list[str], depth: int = 2) -> str:
    """A condition, written without parentheses as often as with them."""
    if not depth or draw(st.booleans()):
        return draw(comparisons(names))
    parts = draw(st.lists(conditions(names, depth - 1), min_size=2, max_size=3))
    how = draw(st.integers(0, 9))
    if how < 6:
        return " and ".join(parts)
    if how < 8:
        return " and ".join(f"({part})" for part in parts)
    inner = draw(selects(depth - 1, "1", names))
    return draw(
        st.sampled_from([
            f"{parts[0]} or {parts[1]}", f"not ({parts[0]} and {parts[1]})", f"{parts[0]} and exists ({inner})",
            f"1 between {parts[0]} and {parts[1]}", f"({parts[0]}) = ({parts[1]})", f"({parts[0]} or {parts[1]})",
            f"case when {parts[0]} then {parts[1]} else 1 end", f"{parts[0]} and not exists ({inner})",
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
        join = draw(st.sampled_from(JOINS[:6] * 2 + JOINS)) if n else ""
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
    shown = ["*", "count(*)", f"{names[0]}.*", f"distinct {names[-1]}.revision", "1 is distinct from 2, count(*)"]
    tail = draw(st.sampled_from(["", "", "", " group by 1 having 1", " order by 1"]))
    return f"select {what or draw(st.sampled_from(shown))} from {clause}{where}{'' if what else tail}"


@st.composite
def queries(draw: st.DrawFn) -> tuple[str, list[Any]]:
    clause = draw(st.sampled_from(["c"] * 9 + ["C", "states", "history"]))
    body = draw(st.just("select * from commits where revision < 9") | selects(1, "*"))
    given = draw(st.tuples(*(st.sampled_from(["a", "b", "k", "k/1", "local", None, "A\0", 1.5, b"a"]),) * 3, st.integers(-1, 30)))
    some = f"with {clause} as ({body}) " if clause != "c" or draw(st.booleans()) else "with c as (select 1 as revision) "
    return f"{some}{draw(selects())} limit 1000000 + coalesce(length(?4), 0)", list(given)


def asked(store: Any, sql: str, given: list[Any]) -> Any:
    try:
        return sorted(store.query(sql, given), key=repr)
    except QueryRefused as error:
        return str(error)


ROADS: dict[str, int] = {"same": 0, "refused": 0, "narrowed": 0}
