"""What a store leaves on the server: no transaction that nobody ends, no session once it is closed, no long wait."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest

from statedb import AsyncStore, InvalidValue, Store, StoreBusy, TransactionAborted, VersionConflict
from tests.helpers import HANG, SHELLS, run
from tests.places import only_postgres
from tests.postgres import SCHEMA, connect
from tests.rigs.processes import FORKED, until

pytestmark = only_postgres

KEY = ("a", "shared", "k")


class Mine(Exception):
    pass


class Watch:
    """A look at the server's sessions from beside."""

    def __init__(self, where: str) -> None:
        self.raw = connect(where)

    def sessions(self) -> list[tuple[str, str]]:
        """Return the state of every session of a store, and what it did last."""
        rows = self.raw.execute(
            "select coalesce(state, 'idle'), query from pg_stat_activity "
            "where datname = current_database() and application_name = 'statedb' and backend_type = 'client backend'"
        )
        return [(state, query) for state, query in rows]

    def open(self) -> list[tuple[str, str]]:
        """Return the sessions that have a transaction open."""
        return [(state, query) for state, query in self.sessions() if state != "idle"]


@pytest.fixture
def watch(where: str) -> Iterator[Watch]:
    made = Watch(where)
    yield made
    made.raw.close()


def fail(*_: Any) -> Any:
    raise Mine


def write(tx: Any, value: Any) -> None:
    tx.states.set(*KEY, value)


def block(store: Store, error: BaseException) -> None:
    with store.transaction() as tx:
        tx.states.set(*KEY, tx.states.get(*KEY))
        raise error


def ends_badly(store: Store) -> None:
    with store.transaction(context={"no": {1}}) as tx:
        tx.states.set(*KEY, 7)


def fails_inside(store: Store) -> None:
    with store.transaction() as tx:
        tx.states.set(*KEY, 7)
        tx.states.set(*KEY, 8, expected_version=9)


def records() -> Iterator[Any]:
    yield 1.0, "one"
    raise Mine


FAILURES: dict[str, tuple[Callable[[Any], Any], type[BaseException]]] = {
    "block": (lambda store: block(store, Mine()), Mine),
    "block, interrupted": (lambda store: block(store, KeyboardInterrupt()), KeyboardInterrupt),
    "block, the end": (ends_badly, InvalidValue),
    "block, a conflict": (fails_inside, VersionConflict),
    "run": (lambda store: store.run(fail), Mine),
    "run after a write": (lambda store: store.run(lambda tx: (tx.states.set(*KEY, 9), fail())), Mine),
    "update": (lambda store: store.states.update(*KEY, fail), Mine),
    "bisect": (lambda store: store.history.bisect(*KEY, fail), Mine),
    "conflict": (lambda store: store.states.set(*KEY, 1, expected_version=77), VersionConflict),
    "load": (lambda store: store.transfer.load_versions("a", "shared", "loaded", records()), Mine),
    "query": (lambda store: store.query("select nothing"), Exception),
    "merge": (lambda store: store.states.set(*KEY, 1, expected_version=1, on_conflict=fail), Mine),
}


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("shell", SHELLS)
def test_what_fails_leaves_no_transaction_open(where: str, watch: Watch, shell: str, failure: str) -> None:
    call, error = FAILURES[failure]
    with closing(SHELLS[shell](where)) as store:
        for value in (1, 2):
            store.states.set(*KEY, value)
        with pytest.raises(error):
            call(store)
        assert watch.open() == []
        assert watch.sessions() != []
        assert store.states.set(*KEY, 3).version == 3
    until(lambda: not watch.sessions(), "the sessions of a closed store end")


def test_what_is_read_and_thrown_away_leaves_no_transaction_open(where: str, watch: Watch) -> None:
    with Store(where) as store:
        store.states.set_many("a", "shared", {f"k{number}": number for number in range(300)})
        abandoned: list[Any] = [
            next(iter(store.agent("a").shared)),
            next(iter(store.agent("a").shared.items())),
            next(iter(store.transfer.export(limit=10))),
            next(iter(store.query("select * from states"))),
            next(iter(store.feed.changes(limit=3))),
            store.at(1).states.get("a", "shared", "k1"),
            store.at(1),
            store.transaction(),
        ]
        assert watch.open() == []
        del abandoned
        gc.collect()
        assert watch.open() == []


@pytest.mark.parametrize("shell", SHELLS)
def test_a_transaction_that_is_forgotten_is_ended_by_its_timeout(where: str, watch: Watch, shell: str) -> None:
    with closing(SHELLS[shell](where, transaction_timeout=0.2)) as store:
        forgotten = store.transaction()
        forgotten.__enter__().states.set(*KEY, 1)
        if shell == "async":  # its alarm rings in a loop that has to run
            with pytest.raises(TransactionAborted):
                until(lambda: forgotten.states.set(*KEY, 2) is None, "the transaction is given up")
        until(lambda: not watch.open(), "the forgotten transaction is over")
        with pytest.raises(TransactionAborted):
            forgotten.states.get(*KEY)


def test_a_store_that_is_thrown_away_leaves_no_session(where: str, watch: Watch) -> None:
    store = Store(where)
    store.states.set(*KEY, 1)
    assert watch.sessions() != []
    del store
    gc.collect()
    until(lambda: not watch.sessions(), "the sessions of a forgotten store end")


def test_a_store_closed_in_the_middle_of_a_transaction_leaves_no_session(where: str, watch: Watch) -> None:
    store = Store(where, busy_timeout=1)
    store.transaction().__enter__().states.set(*KEY, 1)
    store.close()
    until(lambda: not watch.sessions(), "the sessions of a closed store end")
    with Store(where) as again:
        assert again.states.get(*KEY) is None


