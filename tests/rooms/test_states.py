"""States: what one call does. The model test covers how calls combine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import MISSING, TIERS, Entry, InvalidValue, StateType, Store, VersionConflict
from statedb.values.merge import merge
from statedb.values.same import same
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART, Places
from tests.strategies import json_values

PREFS = ("agent-1", "persistent", "prefs")
ALL_TIERS = [each.value for each in StateType]


def test_set_returns_a_frozen_entry_that_tells_everything(store: Store, clock: Clock) -> None:
    first = store.states.set(*PREFS, {"theme": "dark"}, message="first run", metadata={"src": "ui"})
    made = clock.moment
    assert first == store.states.entry(*PREFS)
    assert (first.agent_id, first.state_type, first.key) == PREFS
    assert (first.version, first.parent_version, first.revision) == (1, None, 1)
    assert (first.value, first.metadata, first.created_by, first.expires_at) == (
        {"theme": "dark"},
        {"src": "ui"},
        None,
        None,
    )
    assert (first.created_at, first.updated_at, first.deleted) == (made, made, False)
    with pytest.raises(FrozenInstanceError):
        first.value = 1  # type: ignore[misc]
    clock.advance(5)
    second = store.states.set(*PREFS, {"theme": "light"})
    assert (second.version, second.parent_version, second.revision) == (2, 1, 2)
    assert (second.created_at, second.updated_at, second.metadata) == (made, clock.moment, None)
    assert second == store.states.entry(*PREFS)


def test_an_entry_does_not_change_with_the_object_it_was_made_of(store: Store) -> None:
    value: dict[str, Any] = {"tags": ["a"]}
    metadata: dict[str, Any] = {"by": ["x"]}
    entry = store.states.set(*PREFS, value, metadata=metadata)
    value["tags"].append("b")
    metadata["by"].append("y")
    assert (entry.value, entry.metadata) == ({"tags": ["a"]}, {"by": ["x"]})
    assert store.states.get(*PREFS) == {"tags": ["a"]}


def test_get_returns_the_default_where_a_value_is_absent_deleted_or_expired(store: Store, clock: Clock) -> None:
    assert store.states.get(*PREFS) is None
    assert store.states.get(*PREFS, default=7) == 7
    store.states.set(*PREFS, 1, ttl=60)
    assert store.states.get(*PREFS, 7) == 1
    clock.advance(60)
    assert store.states.get(*PREFS, 7) == 7
    store.states.set(*PREFS, None)
    assert store.states.get(*PREFS, 7) is None
    store.states.delete(*PREFS)
    assert store.states.get(*PREFS, 7) == 7
    assert store.states.entry(*PREFS) is None
    assert not store.states.exists(*PREFS)


def test_the_tiers_are_four_and_apart(store: Store, clock: Clock) -> None:
    assert ALL_TIERS == ["local", "shared", "session", "persistent"]
    for number, each in enumerate(StateType):
        store.states.set("a", each, "k", number)
    for number, tier in enumerate(ALL_TIERS):
        assert store.states.get("a", tier, "k") == number
        assert store.states.entry("a", tier, "k").state_type is StateType(tier)  # type: ignore[union-attr]
    assert store.states.entry("a", "session", "k").expires_at == clock.moment + timedelta(hours=24)  # type: ignore[union-attr]
    clock.advance(24 * 3600)
    assert [store.states.exists("a", tier, "k") for tier in ALL_TIERS] == [True, True, False, True]


def test_the_table_of_tiers_says_what_the_tour_says() -> None:
    day = timedelta(hours=24)
    assert {tier: (each.ttl, each.keep_versions, each.keep_age) for tier, each in TIERS.items()} == {
        "local": (None, 10, day), "shared": (None, None, None), "session": (day, None, None),
        "persistent": (None, None, None),
    }  # fmt: skip


def test_versions_go_on_after_a_delete_and_after_an_expiry(store: Store, clock: Clock) -> None:
    store.states.set(*PREFS, 1)
    assert store.states.delete(*PREFS)
    assert not store.states.delete(*PREFS)
    assert store.states.set(*PREFS, 1, ttl=5).version == 3
    clock.advance(5)
    assert not store.states.delete(*PREFS)
    entry = store.states.set(*PREFS, 1)
    assert (entry.version, entry.created_at) == (5, clock.moment)
    found = [(version.version, version.change) for version in store.history.versions(*PREFS)]
    assert found == [(5, "create"), (4, "expire"), (3, "create"), (2, "delete"), (1, "create")]


def test_a_write_over_an_expired_value_records_the_expiry_in_a_commit_before_its_own(
    store: Store, clock: Clock
) -> None:
    store.states.set(*PREFS, 1, ttl=5)
    clock.advance(6)
    entry = store.states.set(*PREFS, 2, message="again")
    assert (entry.version, entry.revision, entry.parent_version) == (3, 3, 2)
    kinds = [
        (commit.kind, commit.message, [each.change for each in commit.changes]) for commit in store.history.commits()
    ]
    assert kinds == [("write", "again", ["create"]), ("expire", None, ["expire"]), ("write", None, ["create"])]


def test_the_same_value_makes_no_version_but_checks_and_restarts(store: Store, clock: Clock) -> None:
    first = store.states.set(*PREFS, {"a": 1}, metadata={"m": 1}, ttl=60)
    clock.advance(10)
    again = store.states.set(*PREFS, {"a": 1}, metadata={"m": 1}, ttl=60)
    assert (again.version, again.revision, again.updated_at) == (1, 1, first.updated_at)
    assert again.expires_at == clock.moment + timedelta(seconds=60)
    assert [commit.kind for commit in store.history.commits()] == ["touch", "write"]
    with pytest.raises(VersionConflict):
        store.states.set(*PREFS, {"a": 1}, metadata={"m": 1}, expected_version=5)
    assert store.states.set(*PREFS, {"a": 1}, metadata={"m": 2}).version == 2
    assert store.states.set(*PREFS, {"a": 1}).version == 3


def test_the_same_value_at_the_same_moment_writes_nothing(store: Store) -> None:
    store.states.set(*PREFS, 1, ttl=60)
    store.states.set(*PREFS, 1, ttl=60)
    store.states.set("a", "session", "k", 1)
    store.states.set("a", "session", "k", 1)
    assert store.transfer.head() == 2


def test_a_session_that_never_ends_is_not_logged_again_by_the_same_value(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=math.inf)
    session.set("k", 1)
    clock.advance(5)
    session.set("k", 1)
    assert store.transfer.head() == 1


# ---- expected_version


def test_expected_version_zero_means_that_there_is_no_value(store: Store, clock: Clock) -> None:
    assert store.states.set(*PREFS, 1, expected_version=0).version == 1
    with pytest.raises(VersionConflict) as caught:
        store.states.set(*PREFS, 2, expected_version=0)
    assert (caught.value.base, caught.value.ours, caught.value.theirs) == (MISSING, 2, 1)
    store.states.delete(*PREFS)
    with pytest.raises(VersionConflict) as caught:
        store.states.set(*PREFS, 2, expected_version=2)
    assert (caught.value.version, caught.value.theirs) == (0, MISSING)
    assert store.states.set(*PREFS, 2, expected_version=0, ttl=5).version == 3
    clock.advance(5)
    assert store.states.set(*PREFS, 2, expected_version=0).version == 5


def test_a_conflict_holds_what_each_side_has_and_says_what_to_do(store: Store) -> None:
    for value in ("one", "two", "three"):
        store.states.set(*PREFS, value)
    with pytest.raises(VersionConflict, match=r"at version 3, and version 2 was expected.*on_conflict") as caught:
        store.states.set(*PREFS, "mine", expected_version=2)
    clash = caught.value
    assert (clash.base, clash.ours, clash.theirs) == ("two", "mine", "three")
    assert (clash.expected_version, clash.version) == (2, 3)
    assert store.transfer.head() == 3


@pytest.mark.parametrize(
    ("how", "value", "version"),
    [
        ("ours", {"b": 3}, 3),
        ("theirs", {"a": 2}, 2),
        (lambda base, ours, theirs: [base, ours, theirs], [{"a": 1}, {"b": 3}, {"a": 2}], 3),
        (lambda base, ours, theirs: theirs, {"a": 2}, 2),
        (lambda base, ours, theirs: MISSING, None, 3),
    ],
    ids=["ours", "theirs", "a function", "a function that takes theirs", "a function that takes nothing"],
)
def test_a_conflict_is_settled_as_told(store: Store, how: Any, value: Any, version: int) -> None:
    store.states.set(*PREFS, {"a": 1})
    store.states.set(*PREFS, {"a": 2})
    entry = store.states.set(*PREFS, {"b": 3}, expected_version=1, on_conflict=how)
    assert (entry.value, entry.version) == (value, version)
    assert store.states.get(*PREFS) == value


def test_a_conflict_is_settled_by_the_strategies_other_names_and_by_pattern(store: Store) -> None:
    ours, theirs = {"b": 3}, {"a": 2}
    said: list[tuple[Any, Any]] = [
        ("local_wins", ours),
        ("last_writer_wins", ours),
        ("remote_wins", theirs),
        ("first_writer_wins", theirs),
        ("manual", theirs),
        ({"x/*": "theirs", "k/*": "ours"}, ours),
        ({"k/5": "theirs", "k/*": "remote_wins", "*": "ours"}, theirs),
        ({"*": lambda base, ours, theirs: [base, ours, theirs]}, [{"a": 1}, ours, theirs]),
    ]
    for number, (how, value) in enumerate(said):
        where = ("a", "shared", f"k/{number}")
        store.states.set(*where, {"a": 1})
        store.states.set(*where, theirs)
        entry = store.states.set(*where, ours, expected_version=1, on_conflict=how)
        assert (entry.value, entry.version) == (value, 2 if value == theirs else 3)
        assert store.states.get(*where) == value
    assert [each.key for each in store.conflicts.list()] == ["k/4"]
    with pytest.raises(VersionConflict):
        store.states.set("a", "shared", "k/0", 7, expected_version=1, on_conflict={"other": "ours"})


def test_lists_merge_by_runs_of_elements(store: Store) -> None:
    store.states.set(*PREFS, {"tags": ["a", "b", "c"], "n": 1})
    store.states.set(*PREFS, {"tags": ["a", "b", "c", "d"], "n": 2})
    mine = {"tags": ["z", "a", "c"], "n": 1}
    merged = store.states.set(*PREFS, mine, expected_version=1, on_conflict="merge")
    assert merged.value == {"tags": ["z", "a", "c", "d"], "n": 2}
    with pytest.raises(VersionConflict, match=r"Both sides changed /tags/\[3:3\]"):
        store.states.set(*PREFS, {"tags": ["a", "b", "c", "x"]}, expected_version=1, on_conflict="merge")


def test_a_function_may_settle_for_nothing_where_there_never_was_anything(store: Store) -> None:
    with pytest.raises(VersionConflict):
        store.states.set(*PREFS, 1, expected_version=3, on_conflict=lambda base, ours, theirs: theirs)
    assert store.transfer.head() == 0


def test_an_error_in_the_function_that_settles_is_the_callers(store: Store) -> None:
    def fail(*_: Any) -> Any:
        raise KeyError("mine")

    store.states.set(*PREFS, 1)
    with pytest.raises(KeyError, match="mine"):
        store.states.set(*PREFS, 2, expected_version=0, on_conflict=fail)
    assert store.states.set(*PREFS, 2).version == 2


def test_merging_takes_what_each_side_changed_or_raises_with_the_places_that_clash(open_store: Opener) -> None:
    store = open_store(APART)

    @given(json_values(8), json_values(8), json_values(8))
    def holds(base: Any, theirs: Any, ours: Any) -> None:
        first = store.states.set(*PREFS, base, metadata={"n": store.transfer.head()})
        second = store.states.set(*PREFS, theirs, metadata={"n": store.transfer.head()})
        expected = merge(base, ours, theirs)
        before = store.transfer.head()
        if expected.conflicts:
            with pytest.raises(VersionConflict) as caught:
                store.states.set(*PREFS, ours, expected_version=first.version, on_conflict="merge")
            assert caught.value.conflicts == expected.conflicts
            assert store.transfer.head() == before
        else:
            store.states.set(*PREFS, ours, expected_version=first.version, on_conflict="merge")
            assert same(store.states.get(*PREFS), expected.value)
        assert second.version == first.version + 1

    holds()


def test_a_merge_keeps_and_restarts_the_keys_own_ttl(store: Store, clock: Clock) -> None:
    store.states.set(*PREFS, {"a": 1}, ttl=60)
    store.states.set(*PREFS, {"a": 2}, ttl=60)
    clock.advance(10)
    entry = store.states.set(*PREFS, {"a": 1, "b": 3}, expected_version=1, on_conflict="merge")
    assert entry.expires_at == clock.moment + timedelta(seconds=60)


def test_delete_checks_the_version_it_expects(store: Store) -> None:
    store.states.set(*PREFS, 1)
    with pytest.raises(VersionConflict) as caught:
        store.states.delete(*PREFS, expected_version=2)
    assert (caught.value.ours, caught.value.theirs) == (MISSING, 1)
    assert store.states.delete(*PREFS, expected_version=1)


# ---- ttl


def test_a_ttl_belongs_to_the_key(store: Store, clock: Clock) -> None:
    def left() -> Any:
        entry = store.states.entry(*PREFS)
        assert entry is not None
        return None if entry.expires_at is None else (entry.expires_at - clock.moment).total_seconds()

    store.states.set(*PREFS, {"a": 1}, ttl=60)
    for restart in (
        lambda: store.states.update(*PREFS, lambda value: value),
        lambda: store.states.update(*PREFS, lambda value: {"a": 2}),
        lambda: store.states.patch(*PREFS, {"b": 1}),
        lambda: store.states.patch(*PREFS, {}),
        lambda: store.states.touch(*PREFS),
        lambda: store.history.revert(*PREFS, version=1),
    ):
        clock.advance(7)
        assert left() == 53
        restart()
        assert left() == 60
    store.states.touch(*PREFS, ttl=10)
    assert left() == 10
    store.states.update(*PREFS, lambda value: 1, ttl=20)
    assert left() == 20
    store.states.set(*PREFS, 2)
    assert left() is None
    store.states.set("a", "session", "k", 1, ttl=5)
    store.states.set("a", "session", "k", 2)
    assert store.states.entry("a", "session", "k").expires_at == clock.moment + timedelta(hours=24)  # type: ignore[union-attr]


def test_a_touch_is_logged_but_is_no_version(store: Store, clock: Clock) -> None:
    store.states.set(*PREFS, 1, ttl=60)
    clock.advance(10)
    assert store.states.touch(*PREFS)
    assert [commit.kind for commit in store.history.commits()] == ["touch", "write"]
    assert len(store.history.versions(*PREFS)) == 1
    clock.advance(59)
    assert store.states.get(*PREFS) == 1
    assert store.at(timedelta(seconds=0)).states.get(*PREFS) == 1
    clock.advance(1)
    assert not store.states.touch(*PREFS)
    assert store.states.get(*PREFS) is None
    # As of the touch, what was seen right after it: the past stays right.
    assert store.at(1).states.entry(*PREFS).expires_at == clock.moment - timedelta(seconds=10)  # type: ignore[union-attr]
    assert store.at(2).states.entry(*PREFS).expires_at == clock.moment  # type: ignore[union-attr]


def test_touching_what_has_no_ttl_writes_nothing(store: Store) -> None:
    store.states.set(*PREFS, 1)
    assert store.states.touch(*PREFS)
    assert not store.states.touch("a", "local", "none")
    assert store.transfer.head() == 1


# ---- update, patch, many


def test_update_reads_and_writes_as_one_step(store: Store) -> None:
    add: Callable[[Any], Any] = lambda value: value + 1  # noqa: E731
    assert store.states.update("a", "shared", "n", add, default=0).value == 1
    assert store.states.update("a", "shared", "n", add, default=0).version == 2
    assert store.states.update("a", "shared", "n", lambda value: {"kept": value}, metadata={"m": 1}).value == {
        "kept": 2
    }
    assert store.states.update("a", "shared", "n", lambda value: [], message="why").metadata == {"m": 1}
    assert store.history.versions("a", "shared", "n")[0].message == "why"


def test_update_never_hands_out_its_default_to_be_changed(store: Store) -> None:
    default: list[int] = []

    def append(value: list[int]) -> list[int]:
        value.append(1)
        return value

    store.states.update("a", "local", "one", append, default=default)
    store.states.update("a", "local", "two", append, default=default)
    assert default == []
    assert store.states.get("a", "local", "two") == [1]


def test_a_function_that_changes_its_argument_changes_nothing_unless_it_returns(store: Store) -> None:
    store.states.set(*PREFS, [1])

    def fail(value: list[int]) -> Any:
        value.append(2)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        store.states.update(*PREFS, fail)
    assert store.states.get(*PREFS) == [1]
    assert store.transfer.head() == 1


def test_a_patch_that_is_a_dict_merges_and_one_that_is_a_list_is_all_or_nothing(store: Store) -> None:
    assert store.states.patch(*PREFS, {"theme": "dark", "n": {"x": 1}}).value == {"theme": "dark", "n": {"x": 1}}
    assert store.states.patch(*PREFS, {"theme": None, "n": {"y": 2}}).value == {"n": {"x": 1, "y": 2}}
    changes = [{"op": "add", "path": "/l", "value": [1]}, {"op": "add", "path": "/l/-", "value": 2}]
    assert store.states.patch(*PREFS, changes).value == {"n": {"x": 1, "y": 2}, "l": [1, 2]}
    with pytest.raises(InvalidValue, match="operation 1") as caught:
        store.states.patch(*PREFS, [{"op": "remove", "path": "/l"}, {"op": "test", "path": "/n/x", "value": 9}])
    assert caught.value.path == "/n/x"
    assert store.states.get(*PREFS) == {"n": {"x": 1, "y": 2}, "l": [1, 2]}
    store.states.set(*PREFS, b"\0")
    with pytest.raises(InvalidValue, match="bytes"):
        store.states.patch(*PREFS, {})


def test_set_many_is_one_commit_and_all_or_nothing(store: Store) -> None:
    entries = store.states.set_many("a", "local", {"x": 1, "y": 2}, message="both", metadata={"m": 1})
    assert {key: (entry.value, entry.revision, entry.version) for key, entry in entries.items()} == {
        "x": (1, 1, 1), "y": (2, 1, 1),
    }  # fmt: skip
    assert [change.key for change in store.history.commit(1).changes] == ["x", "y"]
    with pytest.raises(InvalidValue):
        store.states.set_many("a", "local", {"x": 5, "y": {1}})
    assert store.states.items("a", "local") == [("x", 1), ("y", 2)]
    assert store.states.set_many("a", "local", {}) == {}
    assert store.transfer.head() == 1


def test_get_many_reads_across_tiers_and_leaves_out_what_is_absent(store: Store) -> None:
    store.states.set("a", "local", "x", 1)
    store.states.set("a", "persistent", "y", None)
    wanted = [("local", "x"), ("persistent", "y"), ("persistent", "x")]
    assert store.states.get_many("a", wanted) == {("local", "x"): 1, ("persistent", "y"): None}
    assert store.states.get_many("a", []) == {}


ODD = "ab/*?[]!-\U0001f642\n"


def test_a_glob_finds_what_fnmatch_finds(places: Places) -> None:
    @settings(max_examples=places.examples(100))
    @given(st.lists(st.text(ODD, min_size=1, max_size=4)), st.text(ODD, max_size=4))
    def holds(names: list[str], pattern: str) -> None:
        from fnmatch import fnmatchcase

        with places.briefly() as where, Store(where, durability="normal") as store:
            store.states.set_many("a", "local", dict.fromkeys(names, 1))
            expected = sorted({name for name in names if fnmatchcase(name, pattern)})
            assert store.states.keys("a", "local", pattern) == expected
            assert store.states.items("a", "local", pattern) == [(name, 1) for name in expected]

    holds()


def test_messages_of_a_transactions_writes_become_the_commits(store: Store) -> None:
    with store.transaction(message="trade") as tx:
        tx.states.set("a", "local", "x", 1, message="one")
        tx.states.set("a", "local", "y", 1, message="two")
        tx.states.set("a", "local", "z", 1, message="one")
    assert store.history.commit(1).message == "trade\none\ntwo"


def test_entries_of_a_transaction_learn_their_revision_when_it_ends(store: Store) -> None:
    with store.transaction() as tx:
        entry: Entry = tx.states.set(*PREFS, 1)
        assert (entry.version, entry.revision) == (1, 0)
    assert entry.revision == 1
    assert entry == store.states.entry(*PREFS)
