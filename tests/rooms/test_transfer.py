"""Transfer: the whole history out, and the same history in."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statedb import MISSING, AutoCheckpoint, Imported, InTransaction, InvalidValue, Store, Trigger
from tests.conftest import Opener
from tests.helpers import Clock, calls, pages
from tests.places import APART, Places

K = ("a", "persistent", "k")


def fill(store: Any, clock: Clock) -> None:
    store.states.set(*K, {"b": 1, "a": [1.0, -0.0]}, message="first", metadata={"m": 1})
    clock.advance(1)
    store.states.set(*K, b"\0\xff", ttl=60)
    clock.advance(1)
    store.states.touch(*K, ttl=30)
    clock.advance(1)
    store.history.revert(*K, version=1)
    with store.transaction(message="two", actor="x", context={"c": 1}) as tx:
        tx.agent("b").session("s", ttl=50).set("k", None)
        tx.states.delete(*K)
    clock.advance(51)
    store.retention.sweep()
    store.agent("b").session("s").set("k", 1)
    store.agent("b").session("s").close()


def test_a_load_of_an_export_gives_the_same_history(store: Store, ground: Places, clock: Clock) -> None:
    fill(store, clock)
    records = list(pages(store, 3))
    assert [record["revision"] for record in records] == list(range(1, store.transfer.head() + 1))
    clock.advance(1000)
    with Store(ground.apart(), clock=clock) as other:
        assert other.transfer.load(iter(records)) == len(records)
        assert list(pages(other)) == records
        assert other.history.commits(limit=None) == store.history.commits(limit=None)
        for place in (K, ("b", "session", "s/k")):
            assert other.history.versions(*place) == store.history.versions(*place)
            for version in store.history.versions(*place):
                ours = store.history.get(*place, version=version.version)
                assert other.history.get(*place, version=version.version) == ours
        assert other.health.check().problems == ()


def test_a_record_keeps_its_time_only_while_the_store_holds_nothing_later(
    store: Store, ground: Places, clock: Clock
) -> None:
    made = clock.moment
    store.states.set(*K, 1)
    records = list(pages(store))
    clock.advance(100)
    with Store(ground.apart(), clock=clock) as other:
        other.states.set("b", "local", "k", 1)
        other.transfer.load(records)
        commit = other.history.commit(2)
        assert (commit.at, commit.origin_at) == (clock.moment, made)
        [version] = other.history.versions(*K)
        assert (version.at, version.origin_at) == (clock.moment, made)
        assert other.transfer.export(since=1)[0]["origin"] == records[0]["origin"]
        third = Clock(1_800_000_000)
        with Store(ground.apart(), clock=third) as again:
            again.transfer.load(pages(other))
            assert list(pages(again)) == list(pages(other))
            assert again.history.versions(*K)[0].origin_at == made


def test_a_keys_own_ttl_survives_being_loaded_late_and_out_again(store: Store, ground: Places, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=3600)
    clock.advance(600)
    with Store(ground.apart(), clock=clock) as late, Store(ground.apart(), clock=clock) as last:
        late.states.set("b", "local", "k", 1)
        late.transfer.load(pages(store))
        last.transfer.load(pages(late))
        for each in (late, last):
            each.states.touch(*K)
            entry = each.states.entry(*K)
            assert entry is not None
            assert entry.expires_at == clock.moment + timedelta(seconds=3600)


def test_a_load_into_a_store_that_has_the_key_goes_on_after_it(store: Store, clock: Clock) -> None:
    store.states.set(*K, "same")
    store.states.set(*K, "other")
    records = list(pages(store))
    assert store.transfer.load(records) == 2
    assert [version.version for version in store.history.versions(*K)] == [4, 3, 2, 1]
    # An import keeps every version, equal to the one before or not.
    store.transfer.load(records[1:])
    assert [store.history.get(*K, version=number).value for number in (4, 5)] == ["other", "other"]


def test_a_load_is_all_or_nothing(store: Store, ground: Places, clock: Clock) -> None:
    fill(store, clock)
    records = list(pages(store))
    broken: list[Any] = [*records[:3], {"nonsense": True}]
    with Store(ground.apart(), clock=clock) as other:
        with pytest.raises(InvalidValue, match="record 4"):
            other.transfer.load(broken)
        assert other.transfer.head() == 0
        assert other.states.set(*K, 1).revision == 1
    before = store.transfer.head()
    with pytest.raises(InvalidValue, match="record 4"):
        store.transfer.load(broken)
    assert store.transfer.head() == before


def test_loading_is_refused_inside_a_transaction(store: Store) -> None:
    with store.transaction() as tx:
        for load in calls(lambda: tx.transfer.load([]), lambda: tx.transfer.load_versions(*K, [])):
            with pytest.raises(InTransaction, match="commits of its own"):
                load()
        tx.states.set(*K, 1)
    assert store.states.get(*K) == 1


def test_versions_are_loaded_with_their_times_equal_or_not(store: Store, clock: Clock) -> None:
    first = clock.micros / 1_000_000 - 1000
    values = ["a", "a", {"b": 1}, {"b": 1}, b"x"]
    assert store.transfer.load_versions(*K, [(first + n, value) for n, value in enumerate(values)], message="in") == 5
    found = list(reversed(store.history.versions(*K)))
    assert [version.version for version in found] == [1, 2, 3, 4, 5]
    assert [version.at.timestamp() for version in found] == [first + n for n in range(5)]
    assert [version.origin_at for version in found] == [version.at for version in found]
    assert {version.message for version in found} == {"in"}
    assert [store.history.get(*K, version=number).value for number in range(1, 6)] == values
    assert store.at(datetime.fromtimestamp(first + 2, UTC)).states.get(*K) == {"b": 1}
    later = store.transfer.load_versions(*K, [(first, "old")])
    assert later == 1
    assert store.history.versions(*K)[0].origin_at == datetime.fromtimestamp(first, UTC)
    assert store.history.versions(*K)[0].at == datetime.fromtimestamp(first + 4, UTC) or clock.moment


def test_a_version_says_who_why_and_that_it_is_a_deletion(store: Store, ground: Places, clock: Clock) -> None:
    first = clock.micros / 1_000_000 - 1000
    made: list[Imported | tuple[float, Any]] = [
        Imported(first, MISSING, "x", "there is nothing to delete yet"),
        Imported(first + 1, 1, "ann", "one", {"ticket": 7}),
        (first + 2, 2),
        Imported(first + 3, MISSING, "bob"),
        Imported(first + 4, MISSING),
        Imported(first + 5, 3),
    ]
    assert store.transfer.load_versions(*K, made, message="otherwise") == 4
    found = [(each.change, each.by, each.message, each.at.timestamp()) for each in store.history.versions(*K)]
    assert found == [
        ("create", None, "otherwise", first + 5),
        ("delete", "bob", "otherwise", first + 3),
        ("update", None, "otherwise", first + 2),
        ("create", "ann", "one", first + 1),
    ]
    assert store.history.commit(1).context == {"ticket": 7}
    assert store.at(3).states.get(*K, MISSING) is MISSING
    with Store(ground.apart(), clock=clock) as other:
        other.transfer.load(pages(store))
        assert list(pages(other)) == list(pages(store))


@pytest.mark.parametrize(
    "wrong",
    [(1,), (1, 2, 3), (1, 2, None, 4), (1, 2, None, None, [5]), (1, 2, "\ud800"), (1, 2, "x", "y", {}, 6), None, "ab"],
    ids=repr,
)
def test_what_is_no_version_is_refused(store: Store, wrong: Any) -> None:
    with pytest.raises(InvalidValue):
        store.transfer.load_versions(*K, [(0, "fine"), wrong])
    assert store.transfer.head() == 0


def test_an_export_can_be_read_in_any_pieces(store: Store, clock: Clock) -> None:
    fill(store, clock)
    whole = store.transfer.export(limit=1000)
    for size in (1, 2, 3):
        assert list(pages(store, size)) == whole
    assert store.transfer.export(since=len(whole)) == []
    assert store.transfer.export(since=1, limit=1) == whole[1:2]
    assert list(pages(store.at(2))) == whole[:2]


def test_a_deletion_in_the_commit_that_closed_its_session_is_loaded_as_a_deletion(
    store: Store, ground: Places, clock: Clock
) -> None:
    session = store.agent("a").session("c", ttl=60)
    session.set("x", 1)
    with store.transaction() as tx:
        tx.agent("a").session("c").delete("x")
        tx.agent("a").session("c").close()
    with Store(ground.apart(), clock=clock) as other:
        other.transfer.load(pages(store))
        assert [version.change for version in other.history.versions("a", "session", "c/x")] == ["delete", "create"]
        assert list(pages(other)) == list(pages(store))


def test_a_clock_that_a_transaction_stopped_and_set_as_before_is_loaded_as_it_is_logged(
    store: Store, ground: Places, clock: Clock
) -> None:
    store.agent("a").session("c", ttl=math.inf).set("k", 1)
    with store.transaction() as tx:
        tx.agent("a").session("c").close()
        tx.agent("a").session("c").set("k", 2)
    with Store(ground.apart(), clock=clock) as other:
        other.transfer.load(pages(store))
        assert list(pages(other)) == list(pages(store))


@pytest.mark.parametrize("seconds", [-1e11, 1e12, float("nan"), float("inf")])
def test_a_time_no_calendar_has_is_refused(store: Store, seconds: float) -> None:
    with pytest.raises(InvalidValue):
        store.transfer.load_versions(*K, [(seconds, 1)])
    assert store.transfer.head() == 0


def test_a_time_before_1970_is_kept_in_an_empty_store(store: Store) -> None:
    store.transfer.load_versions(*K, [(-5, 1)])
    commit = store.history.commit(1)
    assert commit.at == commit.origin_at == datetime(1969, 12, 31, 23, 59, 55, tzinfo=UTC)


def test_an_event_has_the_same_id_on_every_copy(store: Store, ground: Places, clock: Clock) -> None:
    store.states.set_many("g", "local", {"b": 1})
    store.states.set_many("g", "local", {"a": 2, "b": 2})
    with Store(ground.apart(), clock=clock) as copy:
        copy.states.set("g", "local", "a", 0)  # so that the copy knows the keys in another order
        copy.transfer.load(pages(store))
        here = {change.event_id: change.key for change in store.feed.changes()}
        there = {change.event_id: change.key for change in copy.feed.changes(since=1)}
    assert here == there


def test_a_version_loaded_late_lives_from_when_it_was_made(store: Store) -> None:
    store.states.set(*K, 1)
    store.transfer.load_versions("a", "session", "old", [(1e9, 1)])
    assert not store.states.exists("a", "session", "old")
    assert store.health.check().problems == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "touch"},
        {"kind": "expire"},
        {"changes": [{"agent": "a", "type": "local", "key": "k", "change": "create", "value": 1, "bytes": "aGk="}]},
        {"changes": [{"agent": "a", "type": "local", "key": "k", "change": "create"}]},
        {"changes": [{"agent": "a", "type": "local", "key": "k", "change": "delete", "value": 1}]},
        {"at": -(10**18)},
    ],
    ids=str,
)
def test_a_record_that_contradicts_itself_is_refused(store: Store, wrong: dict[str, Any]) -> None:
    change = {"agent": "a", "type": "local", "key": "k", "change": "create", "value": 1}
    record = {"revision": 1, "kind": "write", "at": 1, "origin": "x:1", "changes": [change]}
    with pytest.raises(InvalidValue):
        store.transfer.load([record | wrong])
    assert store.transfer.head() == 0
    assert store.transfer.load([record]) == 1


# ---- branches, checkpoints and conflicts


def travelled(store: Store) -> None:
    """Do all that an export has to carry beside values."""
    s, c = store.states, store.checkpoints
    c.configure("a", AutoCheckpoint(max_checkpoints=2, triggers=[Trigger("state_change_count", 3)]))
    for number in range(10):
        s.set("a", "local", f"k{number % 4}", number)
    store.agent("a").session("c", ttl=100).set("q", 1)
    c.create("mine", agent_id="a", metadata={"x": 1})
    c.create("old", at=3)
    store.branches.create("lab")
    store.branches.create("past", at=4)
    lab = store.branch("lab")
    for number in range(5):
        lab.states.set("a", "local", f"k{number}", {"n": number})
    lab.agent("a").session("c").set("r", b"xyz")
    lab.branches.create("sub")
    store.branch("sub").states.set("b", "shared", "q", [1, 2])
    s.set("a", "local", "k1", 99)
    store.branches.merge("lab", strategy="manual")
    store.conflicts.resolve(store.conflicts.list()[0].id or 0, strategy="theirs")
    lab.branches.merge("main", strategy="theirs")
    store.branches.merge("sub", into="lab")
    store.branches.delete("past")
    c.delete("old")
    store.restore("mine", agent_id="a")
    s.set("a", "local", "w", 1)
    s.set("a", "local", "w", 2)
    s.set("a", "local", "w", 3, expected_version=1, on_conflict="manual")


def everything(store: Store) -> list[Any]:
    """Return what every branch held at every revision, and what has a name."""
    found: list[Any] = [store.checkpoints.configuration("a")]
    found += [(each.name, each.parent, each.base, each.head) for each in store.branches.list()]
    found += [(each.name, each.agent_id, each.revision, each.at, each.metadata) for each in store.checkpoints.list()]
    for branch in store.branches.list():
        shell = store.branch(branch.name)
        found.append([(each.key, each.base, each.resolution is None) for each in shell.conflicts.list(resolved=None)])
        for revision in range(store.transfer.head() + 1):
            past = shell.at(revision).states
            found.append([past.items(agent, tier) for agent in ("a", "b") for tier in ("local", "shared", "session")])
    return found


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_an_export_carries_all_that_has_a_name(open_store: Opener, size: int) -> None:
    first, second = open_store(), open_store(APART)
    travelled(first)
    exported = list(pages(first, size))
    for start in range(0, len(exported), size):
        second.transfer.load(exported[start : start + size])
    assert list(pages(second)) == list(pages(first))
    assert everything(second) == everything(first)
    assert second.branches.merge("lab", preview=True) == first.branches.merge("lab", preview=True)


def test_what_has_a_name_finds_its_commits_in_a_store_that_was_not_empty(open_store: Opener) -> None:
    first, second = open_store(), open_store(APART)
    second.states.set("zz", "local", "x", 1)
    travelled(first)
    second.transfer.load(list(pages(first)))
    assert second.at("mine").states.items("a", "local") == first.at("mine").states.items("a", "local")
    assert second.branch("lab").states.items("a", "local") == first.branch("lab").states.items("a", "local")
    shown, expected = (each.branches.merge("lab", preview=True).changes for each in (second, first))
    assert [each.key for each in shown] == [each.key for each in expected] == ["q"]
    with pytest.raises(InvalidValue, match="there is a checkpoint"):
        second.transfer.load(list(pages(first)))


@pytest.mark.parametrize("deed", [{}, {"do": "nothing"}, {"do": "branch"}, {"do": "resolve", "recorded": 7}])
def test_a_deed_that_is_none_is_refused(filed: Store, deed: dict[str, Any]) -> None:
    filed.states.set("a", "local", "k", 1)
    [record] = filed.transfer.export()
    with pytest.raises(InvalidValue, match="record 1 "):
        filed.transfer.load([record | {"kind": "branch", "changes": [], "deeds": [deed]}])
    assert filed.transfer.head() == 1
