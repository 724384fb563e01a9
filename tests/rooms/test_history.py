"""History: versions, single versions, commits and reverting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from statedb import InvalidValue, NoSuchCheckpoint, NoSuchRevision, NoSuchVersion, ReadOnly, Store
from tests.helpers import Clock, calls
from tests.places import Places

K = ("a", "persistent", "k")


def fill(store: Any, count: int) -> None:
    for number in range(1, count + 1):
        store.states.set(*K, number)


def test_versions_come_newest_first_and_page_by_page(store: Store) -> None:
    for number in range(1, 8):
        store.states.set(*K, number)
        store.states.set("b", "local", "other", number)  # so that revisions and versions part
    numbers: Callable[..., list[int]] = lambda **how: [version.version for version in store.history.versions(*K, **how)]  # noqa: E731
    assert numbers() == [7, 6, 5, 4, 3, 2, 1]
    assert numbers(limit=3) == [7, 6, 5]
    assert numbers(limit=0) == []
    assert numbers(limit=3, before=5) == [4, 3, 2]
    assert numbers(before=1) == []
    assert numbers(before=100, limit=1) == [7]
    assert store.history.versions("nobody", "local", "k") == []


def test_a_version_says_who_when_why_and_how_large(store: Store, clock: Clock) -> None:
    with store.transaction(actor="broker", message="trade") as tx:
        tx.states.set(*K, "äb", metadata={"m": 1}, ttl=60)
    [version] = store.history.versions(*K)
    assert (version.agent_id, version.state_type, version.key) == K
    assert (version.version, version.parent_version, version.source_version, version.revision) == (1, None, None, 1)
    assert (version.by, version.message, version.change, version.size) == ("broker", "trade", "create", 5)
    assert version.at == version.origin_at == clock.moment
    assert version.expires_at == clock.moment + timedelta(seconds=60)
    assert version.metadata == {"m": 1}


def test_a_deletion_is_a_version_without_a_value(store: Store) -> None:
    store.states.set(*K, 1, metadata={"m": 1})
    store.states.delete(*K, message="gone")
    entry = store.history.get(*K, version=2)
    assert (entry.value, entry.deleted, entry.metadata, entry.version) == (None, True, None, 2)
    [version, _] = store.history.versions(*K)
    assert (version.change, version.size, version.message) == ("delete", 0, "gone")


def test_every_version_of_many_is_found_by_its_number(store: Store) -> None:
    for number in range(1, 40):
        if number % 3 == 0:
            store.states.set("b", "local", "other", number)
        store.states.set(*K, number)
    for number in range(1, 40):
        assert store.history.get(*K, version=number).value == number


@pytest.mark.parametrize("version", [0, 4, 2**70])
def test_a_version_the_key_never_had_is_refused(store: Store, version: int) -> None:
    fill(store, 3)
    with pytest.raises(NoSuchVersion):
        store.history.get(*K, version=version)
    with pytest.raises(NoSuchVersion):
        store.history.revert(*K, version=version)
    with pytest.raises(NoSuchVersion):
        store.history.get("nobody", "local", "k", version=1)


def test_a_revert_is_a_new_version_that_names_its_source(store: Store) -> None:
    store.states.set(*K, {"b": 1, "a": 2}, metadata={"m": 1})
    store.states.set(*K, 2)
    entry = store.history.revert(*K, version=1)
    assert (entry.version, entry.value, entry.metadata) == (3, {"b": 1, "a": 2}, {"m": 1})
    assert list(entry.value) == ["b", "a"]
    [version, *_] = store.history.versions(*K)
    assert (version.source_version, version.change, version.message) == (1, "update", "revert k to version 1")
    assert store.history.revert(*K, version=3).version == 3  # the same value already: no version
    assert store.history.revert(*K, version=2, message="why").version == 4
    assert store.history.versions(*K)[0].message == "why"


def test_reverting_to_a_deletion_deletes_and_from_one_brings_back(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1)
    store.states.delete(*K)
    clock.advance(1)
    entry = store.history.revert(*K, version=1)
    assert (entry.version, entry.value, entry.created_at) == (3, 1, clock.moment)
    gone = store.history.revert(*K, version=2)
    assert (gone.version, gone.value, gone.deleted) == (4, None, True)
    assert not store.states.exists(*K)
    assert store.history.revert(*K, version=2).version == 4


def test_inside_a_transaction_old_versions_are_found_though_the_key_was_written(store: Store) -> None:
    fill(store, 3)
    with store.transaction() as tx:
        tx.states.set(*K, 4)
        assert tx.history.get(*K, version=1).value == 1
        assert [version.version for version in tx.history.versions(*K, before=3)] == [2, 1]
        assert tx.history.revert(*K, version=2).value == 2
    assert store.states.entry(*K).version == 4  # type: ignore[union-attr]
    assert store.states.get(*K) == 2


def test_commits_come_newest_first_of_all_or_of_one_agent(store: Store) -> None:
    for number in range(1, 6):
        store.states.set("even" if number % 2 == 0 else "odd", "local", f"k{number}", number, message=f"m{number}")
    revisions: Callable[..., list[int]] = lambda **how: [commit.revision for commit in store.history.commits(**how)]  # noqa: E731
    assert revisions() == [5, 4, 3, 2, 1]
    assert revisions(limit=2) == [5, 4]
    assert revisions(limit=2, before=4) == [3, 2]
    assert revisions(agent_id="odd") == [5, 3, 1]
    assert revisions(agent_id="odd", before=5, limit=1) == [3]
    assert revisions(agent_id="nobody") == []
    assert [commit.message for commit in store.history.commits(agent_id="even")] == ["m4", "m2"]


def test_a_commit_tells_all_it_changed_and_an_agents_only_its_own(store: Store, clock: Clock) -> None:
    store.states.set("bob", "local", "gold", 1)
    with store.transaction(message="trade", actor="broker", context={"why": [1]}) as tx:
        tx.states.set("alice", "local", "gold", 5, metadata={"m": 1})
        tx.states.set("bob", "local", "gold", 2)
    commit = store.history.commit(2)
    assert (commit.revision, commit.kind, commit.by, commit.message) == (2, "write", "broker", "trade")
    assert (commit.context, commit.at, commit.origin_at) == ({"why": [1]}, clock.moment, clock.moment)
    alice, bob = sorted(commit.changes, key=lambda change: change.agent_id)
    assert (alice.agent_id, alice.change, alice.old_value, alice.new_value) == ("alice", "create", None, 5)
    assert (bob.agent_id, bob.change, bob.old_value, bob.new_value, bob.version) == ("bob", "update", 1, 2, 2)
    assert (alice.revision, alice.at, alice.by, alice.metadata) == (2, clock.moment, "broker", {"m": 1})
    assert [change.agent_id for change in store.history.commits(agent_id="bob")[0].changes] == ["bob"]
    bare = store.history.commits(values=False)[0].changes
    assert [(change.key, change.old_value, change.new_value) for change in bare] == [("gold", None, None)] * 2


def test_a_revision_that_is_not_there_is_refused(store: Store) -> None:
    fill(store, 2)
    for revision in (0, 3, 10**9):
        with pytest.raises(NoSuchRevision):
            store.history.commit(revision)


def test_the_past_knows_nothing_of_what_came_later(store: Store) -> None:
    fill(store, 3)
    past = store.at(2)
    assert [version.version for version in past.history.versions(*K)] == [2, 1]
    assert [commit.revision for commit in past.history.commits()] == [2, 1]
    assert [change.revision for change in past.feed.changes()] == [1, 2]
    assert past.transfer.head() == 2
    assert past.history.get(*K, version=2).value == 2
    laters: list[Callable[[], Any]] = [lambda: past.history.get(*K, version=3), lambda: past.history.commit(3)]
    for later in laters:
        with pytest.raises((NoSuchVersion, NoSuchRevision)):
            later()


def test_the_past_can_be_written_in_no_way(store: Store) -> None:
    fill(store, 2)
    past: Any = store.at(1)
    writes: list[Callable[[], Any]] = [
        lambda: past.states.set(*K, 9),
        lambda: past.states.delete(*K),
        lambda: past.states.update(*K, lambda value: 9),
        lambda: past.states.patch(*K, {}),
        lambda: past.states.touch(*K),
        lambda: past.states.set_many("a", "local", {"x": 1}),
        lambda: past.history.revert(*K, version=1),
        lambda: past.retention.sweep(),
        lambda: past.transfer.load([]),
        lambda: past.transfer.load_versions(*K, []),
        lambda: past.agent("a").local.set("k", 9),
        lambda: past.agent("a").session("c").set("k", 9),
        lambda: past.agent("a").session("c").close(),
    ]
    for write in writes:
        with pytest.raises(ReadOnly):
            write()
    assert store.transfer.head() == 2


def test_the_past_can_be_written_in_no_transaction_either(store: Store) -> None:
    fill(store, 2)
    past: Any = store.at(1)

    def in_block() -> None:
        with past.transaction() as tx:
            tx.states.set(*K, 9)

    for write in calls(lambda: past.run(lambda tx: tx.states.set(*K, 9)), in_block):
        with pytest.raises(ReadOnly):
            write()
    assert store.states.get(*K) == 2


def test_limits_that_are_none_are_refused(store: Store) -> None:
    fill(store, 1)
    for limit in (-1, True, "x"):
        with pytest.raises(InvalidValue):
            store.history.versions(*K, limit=limit)  # type: ignore[arg-type]
        with pytest.raises(InvalidValue):
            store.history.commits(limit=limit)  # type: ignore[arg-type]


# ---- patterns and filters


def names(found: Any) -> list[tuple[str, int]]:
    return [(each.key, each.version) for each in found]


def test_the_history_of_a_pattern_is_that_of_its_keys_together(store: Store) -> None:
    for number in range(1, 4):
        store.states.set("a", "local", "plan/x", number)
        store.states.set_many("a", "local", {"plan/z": number, "plan/y": number, "other": number})
    store.states.delete("a", "local", "plan/y")
    whole = [("plan/y", 4)]
    for number in (3, 2, 1):
        whole += [("plan/y", number), ("plan/z", number), ("plan/x", number)]
    versions = store.history.versions
    assert names(versions("a", "local", "plan/*")) == whole
    assert names(versions("a", "local", "plan/*", limit=4)) == whole[:4]
    assert names(versions("a", "local", "plan/[xz]")) == [each for each in whole if each[0] != "plan/y"]
    assert names(store.at(2).history.versions("a", "local", "plan/*")) == whole[-3:]
    assert versions("a", "shared", "*") == versions("b", "local", "*") == []
    with pytest.raises(InvalidValue, match="pattern"):
        versions("a", "local", "plan/*", before=3)


def test_the_pages_of_a_pattern_are_the_whole_of_it(store: Store) -> None:
    for number in range(30):
        store.states.set_many("a", "local", {f"k{each}": number for each in range(number % 4 + 1)})
    whole = store.history.versions("a", "local", "k*")
    assert len(whole) == sum(number % 4 + 1 for number in range(30))
    for size in (1, 2, 3, 7, 100):
        pages: list[Any] = []
        page = store.history.versions("a", "local", "k*", limit=size)
        while page:
            pages += page
            page = store.history.versions("a", "local", "k*", limit=size, before=page[-1])
        assert pages == whole
    one = store.history.versions("a", "local", "k0")
    assert store.history.versions("a", "local", "k0", before=one[4]) == one[5:]


def test_a_key_that_is_named_like_a_pattern_comes_first(store: Store) -> None:
    store.states.set_many("a", "local", {"x*": 1, "xy": 1})
    assert names(store.history.versions("a", "local", "x*")) == [("x*", 1)]
    assert names(store.history.versions("a", "local", "x[*]")) == [("x*", 1)]
    assert names(store.history.versions("a", "local", "x?")) == [("x*", 1), ("xy", 1)]


def test_versions_and_commits_are_picked_by_author_and_time(store: Store, clock: Clock) -> None:
    start = clock.moment
    for number in range(1, 9):
        with store.transaction(actor=("ann", "bob")[number % 2], message=str(number)) as tx:
            tx.states.set(*K, number)
            tx.states.set("b", "local", "k", number)
        clock.advance(60)
    by_time: list[tuple[dict[str, Any], list[int]]] = [
        ({"by": "bob"}, [7, 5, 3, 1]),
        ({"by": "bob", "limit": 2}, [7, 5]),
        ({"by": "nobody"}, []),
        ({"since": 6}, [8, 7]),
        ({"until": 2}, [2, 1]),
        ({"since": 2, "until": 4}, [4, 3]),
        ({"since": start, "until": start + timedelta(seconds=150)}, [3, 2]),
        ({"since": (start + timedelta(seconds=360)).isoformat()}, [8]),
        ({"since": timedelta(seconds=119)}, [8]),
        ({"since": 2, "by": "ann", "limit": 1}, [8]),
    ]
    for how, expected in by_time:
        assert [each.version for each in store.history.versions(*K, **how)] == expected
        assert [each.version for each in store.history.versions("a", "persistent", "[k]", **how)] == expected
        for of in (None, "a"):
            assert [each.revision for each in store.history.commits(agent_id=of, **how)] == expected
    assert [each.revision for each in store.history.commits(by="bob", before=6)] == [5, 3, 1]
    wrongs: list[dict[str, Any]] = [{"since": 9}, {"until": clock.moment + timedelta(days=1)}]
    for wrong in wrongs:
        with pytest.raises(NoSuchRevision):
            store.history.versions(*K, **wrong)
    with pytest.raises(NoSuchCheckpoint):
        store.history.commits(since="soon")


def test_a_key_comes_with_its_history_in_one_reading(store: Store) -> None:
    fill(store, 12)
    found = store.history.get_with_history(*K, max_versions=3)
    assert found.entry == store.states.entry(*K)
    assert [each.version for each in found.versions] == [12, 11, 10]
    assert len(store.history.get_with_history(*K).versions) == 10
    store.states.delete(*K)
    found = store.history.get_with_history(*K, max_versions=None)
    assert (found.entry, len(found.versions)) == (None, 13)


# ---- diff and bisect


def test_a_diff_of_two_versions(store: Store) -> None:
    store.states.set(*K, {"a": 1, "b": [1, 2]})
    store.states.set(*K, {"b": [0, 1, 2], "c": None})
    store.states.delete(*K)
    found = store.history.diff(*K, 1, 2)
    assert (found.added, found.modified, found.removed) == ({"/b/0": 0, "/c": None}, {}, {"/a": 1})
    assert store.history.diff(*K, 2, 3).removed == {"": {"b": [0, 1, 2], "c": None}}
    assert store.history.diff(*K, 3, 1).added == {"": {"a": 1, "b": [1, 2]}}
    assert not store.history.diff(*K, 2, 2)
    for old, new in ((0, 1), (1, 4)):
        with pytest.raises(NoSuchVersion):
            store.history.diff(*K, old, new)


def test_bisect_finds_what_a_scan_finds(places: Places) -> None:
    @settings(max_examples=places.examples(100))
    @given(st.lists(st.integers(0, 3) | st.none(), max_size=20), st.integers(0, 3))
    @example([0, None, 1, None], 1)
    @example([0, None, None, 2], 1)
    def holds(history: list[int | None], bound: int) -> None:
        with places.briefly() as where, Store(where, durability="normal") as store:
            highest = 0
            for value in history:
                if value is None:
                    store.states.delete(*K)
                else:  # rising, so that the predicate turns true once
                    highest = max(highest, value)
                    store.states.set(*K, {"n": highest}, metadata={"i": store.transfer.head()})
            asked: list[int] = []

            def predicate(value: Any) -> bool:
                asked.append(value["n"])
                return bool(value["n"] >= bound)

            found = store.history.bisect(*K, predicate)
            scanned = [
                version for version in store.history.versions(*K)[::-1]
                if version.change != "delete" and store.history.get(*K, version.version).value["n"] >= bound
            ]  # fmt: skip
            assert found == (scanned[0] if scanned else None)
            assert len(asked) <= 2 + len(history).bit_length()

    holds()


def test_bisect_of_nothing_is_nothing_and_an_error_of_the_predicates_comes_through(store: Store) -> None:
    assert store.history.bisect(*K, lambda value: True) is None
    fill(store, 3)
    assert store.history.bisect(*K, lambda value: value > 3) is None
    with pytest.raises(TypeError):
        store.history.bisect(*K, lambda value: value["n"])
    past: Any = store.at(2)
    assert past.history.bisect(*K, lambda value: value >= 2).version == 2
    assert past.history.bisect(*K, lambda value: value >= 3) is None
    with store.transaction() as tx:
        tx.states.set(*K, 9)
        assert tx.history.bisect(*K, lambda value: value >= 9) is None, "that one is not committed yet"
