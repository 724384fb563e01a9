"""The feed: each guarantee by its own name."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from statedb import Change, Compacted, InvalidValue, NoSuchRevision, Store
from statedb.values.changefilter import StateChangeFilter
from tests.conftest import Opener
from tests.helpers import Clock, pages
from tests.places import Places, tamper


def busy(store: Any, clock: Clock) -> None:
    """Write a history with commits of many sorts and sizes."""
    for number in range(12):
        store.states.set_many(f"a{number % 3}", "shared", {f"k{each}": number for each in range(number % 4 + 1)})
        if number % 3 == 0:
            store.states.set("a0", "local", "short", number, ttl=5)
        if number % 3 == 1:
            clock.advance(1)
            store.states.touch("a0", "local", "short")
        if number % 3 == 2:
            store.states.delete("a2", "shared", "k0")
            clock.advance(6)
            store.retention.sweep()


def read(store: Any, limit: int, **how: Any) -> list[list[Change]]:
    """Read the whole feed; each element is one answer."""
    since, found = 0, []
    while page := store.feed.changes(since=since, limit=limit, **how):
        found.append(page)
        since = page[-1].revision
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
def test_the_feed_is_ordered_whole_unique_and_complete(store: Store, clock: Clock, limit: int) -> None:
    busy(store, clock)
    answers = read(store, limit)
    flat = [change for answer in answers for change in answer]
    assert [change.revision for change in flat] == sorted(change.revision for change in flat)
    for before, after in pairwise(answers):
        assert before[-1].revision < after[0].revision  # no commit is split
    assert len({change.event_id for change in flat}) == len(flat)
    of_commits = [change for commit in reversed(store.history.commits(limit=None)) for change in commit.changes]
    assert flat == of_commits
    assert all(len(answer) >= limit for answer in answers[:-1])


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("agent", ["a0", "a1", "a2", "nobody"])
def test_the_feed_of_an_agent_is_the_feed_without_the_others(
    store: Store, clock: Clock, agent: str, limit: int
) -> None:
    busy(store, clock)
    everything = [change for answer in read(store, 1000) for change in answer]
    of_agent = [change for answer in read(store, limit, agent_id=agent) for change in answer]
    assert of_agent == [change for change in everything if change.agent_id == agent]


def test_touches_alone_do_not_look_like_the_end_of_an_agents_feed(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", 1, ttl=60)
    for _ in range(3):
        clock.advance(1)
        store.states.touch("a", "local", "k")
    store.states.set("a", "local", "k", 2)
    assert [change.new_value for change in store.feed.changes(since=1, limit=1, agent_id="a")] == [2]


def test_an_expiry_arrives_as_a_change_of_its_own(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", {"v": 1}, ttl=5)
    clock.advance(5)
    assert [change.change for change in store.feed.changes()] == ["create"]
    assert store.retention.sweep() == 1
    [change] = store.feed.changes(since=1)
    assert (change.change, change.old_value, change.new_value, change.version) == ("expire", {"v": 1}, None, 2)
    assert (change.by, change.revision, change.at) == (None, 2, clock.moment)


def test_an_event_keeps_its_id_in_another_store(store: Store, ground: Places, clock: Clock) -> None:
    busy(store, clock)
    with Store(ground.apart(), clock=clock) as other:
        other.states.set("before", "local", "k", 1)
        other.transfer.load(pages(store))
        ours = [change.event_id for change in store.feed.changes(limit=1000)]
        assert [change.event_id for change in other.feed.changes(since=1, limit=1000)] == ours
        other.states.set("after", "local", "k", 1)
        assert other.feed.changes(limit=1000)[-1].event_id not in ours


def test_an_empty_feed_is_empty_and_has_no_future(store: Store) -> None:
    assert store.feed.changes() == []
    store.states.set("a", "local", "k", 1)
    assert store.feed.changes(since=1) == []
    with pytest.raises(NoSuchRevision):
        store.feed.changes(since=2)
    with pytest.raises(NoSuchRevision):
        store.at(0).feed.changes(since=1)


FILTERS: list[dict[str, Any]] = [
    {"state_type": "local"},
    {"pattern": "k[12]"},
    {"kinds": "delete"},
    {"kinds": ["create", "expire"], "state_type": "local"},
    {"agent_id": "a2", "pattern": "k0"},
    {"pattern": "nothing/*"},
]


def test_a_filter_leaves_out_the_rest_and_nothing_else(store: Store, clock: Clock) -> None:
    busy(store, clock)
    everything = [change for answer in read(store, 1000) for change in answer]
    for told in FILTERS:
        wanted = StateChangeFilter(**told)
        meant = [each for each in everything if wanted.takes(each.agent_id, each.state_type, each.key, each.change)]
        for limit in (1, 3, 1000):
            answers = read(store, limit, **told)
            assert [change for answer in answers for change in answer] == meant
            assert all(len(answer) >= limit for answer in answers[:-1])
    assert read(store, 1, **FILTERS[-1]) == []


def test_what_happens_to_locks_comes_where_it_is_asked_for(store: Store) -> None:
    store.states.set("a", "local", "k", 1)
    lock = store.locks.acquire("a", "k")
    store.locks.acquire("b", "other")
    store.states.set("a", "local", "k", 2, fence=lock.fence)
    store.locks.release(lock)
    asked = {"agent_id": "a", "kinds": ["lock", "unlock", "update"]}
    for limit in (1, 2, 100):
        answers = read(store, limit, **asked)
        assert [(each.change, each.key) for answer in answers for each in answer] == [
            ("lock", "k"),
            ("update", "k"),
            ("unlock", "k"),
        ]
        assert all(len(answer) >= limit for answer in answers[:-1])
    assert [change.change for change in store.feed.changes(limit=9)] == ["create", "update"]


def test_pages_of_a_quiet_filter_move_on(store: Store) -> None:
    for number in range(4):
        store.states.set_many("a", "local", {f"k{each}": number for each in range(100)})
    page = store.feed._page(0, StateChangeFilter(pattern="x"))
    assert (page.found, page.upto, page.more) == ([], 3, True)
    page = store.feed._page(page.upto, StateChangeFilter(pattern="x"))
    assert (page.found, page.upto, page.more) == ([], 4, False)


@pytest.mark.parametrize("told", [{"kinds": "lost"}, {"kinds": []}, {"kinds": 3}, {"pattern": ""}, {"pattern": None}])
def test_a_filter_that_is_none_is_refused(told: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue):
        StateChangeFilter(**told)


def test_a_key_that_was_cut_concerns_only_who_asks_for_it(open_store: Opener, where: str) -> None:
    filed = open_store(check=False)
    filed.states.set("a", "local", "cut", 1)
    filed.states.set("a", "local", "cut", 2)
    filed.states.set("a", "local", "kept", 1)
    tamper(where, "update agent_states set floor = 2 where state_key = 'cut'", by=filed)
    with pytest.raises(Compacted) as refused:
        filed.feed.changes()
    assert refused.value.floor == 2
    with pytest.raises(Compacted):
        filed.feed.changes(since=0, pattern="c*")
    assert [each.key for each in filed.feed.changes(since=0, pattern="k*")] == ["kept"]
    assert [each.key for each in filed.feed.changes(since=2)] == ["kept"]


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "1", None])
def test_a_limit_that_is_none_is_refused(store: Store, limit: Any) -> None:
    with pytest.raises(InvalidValue):
        store.feed.changes(limit=limit)


def test_a_page_of_one_agent_ends_with_the_commit_that_fills_it(store: Store) -> None:
    for number in range(5):
        store.states.set("a", "local", f"k{number}", 1)
        store.states.set("b", "local", f"k{number}", 1)
    found = store.feed.changes(limit=2, agent_id="a")
    assert [change.key for change in found] == ["k0", "k1"]
    assert [change.key for change in store.feed.changes(since=found[-1].revision, limit=2, agent_id="a")] == [
        "k2",
        "k3",
    ]
