"""Many at once: processes, threads and tasks on one store, and what a transaction holds against all of them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import Any

import pytest

from statedb import AsyncStore, InTransaction, Store, TransactionAborted
from statedb.db.migrate import HEAD
from tests.conftest import Opener
from tests.helpers import HANG, calls, run
from tests.places import APART, Places, examples, is_url, only_postgres, only_sqlite, raw

WORKERS, ROUNDS = 8, 500
SPAWN = multiprocessing.get_context("spawn")
COUNTER = ("a", "shared", "counter")


def rounds(where: str) -> int:
    """Return how often each worker counts: fewer times on PostgreSQL, where every count meets every other's."""
    return examples(ROUNDS, "postgres" if is_url(where) else "file")


def one_more(value: int) -> int:
    return value + 1


# ---- a counter, written by many


def count_up(where: str, rounds: int) -> None:
    with Store(where, durability="normal") as store:
        for _ in range(rounds):
            store.states.update(*COUNTER, one_more, default=0)


async def count_up_async(where: str, tasks: int, rounds: int) -> None:
    async with AsyncStore(where, durability="normal") as store:

        async def work() -> None:
            for _ in range(rounds):
                await store.states.update(*COUNTER, one_more, default=0)

        await asyncio.gather(*(work() for _ in range(tasks)))


def count_up_in_loop(where: str, tasks: int, rounds: int) -> None:
    run(count_up_async(where, tasks, rounds))


def assert_counted(where: str, total: int) -> None:
    with Store(where) as store:
        assert store.states.get(*COUNTER) == total
        versions = store.history.versions(*COUNTER)
        assert [version.version for version in versions] == list(range(total, 0, -1))
        assert store.transfer.head() == total


def test_processes_lose_no_update(where: str, filed: Store) -> None:
    with ProcessPoolExecutor(WORKERS, SPAWN) as pool:
        for done in [pool.submit(count_up, where, rounds(where)) for _ in range(WORKERS)]:
            done.result(HANG)
    assert_counted(where, WORKERS * rounds(where))


def test_threads_lose_no_update(where: str, filed: Store) -> None:
    def work() -> None:
        for _ in range(rounds(where)):
            filed.states.update(*COUNTER, one_more, default=0)

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work) for _ in range(WORKERS)]:
            done.result(HANG)
    assert_counted(where, WORKERS * rounds(where))


@only_sqlite
def test_threads_lose_no_update_in_memory(open_store: Opener) -> None:
    store = open_store(":memory:")

    def work() -> None:
        for _ in range(100):
            store.states.update(*COUNTER, one_more, default=0)
            assert store.states.get(*COUNTER) >= 1

    with ThreadPoolExecutor(WORKERS) as pool:
        for done in [pool.submit(work) for _ in range(WORKERS)]:
            done.result(HANG)
    assert store.states.get(*COUNTER) == WORKERS * 100


def test_tasks_lose_no_update(where: str, filed: Store) -> None:
    count_up_in_loop(where, WORKERS, rounds(where))
    assert_counted(where, WORKERS * rounds(where))


def test_tasks_by_the_thousand_lose_no_update(where: str, filed: Store) -> None:
    count_up_in_loop(where, 1000, 2)
    assert_counted(where, 2000)


def test_processes_threads_and_tasks_together_lose_no_update(where: str, filed: Store) -> None:
    with ProcessPoolExecutor(3, SPAWN) as processes, ThreadPoolExecutor(2) as threads:
        working = [processes.submit(count_up, where, 100) for _ in range(2)]
        working.append(processes.submit(count_up_in_loop, where, 4, 50))
        working += [threads.submit(count_up, where, 100) for _ in range(2)]
        for done in working:
            done.result(HANG)
    assert_counted(where, 600)


def write_up_to(where: str, told: Connection, barrier: Any, last: int) -> None:
    acknowledged = [0]
    with Store(where, durability="normal") as store:
        barrier.wait(HANG)
        while acknowledged[-1] < last:
            acknowledged.append(store.states.set("a", "shared", f"k{os.getpid()}", len(acknowledged)).revision)
    told.send(acknowledged[1:])


