"""At the floor and below it: who asks for what was cut is refused, and who is not refused misses nothing.

Nothing cuts yet; these tests do to the rows what a compaction will.
"""

from __future__ import annotations

import pytest

from statedb import Address, Compacted, StateType, Store
from tests.guarantees.recording import Filter, Life, Log
from tests.guarantees.validators import old_value_right, reliable
from tests.helpers import Clock
from tests.places import tamper

K = ("a", StateType.LOCAL, "k")
FLOOR = 5


@pytest.fixture
def log(where: str) -> Log:
    """What a store held before its key `k` was cut below revision 5, at which it is deleted."""
    with Store(where, clock=Clock()) as store:
        for number in (1, 2, 3):
            store.states.set(*K, number)  # 1 to 3
        store.states.set("a", "local", "other", 1)  # 4
        store.states.delete(*K)  # 5
        store.states.set("a", "local", "other", 2)  # 6
        store.states.set(*K, 7)  # 7
        log = Log(store.feed.changes(), store.transfer.head(), FLOOR)
    tamper(
        where,
        f"update agent_states set floor = {FLOOR} where state_key = 'k'",
        f"delete from state_versions where revision < {FLOOR} and state_id = "
        "(select id from agent_states where state_key = 'k')",
    )
    return log


def read(store: Store, since: int, upto: int) -> Life:
    """Return what a reader of the feed sees who goes on from a revision."""
    try:
        return Life(since, store.feed.changes(since), until=upto)
    except Compacted as refused:
        return Life(since, floor=refused.floor)


CUT = [*range(FLOOR - 1), pytest.param(FLOOR - 1, marks=pytest.mark.xfail(strict=True, reason="no old value, no word"))]


@pytest.mark.parametrize("since", CUT)
def test_who_would_miss_something_is_refused_and_told_where_to_begin(where: str, log: Log, since: int) -> None:
    with Store(where, clock=Clock()) as store:
        assert read(store, since, log.head) == Life(since, floor=FLOOR)
        past = store.at(FLOOR)
        assert {Address(*K[:2], key): value for key, value in past.states.items(*K[:2])} == log.values(FLOOR)


@pytest.mark.parametrize("since", range(FLOOR, 9))
def test_from_the_floor_on_nothing_is_missed(where: str, log: Log, since: int) -> None:
    with Store(where, clock=Clock()) as store:
        life = read(store, since, log.head)
        assert not life.floor
        assert reliable([life], log, Filter()) == []
        assert old_value_right([life], log, Filter()) == []
