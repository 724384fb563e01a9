"""What is broken off half way leaves nothing behind: neither half a commit nor a connection that nobody gives back."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
import pytest

from statedb import AsyncStore, Store
from statedb.db.postgres import asyncengine
from statedb.db.postgres.failures import Lost
from tests.conftest import Opener
from tests.helpers import HANG, Clock, run
from tests.places import only_postgres

MOST = 20
"""More statements than the longest burst of these tests has."""

pytestmark = only_postgres


@contextmanager
def broken_off(at: int) -> Iterator[list[int]]:
    """Have the thread be interrupted, or its task cancelled, after so many statements; give the count."""
    sent = [0]

    def breaks() -> bool:
        sent[0] += 1
        return sent[0] == at

    def execute(self: Any, *query: Any, **options: Any) -> Any:
        made = sync(self, *query, **options)
        if breaks():
            raise KeyboardInterrupt
        return made

    async def async_execute(self: Any, *query: Any, **options: Any) -> Any:
        made = await plain(self, *query, **options)
        if breaks():
            raise asyncio.CancelledError
        return made

    sync, plain = psycopg.Connection.execute, psycopg.AsyncConnection.execute
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(psycopg.Connection, "execute", execute)
        patched.setattr(psycopg.AsyncConnection, "execute", async_execute)
        yield sent


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize("level", ["read committed", "repeatable read"])
def test_a_burst_that_is_broken_off_commits_nothing(
    open_store: Opener, where: str, shell: str, level: str, raw_setting: Any
) -> None:
    raw_setting("default_transaction_isolation", level)
    store = open_store(shell=shell)
    for at in range(1, MOST):
        store.states.set("a", "session", f"c{at}/x", 1, ttl=5)
        with broken_off(at) as sent, suppress(KeyboardInterrupt, asyncio.CancelledError):
            # The session's row lands with the key's; the key that was there joins it in a statement of its own.
            store.agent("a").session(f"c{at}", ttl=60).set("y", 2)
        assert store.health.check().problems == ()
        whole = [1, 2] if sent[0] < at else [1]
        assert [value for _, value in store.states.items("a", "session", f"c{at}/*")] in (whole, [1, 2])
        if sent[0] < at:
            return
    pytest.fail("the burst never ended")


@pytest.mark.parametrize("answered", [False, True], ids=["before it arrives", "before it is answered"])
@pytest.mark.parametrize("together", [1, 3])
def test_a_write_in_doubt_needs_no_connection_beside_its_own(
    where: str, clock: Clock, answered: bool, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, cut = asyncengine.Driver.together, [0]

    def lost(self: Any, queries: Any) -> Any:
        landing = any("insert into" in text for text, _ in queries)
        cut[0] += landing
        if not landing or cut[0] > 1:
            return plain(self, queries)
        if answered:
            plain(self, queries)
        self.drop()
        raise Lost("the line was cut")

    async def run() -> int:
        async with AsyncStore(where, clock=clock, postgres_pool=1, busy_timeout=5) as store:
            await store.states.set("a", "shared", "n", 0)
            monkeypatch.setattr(asyncengine.Driver, "together", lost)
            await asyncio.gather(*(store.states.update("a", "shared", "n", lambda n: n + 1) for _ in range(together)))
            found: int = await store.states.get("a", "shared", "n")
            return found

    assert asyncio.run(run()) == together


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize("made_of_it", ["swallowed", "another error"])
def test_what_a_function_makes_of_being_overtaken_does_not_count(
    open_store: Opener, shell: str, made_of_it: str
) -> None:
    store, other = open_store(shell=shell), open_store()
    store.states.set_many("a", "shared", {"x": 1, "y": 1})
    calls = []

    def read_both(tx: Any) -> Any:
        calls.append(tx)
        try:
            first = tx.states.get("a", "shared", "x")
            if len(calls) == 1:
                other.states.set_many("a", "shared", {"x": 2, "y": 2})
            return first, tx.states.get("a", "shared", "y")
        except Exception as error:
            if made_of_it == "swallowed":
                return None
            raise ValueError("it went wrong") from error

    assert store.run(read_both) == (2, 2)
    assert len(calls) == 2


def test_a_thread_that_waits_for_a_connection_is_told_so(where: str) -> None:
    with Store(where, postgres_pool=1, busy_timeout=0.2) as store, store.transaction() as tx:
        with pytest.raises(Exception, match=r"raise Settings\.postgres_pool"):
            store.states.get("a", "shared", "x")
        tx.states.set("a", "shared", "x", 1)


def test_a_cancellation_that_the_pool_swallows_is_one_all_the_same(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        async with AsyncStore(where) as store:
            pool: Any = store._engine._port.pool  # type: ignore[union-attr]
            take, asked = pool.getconn, asyncio.Event()

            async def getconn() -> Any:
                asked.set()
                try:
                    await asyncio.sleep(HANG)
                except asyncio.CancelledError:
                    return await take()

            monkeypatch.setattr(pool, "getconn", getconn)
            reading = asyncio.create_task(store.transfer.head())
            await asked.wait()
            reading.cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading
            monkeypatch.undo()
            assert await store.transfer.head() == 0

    run(main())
