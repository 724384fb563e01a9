"""Writes that share a transaction: the same rows as one after another, each failing alone, all or none at the end."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from sqlalchemy import bindparam, insert

from statedb import AsyncStore, DiskFull, Entry, InvalidValue, Store
from statedb.db.earlier import Earlier
from statedb.db.sqlite import connection as sqlite
from statedb.db.sqlite import writequeue
from statedb.db.sqlite.rowskept import RowsKept
from statedb.db.statements import Statement
from statedb.db.tables import commit_agents, metadata
from statedb.db.views import VIEWS
from tests.helpers import Clock, run
from tests.places import raw

K = ("a", "shared", "k")
RANDOM = {"salt", "digest", "hash"}

Write = Callable[[Any], Any]
"""A call on a store: its result, or what awaits it."""


def rows(path: str | Path) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of a store, but for what is different in each."""
    tables = [table for table in metadata.sorted_tables if table.name not in VIEWS and table.name != "store_info"]
    found = {}
    for table in tables:
        columns = [column.name for column in table.c if column.name not in RANDOM]
        found[table.name] = sorted(raw(str(path), f"select {', '.join(columns)} from {table.name}"), key=repr)
    return found


def growing(value: Any) -> Any:
    return (value or 0) + 1


def listed(tx: Any) -> None:
    found = [list(tx.states.keys("a", tier)) for tier in ("shared", "session")]
    newest = [version.version for version in tx.history.versions(*K)]
    ends = [str(tx.states.entry("a", "session", key).expires_at) for key in found[1]]
    tx.states.set("b", "shared", "seen", {"keys": found, "ends": ends, "versions": newest})


def fails(tx: Any) -> None:
    tx.states.set(*K, "never")
    tx.agent("c").session("never").set("k", 1)
    raise KeyError


