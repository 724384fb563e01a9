"""Closing leaves nothing behind; forgetting to close hangs nothing; a cancelled await is wholly done or not at all."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from statedb import AsyncStore, Store, StoreClosed, TransactionAborted
from tests.conftest import Opener
from tests.helpers import HANG, Blocking, Clock, calls, run
from tests.places import is_url, only_postgres, only_sqlite

SHELLS: list[Callable[..., Any]] = [Store, Blocking]


def descriptors(where: str) -> set[str]:
    """Return what this process holds open of a store: files, found without opening any, or every socket there is."""
    found = []
    for each in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{each}"))
        except FileNotFoundError:
            continue
    return {name for name in found if name.startswith("socket:" if is_url(where) else where)}


# ---- clean


@pytest.mark.parametrize("shell", SHELLS)
def test_closing_leaves_no_thread_and_nothing_open(where: str, shell: Callable[..., Any], tmp_path: Path) -> None:
    before, held = set(threading.enumerate()), descriptors(where)
    store = shell(where)
    store.states.set("a", "local", "k", 1)
    with store.transaction() as tx:
        tx.states.set("a", "local", "k", 2)
    readers = [threading.Thread(target=store.states.get, args=("a", "local", "k")) for _ in range(3)]
    for reader in readers if shell is Store else []:
        reader.start()
        reader.join()
    assert store.at(1).states.get("a", "local", "k") == 1
    assert descriptors(where) > held
    store.close()
    assert set(threading.enumerate()) <= before
    assert descriptors(where) == held
    assert is_url(where) or [str(each) for each in tmp_path.iterdir()] == [where]


@pytest.mark.parametrize("shell", SHELLS)
def test_a_store_that_is_refused_leaves_no_thread_and_no_open_file(path: Path, shell: Callable[..., Any]) -> None:
    before = set(threading.enumerate())
    path.write_bytes(b"this is no database, and long enough to be looked at" * 100)
    with pytest.raises(Exception, match="not an SQLite database"):
        shell(path)
    gc.collect()
    assert set(threading.enumerate()) <= before
    assert descriptors(str(path)) == set()


@pytest.mark.parametrize("shell", SHELLS)
def test_closing_twice_is_fine(anywhere: str, shell: Callable[..., Any]) -> None:
    store = shell(anywhere)
    store.close()
    store.close()


def test_a_write_asked_for_a_moment_before_the_store_is_closed_is_made(where: str) -> None:
    async def main() -> None:
        store = await AsyncStore(where)
        task = asyncio.create_task(store.states.set("a", "local", "k", 1))
        await asyncio.sleep(0)  # it has begun
        await store.close()
        assert (await task).revision == 1

    run(main())
    with Store(where) as again:
        assert again.states.get("a", "local", "k") == 1


def test_closing_an_async_store_twice_or_before_it_was_opened_is_fine(where: str) -> None:
    async def main() -> None:
        store = AsyncStore(where)
        await store.close()
        await store.open()
        await asyncio.gather(store.close(), store.close())
        await store.close()

    run(main())


def uses(store: Any, past: Any, agent: Any) -> dict[str, Callable[[], Any]]:
    return {
        "get": lambda: store.states.get("a", "local", "k"),
        "keys": lambda: store.states.keys("a", "local"),
        "get_many": lambda: store.states.get_many("a", [("local", "k")]),
        "set": lambda: store.states.set("a", "local", "k", 2),
        "update": lambda: store.states.update("a", "local", "k", lambda value: 2),
        "versions": lambda: store.history.versions("a", "local", "k"),
        "changes": lambda: store.feed.changes(),
        "check": lambda: store.health.check(),
        "export": lambda: store.transfer.export(),
        "load": lambda: store.transfer.load([]),
        "sweep": lambda: store.retention.sweep(),
        "run": lambda: store.run(lambda tx: None),
        "transaction": lambda: store.transaction().__enter__(),
        "at": lambda: store.at(1).states.get("a", "local", "k"),
        "a past opened before": lambda: past.states.get("a", "local", "k"),
        "a handle made before": lambda: agent.local.get("k"),
        "a handle's write": lambda: agent.session("c").set("k", 1),
    }


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize("use", uses(None, None, None))
def test_a_closed_store_says_so_to_every_call(anywhere: str, shell: str, use: str) -> None:
    class Open(Blocking):
        """Keeps its loop after it is closed, so that it can be asked."""

        def close(self) -> None:
            self._wait(self._target.close())

    store: Any = (Store if shell == "sync" else Open)(anywhere)
    store.states.set("a", "local", "k", 1)
    past, agent = store.at(1), store.agent("a")
    assert past.states.get("a", "local", "k") == 1
    store.close()
    with pytest.raises(StoreClosed):
        uses(store, past, agent)[use]()
    if isinstance(store, Open):
        Blocking.close(store)


def test_an_async_store_that_was_never_opened_says_so(where: str) -> None:
    async def main() -> None:
        store = AsyncStore(where)
        with pytest.raises(StoreClosed, match="not open yet"):
            await store.states.get("a", "local", "k")
        with pytest.raises(StoreClosed, match="not open yet"):
            await store.states.set("a", "local", "k", 1)
        with pytest.raises(StoreClosed, match="not open yet"):
            await store.transaction().__aenter__()
        assert is_url(where) or not Path(where).exists()

    run(main())


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_closing_inside_a_transaction_takes_it_back_and_says_so(anywhere: str, shell: str) -> None:
    def through(store: Any) -> Any:
        with store.transaction() as tx:
            tx.states.set("a", "local", "k", 1)
            close(store)
            for use in calls(lambda: tx.states.get("a", "local", "k"), lambda: tx.states.set("a", "local", "k", 1)):
                with pytest.raises((StoreClosed, TransactionAborted)):
                    use()
        return tx

    def close(store: Any) -> None:
        if isinstance(store, Blocking):
            store._wait(store._target.close())
        else:
            store.close()

    store: Any = Store(anywhere) if shell == "sync" else Blocking(anywhere)
    try:
        with pytest.raises((StoreClosed, TransactionAborted)):
            through(store)
    finally:
        store.close()
    if anywhere != ":memory:":
        with Store(anywhere) as again:
            assert again.transfer.head() == 0


@pytest.mark.parametrize("shell", ["sync", "async"])
def test_an_error_of_the_callers_own_passes_a_block_whose_store_was_closed(where: str, shell: str) -> None:
    store: Any = Store(where) if shell == "sync" else Blocking(where)

    def through() -> None:
        with store.transaction() as tx:
            tx.states.set("a", "local", "k", 1)
            if isinstance(store, Blocking):
                store._wait(store._target.close())
            else:
                store.close()
            raise KeyError("mine")

    try:
        with pytest.raises(KeyError, match="mine"):
            through()
    finally:
        store.close()


def test_closing_a_view_of_the_past_closes_nothing(store: Store) -> None:
    store.states.set("a", "local", "k", 1)
    with store.at(1) as past:
        assert past.states.get("a", "local", "k") == 1
    store.at(0).close()
    assert past.states.get("a", "local", "k") == 1
    assert store.states.set("a", "local", "k", 2).version == 2


def test_a_store_nobody_refers_to_closes_itself(where: str) -> None:
    before, held = set(threading.enumerate()), descriptors(where)
    store = Store(where)
    with store.transaction() as tx:
        tx.states.set("a", "local", "k", 1)
    seen = weakref.ref(store)
    del store, tx
    gc.collect()
    assert seen() is None
    assert descriptors(where) == held
    assert set(threading.enumerate()) <= before


def test_an_async_store_nobody_refers_to_warns_and_ends_its_threads(where: str) -> None:
    before, held = set(threading.enumerate()), descriptors(where)

    async def main() -> None:
        store = await AsyncStore(where)
        await store.states.set("a", "local", "k", 1)

    run(main())
    with pytest.warns(ResourceWarning, match="never closed"):
        gc.collect()
    for thread in set(threading.enumerate()) - before:
        thread.join(HANG)
    assert set(threading.enumerate()) <= before
    assert descriptors(where) == held


# ---- forgotten

SCRIPTS: dict[str, str] = {
    "sync": """