@only_sqlite
def test_of_processes_that_write_as_fast_as_they_can_none_starves(where: str, filed: Store) -> None:
    crew, last = 4, 3_000
    barrier, pipes = SPAWN.Barrier(crew), [SPAWN.Pipe(duplex=False) for _ in range(crew)]
    processes = [SPAWN.Process(target=write_up_to, args=(where, told, barrier, last)) for _, told in pipes]
    for process, (_, told) in zip(processes, pipes, strict=True):
        process.start()
        told.close()
    acknowledged = [heard.recv() for heard, _ in pipes]
    for process in processes:
        process.join(HANG)
    assert sorted(revision for each in acknowledged for revision in each) == list(range(1, filed.transfer.head() + 1))
    # In 30 s the slowest gets nine tenths of what the fastest does; this takes a second, beside other work.
    assert min(map(len, acknowledged)) > max(map(len, acknowledged)) / 8


# ---- a file that many open first


def open_at_once(where: str, barrier: Any, key: str) -> str:
    barrier.wait(HANG)
    with Store(where) as store:
        store.states.set("a", "shared", key, 1)
    return key


def test_processes_that_race_to_make_a_store_all_succeed(places: Places) -> None:
    where = places.another(bare=True)
    racers = 8
    with SPAWN.Manager() as manager, ProcessPoolExecutor(racers, SPAWN) as pool:
        barrier = manager.Barrier(racers)
        opened = [pool.submit(open_at_once, where, barrier, f"{number:02}") for number in range(racers)]
        names = [each.result(HANG) for each in opened]
    with Store(where) as store:
        assert store.states.keys("a", "shared") == sorted(names)
        assert store.health.check().problems == ()
    assert raw(where, "select version_num from alembic_version") == [(HEAD,)]
    assert len(raw(where, "select id from store_info")) == 1


# ---- a process that is killed


def write_and_tell(where: str, told: Connection) -> None:
    with Store(where, durability="normal") as store:
        for number in range(1_000_000):
            entry = store.states.set("a", "shared", f"k{number % 7}", {"n": number})
            told.send((number, entry.revision))


def write_together_and_tell(where: str, told: Connection) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:

            async def work(first: int) -> None:
                for number in range(first, 1_000_000, 16):
                    entry = await store.states.set("a", "shared", f"k{number % 16}", {"n": number})
                    told.send((number, entry.revision))

            await asyncio.gather(*(work(first) for first in range(16)))

    asyncio.run(main())


@pytest.mark.parametrize("child", [write_and_tell, write_together_and_tell], ids=["sync", "async"])
def test_a_killed_process_leaves_every_write_it_was_told_of(where: str, child: Callable[..., None]) -> None:
    heard, told = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=child, args=(where, told))
    process.start()
    told.close()
    acknowledged: list[tuple[int, int]] = [heard.recv() for _ in range(300)]
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join(HANG)
    while True:
        try:
            acknowledged.append(heard.recv())
        except EOFError:
            break
    with Store(where) as store:
        assert store.health.check().problems == ()
        by_revision = {change.revision: change.new_value for change in store.feed.changes(limit=10_000_000)}
        assert all(by_revision[revision] == {"n": number} for number, revision in acknowledged)
        store.states.set("a", "shared", "after", 1)


# ---- what a reader sees meanwhile


def test_readers_see_whole_commits_only(where: str, filed: Store) -> None:
    pair = [("shared", "left"), ("shared", "right")]
    filed.states.set_many("a", "shared", {"left": 0, "right": 0})
    ended = threading.Event()

    def write() -> None:
        try:
            with Store(where, durability="normal") as store:
                for number in range(300):
                    with store.transaction() as tx:
                        tx.states.set("a", "shared", "left", number)
                        tx.states.set("a", "shared", "right", number)
        finally:
            ended.set()

    def read() -> int:
        rounds = 0
        while not ended.is_set() or not rounds:
            both = filed.states.get_many("a", pair)
            assert both["shared", "left"] == both["shared", "right"]
            assert len({value for _, value in filed.states.items("a", "shared")}) == 1
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        pool.submit(write).result(HANG)
        assert all(reader.result(HANG) for reader in readers)


