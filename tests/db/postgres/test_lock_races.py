"""A transaction that runs while another does something to the lock it relies on: it is refused where it would land."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from statedb import LockHeld, TransactionAborted
from statedb.rooms.locks import Ask
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import only_postgres

pytestmark = only_postgres

ASK = Ask("a", "k", "exclusive", 30, None, None)
TTL = 10
LOCKED = ("a", "shared", "k")
SESSION_KEY = ("a", "session", "c/k")

Does = Callable[[Any, int], Any]
"""Given a transaction, or the other store, and the fence of the lock that the other holds."""


def refused(tx: Any, fence: int) -> None:
    with pytest.raises(LockHeld):
        tx.states.set(*LOCKED, 1)
    tx.states.set("a", "shared", "elsewhere", "since it was refused")


def given_up(store: Any, _: int) -> None:
    store.locks._give_up(ASK, store.locks._take(ASK, None))


def acquire(at: Any, _: int) -> Any:
    return at.locks.acquire("a", "k")


def release(at: Any, fence: int) -> None:
    assert at.locks.release(fence)


def renew(at: Any, fence: int) -> None:
    at.locks.renew(fence)


WITHOUT_LOCK: dict[str, tuple[Does, Does]] = {
    "it writes, and the key is locked": (lambda tx, _: tx.states.set(*LOCKED, 1), acquire),
    "it writes many, and one is locked": (
        lambda tx, _: tx.states.set_many("a", "persistent", {"free": 1, "k": 1}),
        acquire,
    ),
    "it touches, and the key is locked": (
        lambda tx, _: tx.states.touch(*SESSION_KEY),
        lambda store, _: store.locks.acquire("a", "c/k"),
    ),
    "both lock one key": (acquire, acquire),
    "both lock, and would have the same fence": (acquire, lambda store, _: store.locks.acquire("b", "other")),
}
WITH_LOCK: dict[str, tuple[Does, Does]] = {
    "it writes with a fence that is given back": (lambda tx, fence: tx.states.set(*LOCKED, 1, fence=fence), release),
    "it writes another key with it": (lambda tx, fence: tx.states.set("a", "local", "free", 1, fence=fence), release),
    "it renews what is given back": (renew, release),
    "it gives back what is given back": (release, release),
    "it found itself refused, and the lock is given back": (refused, release),
}
AFTER_ITS_END: dict[str, Does] = {
    "it writes with its fence": lambda tx, fence: tx.states.set(*LOCKED, 1, fence=fence),
    "it renews it": renew,
    "it gives it back": release,
}
RENEWED: dict[str, Does] = {
    "it takes the lock of one whose lease had ended": acquire,
    "it writes what was locked": lambda tx, _: tx.states.set(*LOCKED, 1),
    "it records that the lease has ended": lambda tx, _: tx.retention.sweep(),
}


def is_aborted(store: Any, does: Callable[[Any], Any], meanwhile: Callable[[], object]) -> None:
    tx = store.transaction()
    tx.__enter__()
    does(tx)
    meanwhile()
    there = store.history.commits()
    with pytest.raises(TransactionAborted):
        tx.__exit__(None, None, None)
    assert store.history.commits() == there


@pytest.mark.parametrize("case", WITHOUT_LOCK)
def test_who_did_not_see_a_lock_that_was_taken_is_refused(open_store: Opener, clock: Clock, case: str) -> None:
    one, other = open_store(), open_store()
    one.agent("a").session("c", ttl=60).set("k", 1)
    clock.advance(1)
    does, meanwhile = WITHOUT_LOCK[case]
    is_aborted(one, lambda tx: does(tx, 0), lambda: meanwhile(other, 0))


@pytest.mark.parametrize("case", WITH_LOCK)
def test_who_relied_on_a_lock_that_was_given_back_is_refused(open_store: Opener, case: str) -> None:
    one, other = open_store(), open_store()
    fence = other.locks.acquire("a", "k").fence
    does, meanwhile = WITH_LOCK[case]
    is_aborted(one, lambda tx: does(tx, fence), lambda: meanwhile(other, fence))


@pytest.mark.parametrize("case", AFTER_ITS_END)
def test_who_relied_on_a_lease_that_has_ended_since_is_refused(open_store: Opener, clock: Clock, case: str) -> None:
    one, other = open_store(), open_store()
    fence = other.locks.acquire("a", "k", ttl=TTL).fence

    def time_passes() -> None:
        clock.advance(TTL)
        other.states.set("b", "local", "elsewhere", "so that the log has come to the lease's end")

    is_aborted(one, lambda tx: AFTER_ITS_END[case](tx, fence), time_passes)


@pytest.mark.parametrize("case", RENEWED)
def test_who_relied_on_the_end_of_a_lease_that_was_renewed_is_refused(
    open_store: Opener, clock: Clock, case: str
) -> None:
    """As where the renewal began just before the end, and landed after the other had begun."""
    one, other = open_store(), open_store()
    fence = other.locks.acquire("a", "k", ttl=TTL).fence
    clock.advance(TTL)

    def renewed() -> None:
        clock.back(1)
        other.locks.renew(fence)

    is_aborted(one, lambda tx: RENEWED[case](tx, fence), renewed)


def test_who_would_use_a_row_in_which_somebody_waits_meanwhile_is_refused(open_store: Opener, clock: Clock) -> None:
    one, other = open_store(), open_store()
    other.locks.acquire("a", "k", "read")
    given_up(other, 0)
    clock.advance(1)
    is_aborted(one, lambda tx: tx.locks.acquire("a", "k", "read"), lambda: other.locks._take(ASK, None))