store = Store(path)
store.states.set("a", "local", "k", 1)
""",
    "sync, inside a transaction": """
store = Store(path)
store.states.set("a", "local", "k", 1)
tx = store.transaction().__enter__()
tx.states.set("a", "local", "k", "never")
""",
    "sync, a transaction another thread forgot": """
store = Store(path, transaction_timeout=0.2, busy_timeout=3600)
store.states.set("a", "local", "k", 1)
kept = []
thread = threading.Thread(target=lambda: kept.append(store.transaction().__enter__()))
thread.start()
thread.join()
""",
    "sync, a thread that reads for ever": """
store = Store(path)
store.states.set("a", "local", "k", 1)
def read():
    try:
        while True:
            store.states.get("a", "local", "k")
    except StoreClosed:
        pass
threading.Thread(target=read, daemon=True).start()
""",
    "async": """
async def main():
    store = await AsyncStore(path)
    await store.states.set("a", "local", "k", 1)
asyncio.run(main())
""",
    "async, kept in a global": """
async def main():
    global store
    store = await AsyncStore(path)
    await store.states.set("a", "local", "k", 1)
asyncio.run(main())
""",
    "async, writes in flight": """
async def main():
    global store
    store = await AsyncStore(path)
    await store.states.set("a", "local", "k", 1)
    for number in range(500):
        asyncio.ensure_future(store.states.set("a", "local", f"n{number}", 1))
    await asyncio.sleep(0)