# ---- tasks that are cancelled


async def in_block(store: AsyncStore, number: int) -> None:
    async with store.transaction() as tx:
        await tx.states.get(*KEY)
        await tx.states.set("a", "shared", f"left{number}", number)
        await tx.states.set("a", "shared", f"right{number}", number)


async def in_run(store: AsyncStore, number: int) -> None:
    await store.run(lambda tx: tx.states.set_many("a", "shared", {f"left{number}": number, f"right{number}": number}))


async def in_read(store: AsyncStore, number: int) -> None:
    await store.states.items("a", "shared")
    await store.query("select * from states limit 5")


@pytest.mark.parametrize("work", [in_block, in_run, in_read])
def test_a_task_that_is_cancelled_at_any_step_leaves_no_transaction_open(where: str, watch: Watch, work: Any) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            await store.states.set(*KEY, 1)
            number = 0
            while True:
                task = asyncio.create_task(work(store, number))
                for _ in range(number):
                    await asyncio.sleep(0)
                if task.done():
                    break
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
                number += 1
                assert number < 2000
            await quiet(watch)
            names = set(await store.states.keys("a", "shared", "[lr]*"))
            for each in range(number):
                assert (f"left{each}" in names) == (f"right{each}" in names), "a half of a transaction was written"
            assert (await store.states.set(*KEY, 2)).version == 2
            assert (await store.health.check()).problems == ()

    run(main())
    until(lambda: not watch.sessions(), "the sessions of a closed store end")


async def quiet(watch: Watch) -> None:
    """Return once no transaction is open: that of a cancelled task is ended after the task."""
    deadline = time.monotonic() + HANG
    while found := watch.open():
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.01)


def test_tasks_cancelled_at_once_leave_nothing_open_and_the_store_at_work(where: str, watch: Watch) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            for turn in range(20):
                tasks = [asyncio.create_task(in_block(store, 100 * turn + number)) for number in range(30)]
                for _ in range(turn * 3):
                    await asyncio.sleep(0)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            await quiet(watch)
            await asyncio.gather(*(in_run(store, -number) for number in range(30)))

    run(main())
    until(lambda: not watch.sessions(), "the sessions of a closed store end")


def test_a_store_closed_under_its_tasks_leaves_no_session(where: str, watch: Watch) -> None:
    async def main() -> None:
        store = await AsyncStore(where).open()
        tasks = [asyncio.create_task(in_block(store, number)) for number in range(10)]
        for _ in range(5):
            await asyncio.sleep(0)
        await store.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())
    until(lambda: not watch.sessions(), "the sessions of a closed store end")


# ---- waiting for others


@pytest.fixture
def locked(where: str) -> Iterator[psycopg.Connection[Any]]:
    """A session that holds what every commit needs, and goes on holding it."""
    with Store(where), connect(where) as raw:
        raw.execute("begin")
        raw.execute(f"lock table {SCHEMA}.state_commits in share mode")
        yield raw
        raw.execute("rollback")


@pytest.mark.parametrize("shell", SHELLS)
def test_who_waits_too_long_for_another_is_told(
    where: str, watch: Watch, locked: psycopg.Connection[Any], shell: str
) -> None:
    with closing(SHELLS[shell](where, busy_timeout=0.3)) as store:
        for write in (
            lambda: store.states.set(*KEY, 1),
            lambda: store.states.update(*KEY, lambda value: 1),
            lambda: store.run(lambda tx: tx.states.set(*KEY, 1)),
            lambda: entered(store),
        ):
            with pytest.raises(StoreBusy):
                write()
        assert store.states.get(*KEY) is None, "reading waits for nobody"
        assert watch.open() == []
        locked.execute("rollback")
        assert store.states.set(*KEY, 2).version == 1


def entered(store: Any) -> None:
    with store.transaction() as tx:
        tx.states.set(*KEY, 1)


def test_who_is_let_in_within_the_timeout_writes(where: str, locked: psycopg.Connection[Any], watch: Watch) -> None:
    with Store(where, busy_timeout=20) as store, ThreadPoolExecutor(1) as other:
        waiting = other.submit(store.states.set, *KEY, 1)
        until(lambda: len(watch.open()) > 0, "the write waits")
        locked.execute("rollback")
        assert waiting.result(HANG).revision == 1


def overtaken_for_ever(where: str) -> None:
    """Come to hold the turn to write by being overtaken, and stop there, as a process does whose machine hangs."""
    with Store(where, transaction_timeout=1.0) as store, Store(where) as beside:

        def fn(tx: Any) -> None:
            tries.append(tx.states.get(*KEY))
            if len(tries) > 2:
                os.kill(os.getpid(), signal.SIGSTOP)
            thread = threading.Thread(target=beside.states.update, args=(*KEY, lambda value: (value or 0) + 1))
            thread.start()
            thread.join()
            tx.states.set("a", "shared", "never", 1)

        tries: list[Any] = []
        store.run(fn)


def test_a_process_that_hangs_while_it_holds_the_turn_does_not_hold_it_for_ever(where: str, watch: Watch) -> None:
    Store(where).close()
    process = FORKED.Process(target=overtaken_for_ever, args=(where,))
    process.start()
    try:
        until(lambda: any("idle in transaction" in state for state, _ in watch.open()), "it holds the turn")
        with Store(where, busy_timeout=20) as store:
            assert store.states.set("a", "shared", "other", 1).version == 1
    finally:
        process.kill()
        process.join()
    with Store(where) as store:
        assert store.states.get("a", "shared", "never") is None