def test_a_slow_reader_holds_up_no_writer(open_store: Opener) -> None:
    for shell in ("sync", "async"):
        store, other = open_store(shell=shell), open_store()
        first = other.states.set("a", "shared", "k", shell).version
        reading, written = threading.Event(), threading.Event()

        def slow(value: Any, reading: threading.Event = reading, written: threading.Event = written) -> bool:
            reading.set()
            assert written.wait(HANG)
            return bool(value == "new")

        with ThreadPoolExecutor(1) as pool:
            found = pool.submit(store.history.bisect, "a", "shared", "k", slow)
            assert reading.wait(HANG)
            assert other.states.set("a", "shared", "k", "new").version == first + 1
            assert other.states.get("a", "shared", "k") == "new"
            written.set()
            assert found.result(HANG) is None, "what it reads is of the moment at which it began"


@only_sqlite
def test_what_was_listed_and_left_half_read_holds_no_snapshot_open(where: str, open_store: Opener) -> None:
    store = open_store()
    store.states.set_many("a", "shared", {f"k{n}": n for n in range(20)})
    left = [
        iter(store.states.keys("a", "shared")),
        iter(store.states.items("a", "shared")),
        iter(store.at(1).states.items("a", "shared")),
        iter(store.history.versions("a", "shared", "k1")),
        iter(store.feed.changes()),
        iter(store.query("select * from states")),
    ]
    assert all(next(each) is not None for each in left)
    store.states.set("a", "shared", "k1", "new")
    # A log that somebody still reads from an older moment cannot be folded in to its end and cut.
    assert raw(where, "pragma wal_checkpoint(truncate)", by=store) == [(0, 0, 0)]
    assert all(next(each, None) is not None for each in left if each is not left[3])


@only_sqlite
def test_readers_in_memory_see_whole_commits_only(open_store: Opener) -> None:
    store = open_store(":memory:")
    store.states.set_many("a", "shared", {"left": 0, "right": 0})
    ended = threading.Event()

    def write() -> None:
        try:
            for number in range(300):
                store.states.set_many("a", "shared", {"left": number, "right": number})
        finally:
            ended.set()

    def read() -> int:
        rounds = 0
        while not ended.is_set() or not rounds:
            assert len({value for _, value in store.states.items("a", "shared")}) == 1
            rounds += 1
        return rounds

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        pool.submit(write).result(HANG)
        assert all(reader.result(HANG) for reader in readers)


# ---- fork

FORK = """
import os, signal, sys, threading
from statedb import Store, StoreClosed, TransactionAborted

def child(fn):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)
        try:
            fn()
        except StoreClosed:
            os._exit(0)
        except BaseException as error:
            print(type(error).__name__, error, file=sys.stderr, flush=True)
            os._exit(1)
        print("no error", file=sys.stderr, flush=True)
        os._exit(2)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

store = Store(sys.argv[1], busy_timeout=20)
store.states.set("a", "shared", "k", 1)
store.states.get("a", "shared", "k")
"""
# From 3.12 on Python warns of a fork beside threads; that is the very thing tried here.
FORKING = [sys.executable, "-W", "ignore:This process:DeprecationWarning", "-c"]

FORKED = {
    "read": "child(lambda: store.states.get('a', 'shared', 'k'))",
    "write": "child(lambda: store.states.set('a', 'shared', 'k', 2))",
    "past": "child(lambda past=store.at(1): past.states.get('a', 'shared', 'k'))",
    "write while another thread held the turn": """held(lambda: store.states.set('a', 'shared', 'k', 2))""",
    "transaction it was forked in, reading": "inside(lambda tx: tx.states.get('a', 'shared', 'k'))",
    "transaction it was forked in, writing": "inside(lambda tx: tx.states.set('a', 'shared', 'k', 3))",
    "end of the transaction it was forked in": "inside(lambda tx: tx.__exit__(None, None, None))",
    "write inside the transaction it was forked in": "inside(lambda tx: store.states.set('a', 'shared', 'k', 3))",
}
HELD = """
def inside(fn):
    with store.transaction() as tx:
        tx.states.set('a', 'shared', 'k', 2)
        return child(lambda: fn(tx))

def held(fn):
    entered, leave = threading.Event(), threading.Event()
    def hold():
        with store.transaction():
            entered.set()
            leave.wait(50)
    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(50)
    try:
        return child(fn)
    finally:
        leave.set()
        thread.join()
"""