asyncio.run(main())
""",
    "async, a loop abandoned with writes in flight": """
loop = asyncio.new_event_loop()
store = loop.run_until_complete(AsyncStore(path).open())
loop.run_until_complete(store.states.set("a", "local", "k", 1))
held = [loop.create_task(store.states.set("a", "local", f"n{number}", 1)) for number in range(500)]
loop.run_until_complete(asyncio.sleep(0))
""",
    "async, inside a transaction": """
async def main():
    global store
    store = await AsyncStore(path)
    await store.states.set("a", "local", "k", 1)
    tx = await store.transaction().__aenter__()
    await tx.states.set("a", "local", "k", "never")
asyncio.run(main())
""",
    "async, a transaction in a task that never ends": """
async def main():
    global store
    store = await AsyncStore(path)
    await store.states.set("a", "local", "k", 1)
    async def hold():
        async with store.transaction() as tx:
            await tx.states.set("a", "local", "k", "never")
            entered.set()
            await asyncio.Event().wait()
    entered = asyncio.Event()
    asyncio.ensure_future(hold())
    await entered.wait()
asyncio.run(main())
""",
    "an error on the way": """
store = Store(path)
store.states.set("a", "local", "k", 1)
try:
    with store.transaction() as tx:
        tx.states.set("a", "local", "k", "never")
        raise KeyError
except KeyError:
    pass
