"""Behind pgbouncer in transaction mode: what a session remembers is of no use, and is left to nobody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from sqlalchemy.engine import make_url

from statedb import AsyncStore, Store, TransactionAborted
from tests.helpers import HANG, SHELLS, run
from tests.places import Places, only_postgres
from tests.postgres import connect
from tests.rigs.bouncer import PROGRAM, Bouncer
from tests.rigs.gaps import hunt

pytestmark = [
    only_postgres,
    pytest.mark.skipif(PROGRAM is None, reason="there is no pgbouncer on this machine to try"),
]

KEY = ("a", "shared", "counter")


def one_more(value: int) -> int:
    return value + 1


@pytest.fixture
def where(places: Places) -> str:
    return places.another(bare=True)


@pytest.fixture
def bounced(where: str) -> Iterator[str]:
    """The test's own place as it is reached through pgbouncer, which has two sessions for all of its clients."""
    url = make_url(where)
    server = str(url.query["host"]), int(str(url.query.get("port", 5432)))
    with Bouncer(server, size=2) as bouncer:
        yield url.set(host="127.0.0.1", port=bouncer.port, query={}).render_as_string(hide_password=False)


@pytest.fixture
def options() -> dict[str, Any]:
    return {"durability": "normal", "postgres_prepare": False}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_store_is_made_and_used(bounced: str, where: str, shell: str, options: dict[str, Any]) -> None:
    with closing(SHELLS[shell](bounced, **options)) as store:
        for number in range(20):
            store.states.set("a", "shared", f"k{number}", number, message="once more")
        with store.transaction(message="trade") as tx:
            tx.states.update(*KEY, one_more, default=0)
            tx.states.set("a", "shared", "k1", "traded")
        assert store.run(lambda tx: tx.states.get("a", "shared", "k1")) == "traded"
        assert len(store.states.items("a", "shared")) == 21
        assert store.at(3).states.keys("a", "shared") == ["k0", "k1", "k2"]
        assert len(store.feed.changes()) == 22
        assert store.query("select count(*) from history")[0][0] == 22
        assert store.health.check().problems == ()
    with Store(where) as store:
        assert store.states.get("a", "shared", "k1") == "traded"


def test_threads_and_tasks_lose_no_update(bounced: str, options: dict[str, Any]) -> None:
    async def tasks() -> None:
        async with AsyncStore(bounced, **options) as store:
            await asyncio.gather(*(store.states.update(*KEY, one_more, default=0) for _ in range(100)))

    def thread() -> None:
        for _ in range(25):
            store.states.update(*KEY, one_more, default=0)

    with Store(bounced, **options) as store, ThreadPoolExecutor(5) as pool:
        working = [pool.submit(run, tasks()), *(pool.submit(thread) for _ in range(4))]
        for done in working:
            done.result(HANG)
        assert store.states.get(*KEY) == 200
        assert len(store.history.versions(*KEY)) == 200


def test_what_a_transaction_sets_up_is_gone_for_the_next_in_its_session(
    bounced: str, where: str, options: dict[str, Any]
) -> None:
    with Store(bounced, **options) as store, connect(where) as raw:
        for number in range(10):
            store.states.update(*KEY, one_more, default=0)
            store.states.get(*KEY)
            with store.transaction() as tx:
                tx.states.set("a", "shared", "k", number)
        locks = raw.execute(
            "select count(*) from pg_locks l join pg_stat_activity s using (pid) "
            "where s.datname = current_database() and s.pid <> pg_backend_pid()"
        ).fetchone()
        assert locks == (0,), "a lock of a session outlived its transaction"
        with psycopg.connect(bounced.replace("+psycopg", ""), autocommit=True) as other:
            for _ in range(4):
                names = ["lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout", "search_path"]
                changed = "select name from pg_settings where name = any(%s) and setting <> reset_val"
                assert other.execute(changed, [names], prepare=False).fetchall() == []


def test_a_conflict_aborts_a_block_and_the_next_goes_through(bounced: str, options: dict[str, Any]) -> None:
    def tried(rival: bool) -> None:
        with store.transaction() as tx:
            tx.states.update(*KEY, one_more, default=0)
            if rival:
                other.states.update(*KEY, one_more, default=0)

    with Store(bounced, **options) as store, Store(bounced, **options) as other:
        with pytest.raises(TransactionAborted):
            tried(True)
        tried(False)
        assert store.states.get(*KEY) == 2


def test_the_feed_has_no_gap(bounced: str, tmp_path: Any) -> None:
    print(hunt(bounced, tmp_path / "hunt", 2.0, postgres_prepare=False))
