"""Write-behind: what waits in memory, when it is written, and what becomes of what cannot be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from statedb import (
    Address,
    AsyncStore,
    InTransaction,
    InvalidValue,
    ReadOnly,
    Store,
    StoreBusy,
    StoreClosed,
    VersionConflict,
)
from statedb.caching import AsyncWriteBehind, WriteBehind
from statedb.values import codec
from tests.conftest import Opener
from tests.helpers import HANG, Awaited, Clock, run

KEY = ("a", "local", "k")


class Ticker:
    """Time that passes when a test says so; both shells wait for it."""

    def __init__(self) -> None:
        self.asked = Queue[float]()
        self._answers = Queue[bool]()

    def __call__(self, changed: threading.Event, seconds: float) -> bool:
        self.asked.put(seconds)
        return self._answers.get(timeout=HANG)

    def tick(self) -> None:
        """Let an interval pass, and wait until what that causes is done."""
        self._answers.put(False)
        self.asked.get(timeout=HANG)

    def end(self) -> None:
        self._answers.put(True)


async def never(_seconds: float) -> None:
    await asyncio.Event().wait()


@pytest.fixture(params=["sync", "async"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(open_store: Opener, shell: str) -> Any:
    return open_store(shell=shell)


@pytest.fixture
def behind(store: Any, shell: str) -> Iterator[Any]:
    """A write-behind cache that writes when it is told, called as if it were synchronous."""
    if shell == "sync":
        made: Any = WriteBehind(store, interval=1e6)
    else:
        made = Awaited(AsyncWriteBehind(store._target, ticker=never), store._wait)
    yield made
    made.close()


def numbers(store: Any, *at: str) -> list[int]:
    return [version.version for version in store.history.versions(*at)]


def test_a_write_waits_and_is_read_meanwhile(store: Any, behind: Any) -> None:
    value = {"n": [1]}
    assert behind.set(*KEY, value) is None
    value["n"].append(2)
    assert behind.get(*KEY) == {"n": [1]}
    behind.get(*KEY)["n"].append(3)
    assert behind.get(*KEY, copy=False) == {"n": [1]}
    assert behind.get(*KEY, as_type=dict[str, list[int]]) == {"n": [1]}
    assert (store.states.get(*KEY), behind._target.pending if hasattr(behind, "_target") else behind.pending) == (
        None,
        1,
    )
    assert behind.flush() == 1
    assert store.states.get(*KEY) == behind.get(*KEY) == {"n": [1]}
    assert behind.flush() == 0
    assert behind.get("a", "local", "absent", "default") == "default"


def test_of_many_writes_of_a_key_the_last_becomes_a_version(store: Any, behind: Any) -> None:
    for number in range(5):
        behind.set(*KEY, number, message=f"m{number}", metadata={"n": number}, ttl=60)
    behind.flush()
    entry = store.states.entry(*KEY)
    assert (entry.value, entry.version, entry.metadata) == (4, 1, {"n": 4})
    assert entry.expires_at is not None
    assert store.history.commit(entry.revision).message == "m4"


def test_each_agents_tier_is_one_transaction(store: Any, behind: Any) -> None:
    for agent in ("a", "b"):
        for tier in ("local", "shared"):
            for key in ("x", "y", "z"):
                behind.set(agent, tier, key, key)
    assert behind.flush() == 12
    assert store.transfer.head() == 4


def test_a_flush_of_one_key(store: Any, behind: Any) -> None:
    behind.set(*KEY, 1)
    behind.set("a", "shared", "k", 2)
    behind.set("a", "local", "other", 3)
    assert behind.flush(("a", "local", "k")) == 1
    assert (store.states.get(*KEY), store.states.get("a", "shared", "k")) == (1, None)
    assert behind.flush("k") == 1
    assert store.states.get("a", "shared", "k") == 2
    assert behind.flush("unknown") == 0
    assert store.states.get("a", "local", "other") is None


def test_a_write_that_checks_goes_through_behind_what_waits(store: Any, behind: Any) -> None:
    behind.set(*KEY, "waiting")
    with pytest.raises(VersionConflict):
        behind.set(*KEY, "checked", expected_version=0)
    assert store.states.get(*KEY) == "waiting"
    assert behind.set(*KEY, "checked", expected_version=1).version == 2
    assert numbers(store, *KEY) == [2, 1]
    behind.set(*KEY, "again")
    assert behind.delete(*KEY) is True
    assert numbers(store, *KEY) == [4, 3, 2, 1]
    assert behind.get(*KEY) is None


def test_what_is_wrong_with_a_write_is_said_at_once(store: Any, behind: Any) -> None:
    for wrong in (
        {"value": {1, 2}},
        {"value": 1, "ttl": -1},
        {"value": 1, "message": 5},
        {"value": 1, "metadata": {"x": object()}},
        {"value": 1, "metadata": [1]},
    ):
        with pytest.raises(InvalidValue):
            behind.set(*KEY, **wrong)
    assert behind.flush() == 0


def test_who_is_told_of_errors_is_a_plain_function(behind: Any) -> None:
    async def awaited(_error: Exception, _at: Address, _value: Any) -> None: ...

    for wrong in (awaited, "told"):
        with pytest.raises(InvalidValue, match="on_flush_error"):
            behind.on_flush_error(wrong)


def test_each_shell_has_a_write_behind_of_its_own() -> None:
    with Store(":memory:") as store, store.transaction() as tx:
        others: list[Any] = [AsyncStore(":memory:"), tx, "a.db"]
        for other in others:
            with pytest.raises(InvalidValue, match="AsyncWriteBehind for an AsyncStore"):
                WriteBehind(other)
        others[0] = store
        for other in others:
            with pytest.raises(InvalidValue, match="AsyncWriteBehind for an AsyncStore"):
                AsyncWriteBehind(other)


def test_the_past_is_not_written_behind_either(store: Any, shell: str) -> None:
    store.states.set(*KEY, 1)
    past = store.at(1)
    with pytest.raises(ReadOnly):
        WriteBehind(past) if shell == "sync" else AsyncWriteBehind(past._target)


def failing(store: Any, monkeypatch: pytest.MonkeyPatch, broken: set[Any], error: type[Exception]) -> None:
    """Have every transaction that writes one of these values fail."""
    inner = codec.encode

    def encode(value: Any, limit: int) -> Any:
        if isinstance(value, str) and value in broken:
            raise error(value)
        return inner(value, limit)

    monkeypatch.setattr(codec, "encode", encode)


def test_one_that_fails_is_kept_and_told_and_holds_up_no_other(
    store: Any, behind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[Exception, Address, Any]] = []
    target = getattr(behind, "_target", behind)
    assert target.on_flush_error(lambda *what: told.append(what)) is not None
    target.on_flush_error(lambda *_: 1 // 0)  # logged, no more
    for key in ("x", "y", "z"):
        behind.set("a", "local", key, key)
    broken = {"y"}
    failing(store, monkeypatch, broken, InvalidValue)
    with pytest.raises(InvalidValue):
        behind.flush()
    assert [(type(error), at, value) for error, at, value in told] == [(InvalidValue, ("a", "local", "y"), "y")]
    assert (store.states.keys("a", "local"), behind.get("a", "local", "y")) == (["x", "z"], "y")
    broken.clear()
    assert behind.flush() == 1
    assert store.states.get("a", "local", "y") == "y"


def test_a_newer_value_takes_the_place_of_one_that_failed(
    store: Any, behind: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind.set(*KEY, "old")
    failing(store, monkeypatch, {"old"}, StoreBusy)
    with pytest.raises(StoreBusy):
        behind.flush()
    behind.set(*KEY, "new")
    assert behind.get(*KEY) == "new"
    assert behind.flush() == 1
    assert [store.states.get(*KEY), *numbers(store, *KEY)] == ["new", 1]


def test_closing_writes_what_waits(store: Any, behind: Any) -> None:
    behind.set(*KEY, 1)
    behind.close()
    assert store.states.get(*KEY) == 1
    with pytest.raises(StoreClosed):
        behind.set(*KEY, 2)
    behind.close()


def test_what_cannot_be_written_keeps_it_from_closing(store: Any, behind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    behind.set(*KEY, "value")
    failing(store, monkeypatch, {"value"}, StoreBusy)
    with pytest.raises(StoreBusy):
        behind.close()
    monkeypatch.undo()
    behind.close()
    assert store.states.get(*KEY) == "value"


@pytest.mark.parametrize("interval", [0, -1, float("nan"), float("inf"), True, "1"])
def test_an_interval_is_seconds(filed: Store, interval: Any) -> None:
    with pytest.raises(InvalidValue):
        WriteBehind(filed, interval=interval)
    behind = WriteBehind(filed)
    with pytest.raises(InvalidValue):
        behind.set_flush_interval(interval)


def test_a_thread_writes_every_interval(filed: Store) -> None:
    ticker, errors = Ticker(), list[Any]()
    behind = WriteBehind(filed, interval=5, ticker=ticker)
    behind.on_flush_error(lambda *what: errors.append(what))
    behind.set(*KEY, 1)
    assert ticker.asked.get(timeout=HANG) == 5
    assert filed.states.get(*KEY) is None
    ticker.tick()
    assert filed.states.get(*KEY) == 1
    behind.set_flush_interval(7)
    assert behind._changed.is_set(), "it wakes the thread"
    behind.set(*KEY, 2)
    ticker.tick()
    assert filed.states.get(*KEY) == 2
    ticker.end()
    behind.close()
    assert errors == []


def test_the_last_flush_is_at_exit(filed: Store) -> None:
    behind = WriteBehind(filed, interval=1e6)
    behind.set(*KEY, 1)
    behind._at_exit()
    assert filed.states.get(*KEY) == 1
    behind.close()


def test_a_task_writes_every_interval_and_a_cancelled_flush_goes_on(where: str, clock: Clock) -> None:
    async def main() -> None:
        ticks: asyncio.Queue[None] = asyncio.Queue()
        asked: asyncio.Queue[float] = asyncio.Queue()

        async def ticker(seconds: float) -> None:
            asked.put_nowait(seconds)
            await ticks.get()

        async with (
            AsyncStore(where, clock=clock) as store,
            AsyncWriteBehind(store, interval=5, ticker=ticker) as behind,
        ):
            await behind.set(*KEY, 1)
            assert await asked.get() == 5
            ticks.put_nowait(None)
            assert await asked.get() == 5
            assert await store.states.get(*KEY) == 1
            behind.set_flush_interval(7)
            assert await asked.get() == 7
            for number in range(30):
                await behind.set(*KEY, number)
                flushing = asyncio.ensure_future(behind.flush())
                await asyncio.sleep(0)
                flushing.cancel()
                assert await behind.get(*KEY) == number
            assert await behind.flush() <= 1
            assert await store.states.get(*KEY) == 29
        assert behind.pending == 0

    run(main())


def test_a_thread_inside_a_transaction_flushes_nothing_and_waits_for_nobody(filed: Store) -> None:
    behind = WriteBehind(filed, interval=1e6)
    behind.set(*KEY, 1)
    flushing, over = threading.Event(), threading.Event()

    def flush() -> None:  # as the thread that flushes does, which waits for the transaction
        with behind._turn:
            flushing.set()
            over.wait(HANG)

    thread = threading.Thread(target=flush)
    thread.start()
    assert flushing.wait(HANG)
    with filed.transaction():
        with pytest.raises(InTransaction):
            behind.flush()
        assert thread.is_alive()
    over.set()
    thread.join()
    behind.close()
    assert filed.states.get(*KEY) == 1


def test_a_task_inside_a_transaction_flushes_nothing_and_stops_nobody(where: str) -> None:
    async def main() -> None:
        intervals = asyncio.Queue[None]()
        told: list[Exception] = []

        async def interval(_seconds: float) -> None:
            await intervals.get()

        async with AsyncStore(where) as store, AsyncWriteBehind(store, ticker=interval) as behind:
            behind.on_flush_error(lambda error, at, value: told.append(error))
            async with store.transaction():
                await behind.set(*KEY, 1)
                intervals.put_nowait(None)
                while behind.pending and not behind._turn.locked() and not told:
                    await asyncio.sleep(0)
                with pytest.raises(InTransaction):
                    await behind.flush()
            await behind.flush()
            assert await store.states.get(*KEY) == 1
        assert told == []

    run(main())


def test_threads_see_their_writes_and_none_is_lost(filed: Store) -> None:
    failed: list[Any] = []
    with WriteBehind(filed, interval=0.001) as behind:

        def work(name: str) -> None:
            for number in range(60):
                behind.set("a", "local", name, number)
                if behind.get("a", "local", name) != number:
                    failed.append((name, number))

        threads = [threading.Thread(target=work, args=(f"k{each}",)) for each in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
    assert failed == []
    assert [filed.states.get("a", "local", f"k{each}") for each in range(4)] == [59] * 4


def test_a_closed_store_takes_nothing(filed: Store) -> None:
    behind = WriteBehind(filed)
    filed.close()
    with pytest.raises(StoreClosed):
        behind.set(*KEY, 1)
    behind.close()
