"""Points: a revision, a time, a datetime or how long ago, and what is to be seen there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import NoSuchRevision, Store
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART, Places

K = ("a", "persistent", "k")


def test_every_way_to_name_a_point_means_the_same(store: Store, clock: Clock) -> None:
    store.states.set(*K, "one")
    then = clock.moment
    clock.advance(3600)
    store.states.set(*K, "two")
    east = then.astimezone(timezone(timedelta(hours=5, minutes=30)))
    names: list[Any] = [
        1, then, then.isoformat(), then.isoformat().replace("+00:00", "Z"), then.replace(tzinfo=None),
        then.replace(tzinfo=None).isoformat(), east, east.isoformat(), timedelta(hours=1), timedelta(minutes=60),
        then + timedelta(seconds=3599, microseconds=999_999), timedelta(microseconds=1),
    ]  # fmt: skip
    assert [store.at(name).states.get(*K) for name in names] == ["one"] * len(names)
    assert [store.at(name).states.get(*K) for name in (2, clock.moment, timedelta(0))] == ["two"] * 3
    for before in (0, then - timedelta(microseconds=1), "1970-01-01", timedelta(days=300 * 365), "0001-01-01"):
        assert store.at(before).states.get(*K) is None
        assert store.at(before).states.keys("a", "persistent") == []


def test_a_point_in_the_future_is_refused(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1)
    later = clock.moment + timedelta(microseconds=1)
    points: list[Any] = [2, 10**9, later, later.isoformat(), timedelta(seconds=-1), "9999-12-31", datetime.max, -1]
    for point in points:
        with pytest.raises(NoSuchRevision):
            store.at(point).states.get(*K)
    assert store.at(clock.moment).states.get(*K) == 1


def test_a_synchronous_store_refuses_at_once(filed: Store) -> None:
    with pytest.raises(NoSuchRevision):
        filed.at(1)


def test_the_clock_never_goes_back(store: Store, clock: Clock) -> None:
    start = clock.moment
    store.states.set(*K, 1, ttl=60)
    clock.back(3600)
    entry = store.states.set(*K, 2, ttl=60)
    assert entry.updated_at == start
    assert entry.expires_at == start + timedelta(seconds=60)
    assert store.at(start).states.get(*K) == 2
    assert store.at(timedelta(0)).states.get(*K) == 2
    clock.advance(3659)
    assert store.states.get(*K) == 2
    clock.advance(1)
    assert store.states.get(*K) is None


def test_a_revision_means_its_commits_own_time(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=10)
    clock.advance(5)
    store.states.set("b", "local", "other", 1)
    clock.advance(100)
    store.states.set("b", "local", "other", 2)
    assert [store.at(revision).states.get(*K) for revision in (1, 2, 3)] == [1, 1, None]
    assert store.at(timedelta(seconds=95, microseconds=1)).states.get(*K) == 1
    assert store.at(timedelta(seconds=95)).states.get(*K) is None


def test_a_revision_shows_for_ever_what_it_showed(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=10)
    past = store.at(1)
    shown = past.states.entry(*K)
    clock.advance(20)
    store.retention.sweep()
    store.states.set(*K, 2)
    store.agent("a").session("c").set("k", 1)
    store.states.delete(*K)
    assert past.states.entry(*K) == store.at(1).states.entry(*K) == shown


def test_a_past_of_the_past_is_a_past_of_the_store(store: Store) -> None:
    for value in (1, 2, 3):
        store.states.set(*K, value)
    assert store.at(2).at(1).states.get(*K) == 1
    assert store.at(1).agent("a").persistent.get("k") == 1


def test_a_past_may_be_entered(store: Store) -> None:
    store.states.set(*K, 1)
    store.states.set(*K, 2)
    with store.at(1) as past:
        assert past.states.get(*K) == 1
    assert store.states.get(*K) == 2


def test_the_clock_may_tell_datetimes(open_store: Opener) -> None:
    moments = [datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 1), datetime(2026, 1, 1, 2, tzinfo=UTC)]
    store = open_store(APART, clock=lambda: moments[0])
    entry = store.states.set(*K, 1)
    assert entry.updated_at == moments.pop(0)
    assert store.states.set(*K, 2).updated_at == moments[0].replace(tzinfo=UTC)


def test_a_time_means_the_last_commit_at_or_before_it(places: Places) -> None:
    @settings(max_examples=places.examples(100))
    @given(st.lists(st.integers(0, 3), min_size=1, max_size=20), st.integers(-1, 70))
    def holds(gaps: list[int], after: int) -> None:
        clock = Clock()
        start = clock.micros
        with places.briefly() as where, Store(where, clock=clock, durability="normal") as store:
            at = []
            for number, gap in enumerate(gaps, 1):
                clock.advance(gap / 1_000_000)
                store.states.set(*K, number)
                at.append(clock.micros)
            clock.micros = start + 100
            found = store.at(datetime.fromtimestamp(0, UTC) + timedelta(microseconds=start + after)).states.get(*K)
            assert found == (sum(each <= start + after for each in at) or None)

    holds()