""",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_forgets_to_close_ends_by_itself(where: str, script: str) -> None:
    whole = f"import asyncio, sys, threading\nfrom statedb import *\npath = sys.argv[1]\n{SCRIPTS[script]}"
    done = subprocess.run([sys.executable, "-c", whole, where], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr.replace("Task was destroyed", "")
    with Store(where) as store:
        assert store.health.check().problems == ()
        assert store.states.get("a", "local", "k") == 1


# ---- in flight


async def turns(count: int) -> None:
    """Let the loop go round a number of times."""
    for _ in range(count):
        await asyncio.sleep(0)


def test_a_cancelled_write_is_made_wholly_or_not_at_all(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            for count in range(40):
                pair = {"left": count, "right": count}
                task = asyncio.create_task(store.states.set_many("a", "local", pair))
                await turns(count)
                task.cancel()
                await asyncio.wait([task])
                found = await store.states.get_many("a", [("local", "left"), ("local", "right")])
                assert found.get(("local", "left")) == found.get(("local", "right"))
                if not task.cancelled():
                    assert found["local", "left"] == count
            assert (await store.health.check()).problems == ()

    run(main())


def test_a_cancelled_transaction_is_made_wholly_or_not_at_all_and_lets_others_go_on(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:

            async def trade(number: int) -> None:
                async with store.transaction() as tx:
                    await tx.states.set("a", "local", "left", number)
                    await tx.states.set("a", "local", "right", number)

            for count in range(60):
                task = asyncio.create_task(trade(count))
                await turns(count)
                task.cancel()
                await asyncio.wait([task])
                # Hangs where the cancelled one kept its turn.
                await asyncio.wait_for(store.states.set("b", "local", "next", count), 10)
                found = await store.states.get_many("a", [("local", "left"), ("local", "right")])
                assert found.get(("local", "left")) == found.get(("local", "right"))
                if not task.cancelled():
                    assert found["local", "left"] == count

    run(main())


@only_sqlite
def test_a_task_cancelled_just_as_its_turn_comes_gives_the_turn_on(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            queue = store._engine._turns()  # type: ignore[union-attr]
            hold = queue.hold

            def cancelled_as_it_comes(*args: Any) -> Any:
                task = asyncio.current_task()
                assert task is not None
                turn = hold(*args)
                # Called before the task is woken: the turn is granted already, and nobody is left to take it.
                turn.add_done_callback(lambda _: task.cancel())
                return turn

            monkeypatch.setattr(type(queue), "hold", lambda self, *args: cancelled_as_it_comes(*args))
            entering = asyncio.create_task(store.transaction().__aenter__())
            await asyncio.wait([entering])
            assert entering.cancelled()
            monkeypatch.undo()
            await asyncio.wait_for(store.states.set("a", "local", "k", 1), 10)

    run(main())


def test_writes_queued_when_the_store_is_closed_are_made_or_refused(where: str) -> None:
    async def main() -> tuple[list[Any], list[Any]]:
        store = await AsyncStore(where, durability="normal")
        early = [asyncio.ensure_future(store.states.set("a", "local", f"e{number}", 1)) for number in range(1000)]
        await turns(1)
        closing = asyncio.ensure_future(store.close())
        late = [asyncio.ensure_future(store.states.set("a", "local", f"l{number}", 1)) for number in range(1000)]
        await closing
        both = await asyncio.gather(*early, *late, return_exceptions=True)
        return both[:1000], both[1000:]

    early, late = run(main())
    assert all(isinstance(each, StoreClosed) for each in early + late if isinstance(each, BaseException))
    with Store(where) as store:
        made = {key: version for key in store.states.keys("a", "local") for version in [1]}
        acknowledged = {entry.key for entry in early + late if not isinstance(entry, BaseException)}
        assert acknowledged == set(made)
        if not is_url(where):  # there what was asked for before the store was closed is made
            assert {f"e{number}" for number in range(1000)} <= acknowledged


@only_sqlite
def test_writes_behind_a_transaction_that_is_open_when_the_store_is_closed_are_refused(where: str) -> None:
    async def main() -> None:
        store = await AsyncStore(where, durability="normal")
        transaction = store.transaction()

        async def hold() -> None:
            await transaction.__aenter__()

        await asyncio.create_task(hold())
        behind = [asyncio.ensure_future(store.states.set("a", "local", f"k{number}", 1)) for number in range(10)]
        await turns(2)
        await store.close()
        outcomes = await asyncio.gather(*behind, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StoreClosed] * 10

    run(main())
    with Store(where) as store:
        assert store.transfer.head() == 0


def test_reads_in_flight_when_the_store_is_closed_are_answered_or_refused(where: str) -> None:
    async def main() -> None:
        store = await AsyncStore(where, durability="normal")
        await store.states.set("a", "local", "k", 1)
        reads = [asyncio.ensure_future(store.states.get("a", "local", "k")) for _ in range(300)]
        await turns(1)
        await store.close()
        outcomes = await asyncio.gather(*reads, return_exceptions=True)
        assert all(outcome == 1 or isinstance(outcome, StoreClosed) for outcome in outcomes)

    run(main())


@only_sqlite
@pytest.mark.parametrize("left", ["writes", "reads", "transaction", "waiting for a transaction"])
def test_a_second_loop_goes_on_after_the_first_ended_in_flight(where: str, left: str) -> None:
    first = asyncio.new_event_loop()
    store = first.run_until_complete(AsyncStore(where).open())

    async def leave() -> list[asyncio.Future[Any]]:
        if left == "reads":
            return [asyncio.ensure_future(store.states.get("a", "local", "k")) for _ in range(100)]
        if left == "writes":
            return [asyncio.ensure_future(store.states.set("a", "local", f"k{n}", 1)) for n in range(500)]
        entered = asyncio.ensure_future(store.transaction().__aenter__())
        if left == "transaction":
            await entered
        return [entered]

    async def start() -> list[asyncio.Future[Any]]:
        made = await leave()
        await turns(2)
        return made

    pending = first.run_until_complete(start())
    first.close()

    async def second() -> None:
        assert (await asyncio.wait_for(store.states.set("a", "local", "second", 2), 10)).version == 1
        assert await asyncio.wait_for(store.states.get("a", "local", "second"), 10) == 2
        async with store.transaction() as tx:
            await tx.states.set("a", "local", "second", 3)
        assert (await store.health.check()).problems == ()
        await asyncio.wait_for(store.close(), 10)

    try:
        asyncio.run(second())
    finally:
        for future in pending:
            future._log_destroy_pending = False  # type: ignore[attr-defined]


@only_postgres
def test_another_loop_is_told_that_the_store_is_not_its_own(where: str) -> None:
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    store = first.run_until_complete(AsyncStore(where).open())
    for call in (lambda: store.states.get("a", "local", "k"), lambda: store.states.set("a", "local", "k", 1)):
        with pytest.raises(StoreClosed, match="another event loop"):
            second.run_until_complete(asyncio.wait_for(call(), 10))
    first.run_until_complete(store.close())
    first.close()
    second.close()


def test_the_clock_of_a_closed_store_is_not_asked(open_store: Opener, clock: Clock) -> None:
    asked: list[int] = []

    def counting() -> float:
        asked.append(1)
        return clock()

    store = open_store(clock=counting)
    store.states.set("a", "local", "k", 1)
    store.close()
    before = len(asked)
    with pytest.raises(StoreClosed):
        store.states.set("a", "local", "k", 1)
    assert len(asked) == before