@pytest.mark.parametrize("used", FORKED)
def test_a_forked_child_is_told_that_the_store_is_closed_and_the_parent_goes_on(where: str, used: str) -> None:
    script = f"""{FORK}{HELD}
code = {FORKED[used]}
store.states.set("a", "shared", "after", 4)
assert store.states.get("a", "shared", "after") == 4
assert store.health.check().ok
store.close()
sys.exit(code)
"""
    done = subprocess.run([*FORKING, script, where], capture_output=True, text=True, timeout=HANG)
    assert (done.returncode, done.stderr) == (0, "")
    with Store(where) as store:
        assert store.health.check().problems == ()
        assert store.states.get("a", "shared", "k") in (1, 2)


FORK_ASYNC = """
import asyncio, os, signal, sys
from statedb import AsyncStore, StoreClosed

loop = asyncio.new_event_loop()
store = loop.run_until_complete(AsyncStore(sys.argv[1]).open())
loop.run_until_complete(store.states.set("a", "shared", "k", 1))
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    try:
        asyncio.run(getattr(store.states, sys.argv[2])("a", "shared", "k", 2))
    except StoreClosed:
        os._exit(0)
    os._exit(2)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
loop.run_until_complete(store.states.set("a", "shared", "k", 3))
loop.run_until_complete(store.close())
loop.close()
sys.exit(code)
"""


@pytest.mark.parametrize("call", ["get", "set"])
def test_a_forked_child_is_told_that_an_async_store_is_closed(where: str, call: str) -> None:
    done = subprocess.run([*FORKING, FORK_ASYNC, where, call], capture_output=True, text=True, timeout=HANG)
    assert (done.returncode, done.stderr) == (0, "")
    with Store(where) as store:
        assert store.states.get("a", "shared", "k") == 3


# ---- a transaction that is forgotten


def assert_given_up(use: Callable[[], Any]) -> None:
    """Use a transaction until it has lasted too long. Who waited for it on SQLite saw that already."""
    ends = time.monotonic() + HANG

    def outlast() -> None:
        while time.monotonic() < ends:
            use()

    with pytest.raises(TransactionAborted, match="longer than"):
        outlast()


def test_a_thread_waits_no_longer_than_the_timeout_for_one_that_forgot_its_transaction(anywhere: str) -> None:
    with Store(anywhere, transaction_timeout=0.2) as store:
        thread_waits_no_longer_than_the_timeout(store)


def thread_waits_no_longer_than_the_timeout(store: Any) -> None:
    transaction = store.transaction()
    transaction.__enter__().states.set("a", "shared", "k", "forgotten")
    with ThreadPoolExecutor(1) as other:
        other.submit(store.states.set, "a", "shared", "k", "waited").result(HANG)
    assert_given_up(lambda: transaction.states.get("a", "shared", "k"))
    for use in calls(
        lambda: transaction.states.set("a", "shared", "k", 1),
        lambda: transaction.__exit__(None, None, None),
    ):
        with pytest.raises(TransactionAborted, match="longer than"):
            use()
    assert transaction.revision is None
    assert store.states.get("a", "shared", "k") == "waited"
    assert [version.version for version in store.history.versions("a", "shared", "k")] == [1]


def test_the_end_of_a_block_that_timed_out_says_so(filed: Store, open_store: Opener) -> None:
    store = open_store(transaction_timeout=0.1)

    def outlasted() -> None:
        with store.transaction() as tx:
            # Another connection: on SQLite it waits until this one is given up.
            filed.states.set("a", "shared", "k", 2)
            assert_given_up(lambda: tx.states.get("a", "shared", "k"))

    with pytest.raises(TransactionAborted, match="longer than"):
        outlasted()
    assert store.states.get("a", "shared", "k") == 2


def test_a_block_that_timed_out_keeps_its_own_error(filed: Store, open_store: Opener) -> None:
    store = open_store(transaction_timeout=0.1)

    def fails() -> None:
        with store.transaction() as tx:
            filed.states.set("a", "shared", "k", 2)
            assert_given_up(lambda: tx.states.get("a", "shared", "k"))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        fails()


