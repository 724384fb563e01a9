"""What is written beside the log: with its transaction or not at all, and without a commit."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select, update

from statedb.db import journal
from statedb.db.statements import Statement
from statedb.db.tables import MAIN, feed_consumers
from statedb.db.tx import Tx
from statedb.transaction import Joined

SORTS = ("file", "memory", "postgres", "async file", "async postgres")

_c = feed_consumers.c
_MADE = ("id", "branch_id", "name", "filter", "position", "created_at", "acknowledged_at")
_MAKE = Statement(insert(feed_consumers).values({name: bindparam(name) for name in _MADE}), listed=False)
_MOVE = Statement(
    update(feed_consumers).where(_c.id == bindparam("row")).values(position=bindparam("position")), listed=False
)
_ALL = Statement(select(_c.name, _c.position).order_by(_c.name), listed=False)


def make(tx: Joined, name: str) -> int:
    def write(inner: Tx) -> None:
        made = (inner.connection.new_id(feed_consumers), MAIN, name, "{}", 1, inner.now, inner.now)
        inner.connection.run(_MAKE, dict(zip(_MADE, made, strict=True)))

    journal.aside(tx._tx, write)
    return tx._tx.revision


def move(tx: Joined, position: int) -> None:
    journal.aside(tx._tx, lambda inner: inner.connection.run(_MOVE, {"row": 1, "position": position}))


def found(tx: Joined) -> list[Any]:
    return [tuple(row) for row in tx._tx.db.all(_ALL, {})]


def test_an_aside_is_kept_and_makes_no_commit(store: Any) -> None:
    store.run(make, "one")
    store.run(move, 7)
    assert store.run(found) == [("one", 7)]
    assert store.history.commits() == []


def test_an_aside_beside_a_commit_is_kept_with_it(store: Any) -> None:
    def both(tx: Joined) -> None:
        make(tx, "one")
        tx.states.set("a", "local", "k", 1)

    store.run(both)
    assert store.run(found) == [("one", 1)]
    assert [commit.revision for commit in store.history.commits()] == [1]


def test_an_aside_of_a_transaction_that_fails_is_lost(store: Any) -> None:
    def fail(tx: Joined) -> None:
        make(tx, "one")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        store.run(fail)
    with store.transaction() as tx:
        assert tx.states.set("a", "local", "k", 1).version == 1
    assert store.run(found) == []


def test_who_insists_writes_alone(store: Any) -> None:
    def insist(tx: Joined) -> None:
        tx._tx.connection.insist()
        make(tx, "one")

    store.run(insist)
    assert store.run(found) == [("one", 1)]