keys = some.sampled_from(["k", "l", "s/x", "s/y", "t/x"])
tiers = some.sampled_from(["shared", "session"])
agents = some.sampled_from(["a", "b"])
writes: some.SearchStrategy[Write] = some.one_of(
    some.builds(
        lambda *at: lambda store: store.states.set(*at[:4], ttl=at[4]),
        agents, tiers, keys, some.integers(0, 2), some.sampled_from([None, 5]),
    ),
    some.builds(lambda of: lambda store: store.states.update(of, "shared", "n", growing), agents),
    some.builds(lambda *at: lambda store: store.states.delete(*at), agents, tiers, keys),
    some.builds(lambda *at: lambda store: store.states.touch(*at, ttl=9), agents, tiers, keys),
    some.builds(lambda of, name: lambda store: store.agent(of).session(name).set("x", 1), agents, some.just("s")),
    some.builds(lambda of, name: lambda store: store.agent(of).session(name).close(), agents, some.just("s")),
    some.just(lambda store: store.states.set_many("a", "shared", {f"m{n}": n for n in range(5)})),
    some.just(lambda store: store.run(listed)),
    some.just(lambda store: store.run(lambda _: store.settings.clock.advance(4))),
    some.just(lambda store: store.run(fails)),
)  # fmt: skip


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the file of a new store, to be copied: that is quicker than to make one."""
    path = tmp_path_factory.mktemp("empty") / "app.db"
    Store(path, clock=Clock()).close()
    return path


@settings(max_examples=60)
@given(batches=some.lists(some.lists(writes, max_size=12), max_size=4))
def test_a_batch_writes_the_rows_that_its_writes_would_one_by_one(batches: list[list[Write]], empty: Path) -> None:
    ours, theirs = (shutil.copy(empty, empty.with_name(name)) for name in ("together.db", "alone.db"))
    clock = Clock()

    async def together() -> None:
        async with AsyncStore(ours, clock=clock, durability="normal") as store:
            for batch in batches:
                await asyncio.gather(*(write(store) for write in batch), return_exceptions=True)
                clock.advance(3)

    run(together())
    clock = Clock()
    with Store(theirs, clock=clock, durability="normal") as store:
        for batch in batches:
            for write in batch:
                with suppress(KeyError):
                    write(store)
            clock.advance(3)
    assert rows(ours) == rows(theirs)
    with Store(ours, clock=clock) as store:
        assert store.health.check().problems == ()


def test_a_session_begun_in_a_batch_is_that_of_the_keys_below_its_name_at_once(tmp_path: Path) -> None:
    clock = Clock()

    async def main() -> None:
        async with AsyncStore(tmp_path / "app.db", clock=clock) as store:
            await store.states.set_many("a", "session", {"s/x": 1, "s/y": 1}, ttl=5)
            begun, _, found, there = await asyncio.gather(
                store.agent("a").session("s", ttl=60).set("z", 1),
                store.run(lambda _: clock.advance(10)),
                store.run(lambda tx: tx.states.items("a", "session", "s/*")),
                store.states.delete("a", "session", "s/x"),
            )
            assert begun.revision == 2  # one that has ended would have been recorded before it
            assert found == [("s/x", 1), ("s/y", 1), ("s/z", 1)]
            assert there

    run(main())


def _with(number: int, numbers: list[int]) -> list[int]:
    return [*numbers, number]


def test_where_somebody_else_waits_a_batch_ends_early_and_its_rest_goes_on_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[object] = []
    begin = sqlite.Connection.begin_write

    def spy(connection: sqlite.Connection, left: float | None = None) -> None:
        begun.append(connection)
        begin(connection, left)

    monkeypatch.setattr(sqlite.Connection, "begin_write", spy)
    monkeypatch.setattr(sqlite.Connection, "crowded", lambda _: True)
    monkeypatch.setattr(writequeue, "_POLITE", 4)

    async def main() -> None:
        async with AsyncStore(tmp_path / "app.db", durability="normal") as store:
            begun.clear()
            calls = [store.states.update(*K, partial(_with, n), default=[]) for n in range(10)]
            entries = await asyncio.gather(*calls)
            assert len(begun) == 3
            assert [entry.revision for entry in entries] == list(range(1, 11))
            assert await store.states.get(*K) == list(range(10))

    run(main())


def test_of_writes_the_database_refuses_each_fails_alone(tmp_path: Path) -> None:
    named: dict[str, object] = {name: bindparam(name) for name in ("agent_id", "revision")}
    orphan = Statement(insert(commit_agents).values(named), listed=False)

    def refused(tx: Any) -> None:
        tx.states.set(*K, "refused")
        tx._tx.connection.run(orphan, {"agent_id": 999, "revision": 999})

    async def main() -> None:
        async with AsyncStore(tmp_path / "app.db") as store:
            calls = [store.states.set("a", "shared", f"k{n}", n) for n in range(5)]
            outcomes = await asyncio.gather(*calls, store.run(refused), return_exceptions=True)
            assert [type(each).__name__ for each in outcomes] == ["Entry"] * 5 + ["IntegrityError"]
            assert await store.states.keys("a", "shared") == [f"k{n}" for n in range(5)]
            assert await store.transfer.head() == 5

            tries = iter(["the first try", "the second"])
            said = store.run(lambda tx: tx.states.set("a", "shared", "said", 1, message=next(tries)))
            await asyncio.gather(said, store.run(refused), return_exceptions=True)
            assert (await store.history.commit(6)).message == "the second"

    run(main())


def test_an_import_that_fails_late_takes_no_other_write_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "_MANY", 50)  # so that most of it has been sent by then

    def versions() -> Iterator[tuple[float, Any]]:
        yield from ((n, n) for n in range(100))
        yield 100, object()

    async def main() -> None:
        async with AsyncStore(tmp_path / "app.db") as store:
            first, failed, last = await asyncio.gather(
                store.states.set("a", "shared", "first", 1),
                store.transfer.load_versions(*K, versions()),
                store.states.set("a", "shared", "last", 1),
                return_exceptions=True,
            )
            assert isinstance(failed, InvalidValue)
            assert isinstance(first, Entry)
            assert isinstance(last, Entry)
            assert (first.revision, last.revision) == (1, 2)
            assert await store.states.keys("a", "shared") == ["first", "last"]
            # What is handed in may be read once only.
            _, made = await asyncio.gather(
                store.run(fails), store.transfer.load_versions(*K, ((n, n) for n in range(100))), return_exceptions=True
            )
            assert made == 100
            assert (await store.health.check()).problems == ()

    run(main())


@pytest.mark.parametrize("many", [2, 8_000])
def test_an_import_in_parts_is_the_import_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int) -> None:
    clock = Clock()
    with Store(tmp_path / "app.db", clock=clock) as store:
        for n in range(3):
            store.agent("a").session("s", ttl=60).set("x", n)
            store.states.set("a", "session", "s/y", n)
            store.states.set(*K, n, ttl=1)
            store.states.touch(*K, ttl=2)
            clock.advance(3)
        store.agent("a").session("s").close()
        records = store.transfer.export()
    monkeypatch.setattr(sqlite, "_MANY", many)
    with Store(tmp_path / "copy.db", clock=clock) as copy:
        copy.transfer.load(records)
        assert copy.health.check().problems == ()
    kept = [table for table in rows(tmp_path / "app.db") if table != "state_commits"]
    assert [rows(tmp_path / "copy.db")[table] for table in kept] == [rows(tmp_path / "app.db")[table] for table in kept]


def test_rows_that_weigh_much_are_sent_before_they_are_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    write = RowsKept.write

    def spy(kept: RowsKept, connection: Any) -> None:
        sent.append(kept.weight)
        write(kept, connection)

    monkeypatch.setattr(RowsKept, "write", spy)
    monkeypatch.setattr(sqlite, "_LADEN", 50_000)
    with Store(tmp_path / "app.db") as store:
        sent.clear()
        assert store.transfer.load_versions(*K, ((n, random.Random(n).randbytes(4_000)) for n in range(30))) == 30
        assert len(sent) > 3
        assert max(sent) < 60_000


def test_an_import_into_memory_is_not_held_a_second_time(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[int] = []
    add = Earlier.add

    def spy(earlier: Earlier, *left: Any) -> None:
        held.append(len(earlier.links))
        add(earlier, *left)

    monkeypatch.setattr(Earlier, "add", spy)
    with Store(":memory:") as store:
        assert store.transfer.load_versions(*K, ((n, [n] * 1_000) for n in range(20))) == 20
        assert (len(held), max(held)) == (20, 1)
        assert [store.history.get(*K, n).value for n in range(1, 21)] == [[n] * 1_000 for n in range(20)]
        assert store.health.check().problems == ()


@pytest.mark.parametrize("swallowed", [False, True])
def test_a_full_disk_fails_all_that_share_the_transaction(tmp_path: Path, swallowed: bool) -> None:
    def reads(tx: Any) -> Any:
        try:
            return tx.history.versions(*K)  # those before it are written first
        except Exception:
            if not swallowed:
                raise

    def limit(pages: int) -> Callable[[sqlite.Connection], Any]:
        return lambda connection: connection.raw.execute(f"pragma max_page_count={pages}").fetchall()

    async def main() -> None:
        async with AsyncStore(tmp_path / "app.db") as store:
            await store.states.set(*K, 1)
            engine: Any = store._engine
            [[full]] = await engine.run(limit(1))
            calls = [store.states.set("a", "shared", f"k{n}", "x" * 10_000) for n in range(20)]
            outcomes = await asyncio.gather(*calls, store.run(reads), store.states.set(*K, 2), return_exceptions=True)
            assert {type(each) for each in outcomes} == {DiskFull}
            assert await store.transfer.head() == 1
            assert full < 1_000
            await engine.run(limit(1_000_000))
            assert (await store.states.set(*K, 2)).revision == 2
            assert (await store.health.check()).problems == ()

    run(main())


def test_a_full_disk_fails_a_write_and_the_next_goes_on(tmp_path: Path) -> None:
    with Store(tmp_path / "app.db") as store:
        store.states.set(*K, 1)
        writer: Any = store._engine._pool.writer  # type: ignore[attr-defined]
        writer.raw.execute("pragma max_page_count=1").fetchall()
        with pytest.raises(DiskFull):
            store.states.set_many("a", "shared", {f"k{n}": "x" * 10_000 for n in range(20)})
        writer.raw.execute("pragma max_page_count=1000000").fetchall()
        assert store.states.set(*K, 2).revision == 2
        assert store.health.check().problems == ()
