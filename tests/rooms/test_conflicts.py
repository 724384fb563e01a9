"""Conflicts that wait for somebody: recorded by a write, listed, settled, and part of the log."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import (
    MISSING,
    UNAVAILABLE,
    Conflict,
    Erased,
    InvalidKey,
    InvalidValue,
    NoSuchConflict,
    ReadOnly,
    StateType,
    Store,
    VersionConflict,
)
from statedb.values import codec
from statedb.values.merge import Clash
from statedb.values.same import same
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART, raw, tamper

SORTS = ("file", "postgres", "async postgres")

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))

PREFS = ("agent-1", "persistent", "prefs")
BASE, OURS, THEIRS = {"a": 1, "b": 1, "c": 1}, {"a": 2, "b": 2, "c": 1}, {"a": 3, "b": 1, "c": 3}


def quarrel(store: Any, base: Any = BASE, ours: Any = OURS, theirs: Any = THEIRS, where: Any = PREFS) -> Conflict:
    """Record a conflict over a key, and return it as the store lists it; base and theirs may be MISSING."""
    first = put(store, base, where)
    second = put(store, theirs, where)
    assert first != second or theirs is MISSING
    store.states.set(*where, ours, expected_version=first, on_conflict="manual", message="mine", metadata={"by": "me"})
    *_, found = store.conflicts.list(where[0], where[1], where[2])
    assert isinstance(found, Conflict)
    return found


def put(store: Any, value: Any, where: Any) -> int:
    if value is MISSING:
        store.states.delete(*where)
        return 0
    return int(store.states.set(*where, value, metadata={"n": store.transfer.head()}).version)


# ---- recording


def test_a_manual_conflict_is_stored_and_what_stands_goes_on_standing(store: Store, clock: Clock) -> None:
    store.states.set(*PREFS, BASE)
    stands = store.states.set(*PREFS, THEIRS, metadata={"m": 1}, ttl=60)
    clock.advance(5)
    entry = store.states.set(*PREFS, OURS, expected_version=1, on_conflict="manual", message="mine")
    assert entry == stands == store.states.entry(*PREFS)
    [found] = store.conflicts.list()
    assert found == store.conflicts.get(found.id or 0)
    clashes = (Clash("/a", "concurrent_modification", 1, 2, 3),)
    assert found == Conflict(
        id=found.id,
        branch="main",
        agent_id="agent-1",
        state_type=StateType.PERSISTENT,
        key="prefs",
        kind="concurrent_modification",
        base=BASE,
        ours=OURS,
        theirs=THEIRS,
        base_version=1,
        ours_version=None,
        theirs_version=2,
        source=None,
        clashes=clashes,
        revision=3,
        at=clock.moment,
    )
    commit = store.history.commit(3)
    assert (commit.kind, commit.message, commit.changes) == ("conflict", "mine", ())


KINDS: list[tuple[Any, Any, Any, str]] = [
    (1, 2, 3, "concurrent_modification"),
    (1, 2, "3", "type_mismatch"),
    (1, 2, MISSING, "deleted_modified"),
    (MISSING, {"a": 1}, {"b": 2}, "concurrent_modification"),  # would merge, and may not
    (b"1", b"\0\xff", b"3", "concurrent_modification"),
    ({"a": [1, 2]}, {"a": [1, 3]}, {"a": [1]}, "deleted_modified"),
    ({"a": 1, "b": 1}, {"a": 2, "b": "x"}, {"a": 3, "b": 2}, "concurrent_modification"),  # of two kinds
    ({}, "x" * 20_000, "y" * 20_000, "concurrent_modification"),  # compressed
]


def test_a_conflict_is_read_as_it_was_recorded(store: Store) -> None:
    for number, (base, ours, theirs, kind) in enumerate(KINDS):
        found = quarrel(store, base, ours, theirs, ("a", "shared", f"k{number}"))
        assert same([found.base, found.ours, found.theirs], [base, ours, theirs])
        assert (found.kind, found.resolution) == (kind, None)
        assert found.clashes


def test_where_there_never_was_anything_nothing_is_recorded(store: Store) -> None:
    with pytest.raises(VersionConflict):
        store.states.set(*PREFS, 1, expected_version=3, on_conflict="manual")
    assert (store.conflicts.list(), store.transfer.head()) == ([], 0)


def test_where_a_deletion_stands_that_is_what_is_returned(store: Store) -> None:
    found = quarrel(store, 1, 2, MISSING)
    entry = store.states.set(*PREFS, 5, expected_version=1, on_conflict="manual")
    assert (entry.deleted, entry.value, entry.version) == (True, None, 2)
    assert (found.theirs, found.theirs_version) == (MISSING, None)
    assert len(store.conflicts.list()) == 2


def test_what_does_not_conflict_is_not_recorded(store: Store) -> None:
    assert store.states.set(*PREFS, 1, expected_version=0, on_conflict="manual").version == 1
    store.states.set(*PREFS, 2)
    assert store.states.set(*PREFS, 2, expected_version=1, on_conflict="manual").version == 2
    assert (store.conflicts.list(), store.transfer.head()) == ([], 2)


def test_the_log_tells_what_was_in_conflict(filed: Store, where: str) -> None:
    found = quarrel(filed, 1, b"\0", 3)
    filed.conflicts.resolve(found.id or 0, 7)
    filed.close()
    [[recorded], [settled]] = raw(where, "select said from commit_deeds order by revision")
    [[salt]] = raw(where, "select salt from agent_states")
    digest = codec.digest(bytes(salt), codec.encode(b"\0", 10)).hex()
    assert json.loads(recorded) == [
        {
            "do": "conflict",
            "id": found.id,
            "key": list(PREFS),
            "kind": "type_mismatch",
            "source": None,
            "sides": {
                "base": {"branch": 1, "version": 1},
                "ours": {"digest": digest},
                "theirs": {"branch": 1, "version": 2},
            },
        }
    ]
    assert json.loads(settled) == [{"do": "resolve", "id": found.id, "key": list(PREFS), "method": "value"}]


# ---- finding


def test_conflicts_are_listed_by_agent_tier_and_pattern(store: Store) -> None:
    wheres = [("a", "shared", "plan/1"), ("a", "persistent", "plan/2"), ("b", "shared", "plan/1"), ("a", "shared", "x")]
    made = [quarrel(store, 1, 2, 3, where) for where in wheres]

    def listed(*given: Any, **named: Any) -> list[int]:
        return [made.index(each) for each in store.conflicts.list(*given, **named)]

    assert listed() == [0, 1, 2, 3]
    assert listed("a") == [0, 1, 3]
    assert listed("a", "shared") == [0, 3]
    assert listed(None, "shared", "plan/*") == [0, 2]
    assert listed(pattern="plan/?") == [0, 1, 2]
    assert listed("c") == listed("b", "local") == listed(pattern="plan") == []
    with pytest.raises(InvalidKey):
        store.conflicts.list(state_type="wrong")


def test_settled_conflicts_are_listed_when_asked_for(store: Store) -> None:
    first, second = quarrel(store, 1, 2, 3), quarrel(store, 4, 5, 6, ("b", "shared", "k"))
    done = store.conflicts.resolve(first.id or 0, strategy="ours")
    [settled] = store.conflicts.list(resolved=True)
    assert settled.resolution == done
    assert settled == store.conflicts.get(first.id or 0)
    assert done.conflicts == (first,)
    assert store.conflicts.list() == [second]
    assert store.conflicts.list(resolved=None) == [settled, second]


def test_the_past_shows_the_conflicts_it_had(store: Store) -> None:
    found = quarrel(store)
    recorded = store.transfer.head()
    store.conflicts.resolve(found.id or 0, {"d": 1})
    assert store.at(recorded).conflicts.list() == [found]
    assert store.at(recorded).conflicts.list(resolved=True) == []
    assert store.at(recorded).conflicts.get(found.id or 0) == found
    assert store.at(recorded - 1).conflicts.list(resolved=None) == []
    with pytest.raises(NoSuchConflict):
        store.at(recorded - 1).conflicts.get(found.id or 0)
    with pytest.raises(ReadOnly):
        store.at(recorded).conflicts.resolve(found.id or 0, 1)


def test_a_conflict_that_never_was_is_said_so(store: Store) -> None:
    for ask in (store.conflicts.get, lambda id: store.conflicts.resolve(id, 1)):
        with pytest.raises(NoSuchConflict, match="no conflict 7"):
            ask(7)
    for wrong in (0, -1, "1", None, True):
        with pytest.raises(InvalidValue):
            store.conflicts.get(wrong)  # type: ignore[arg-type]


# ---- settling


STRATEGIES: list[tuple[Any, Any, str]] = [
    ("ours", OURS, "ours"),
    ("local_wins", OURS, "ours"),
    ("last_writer_wins", OURS, "ours"),
    ("theirs", THEIRS, "theirs"),
    ("remote_wins", THEIRS, "theirs"),
    ("first_writer_wins", THEIRS, "theirs"),
    (lambda base, ours, theirs: [base, ours, theirs], [BASE, OURS, THEIRS], "function"),
    (lambda base, ours, theirs: MISSING, MISSING, "function"),
    ({"x": "theirs", "k*": "ours", "*": "manual"}, OURS, "ours"),
]


def test_a_conflict_is_settled_by_a_strategy(store: Store) -> None:
    for number, (how, value, method) in enumerate(STRATEGIES):
        where = ("a", "shared", f"k{number}")
        found = quarrel(store, where=where)
        before = store.states.entry(*where)
        done = store.conflicts.resolve(found.id or 0, strategy=how)
        assert same(done.value, value)
        assert (done.conflicts, done.method, done.requires_manual_review) == ((found,), method, False)
        assert done.revision == store.transfer.head() == found.revision + 1
        assert same(store.states.get(*where, MISSING), value)
        after = store.states.entry(*where)
        if after is not None and before is not None:
            assert after.metadata == before.metadata
            assert after.version == before.version + (method != "theirs")
        assert same(store.conflicts.get(found.id or 0).resolution.value, value)  # type: ignore[union-attr]
    assert store.conflicts.list() == []


def test_a_merge_settles_what_it_can_and_says_what_it_cannot(store: Store) -> None:
    found = quarrel(store)
    head = store.transfer.head()
    for how in ("merge", {"other": "ours"}):
        with pytest.raises(VersionConflict, match="leaves open") as caught:
            store.conflicts.resolve(found.id or 0, strategy=how)  # type: ignore[arg-type]
        assert caught.value.conflicts == found.clashes
    assert (store.transfer.head(), store.conflicts.list()) == (head, [found])
    other = quarrel(store, {"a": 1}, {"a": 1, "x": 2}, {"a": 1, "y": 3}, ("b", "shared", "k"))
    done = store.conflicts.resolve(other.id or 0, strategy="merge")
    assert (done.value, done.method) == ({"a": 1, "y": 3, "x": 2}, "merge")
    assert store.states.get("b", "shared", "k") == done.value


def test_a_conflict_is_settled_by_a_value_in_one_commit(store: Store) -> None:
    for value in ({"a": 9}, None, b"raw", MISSING):
        found = quarrel(store)
        done = store.conflicts.resolve(found.id or 0, value, message="so be it")
        assert (done.value, done.method, done.revision) == (value, "value", found.revision + 1)
        commit = store.history.commit(done.revision)
        assert [change.change for change in commit.changes] == ["delete" if value is MISSING else "update"]
        assert commit.message == "so be it"
        assert same(store.states.get(*PREFS, MISSING), value)
        assert store.undo(done.revision).changes[0].new_value == THEIRS


def test_a_frozen_value_settles_as_the_plain_one(filed: Store) -> None:
    found = quarrel(filed)
    frozen = filed.states.get(*PREFS, copy=False)
    done = filed.conflicts.resolve(found.id or 0, frozen)
    assert same(done.value, THEIRS)
    assert filed.history.commit(done.revision).changes == ()


def test_settling_for_what_stands_makes_no_version(store: Store) -> None:
    found = quarrel(store)
    done = store.conflicts.resolve(found.id or 0, THEIRS)
    commit = store.history.commit(done.revision)
    assert (commit.kind, commit.changes) == ("conflict", ())
    assert commit.message == f"resolve conflict {found.id}"
    entry = store.states.entry(*PREFS)
    assert entry is not None
    assert entry.version == 2


def test_a_value_that_comes_back_has_its_tiers_ttl_and_one_that_stands_its_own(store: Store, clock: Clock) -> None:
    where = ("a", "session", "k")
    found = quarrel(store, 1, 2, MISSING, where)
    store.conflicts.resolve(found.id or 0, strategy="ours")
    entry = store.states.entry(*where)
    assert entry is not None
    assert entry.expires_at is not None
    assert (entry.expires_at - clock.moment).total_seconds() == 24 * 3600
    store.states.set(*PREFS, 1)
    store.states.set(*PREFS, 2, ttl=60)
    store.states.set(*PREFS, 3, expected_version=1, on_conflict="manual")
    clock.advance(10)
    [found] = store.conflicts.list("agent-1")
    store.conflicts.resolve(found.id or 0, strategy="ours")
    entry = store.states.entry(*PREFS)
    assert entry is not None
    assert entry.expires_at is not None
    assert (entry.expires_at - clock.moment).total_seconds() == 60


def test_a_conflict_is_settled_once(store: Store) -> None:
    found = quarrel(store)
    done = store.conflicts.resolve(found.id or 0, strategy="ours")
    ways: list[dict[str, Any]] = [{"value": 1}, {"strategy": "theirs"}]
    for how in ways:
        with pytest.raises(NoSuchConflict, match=rf"settled already, by revision {done.revision} \(ours\)"):
            store.conflicts.resolve(found.id or 0, **how)
    assert store.transfer.head() == done.revision


def test_what_was_written_since_is_not_overwritten_unless_it_is_named(store: Store, clock: Clock) -> None:
    found = quarrel(store)
    later = {"a": 4, "b": 1, "c": 3}
    store.states.set(*PREFS, later)
    ways: list[dict[str, Any]] = [{"value": 1}, {"strategy": "ours"}, {"value": 1, "expected_version": 2}]
    for how in ways:
        with pytest.raises(
            VersionConflict, match=r"is at version 3, and version 2 was expected.*expected_version"
        ) as caught:
            store.conflicts.resolve(found.id or 0, **how)
        assert (caught.value.base, caught.value.theirs) == (THEIRS, later)
        assert (caught.value.expected_version, caught.value.version) == (2, 3)
    # What stands now is the side that stood.
    done = store.conflicts.resolve(found.id or 0, strategy="theirs", expected_version=3)
    assert done.value == store.states.get(*PREFS) == later


def test_what_the_same_transaction_wrote_since_is_not_overwritten_either(store: Store) -> None:
    store.states.set(*PREFS, 1)
    with store.transaction() as tx:
        tx.states.set(*PREFS, 2)
        tx.states.set(*PREFS, 3, expected_version=1, on_conflict="manual")
        tx.states.set(*PREFS, 4)
    [waiting] = store.conflicts.list()
    assert waiting.id is not None
    with pytest.raises(VersionConflict):
        store.conflicts.resolve(waiting.id, strategy="ours")
    assert store.states.get(*PREFS) == 4
    assert store.conflicts.resolve(waiting.id, strategy="ours", expected_version=2).value == 3


def test_what_is_gone_since_is_not_brought_back_unless_that_is_said(store: Store) -> None:
    found = quarrel(store)
    store.states.delete(*PREFS)
    with pytest.raises(VersionConflict, match="has no value, and version 2 was expected"):
        store.conflicts.resolve(found.id or 0, strategy="ours")
    assert store.conflicts.resolve(found.id or 0, strategy="ours", expected_version=0).value == OURS
    assert store.states.get(*PREFS) == OURS


def test_what_settles_nothing_is_refused(store: Store) -> None:
    found = quarrel(store)
    head = store.transfer.head()
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    wrong: list[dict[str, Any]] = [
        {"value": deep},
        {},
        {"value": 1, "strategy": "ours"},
        {"strategy": "mine"},
        {"strategy": "raise"},
        {"strategy": "manual"},
        {"strategy": {"*": "manual"}},
        {"value": {1, 2}},
        {"value": float("nan")},
        {"value": 1, "expected_version": -1},
    ]
    for each in wrong:
        with pytest.raises(InvalidValue):
            store.conflicts.resolve(found.id or 0, **each)
    assert (store.transfer.head(), store.conflicts.list()) == (head, [found])


# ---- inside a transaction


def test_a_transaction_sees_the_conflicts_it_records_and_settles(store: Store) -> None:
    old = quarrel(store)
    other = ("b", "shared", "k")
    put(store, 1, other)
    put(store, 3, other)
    with store.transaction(message="both") as tx:
        tx.states.set(*other, 2, expected_version=1, on_conflict="manual")
        [_, made] = tx.conflicts.list()
        assert made.revision == 0
        assert [each.id for each in tx.conflicts.list()] == [old.id, made.id]
        assert tx.conflicts.get(made.id or 0) == made
        done = tx.conflicts.resolve(old.id or 0, strategy="ours")
        assert tx.conflicts.list() == [made]
        assert tx.conflicts.get(old.id or 0).resolution == done
        with pytest.raises(NoSuchConflict, match="in this transaction"):
            tx.conflicts.resolve(old.id or 0, 1)
        again = tx.conflicts.resolve(made.id or 0, 9)
        assert tx.conflicts.list() == []
        both = tx.conflicts.list(resolved=True)
        assert tx.states.get(*other) == 9
    assert both == store.conflicts.list(resolved=True)
    assert made.revision == done.revision == again.revision == tx.revision == store.transfer.head()
    left = store.conflicts.list(resolved=None)
    assert [(each.id, each.revision) for each in left] == [(old.id, old.revision), (made.id, tx.revision)]
    assert [each.resolution.value for each in left if each.resolution] == [OURS, 9]
    assert store.health.check().problems == ()


def test_what_a_transaction_recorded_goes_with_it(store: Store) -> None:
    old = quarrel(store)

    def fail(tx: Any) -> None:
        tx.conflicts.resolve(old.id or 0, 1)
        tx.states.set(*PREFS, 2, expected_version=1, on_conflict="manual")
        assert len(tx.conflicts.list()) == 1
        raise KeyError

    with pytest.raises(KeyError):
        store.run(fail)
    assert store.conflicts.list(resolved=None) == [old]
    assert quarrel(store, 1, 2, 3, ("b", "shared", "k")).id != old.id


def test_two_who_settle_one_conflict_do_not_both(open_store: Opener, where: str) -> None:
    one, other = open_store(where), open_store(where)
    found = quarrel(one)
    assert other.conflicts.list() == [found]
    other.conflicts.resolve(found.id, 5)
    with pytest.raises(NoSuchConflict):
        one.conflicts.resolve(found.id, 6)
    assert one.states.get(*PREFS) == 5


# ---- of a merge, of another branch, erased


def from_a_merge(store: Store) -> Conflict:
    """Have a merge of branches leave a conflict."""
    store.states.set(*PREFS, BASE)
    store.branches.create("lab")
    store.states.set(*PREFS, OURS)
    store.branch("lab").states.set(*PREFS, THEIRS)
    store.branches.merge("lab", strategy="manual")
    [found] = store.conflicts.list()
    assert (found.source, found.base_version, found.ours_version, found.theirs_version) == ("lab", 1, 2, 2)
    return found


@pytest.mark.parametrize(
    ("how", "value"),
    [
        ("ours", {"a": 2, "b": 2, "c": 3}),
        ("first_writer_wins", {"a": 2, "b": 2, "c": 3}),
        ("theirs", {"a": 3, "b": 2, "c": 3}),
        ("last_writer_wins", {"a": 3, "b": 2, "c": 3}),
    ],
)
def test_of_a_merge_a_strategy_settles_the_places_in_conflict(filed: Store, how: Any, value: Any) -> None:
    found = from_a_merge(filed)
    assert filed.conflicts.resolve(found.id or 0, strategy=how).value == value
    assert filed.states.get(*PREFS) == value


def test_of_a_merge_ours_is_what_must_still_stand(filed: Store) -> None:
    found = from_a_merge(filed)
    filed.states.set(*PREFS, {"a": 2, "b": 4})
    with pytest.raises(VersionConflict, match="version 2 was expected") as caught:
        filed.conflicts.resolve(found.id or 0, strategy="theirs")
    assert caught.value.base == OURS
    done = filed.conflicts.resolve(found.id or 0, strategy={"*": lambda *sides: list(sides)}, expected_version=3)
    assert done.value == [BASE, {"a": 2, "b": 4}, THEIRS]


def test_a_conflict_of_another_branch_is_not_this_ones(store: Store) -> None:
    store.branches.create("lab")
    found = quarrel(store.branch("lab"))
    assert store.conflicts.list(resolved=None) == []
    for ask in (store.conflicts.get, lambda id: store.conflicts.resolve(id, 1)):
        with pytest.raises(NoSuchConflict, match="is one of branch lab"):
            ask(found.id or 0)
    assert store.branch("lab").conflicts.resolve(found.id or 0, 1).value == 1


def test_a_side_that_was_erased_is_told_as_such_and_settled_by_a_value_alone(filed: Store, where: str) -> None:
    found = quarrel(filed)
    tamper(where, "update conflict_sides set codec = 4, value = null where side = 'base'", by=filed)
    [left] = filed.conflicts.list()
    assert (left.base, left.ours, left.theirs) == (UNAVAILABLE, OURS, THEIRS)
    with pytest.raises(Erased):
        filed.conflicts.resolve(found.id or 0, strategy="merge")
    assert filed.conflicts.resolve(found.id or 0, 1).value == 1


# ---- at random, beside a list of what should be there

VALUES = st.sampled_from([1, 2, "x", {"a": 1}, {"a": 2}, {"b": 1}, [1, 2], b"1", None])
STEPS = st.lists(
    st.tuples(st.sampled_from("pq"), VALUES, VALUES, VALUES, st.sampled_from(["ours", "theirs", "leave", 7]))
)


def test_conflicts_come_and_go_as_a_list_of_them_does(open_store: Opener) -> None:
    store = open_store(APART)

    @settings(max_examples=20 * EFFORT)
    @given(STEPS)
    def holds(steps: Any) -> None:
        model = {each.id: each for each in store.conflicts.list()}
        for key, base, theirs, ours, how in steps:
            where = ("a", "shared", key)
            first = store.states.set(*where, base, metadata={"n": store.transfer.head()}).version
            store.states.set(*where, theirs, metadata={"n": store.transfer.head()})
            store.states.set(*where, ours, expected_version=first, on_conflict="manual")
            if same(ours, theirs):
                continue
            [made] = [each for each in store.conflicts.list() if each.id not in model]
            assert same([made.base, made.ours, made.theirs], [base, ours, theirs])
            model[made.id] = made
            if how != "leave":
                said: Any = {"value": how} if how == 7 else {"strategy": how}
                done = store.conflicts.resolve(made.id, **said)
                assert same(store.states.get(*where), 7 if how == 7 else ours if how == "ours" else theirs)
                assert done.conflicts == (model.pop(made.id),)
        assert store.conflicts.list() == list(model.values())

    holds()
