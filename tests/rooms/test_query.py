"""Queries: what they find, now and in the past, and how they are asked."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import (
    AsyncStore,
    Compacted,
    Erased,
    InTransaction,
    InvalidValue,
    NoSuchRevision,
    QueryRefused,
    Row,
    Rows,
    StateType,
    Store,
    StoreClosed,
)
from statedb.db.query.sandbox import Work
from statedb.db.tables import agent_states, state_versions
from statedb.models import Address
from statedb.values import codec
from tests.conftest import Opened
from tests.helpers import HANG, Clock, run
from tests.places import SORTS, Places, examples, is_url, tamper
from tests.strategies import json_values

K = ("a", "persistent", "prefs")
LARGE = {"theme": "large", "text": "x" * 20_000}


@pytest.fixture
def filled(store: Store, clock: Clock) -> Store:
    store.states.set(*K, {"theme": "dark", "n": 1}, message="first", metadata={"src": "ui"})
    clock.advance(10)
    store.states.set(*K, {"theme": "light", "n": 2})
    store.states.set("a", "local", "plan/1", [1, 2, 3])
    store.states.set("b", "shared", "large", LARGE)
    store.states.set("b", "shared", "raw", b"bytes")
    store.states.set("b", "session", "brief", "soon gone", ttl=60)
    store.states.set("b", "local", "deleted", 1)
    store.states.delete("b", "local", "deleted")
    return store


def test_the_views_show_states_history_and_commits(filled: Store, clock: Clock) -> None:
    entry = filled.states.entry(*K)
    assert entry is not None
    [row] = filled.query("select * from states where state_key = 'prefs'")
    assert dict(row) == {
        "agent_id": "a", "state_type": "persistent", "state_key": "prefs", "version": 2, "parent_version": 1,
        "revision": 2, "value": '{"theme":"light","n":2}', "metadata": None,
        "created_at": clock.micros - 10_000_000, "created_by": None, "updated_at": clock.micros, "expires_at": None,
    }  # fmt: skip
    [row] = filled.query("select * from history where state_key = 'prefs' and version = 1")
    assert dict(row) == {
        "agent_id": "a", "state_type": "persistent", "state_key": "prefs", "version": 1, "parent_version": None,
        "source_version": None, "revision": 1, "change": "create", "value": '{"theme":"dark","n":1}',
        "metadata": '{"src":"ui"}', "size": 22, "at": clock.micros - 10_000_000, "actor": None, "message": "first",
        "expires_at": None,
    }  # fmt: skip
    assert dict(filled.query("select * from commits order by revision")[0]) == {
        "revision": 1, "kind": "write", "at": clock.micros - 10_000_000, "origin_at": None, "actor": None,
        "message": "first", "context": None,
    }  # fmt: skip


ASKED: list[tuple[str, Any, list[tuple[Any, ...]]]] = [
    ("select count(*) from states", (), [(5,)]),
    ("select count(*) from history", (), [(8,)]),
    ("select count(*) from commits", (), [(8,)]),
    ("select count(*) from States", (), [(5,)]),
    ('select count(*) from temp."STATES"', (), [(5,)]),
    ("select count(*) from (select * from states)", (), [(5,)]),
    ("with x as (select * from history) select count(*) from x", (), [(8,)]),
    ("select count(*) from json_each('[1, 2]')", (), [(2,)]),
    ("select count(*) from json_tree('[1, [2]]')", (), [(4,)]),
    ("select value ->> '$.theme' from states where agent_id = ? and state_key = ?", ["a", "prefs"], [("light",)]),
    ("select value ->> '$.theme' from states where agent_id = :a and state_key = @k",
     {"a": "a", "k": "prefs"}, [("light",)]),
    ("select value -> '$.n', json_extract(value, '$.n') from states where state_key = 'prefs'", (), [("2", 2)]),
    ("select value ->> '$.theme', length(value ->> '$.text') from states where state_key = 'large'",
     (), [("large", 20_000)]),
    ("select value ->> '$.theme' from history where state_key = 'large'", (), [("large",)]),
    ("select value, value is null from states where state_key = 'raw'", (), [(None, 1)]),
    ("select j.value from states s, json_each(s.value) j where state_key = 'plan/1' and j.value > 1", (), [(2,), (3,)]),
    ("select state_key from states where state_key like 'PLAN/_' or state_key glob 'pre*'",
     (), [("plan/1",), ("prefs",)]),
    ("select agent_id, count(*) n from states group by agent_id having n > 2", (), [("b", 3)]),
    ("select state_key, row_number() over (order by state_key desc) as r from states where agent_id = 'a'",
     (), [("prefs", 1), ("plan/1", 2)]),
    ("select s.state_key, h.version, c.message from states s join history h using (agent_id, state_type, state_key) "
     "join commits c on c.revision = h.revision where s.agent_id = 'a' order by 1, 2",
     (), [("plan/1", 1, None), ("prefs", 1, "first"), ("prefs", 2, None)]),
    ("select c.revision from commits c left join states s using (revision) where s.version is null order by 1",
     (), [(1,), (7,), (8,)]),
    ("with recursive c(x) as (select 1 union all select x + 1 from c where x < 4) select sum(x) from c", (), [(10,)]),
    ("select datetime(min(at) / 1e6, 'unixepoch') from commits", (), [("2023-11-14 22:13:20",)]),
    ("select state_key from states where state_key in (select value from json_each(?))", ['["raw", "prefs"]'],
     [("prefs",), ("raw",)]),
    ("select change, value from history where state_key = 'deleted' order by version",
     (), [("create", "1"), ("delete", None)]),
    ("select state_key from states where rowid = 1 or _rowid_ > 1", (), []),
    ("/* first */ -- and\n select 1 -- last", (), [(1,)]),
    ("values (1, 'x'), (2, null);", (), [(1, "x"), (2, None)]),
    ("select ?, ?, ?, ?, ?", ["é\0", 2**63 - 1, 0.5, True, b"\0"], [("é\0", 2**63 - 1, 0.5, 1, b"\0")]),
    ("select version from states where version = '2'", (), [(2,)]),
    ("select value from history where value = 1", (), [("1",)]),
    ("select json_group_array(state_key) from (select state_key from states where agent_id = 'a' order by 1)",
     (), [('["plan/1","prefs"]',)]),
]  # fmt: skip


def test_queries_find_what_is_there(filled: Store) -> None:
    for sql, given_, found in ASKED:
        rows = filled.query(sql, given_)
        assert sorted(rows, key=repr) == sorted(found, key=repr), sql


def test_the_past_compares_as_the_present_does(filled: Store) -> None:
    """The views of the past are made otherwise; what they are compared with must not notice."""
    past = filled.at(timedelta(0))
    for sql, given_, found in ASKED:
        assert sorted(past.query(sql, given_), key=repr) == sorted(found, key=repr), sql


def test_a_past_shows_what_was(filled: Store, clock: Clock) -> None:
    assert filled.at(1).query("select state_key, value ->> '$.theme' from states") == [("prefs", "dark")]
    assert filled.at(1).query("select count(*) from history") == filled.at(1).query("select count(*) from commits")
    assert filled.at(0).query("select * from states union all select * from states") == []
    assert filled.at(7).query("select value from states where state_key = 'deleted'") == [("1",)]
    clock.advance(60)
    assert filled.query("select 1 from states where state_key = 'brief'") == []
    assert filled.at(timedelta(microseconds=1)).query("select 1 from states where state_key = 'brief'") == [(1,)]
    assert filled.at(6).query("select 1 from states where state_key = 'brief'") == [(1,)]
    with pytest.raises(NoSuchRevision):
        filled.at(100).query("select 1")


def test_the_newest_commit_tells_the_time_where_the_clock_went_back(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=60)
    clock.advance(59)
    store.states.set("b", "local", "later", 1)
    assert len(store.query("select * from states")) == 2
    clock.advance(1)
    store.states.set("b", "local", "later", 2)
    clock.back(3600)
    assert store.query("select state_key from states") == [("later",)]
    assert store.states.get(*K) is None


# ---- asking


def test_a_row_is_a_tuple_with_names(filled: Store) -> None:
    rows = filled.query(
        "select state_key as name, version, value, 7 as count, 8 as version from states order by states.version desc"
    )
    assert isinstance(rows, Rows)
    assert rows.columns == ("name", "version", "value", "count", "version")
    assert rows.missing == ()
    row: Any = rows[0]
    assert isinstance(rows[0], Row)
    assert (row.name, row["version"], row[1], row[:2]) == ("prefs", 2, 2, ("prefs", 2))
    assert row == ("prefs", 2, '{"theme":"light","n":2}', 7, 8)
    assert hash(row) == hash(tuple(row))
    assert row["count"] == 7
    assert row.count(2) == 1
    assert list(dict(row)) == ["name", "version", "value", "count"]
    name, *_ = row
    assert name == "prefs"
    assert repr(row).startswith("Row(name='prefs', version=2")
    with pytest.raises(AttributeError, match="nothing"):
        _ = row.nothing
    with pytest.raises(KeyError):
        row["nothing"]
    for again in (pickle.loads(pickle.dumps(rows)), copy.deepcopy(rows), copy.copy(rows)):
        assert (again, again.columns, again[0].name) == (rows, rows.columns, "prefs")


def test_datetimes_and_subclasses_are_parameters_too(filled: Store, clock: Clock) -> None:
    later = "select count(*) from commits where at >= ?"
    assert filled.query(later, [clock.moment]) == [(7,)]
    assert filled.query(later, [clock.moment.replace(tzinfo=None)]) == [(7,)]
    assert filled.query("select count(*) from states where state_type = ?", [StateType.SHARED]) == [(2,)]
    assert filled.query("select :b", {"b": False, "unused": 1}) == [(0,)]


def test_parameters_that_are_none_are_refused_before_anything_is_done(filled: Store) -> None:
    wrong: list[Any] = [
        [[1]], [{"a": 1}], [2**63], [-(2**63) - 1], [object()], [bytearray(b"x")], [datetime(2026, 1, 1).date()],
        [timedelta(1)], ["\ud800"], "x", b"x", {1, 2}, 5, None, iter([1]),
    ]  # fmt: skip
    for parameters in wrong:
        with pytest.raises(InvalidValue):
            filled.query("select ?", parameters)
    with pytest.raises(InvalidValue, match="dict"):
        filled.query("select :name", ["x"])
    for sql, mismatched in (("select ?", []), ("select ?", [1, 2]), ("select :a", {"b": 1}), ("select ?", {"a": 1})):
        with pytest.raises(QueryRefused):
            filled.query(sql, mismatched)
    for no_text in (5, None, b"select 1", "select '\ud800'"):
        with pytest.raises(InvalidValue):
            filled.query(no_text)  # type: ignore[arg-type]


def test_a_transaction_is_asked_nothing(filled: Store) -> None:
    with filled.transaction() as tx:
        tx.states.set(*K, 3)
        with pytest.raises(InTransaction, match="committed"):
            tx.query("select 1")
    with pytest.raises(InTransaction):
        filled.run(lambda tx: tx.query("select 1"))


def test_a_query_beside_an_open_transaction_reads_what_is_committed(filed: Store) -> None:
    filed.states.set(*K, 1)
    with filed.transaction() as tx:
        tx.states.set(*K, 2)
        assert filed.query("select value from states") == [("1",)]
    assert filed.query("select value from states") == [("2",)]


def test_a_closed_store_is_asked_nothing(filed: Store) -> None:
    filed.states.set(*K, 1)
    past = filed.at(1)
    filed.close()
    for closed in (filed, past):
        with pytest.raises(StoreClosed):
            closed.query("select 1")


def test_many_threads_may_ask_at_once(filed: Store) -> None:
    filed.states.set_many("a", "local", {f"k{n}": n for n in range(100)})
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(filed.query("select sum(value) from states"))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[(4950,)]] * 8


# ---- what is no longer there


NOTHING_OF: list[str] = [
    "select * from states", "select count(*) from states", "select 1 from states",
    "select * from states where version = 1",
    "select * from states where revision = 1", "select * from states where value ->> '$.n' = 5",
    "select * from states where value is null", "select * from states where created_at > 5 and metadata is not null",
    "select * from states where state_key = 'prefs'", "select * from states where agent_id = 'a' and version > 1",
    "select s.state_key from commits c join states s on s.revision = c.revision",
    "select s.state_key from history h join states s using (revision)",
    "select (select max(version) from states)",
    "with x as (select version from states) select * from x where version = 1",
    "select * from states order by version limit 1", "select agent_id from states where expires_at > 1 group by 1",
    "select * from states where updated_at = 7",
]  # fmt: skip


Spoil = Callable[[str], None]


@pytest.fixture
def spoilt(sort: str, ground: Places, clock: Clock) -> Iterator[tuple[Any, Spoil]]:
    """A store, and what changes its rows by SQL, as retention and erasure will."""
    with Opened(clock) as opened:
        where = ground.another()
        store = opened.open(where, shell="async" if sort.startswith("async ") else "sync", check=False)

        def spoil(script: str) -> None:
            tamper(where, script, by=store)

        yield store, spoil


@pytest.fixture
def cut(spoilt: tuple[Any, Spoil]) -> Any:
    store, spoil = spoilt
    store.states.set(*K, {"n": 1})
    store.states.set("b", "local", "whole", {"n": 1})
    store.states.set(*K, {"n": 2})
    store.states.set(*K, {"n": 3})
    spoil(f"delete from {state_versions.name} where revision = 1")
    spoil(f"update {agent_states.name} set floor = 3 where state_key = 'prefs'")
    return store


def test_a_past_that_retention_cut_is_refused_however_it_is_asked_for(cut: Any) -> None:
    for sql in NOTHING_OF:
        with pytest.raises(Compacted) as caught:
            cut.at(2).query(sql)
        assert caught.value.floor == 3, sql
        assert "partial=True" in str(caught.value)
        assert cut.at(3).query(sql) is not None
        assert cut.query(sql) is not None


def test_what_retention_cut_is_left_out_and_named_where_that_is_asked_for(cut: Any) -> None:
    past = cut.at(2)
    rows = past.query("select state_key from states", partial=True)
    assert (rows, rows.missing) == ([("whole",)], (Address(*K),))
    for sql in NOTHING_OF:
        assert past.query(sql, partial=True).missing == (Address(*K),), sql
    assert past.query("select count(*) from states", partial=True) == [(1,)]
    assert past.query("select value from states where agent_id = 'b'") == [('{"n":1}',)]
    assert past.query("select value from states where state_key glob 'w*'") == [('{"n":1}',)]
    assert past.query("select count(*) from history, commits") == [(2,)]
    assert cut.at(3).query("select count(*) from states", partial=True).missing == ()


def test_an_erased_value_is_refused_or_named(spoilt: tuple[Any, Spoil]) -> None:
    store, spoil = spoilt
    store.states.set(*K, 1)
    store.states.set(*K, 2)
    store.states.set("b", "local", "whole", 3)
    spoil(f"update {state_versions.name} set codec = {codec.ERASED}, value = null where revision = 1")
    for sql in (
        "select value from history",
        "select 1 from history where value = '1'",
        "select max(value) from history",
    ):
        with pytest.raises(Erased):
            store.query(sql)
        assert store.query(sql, partial=True).missing == (Address(*K),)
    rows = store.query("select version, value from history where agent_id = 'a' order by version", partial=True)
    assert rows == [(1, None), (2, "2")]
    assert store.query("select count(*) from history").missing == ()
    assert store.query("select value from states order by 1") == [("2",), ("3",)]
    with pytest.raises(Erased):
        store.at(1).query("select value from states")
    assert store.at(1).query("select version, change from history") == [(1, "create")]


# ---- asynchronously


def test_a_long_query_holds_up_no_other_read_and_no_write(anywhere: str) -> None:
    endless = "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c"

    async def main() -> None:
        async with AsyncStore(anywhere, query_timeout=1000) as store:
            await store.states.set(*K, 1)
            asking = asyncio.create_task(store.query(endless))
            while not store._apart:
                await asyncio.sleep(0)
            assert await store.states.get(*K) == 1
            assert (await store.states.set(*K, 2)).version == 2
            assert await store.query("select value from states") == [("2",)]
            assert not asking.done()
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        # Closing waits for the thread, which ends since nobody waits for it: otherwise this would hang.

    run(main())


def test_closing_meanwhile_leaves_nothing_beside_the_file(where: str, tmp_path: Path) -> None:
    async def main() -> None:
        store = await AsyncStore(where)
        await store.states.set(*K, 1)
        asked = [asyncio.create_task(store.query("select value from states")) for _ in range(10)]
        for _ in range(5):
            await asyncio.sleep(0)
        await store.close()
        for each in await asyncio.gather(*asked, return_exceptions=True):
            assert each == [("1",)] or isinstance(each, StoreClosed)

    for _ in range(5):
        run(main())
        assert is_url(where) or [str(each) for each in tmp_path.iterdir()] == [where]


def test_a_query_that_is_running_when_the_store_is_closed_ends_as_it_would(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, closed, found = threading.Event(), threading.Event(), list[Any]()
    answer = Work.__call__

    def late(work: Work) -> Rows:
        begun.set()
        assert closed.wait(HANG)
        return answer(work)

    monkeypatch.setattr(Work, "__call__", late)
    store = Store(where, durability="normal")
    store.states.set(*K, 1)
    asking = threading.Thread(target=lambda: found.append(store.query("select value from states")))
    asking.start()
    assert begun.wait(HANG)
    store.close()
    closed.set()
    asking.join()
    assert found == [[("1",)]]
    assert is_url(where) or [str(each) for each in tmp_path.iterdir()] == [where]


def test_queries_may_be_gathered(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            await store.states.set(*K, 1)
            found = await asyncio.gather(*(store.query("select value, ? from states", [n]) for n in range(20)))
            assert found == [[("1", n)] for n in range(20)]
            past = store.at(1)
            assert await past.query("select count(*) from states") == [(1,)]
            with pytest.raises(QueryRefused):
                await store.query("select * from agents")

    run(main())


# ---- against what the rooms say

KEYS = st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([*StateType]), st.sampled_from(["k", "é", "s/1", "s/2"]))
VALUES = json_values(5) | st.just(LARGE) | st.binary(max_size=3) | st.binary(min_size=20_000, max_size=20_001)
TTL = st.none() | st.integers(1, 30)
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, VALUES, TTL),
    st.tuples(st.just("delete"), KEYS),
    st.tuples(st.just("touch"), KEYS, TTL),
    st.tuples(st.just("join"), st.sampled_from(["a", "b"]), TTL),
    st.tuples(st.just("close"), st.sampled_from(["a", "b"])),
    st.tuples(st.just("clock"), st.integers(-20, 40)),
    st.tuples(st.just("sweep")),
)


def take(store: Store, clock: Clock, step: tuple[Any, ...]) -> None:
    match step:
        case ("set", (agent, tier, key), value, ttl):
            store.states.set(agent, tier, key, value, ttl=ttl)
        case ("delete", key):
            store.states.delete(*key)
        case ("touch", key, ttl):
            store.states.touch(*key, ttl=ttl)
        case ("join", agent, ttl):
            store.agent(agent).session("s", ttl=ttl).set("1", 1)
        case ("close", agent):
            store.agent(agent).session("s").close()
        case ("clock", seconds):
            clock.advance(seconds)
        case _:
            store.retention.sweep()


def listed(store: Store) -> dict[tuple[str, str, str], Any]:
    return {
        (agent, tier, key): None if isinstance(value, bytes) else value
        for agent in ("a", "b")
        for tier in StateType
        for key, value in store.states.items(agent, tier)
    }


def queried(store: Store) -> dict[tuple[str, str, str], Any]:
    rows = store.query("select agent_id, state_type, state_key, value from states")
    return {row[:3]: None if row.value is None else json.loads(row.value) for row in rows}


@pytest.mark.parametrize("sort", SORTS, indirect=True)
def test_a_query_sees_what_the_rooms_see_at_every_point(sort: str, tmp_path: Path) -> None:
    @settings(max_examples=examples(60, sort))
    @given(steps=st.lists(STEPS, max_size=25), data=st.data())
    def holds(steps: list[tuple[Any, ...]], data: st.DataObject) -> None:
        clock = Clock()
        start = clock.moment
        with (
            TemporaryDirectory(dir=tmp_path) as folder,
            Places(sort, Path(folder)) as brief,
            Store(brief.another(), clock=clock, durability="normal") as store,
        ):
            for step in steps:
                take(store, clock, step)
                assert queried(store) == listed(store)
            head = store.transfer.head()
            instants = data.draw(st.lists(st.integers(0, 100), max_size=3))
            points: list[Any] = [*range(head + 1), *(start + timedelta(seconds=each) for each in instants)]
            for point in points:
                try:
                    past = store.at(point)
                except NoSuchRevision:
                    continue
                assert queried(past) == listed(past)
                versions = past.query(
                    "select agent_id, state_type, state_key, max(version) from history group by 1, 2, 3"
                )
                assert {row[:3] for row in versions} >= listed(past).keys()
                assert past.query("select max(revision) from commits")[0][0] == (past._point.revision or None)  # type: ignore[union-attr]
            for agent, tier, key, version, parent in store.query(
                "select agent_id, state_type, state_key, version, parent_version from states"
            ):
                entry = store.states.entry(agent, tier, key)
                assert entry is not None
                assert (entry.version, entry.parent_version) == (version, parent)

    holds()


def test_a_time_to_live_is_shown_in_microseconds(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=60)
    store.agent("a").session("s", ttl=30).set("k", 1)
    asked = "select state_key, expires_at from states order by 1"
    found = {key: datetime.fromtimestamp(0, UTC) + timedelta(microseconds=at) for key, at in store.query(asked)}
    assert found == {"prefs": clock.moment + timedelta(seconds=60), "s/k": clock.moment + timedelta(seconds=30)}
    assert store.at(2).query(asked) == store.query(asked)
