"""Changes between two points: held against reading everything at both."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import Difference, NoSuchCheckpoint, NoSuchRevision, Store
from tests.helpers import Clock
from tests.places import Places

AGENTS, TIERS, KEYS = "ab", ("local", "session"), ("k", "c/x", "c/y", "d/z")

wheres = st.tuples(st.sampled_from(AGENTS), st.sampled_from(TIERS), st.sampled_from(KEYS))
values = st.sampled_from([0, 1, 1.0, {"a": 1}])
ttls = st.sampled_from([None, 5, 30, 100])
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), wheres, values, ttls),
        st.tuples(st.just("delete"), wheres),
        st.tuples(st.just("touch"), wheres, st.sampled_from([5, 30, 100])),
        st.tuples(st.just("session"), st.sampled_from(AGENTS), st.sampled_from("cd"), ttls, values),
        st.tuples(st.just("close"), st.sampled_from(AGENTS), st.sampled_from("cd")),
        st.tuples(st.just("sweep")),
        st.tuples(st.just("wait"), st.sampled_from([1, 4, 20, 60])),
        st.tuples(st.just("back"), st.just(30)),
    ),
    min_size=1,
    max_size=25,
)


def do(store: Any, clock: Clock, step: tuple[Any, ...]) -> None:
    name, *said = step
    if name == "set":
        where, value, ttl = said
        store.states.set(*where, value, ttl=ttl)
    elif name == "delete":
        store.states.delete(*said[0])
    elif name == "touch":
        store.states.touch(*said[0], ttl=said[1])
    elif name == "session":
        agent, session, ttl, value = said
        store.agent(agent).session(session, ttl=ttl).set("x", value)
    elif name == "close":
        store.agent(said[0]).session(said[1]).close()
    elif name == "sweep":
        store.retention.sweep()
    elif name == "wait":
        clock.advance(said[0])
    else:
        clock.back(said[0])


def everything(store: Any, point: Any) -> dict[tuple[str, str, str], Any]:
    past = store.at(point)
    return {
        (agent, tier, key): (repr(value), past.states.entry(agent, tier, key).metadata)
        for agent, tier in itertools.product(AGENTS, TIERS)
        for key, value in past.states.items(agent, tier)
    }


def test_what_differs_is_what_reading_everything_at_both_points_shows(places: Places) -> None:
    @settings(max_examples=places.examples(250))
    @given(steps, st.data())
    def holds(made: list[Any], data: Any) -> None:
        clock = Clock()
        with places.briefly() as where, Store(where, clock=clock, durability="normal") as store:
            moments = [clock.moment]
            for step in made:
                do(store, clock, step)
                moments.append(clock.moment)
            now = max([clock.moment, *(commit.at for commit in store.history.commits())])
            points: Any = st.integers(0, store.transfer.head()) | st.sampled_from([m for m in moments if m <= now])
            for _ in range(6):
                first, second = data.draw(points), data.draw(points)
                before, after = everything(store, first), everything(store, second)
                found = store.history.changes(first, second)
                named = {(each.agent_id, each.state_type.value, each.key): each for each in found}
                assert list(named) == sorted(named)
                assert len(named) == len(found)
                assert set(named) == {at for at in {**before, **after} if before.get(at) != after.get(at)}
                for at, each in named.items():
                    check(each, before.get(at), after.get(at))
                of_one = store.history.changes(first, second, agent_id="a")
                assert of_one == [each for each in found if each.agent_id == "a"]

    holds()


def check(found: Difference, before: Any, after: Any) -> None:
    kinds = ("create",) if before is None else ("update",) if after is not None else ("delete", "expire")
    assert found.change in kinds
    assert before is None or repr(found.old_value) == before[0]
    assert after is None or repr(found.new_value) == after[0]


def test_a_key_that_merely_expired_is_among_them_however_it_was_recorded(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", 1, ttl=10)
    store.states.set("a", "local", "other", 1)
    start = store.transfer.head()
    clock.advance(20)
    expired_at = clock.moment - timedelta(seconds=10)
    later = clock.moment
    for recorded in (lambda: 0, store.retention.sweep, lambda: store.states.set("a", "local", "k", 2)):
        recorded()
        [found] = store.history.changes(start, later)
        assert (found.key, found.change, found.old_value, found.new_value) == ("k", "expire", 1, None)
        assert found.at in (expired_at, later)
        clock.advance(1)


def test_the_way_back_is_what_a_restore_would_do(store: Store) -> None:
    store.states.set("a", "local", "x", 1)
    store.states.set("a", "local", "x", 2)
    store.states.set("b", "local", "y", 1)
    [x, y] = store.history.changes(3, 1)
    assert (x.change, x.old_value, x.new_value, x.version, x.revision) == ("update", 2, 1, 1, 1)
    assert (y.change, y.old_value, y.new_value, y.version, y.revision, y.at) == ("delete", 1, None, 0, 0, None)
    assert [each.change for each in store.history.changes(0, 3)] == ["create", "create"]
    assert store.history.changes(2, 2) == []


def test_what_changed_and_changed_back_is_no_difference(store: Store) -> None:
    for value in (1, 2, 1):
        store.states.set("a", "local", "k", value)
    assert store.history.changes(1, 3) == []
    store.states.set("a", "local", "k", 1, metadata={"m": 1})
    assert [each.change for each in store.history.changes(1, 4)] == ["update"]


def test_points_of_every_kind_name_the_two_ends(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", 1)
    first = clock.moment
    clock.advance(60)
    store.states.set("a", "local", "k", 2)
    for start in (1, first, first.isoformat(), timedelta(seconds=60)):
        for end in (2, clock.moment, timedelta(0)):
            assert [each.new_value for each in store.history.changes(start, end)] == [2]
    assert [each.new_value for each in store.at(2).history.changes(timedelta(seconds=60), 2)] == [2]
    with pytest.raises(NoSuchRevision):
        store.history.changes(1, 3)
    with pytest.raises(NoSuchRevision):
        store.at(1).history.changes(1, 2)
    with pytest.raises(NoSuchCheckpoint):
        store.history.changes(1, "soon")


K = ("a", "local", "k")


def test_a_very_long_time_ago_is_before_everything(store: Store) -> None:
    store.states.set(*K, 1)
    [change] = store.history.changes(timedelta.max, 1)
    assert change.change == "create"


def test_now_is_one_moment_throughout_a_transaction(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=5)
    with store.transaction() as tx:
        clock.advance(10)
        assert tx.states.get(*K) == 1, "time stands still inside"
        assert tx.history.changes(1, timedelta(0)) == []


def test_an_expiry_that_a_touch_moved_is_found_where_it_came_to_pass(store: Store, clock: Clock) -> None:
    start = clock.moment
    store.states.set(*K, 1, ttl=5)
    store.states.touch(*K, ttl=100)
    chat = store.agent("a").session("c", ttl=5)
    chat.set("x", 1)
    chat.touch("x", ttl=100)
    clock.advance(200)
    for before, after, differ in ((50, 150, True), (0, 50, False), (50, 99, False), (99, 100, True), (100, 150, False)):
        found = store.history.changes(start + timedelta(seconds=before), start + timedelta(seconds=after))
        assert [(each.key, each.change, each.by) for each in found] == (
            [("k", "expire", None), ("c/x", "expire", None)] if differ else []
        )


def test_who_wrote_what_merely_expired_did_not_make_it_expire(open_store: Any, clock: Clock) -> None:
    store = open_store(actor="ann")
    store.states.set(*K, 1, ttl=5)
    clock.advance(10)
    [found] = store.history.changes(1, clock.moment)
    assert (found.change, found.by, found.at) == ("expire", None, clock.moment - timedelta(seconds=5))