def test_a_transaction_forgotten_by_a_thread_that_ended_holds_up_others_no_longer(open_store: Opener) -> None:
    store = open_store(transaction_timeout=0.2)
    kept: list[Any] = []
    for _ in range(3):
        forgetful = threading.Thread(target=lambda: kept.append(store.transaction().__enter__()))
        forgetful.start()
        forgetful.join()
        # A new thread is often given the ident of the one that ended.
        failed: list[BaseException] = []

        def write(failed: list[BaseException] = failed) -> None:
            try:
                store.states.update(*COUNTER, one_more, default=0)
            except BaseException as error:
                failed.append(error)

        writer = threading.Thread(target=write)
        writer.start()
        writer.join(HANG)
        assert failed == []
    assert store.states.get(*COUNTER) == 3


def test_the_late_end_of_one_transaction_leaves_the_next_one_watched(open_store: Opener) -> None:
    store = open_store(transaction_timeout=0.3, busy_timeout=10)
    with ThreadPoolExecutor(1) as second, ThreadPoolExecutor(1) as third:
        first = store.transaction()
        first.__enter__()
        forgotten = second.submit(store.transaction().__enter__).result(HANG)  # on SQLite once the first is given up
        assert_given_up(lambda: first.states.get("a", "shared", "k"))
        with pytest.raises(TransactionAborted):
            first.__exit__(None, None, None)
        third.submit(store.states.set, "a", "shared", "k", "third").result(HANG)
        assert_given_up(lambda: forgotten.states.get("a", "shared", "k"))
    assert store.states.get("a", "shared", "k") == "third"


def forget(where: str, told: Connection) -> None:
    store = Store(where, transaction_timeout=0.2)
    transaction = store.transaction()
    transaction.__enter__().states.set("a", "shared", "k", "forgotten")
    told.send("entered")
    told.recv()
    assert_given_up(lambda: transaction.states.get("a", "shared", "k"))
    told.send("aborted")


def test_a_process_waits_no_longer_than_the_timeout_for_another(where: str, filed: Store) -> None:
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=forget, args=(where, theirs))
    process.start()
    theirs.close()
    assert ours.recv() == "entered"
    filed.states.set("a", "shared", "k", "waited")
    ours.send("go on")
    assert ours.recv() == "aborted"
    process.join(HANG)
    assert process.exitcode == 0
    assert filed.states.get("a", "shared", "k") == "waited"


def test_a_task_waits_no_longer_than_the_timeout_for_one_that_forgot_its_transaction(anywhere: str) -> None:
    async def main() -> None:
        async with AsyncStore(anywhere, transaction_timeout=0.2, durability="normal") as store:
            transaction = store.transaction()

            async def forgetful() -> None:
                await transaction.__aenter__()
                await transaction.states.set("a", "shared", "k", "forgotten")

            await asyncio.create_task(forgetful())
            await store.states.set("a", "shared", "k", "waited")

            async def outlast() -> None:
                while True:  # on PostgreSQL nobody waited for it
                    await transaction.states.get("a", "shared", "k")

            with pytest.raises(TransactionAborted, match="longer than"):
                await outlast()
            with pytest.raises(TransactionAborted, match="longer than"):
                await transaction.__aexit__(None, None, None)
            assert await store.states.get("a", "shared", "k") == "waited"
            assert (await store.health.check()).problems == ()

    run(main())


# ---- a write that would wait for itself


def write_through(store: Store) -> list[Callable[[], Any]]:
    """Return every sort of write through a store itself."""
    return [
        lambda: store.states.set("a", "shared", "k", 1),
        lambda: store.states.delete("a", "shared", "k"),
        lambda: store.states.update("a", "shared", "k", one_more),
        lambda: store.agent("a").shared.set("k", 1),
        lambda: store.agent("a").session("c").set("k", 1),
        lambda: store.history.revert("a", "shared", "k", 1),
        lambda: store.retention.sweep(),
        lambda: store.transfer.load([]),
        lambda: store.run(lambda tx: None),
        lambda: store.transaction().__enter__(),
    ]


