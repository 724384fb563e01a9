"""Lost connections: a read is tried again, and a write is made once, whatever of it arrived.

The way to the server breaks at each burst of a call in turn, in each of the ways a network has. Nobody says where in a
call its commit is sent: the test goes on until a call no longer reaches the cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from statedb import AsyncStore, Store, TransactionAborted
from tests.helpers import SHELLS, run
from tests.places import only_postgres
from tests.postgres import connect
from tests.rigs.processes import until
from tests.rigs.proxy import Cut, Proxy

pytestmark = only_postgres

KEY = ("a", "shared", "counter")
MOST = 40
"""Bursts beyond which a call is held never to end."""


def one_more(value: int) -> int:
    return value + 1


def add(tx: Any) -> None:
    tx.states.update(*KEY, one_more, default=0)


def add_in_block(store: Store) -> None:
    with store.transaction() as tx:
        add(tx)
        add(tx)


def add_in_block_after_a_look(store: Store) -> None:
    with store.transaction() as tx:
        tx.states.set(*KEY, tx.states.get(*KEY, 0) + 1)


WRITES: dict[str, Callable[[Store], Any]] = {
    "update": add,
    "set": lambda store: store.states.set(*KEY, (store.states.get(*KEY) or 0) + 1),
    "run": lambda store: store.run(add),
    "block": add_in_block,
    "look": add_in_block_after_a_look,
}


HOW = [("torn",), ("at once",), ("after",), ("late",), ("late", 1), ("late", 2), ("late", 3)]
"""A late burst arrives once the write is done, or meanwhile, just before one that is sent after it."""

CASES = [("sync", "update"), ("sync", "set"), ("sync", "block"), ("sync", "look"), ("async", "run"), ("async", "block")]


@pytest.fixture
def proxy(where: str) -> Iterator[Proxy]:
    """A breakable way to the test's own place."""
    query = make_url(where).query
    folder, port = str(query["host"]), int(str(query.get("port", 5432)))
    with Proxy((folder, port)) as made:
        yield made


def through(proxy: Proxy, where: str) -> str:
    """Return a place as it is reached through a proxy."""
    url = make_url(where).set(host="127.0.0.1", port=proxy.port, query={"sslmode": "disable"})
    return url.render_as_string(hide_password=False)


def breaks(proxy: Proxy, how: str, later: int | None = None) -> Iterator[Cut]:
    """Yield a cut at the first burst, at the second, and so on, until one is not reached."""
    for nth in range(1, MOST):
        cut = proxy.cut(how, nth, later)
        yield cut
        if not cut.fired.is_set() and proxy.mend():
            assert nth > 1, "nothing was sent"
            return
        assert cut.fired.wait(30)  # it may be at a connection that is being made in the background
        cut.deliver.set()
        assert cut.delivered.wait(30)
    raise AssertionError("the call never ends")


@pytest.mark.parametrize("how", HOW, ids=lambda how: " ".join(map(str, how)))
@pytest.mark.parametrize(("shell", "write"), CASES)
def test_a_write_is_made_once_wherever_the_connection_is_lost(
    proxy: Proxy, where: str, shell: str, write: str, how: tuple[Any, ...]
) -> None:
    with Store(where) as truth, closing(SHELLS[shell](through(proxy, where), durability="normal")) as store:
        made = 0
        for cut in breaks(proxy, *how):
            try:
                WRITES[write](store)
            except TransactionAborted:
                assert write in ("block", "look"), "it tries again by itself"
            else:
                made += 1
            cut.deliver.set()
            assert not cut.fired.is_set() or cut.delivered.wait(30)
            assert truth.states.get(*KEY, 0) == made * (2 if write == "block" else 1)
            assert len(truth.history.versions(*KEY)) == made
        assert truth.health.check().problems == ()


@pytest.mark.parametrize("shell", SHELLS)
def test_a_read_is_tried_again(proxy: Proxy, where: str, shell: str) -> None:
    with Store(where) as truth, closing(SHELLS[shell](through(proxy, where))) as store:
        truth.states.set_many("a", "shared", {"x": 1, "y": 2})
        first = truth.transfer.head()
        truth.states.set("a", "shared", "x", 3)
        reads: list[Callable[[], Any]] = [
            lambda: store.states.get("a", "shared", "x"),
            lambda: store.states.items("a", "shared"),
            lambda: store.states.get_many("a", [("shared", "x"), ("shared", "y")]),
            lambda: store.at(first).states.get("a", "shared", "x"),
            lambda: len(store.feed.changes()),
            lambda: store.query("select state_key from states order by 1"),
            lambda: store.health.check().problems,
        ]
        for read, found in zip(reads, [3, [("x", 3), ("y", 2)], None, 1, 3, [("x",), ("y",)], ()], strict=True):
            for _ in breaks(proxy, "after"):
                got = read()
                assert got == ({("shared", "x"): 3, ("shared", "y"): 2} if found is None else found)


@pytest.mark.parametrize("shell", SHELLS)
def test_connections_that_the_server_has_ended_are_made_anew(where: str, shell: str) -> None:
    with closing(SHELLS[shell](where)) as store:
        for number in range(1, 6):
            end_sessions(where)
            store.states.update(*KEY, one_more, default=0)
            end_sessions(where)
            assert store.states.get(*KEY) == number
            end_sessions(where)
            store.run(lambda tx: tx.states.set("a", "shared", "other", tx.states.get(*KEY)))
            end_sessions(where)
            assert store.history.versions(*KEY)[0].version == number


def test_a_block_whose_connection_is_lost_is_aborted_and_goes_through_when_it_is_tried_again(where: str) -> None:
    def tried(cut: bool) -> int | None:
        with store.transaction() as tx:
            was = tx.states.get(*KEY, 0)
            if cut:
                end_sessions(where)
            tx.states.get("a", "shared", "other")
            tx.states.set(*KEY, was + 1)
        return tx.revision

    with Store(where) as store:
        with pytest.raises(TransactionAborted):
            tried(True)
        assert store.states.get(*KEY) is None
        assert tried(False) == 1


def test_tasks_at_once_each_write_once_where_the_connections_are_lost(proxy: Proxy, where: str) -> None:
    async def main() -> None:
        async with AsyncStore(through(proxy, where), durability="normal") as store:
            for how in ("torn", "at once", "after"):
                for _ in breaks(proxy, how):
                    before = await store.states.get(*KEY, 0)
                    await asyncio.gather(*(store.states.update(*KEY, one_more, default=0) for _ in range(10)))
                    assert await store.states.get(*KEY) == before + 10

    run(main())
    with Store(where) as store:
        assert store.health.check().problems == ()
        assert store.states.get(*KEY) == len(store.history.versions(*KEY)) > 0


def end_sessions(where: str) -> None:
    """End every session of the stores at a place, as a server does that is restarted."""
    ended = "select pg_terminate_backend(pid), pid from pg_stat_activity where "
    alive = "select 1 from pg_stat_activity where pid = any(%s)"
    with connect(where) as raw:
        rows = raw.execute(f"{ended} datname = current_database() and application_name = 'statedb'").fetchall()
        until(lambda: not raw.execute(alive, [[pid for _, pid in rows]]).fetchall(), "the sessions end")
