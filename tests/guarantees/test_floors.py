"""At the floor and below it: who asks for what was cut is refused, and who is not refused misses nothing.

Nothing cuts yet; these tests do to the rows what a compaction will.
"""

from __future__ import annotations

import signal

import pytest

from statedb import Address, Compacted, NoSuchRevision, StateType, Store
from tests.guarantees.recording import Filter, Life, Log
from tests.guarantees.validators import old_value_right, reliable
from tests.helpers import Clock, calls
from tests.places import tamper
from tests.rigs import cutter
from tests.rigs.processes import Processes, until

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


def read(store: Store, since: int, log: Log) -> Life:
    """Return what somebody sees who reads the feed, after a watch from there has said the same."""
    try:
        life = Life(since, store.feed.changes(since), until=log.head)
    except Compacted as refused:
        life = Life(since, floor=refused.floor)
    try:
        watched = Life(since, [*store.watch(since=since, timeout=0)], until=log.head)
    except Compacted as refused:
        watched = Life(since, floor=refused.floor)
    assert watched == life
    return life


@pytest.mark.parametrize("since", range(FLOOR))
def test_who_would_miss_something_is_refused_and_told_where_to_begin(where: str, log: Log, since: int) -> None:
    with Store(where, clock=Clock()) as store:
        assert read(store, since, log) == Life(since, floor=FLOOR)
        past = store.at(FLOOR)
        assert {Address(*K[:2], key): value for key, value in past.states.items(*K[:2])} == log.values(FLOOR)


@pytest.mark.parametrize("since", [FLOOR, 6, 7])
def test_from_the_floor_on_nothing_is_missed(where: str, log: Log, since: int) -> None:
    with Store(where, clock=Clock()) as store:
        life = read(store, since, log)
        assert life.floor is None
        assert reliable([life], log, Filter()) == []
        assert old_value_right([life], log, Filter()) == []


def test_from_a_revision_to_come_nobody_can_read(where: str, log: Log) -> None:
    with Store(where, clock=Clock()) as store:
        for call in calls(lambda: store.feed.changes(log.head + 1), lambda: store.watch(since=log.head + 1)):
            with pytest.raises(NoSuchRevision):
                call()


@pytest.mark.parametrize("dies", cutter.STEPS)
def test_a_cut_that_dies_has_not_been(where: str, dies: str) -> None:
    """Whoever reads on is refused nothing and misses nothing."""
    with Store(where, clock=Clock()) as store:
        store.states.set(*K, 1)
        store.states.set(*K, 2)
        log = Log(store.feed.changes(), store.transfer.head())
    processes = Processes()
    processes.start("cutter", cutter.die, where, dies)
    until(lambda: processes.ended("cutter"), "the cut dies")
    processes.forget("cutter", -signal.SIGKILL)
    with Store(where, clock=Clock()) as store:
        assert store.health.check().problems == ()
        assert read(store, 0, log).items == log.changes