def test_a_write_through_the_store_inside_its_block_is_refused(store: Store) -> None:
    store.states.set("a", "shared", "k", 1)
    with store.transaction() as tx:
        for write in write_through(store):
            with pytest.raises(InTransaction):
                write()
        tx.states.set("a", "shared", "k", 2)
        assert store.states.get("a", "shared", "k") == 1
    assert store.states.get("a", "shared", "k") == 2


def test_a_write_through_the_store_inside_run_is_refused(filed: Store) -> None:
    # Of the synchronous store alone: on an AsyncStore the function of `run` has no way to await.
    def fn(tx: Any) -> str:
        for write in write_through(filed):
            with pytest.raises(InTransaction):
                write()
        tx.states.set("a", "shared", "k", 2)
        return "ran"

    assert filed.run(fn) == "ran"
    assert filed.states.get("a", "shared", "k") == 2


def test_a_write_through_the_store_inside_the_function_of_update_is_refused(open_store: Opener) -> None:
    for where in (None, APART):
        store = open_store(where)

        def fn(value: Any, store: Store = store) -> int:
            for write in write_through(store):
                with pytest.raises(InTransaction):
                    write()
            assert store.states.get("a", "shared", "k") is None
            return 5

        store.states.update("a", "shared", "k", fn)
        assert store.states.get("a", "shared", "k") == 5
        assert store.states.set("a", "shared", "k", 6).version == 2


def test_the_function_of_update_may_read_its_own_transaction(open_store: Opener) -> None:
    # In a thread of its own: where it locks itself out, the test ends all the same.
    store = open_store()
    answers: list[Any] = []

    def work() -> None:
        with store.transaction() as tx:
            tx.states.set("a", "shared", "other", 7)
            tx.states.update("a", "shared", "k", lambda value: tx.states.get("a", "shared", "other"))
        answers.append(store.states.get("a", "shared", "k"))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(10)
    assert answers == [7]


def test_the_functions_of_run_may_be_nested_through_their_transaction(store: Store) -> None:
    def fn(tx: Any) -> Any:
        tx.states.set("a", "shared", "other", 7)
        return tx.states.update("a", "shared", "k", lambda value: tx.states.get("a", "shared", "other")).value

    assert store.run(fn) == 7


def test_two_stores_of_one_process_may_each_have_a_transaction_open(places: Places) -> None:
    with Store(places.another()) as one, Store(places.another()) as two, one.transaction() as outer:
        outer.states.set("a", "shared", "k", 1)
        with two.transaction() as inner:
            inner.states.set("a", "shared", "k", 2)
        assert two.states.get("a", "shared", "k") == 2
        assert one.states.get("a", "shared", "k") is None


def test_after_its_block_a_thread_writes_through_the_store_again(store: Store) -> None:
    with pytest.raises(KeyError), store.transaction():
        raise KeyError
    with store.transaction():
        pass
    assert store.states.set("a", "shared", "k", 1).revision == 1


@only_sqlite
def test_tasks_of_a_block_are_refused_and_tasks_beside_it_wait(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            entered, leave = asyncio.Event(), asyncio.Event()

            async def beside() -> int:
                await entered.wait()
                waiting = asyncio.create_task(store.states.set("a", "shared", "k", "beside"))
                leave.set()
                return (await waiting).revision

            other = asyncio.create_task(beside())
            async with store.transaction() as tx:
                entered.set()
                await leave.wait()
                refused = await asyncio.gather(
                    store.states.set("a", "shared", "k", 1),
                    asyncio.create_task(store.states.set("a", "shared", "k", 1)),
                    store.run(lambda inner: None),
                    store.transaction().__aenter__(),
                    store.agent("a").shared.delete("k"),
                    return_exceptions=True,
                )
                assert [type(error) for error in refused] == [InTransaction] * 5
                assert await store.states.get("a", "shared", "k") is None
                await tx.states.set("a", "shared", "k", "inside")
            assert (tx.revision, await other) == (1, 2)

    run(main())


@only_postgres
def test_tasks_of_a_block_are_refused_and_a_task_beside_it_goes_first(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            entered, written = asyncio.Event(), asyncio.Event()

            async def beside() -> int:
                await entered.wait()
                revision = (await store.states.set("a", "shared", "k", "beside")).revision
                written.set()
                return revision

            other = asyncio.create_task(beside())
            block = store.transaction()

            async def inside() -> None:
                async with block as tx:
                    assert await tx.states.get("a", "shared", "k") is None
                    entered.set()
                    await written.wait()
                    with pytest.raises(InTransaction):
                        await store.states.set("a", "shared", "k", 1)
                    with pytest.raises(InTransaction):
                        await asyncio.create_task(store.states.set("a", "shared", "k", 1))
                    assert await store.states.get("a", "shared", "k") == "beside"
                    assert await tx.states.get("a", "shared", "k") is None, "a transaction reads one moment"
                    await tx.states.set("a", "shared", "k", "inside")

            with pytest.raises(TransactionAborted):
                await inside()
            assert (block.revision, await other) == (None, 1)
            assert await store.states.get("a", "shared", "k") == "beside"

    run(main())


@only_postgres
def test_a_block_that_read_what_another_wrote_meanwhile_is_aborted_and_run_is_tried_again(filed: Store) -> None:
    filed.states.set(*COUNTER, 1)
    with ThreadPoolExecutor(1) as other:

        def meets(tx: Any) -> int:
            found = tx.states.get(*COUNTER)
            if found == 1:
                other.submit(filed.states.set, *COUNTER, 2).result(HANG)
            tx.states.set("a", "shared", "seen", found)
            return int(found)

        def block() -> None:
            with filed.transaction() as tx:
                meets(tx)

        with pytest.raises(TransactionAborted):
            block()
        assert not filed.states.exists("a", "shared", "seen")
        filed.states.set(*COUNTER, 1)
        assert filed.run(meets) == 2
        assert filed.states.get("a", "shared", "seen") == 2


@only_postgres
def test_blocks_that_touch_nothing_in_common_run_side_by_side(filed: Store) -> None:
    with filed.transaction() as first, ThreadPoolExecutor(1) as other:
        first.states.set("a", "shared", "one", 1)
        assert other.submit(filed.states.set, "b", "shared", "two", 2).result(HANG).revision == 1
    assert first.revision == 2
    assert (filed.states.get("a", "shared", "one"), filed.states.get("b", "shared", "two")) == (1, 2)


def test_a_task_begun_in_a_block_may_write_once_the_block_has_ended(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            over = asyncio.Event()

            async def later() -> int:
                await over.wait()
                return (await store.states.set("a", "shared", "k", 1)).version

            async with store.transaction():
                task = asyncio.create_task(later())
            over.set()
            assert await task == 1

    run(main())


def test_tasks_share_a_transaction(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            async with store.transaction() as tx:
                await asyncio.gather(*(tx.states.update(*COUNTER, one_more, default=0) for _ in range(50)))
            assert await store.states.get(*COUNTER) == 50
            assert len(await store.history.versions(*COUNTER)) == 1

    run(main())


# ---- writes that share a commit of the database


def test_of_concurrent_writes_each_fails_alone(where: str) -> None:
    class Mine(Exception):
        pass

    def fail(value: Any) -> Any:
        raise Mine

    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            writes = [
                store.states.update("a", "shared", f"k{number}", fail if number % 3 == 0 else lambda value: "written")
                for number in range(90)
            ]
            outcomes = await asyncio.gather(*writes, return_exceptions=True)
            failed = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Mine)]
            assert failed == list(range(0, 90, 3))
            kept = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
            assert sorted(entry.revision for entry in kept) == list(range(1, 61))
            assert len(await store.states.keys("a", "shared")) == 60
            assert (await store.health.check()).problems == ()

    run(main())


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration, GeneratorExit, asyncio.CancelledError])
@pytest.mark.parametrize("call", ["update", "run"])
def test_whatever_a_function_raises_the_next_write_goes_on(where: str, error: type[BaseException], call: str) -> None:
    # StopIteration is what next() raises on an empty iterator, and what no future takes.
    def fail(*_: Any) -> Any:
        raise error

    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            failing = store.run(fail) if call == "run" else store.states.update("a", "shared", "k", fail)
            task = asyncio.ensure_future(failing)
            await asyncio.wait([task], timeout=2)
            assert task.done()
            assert task.cancelled() or task.exception() is not None
            assert (await asyncio.wait_for(store.states.set("a", "shared", "k", 1), 10)).version == 1

    run(main())
