"""Undo and revert, driven at random beside a model that keeps a whole copy of everything at every revision."""

from __future__ import annotations

import os
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from statedb import MISSING, Store, ValueTooLarge, VersionConflict
from tests.helpers import SHELLS, Clock
from tests.places import Places

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))

Where = tuple[str, str, str]
Content = tuple[Any, Any]
"""Value and metadata; MISSING and None where there is none."""
NONE: Content = (MISSING, None)

wheres = st.tuples(st.sampled_from("ab"), st.sampled_from(("shared", "persistent")), st.sampled_from("kl"))
scalars = st.sampled_from([0, 1, 1.0, True, None, "x"])
fields = st.dictionaries(st.sampled_from("pqr"), scalars | st.dictionaries(st.sampled_from("st"), scalars), max_size=3)
contents = fields | st.sampled_from([1, b"raw"])
metadata = st.none() | st.sampled_from(({"m": 1}, {"m": 2}))


class Clash(Exception):
    """Two sides changed the same place."""


def alike(a: Any, b: Any) -> bool:
    """Tell whether two values are the same, types included; the order of members does not count here."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(alike(a[name], b[name]) for name in a)
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(map(alike, a, b))
    return repr(a) == repr(b)


def back(before: Any, after: Any, now: Any) -> Any:
    """Return what is left when the step from before to after is taken out of now."""
    if alike(now, after) or alike(now, before):
        return before
    if alike(before, after):
        return now
    if isinstance(now, dict) and isinstance(before, dict):
        base = after if isinstance(after, dict) else {}
        sides = [(name, *(side.get(name, MISSING) for side in (before, base, now))) for name in {**now, **before}]
        merged = {name: back(*each) for name, *each in sides}
        return {name: value for name, value in merged.items() if value is not MISSING}
    raise Clash


class Machine(RuleBasedStateMachine):
    """One store, and the model: a list of whole copies."""

    shell, sort = "sync", "memory"
    revisions = Bundle("revisions")

    def __init__(self) -> None:
        super().__init__()
        self.places = Places(self.sort, Path())
        self.store: Any = SHELLS[self.shell](self.places.another(), clock=Clock(), durability="normal")
        self.copies: list[dict[Where, Content]] = [{}]

    def teardown(self) -> None:
        try:
            assert self.store.health.check().problems == ()
        finally:
            self.store.close()
            self.places.close()

    def now(self) -> dict[Where, Content]:
        return deepcopy(self.copies[-1])

    def keep(self, state: dict[Where, Content]) -> None:
        """Keep a copy if it shows anything new, as the store makes a revision."""
        state = {where: content for where, content in state.items() if content[0] is not MISSING}
        last = self.copies[-1]
        if state.keys() != last.keys() or not all(alike(state[w], last[w]) for w in state):
            self.copies.append(state)
        elif self.store.transfer.head() == len(self.copies):
            # The order of members is a difference to the store, and none to this model.
            self.copies.append(state)

    @rule(where=wheres, value=contents, said=metadata)
    def write(self, where: Where, value: Any, said: Any) -> None:
        self.store.states.set(*where, value, metadata=said)
        self.keep(self.now() | {where: (value, said)})

    @rule(where=wheres)
    def delete(self, where: Where) -> None:
        self.store.states.delete(*where)
        self.keep(self.now() | {where: NONE})

    @rule(many=st.dictionaries(wheres, fields, min_size=2, max_size=4))
    def write_many(self, many: dict[Where, Any]) -> None:
        with self.store.transaction() as tx:
            for where, value in many.items():
                tx.states.set(*where, value)
        self.keep(self.now() | {where: (value, None) for where, value in many.items()})

    @rule(where=wheres, data=st.data())
    def revert(self, where: Where, data: Any) -> None:
        versions = self.store.history.versions(*where)
        if not versions:
            return
        version = data.draw(st.sampled_from(versions))
        self.store.history.revert(*where, version=version.version)
        self.keep(self.now() | {where: self.copies[version.revision].get(where, NONE)})

    @rule(data=st.data(), count=st.integers(1, 3))
    def undo(self, data: Any, count: int) -> None:
        if len(self.copies) == 1:
            return
        recent = st.integers(max(1, len(self.copies) - 6), len(self.copies) - 1)
        wanted = data.draw(st.lists(recent, min_size=1, max_size=count, unique=True))
        asked = wanted[0] if len(wanted) == 1 else wanted
        state = self.now()
        try:
            for revision in sorted(wanted, reverse=True):
                self.take_back(state, revision)
        except Clash:
            head = self.store.transfer.head()
            with pytest.raises(VersionConflict) as caught:
                self.store.undo(revision=asked)
            assert caught.value.conflicts or "metadata" in str(caught.value)
            assert all(later.revision > min(wanted) for later in caught.value.later)
            assert caught.value.later or len(wanted) > 1, "without an expiry somebody wrote in between"
            assert self.store.transfer.head() == head, "a refused undo writes nothing"
            return
        before = self.now()
        outcome = self.store.undo(revision=asked)
        changed = {(each.agent_id, each.state_type.value, each.key) for each in outcome.changes}
        assert changed >= {w for w in {**state, **before} if not alike(state.get(w, NONE), before.get(w, NONE))}
        self.keep(state)
        assert outcome.revision == (self.store.transfer.head() if outcome.changes else None)

    def take_back(self, state: dict[Where, Content], revision: int) -> None:
        before, after = self.copies[revision - 1], self.copies[revision]
        touched = {(c.agent_id, c.state_type.value, c.key) for c in self.store.history.commit(revision).changes}
        for where in touched:
            (old, old_said), (new, new_said), (value, said) = (
                each.get(where, NONE) for each in (before, after, state)
            )  # fmt: skip
            if value is not MISSING and alike(old, new) and old_said != new_said and said not in (old_said, new_said):
                raise Clash
            result = back(old, new, value)
            kept = old_said if value is MISSING or (new is not MISSING and said == new_said) else said
            state[where] = NONE if result is MISSING else (result, kept)

    @invariant()
    def the_present_agrees(self) -> None:
        assert self.store.transfer.head() == len(self.copies) - 1
        self.compare(self.store, self.copies[-1])

    @rule(data=st.data())
    def the_past_agrees(self, data: Any) -> None:
        revision = data.draw(st.integers(0, len(self.copies) - 1))
        self.compare(self.store.at(revision), self.copies[revision])

    def compare(self, store: Any, state: dict[Where, Content]) -> None:
        found = {
            (agent, tier, key): (value, store.states.entry(agent, tier, key).metadata)
            for agent in "ab"
            for tier in ("shared", "persistent")
            for key, value in store.states.items(agent, tier)
        }
        assert found.keys() == state.keys()
        assert all(alike(found[where], state[where]) for where in found)


# PostgreSQL has fewer examples, since it takes a round trip for what SQLite has at hand.
EXAMPLES = {"sync memory": 60, "async memory": 60, "sync postgres": 30, "async postgres": 20}


@pytest.mark.parametrize("sort", EXAMPLES)
def test_undo_and_revert_agree_with_a_model_of_whole_copies(sort: str) -> None:
    driven = type("Driven", (Machine,), dict(zip(("shell", "sort"), sort.split(), strict=True)))
    run_state_machine_as_test(
        driven, settings=settings(max_examples=EXAMPLES[sort] * EFFORT, stateful_step_count=25, deadline=None)
    )


K = ("a", "local", "k")


def test_several_go_back_in_any_order(store: Store) -> None:
    for number in range(1, 5):
        store.states.set(*K, {"n": number})
    assert store.undo(revision=[3, 4, 2]).revision == 5
    assert store.states.get(*K) == {"n": 1}
    assert store.history.commit(5).message == "undo revisions 4, 3, 2"


def test_an_undo_keeps_what_came_after_and_says_what_it_changed(store: Store) -> None:
    store.states.set(*K, {"theme": "dark", "size": 1}, metadata={"m": 1})
    store.states.set(*K, {"theme": "light", "size": 1}, message="brighter")
    store.states.patch(*K, {"size": 2})
    outcome = store.undo(revision=2)
    assert store.states.get(*K) == {"theme": "dark", "size": 2}
    [change] = outcome.changes
    assert (change.change, change.version, change.revision, outcome.revision) == ("update", 4, 4, 4)
    assert change.old_value == {"theme": "light", "size": 2}
    assert change.new_value == {"theme": "dark", "size": 2}
    assert store.history.commit(4).message == "undo revision 2: brighter"
    assert store.undo(revision=4, message="on second thought").revision == 5
    assert store.states.get(*K) == {"theme": "light", "size": 2}
    assert store.history.commit(5).message == "on second thought"


def test_an_overlapping_later_write_is_named(store: Store) -> None:
    store.states.set(*K, {"theme": "dark", "size": 1})
    store.states.patch(*K, {"theme": "light"})
    store.states.patch(*K, {"size": 2})
    with store.transaction(actor="somebody") as tx:
        tx.states.patch(*K, {"theme": "blue"})
    with pytest.raises(VersionConflict, match="/theme was changed again by revision 4 by somebody") as caught:
        store.undo(revision=2)
    error = caught.value
    assert [later.revision for later in error.later] == [4]
    assert [clash.path for clash in error.conflicts] == ["/theme"]
    assert (error.base, error.ours, error.theirs) == (
        {"theme": "light", "size": 1}, {"theme": "blue", "size": 2}, {"theme": "dark", "size": 1},
    )  # fmt: skip
    assert store.transfer.head() == 4


def test_in_a_list_what_the_commit_did_goes_back_and_what_came_since_stays_where_it_is(store: Store) -> None:
    steps = [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"], ["x", "a", "b", "c", "d"], ["x", "a", "c", "d"]]
    for step in steps:
        store.states.set(*K, {"l": step})
    taken_back = {2: ["x", "a", "d"], 3: ["x", "a", "c"], 4: ["a", "c", "d"], 5: ["x", "a", "b", "c", "d"]}
    for revision, left in taken_back.items():
        undone = store.undo(revision=revision)
        assert store.states.get(*K) == {"l": left}
        assert undone.revision is not None
        store.undo(undone.revision)
        assert store.states.get(*K) == {"l": steps[-1]}
    store.undo(revision=[2, 3, 4, 5])
    assert store.states.get(*K) == {"l": steps[0]}


def test_an_order_that_was_changed_again_stays_as_it_stands(store: Store) -> None:
    for step in ({"a": 1, "b": 2, "c": 3}, {"b": 2, "a": 1, "c": 4}, {"c": 4, "b": 2, "a": 1, "d": 5}):
        store.states.set(*K, step)
    [change] = store.undo(revision=2).changes
    assert list(change.new_value.items()) == [("c", 3), ("b", 2), ("a", 1), ("d", 5)]


def test_a_run_of_elements_that_was_changed_again_is_named(store: Store) -> None:
    for step in (["a", "b", "c"], ["a", "B", "c"], ["a", "B", "c", "d"], ["a", "new", "c", "d"]):
        store.states.set(*K, step)
    with pytest.raises(VersionConflict, match=r"/\[1:2\] was changed again by revision 4") as caught:
        store.undo(revision=2)
    [clash] = caught.value.conflicts
    assert (clash.base, clash.ours, clash.theirs) == (["B"], ["new"], ["b"])
    assert store.undo(revision=[2, 4]).changes[0].new_value == ["a", "b", "c", "d"]


def test_nothing_of_an_undo_is_left_where_one_key_of_many_conflicts(store: Store) -> None:
    store.states.set_many("a", "shared", {"x": 1, "y": 1})
    store.states.set_many("a", "shared", {"x": 2, "y": 2})
    store.states.set("a", "shared", "y", 3)
    with store.transaction() as tx:
        with pytest.raises(VersionConflict):
            tx.undo(revision=2)
        tx.states.set("a", "shared", "z", 1)
    assert dict(store.states.items("a", "shared")) == {"x": 2, "y": 3, "z": 1}


def test_a_deletion_and_an_expiry_come_back_with_their_ttl(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "k", 1, ttl=60)
    store.states.delete("a", "local", "k")
    clock.advance(10)
    store.undo(revision=2)
    entry = store.states.entry("a", "local", "k")
    assert entry is not None
    assert entry.expires_at is not None
    assert (entry.expires_at - clock.moment).total_seconds() == 60
    clock.advance(61)
    assert store.retention.sweep() == 1
    store.undo(revision=4)
    assert store.states.get("a", "local", "k") == 1
    clock.advance(61)
    assert store.states.get("a", "local", "k") is None


def test_in_a_session_the_clock_stays_the_sessions(store: Store, clock: Clock) -> None:
    chat = store.agent("a").session("c", ttl=100)
    chat.set("x", 1)
    chat.set("y", 1)
    clock.advance(90)
    chat.delete("x")
    store.undo(revision=3)
    clock.advance(20)
    assert chat.get("x") == chat.get("y") == 1, "the undo restarted the session's clock"
    clock.advance(100)
    assert chat.items() == []


def test_an_expiry_since_is_a_conflict_of_its_own(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=50)
    store.states.set(*K, 2, ttl=50)
    clock.advance(60)
    with pytest.raises(VersionConflict, match="expired"):
        store.undo(revision=2)


def test_what_cannot_be_undone_is_said(store: Store) -> None:
    from statedb import InvalidValue, NoSuchRevision, ReadOnly

    store.states.set(*K, 1, ttl=60)
    store.states.touch(*K, ttl=90)
    with pytest.raises(InvalidValue, match="only moved expiries"):
        store.undo(revision=2)
    for revision in (3, 10**30):
        with pytest.raises(NoSuchRevision):
            store.undo(revision=revision)
    for wrong in (0, -1, True, "1", [], [1, "2"], 1.0):
        with pytest.raises(InvalidValue):
            store.undo(revision=wrong)  # type: ignore[arg-type]
    with pytest.raises(ReadOnly):
        store.at(1).undo(revision=1)
    assert store.undo(revision=1).revision == 3
    assert store.undo(revision=1).revision is None, "it is undone already"
    assert store.transfer.head() == 3


def test_inside_a_transaction_an_undo_stands_on_what_was_written_there(store: Store) -> None:
    store.states.set(*K, {"a": 1, "b": 1})
    store.states.set(*K, {"a": 2, "b": 1})
    with store.transaction(message="both") as tx:
        tx.states.patch(*K, {"b": 2})
        outcome = tx.undo(revision=2)
        inside = outcome.revision
    assert (inside, outcome.revision, tx.revision) == (None, 3, 3)
    assert store.states.get(*K) == {"a": 1, "b": 2}
    assert store.history.commit(3).message == "both\nundo revision 2"


def test_several_undone_at_once_bring_a_key_back_with_its_ttl(store: Store) -> None:
    store.states.set(*K, 1, ttl=60)
    store.states.set(*K, 2, ttl=60)
    store.states.delete(*K)
    store.undo(revision=[2, 3])
    entry = store.states.entry(*K)
    assert entry is not None
    assert entry.value == 1
    assert entry.expires_at is not None, "undone one by one it has 60 s; at once it lives for ever"


def test_an_undo_does_not_shorten_the_session_its_transaction_opened(store: Store) -> None:
    store.states.set("a", "session", "c/x", 1, ttl=5)
    store.states.delete("a", "session", "c/x")
    with store.transaction() as tx:
        tx.agent("a").session("c", ttl=1000).set("y", 1)
        tx.undo(revision=2)
    left = store.agent("a").session("c").entry("y").expires_at - store.history.commit(3).at  # type: ignore[union-attr,operator]
    assert left == timedelta(seconds=1000), "in a session the clock is the session's"


def test_an_undo_takes_back_the_ttl_that_the_commit_gave(store: Store) -> None:
    store.states.set(*K, 1)
    store.states.set(*K, 2, ttl=60)
    store.undo(revision=2)
    entry = store.states.entry(*K)
    assert entry is not None
    assert entry.expires_at is None, "before revision 2 the key lived for ever; after its undo it dies in a minute"


def test_an_undo_that_fails_in_a_transaction_leaves_nothing_staged(open_store: Any) -> None:
    store = open_store(max_value_bytes=1000)
    store.states.set_many("a", "local", {"a": 1, "b": {"x": "." * 600}})
    store.states.set_many("a", "local", {"a": 2, "b": {"x": ""}})
    store.states.patch("a", "local", "b", {"y": "." * 600})
    with store.transaction() as tx:
        with pytest.raises(ValueTooLarge):
            tx.undo(revision=2)
        tx.states.set("a", "local", "z", 1)
    assert store.states.get("a", "local", "a") == 2, "half of the refused undo was committed"
    assert store.history.commit(4).message is None


def test_an_undo_that_changes_nothing_says_nothing_in_its_transaction(store: Store) -> None:
    store.states.set(*K, 1)
    store.undo(revision=1)
    with store.transaction() as tx:
        tx.states.set("a", "local", "z", 1)
        tx.undo(revision=1)
    assert store.history.commit(3).message is None


def test_two_undos_in_one_transaction_are_both_named(store: Store) -> None:
    store.states.set(*K, 1)
    store.states.set("a", "local", "j", 1)
    with store.transaction() as tx:
        tx.undo(revision=2)
        tx.undo(revision=1)
    assert store.history.commit(3).message == "undo revision 2\nundo revision 1"


def test_a_conflict_never_names_an_innocent_revision(store: Store) -> None:
    store.states.set(*K, {"theme": 1, "n": 0})
    store.states.patch(*K, {"theme": 2})
    store.states.patch(*K, {"theme": 3})  # 3: the culprit
    for number in range(1, 1002):
        store.states.patch(*K, {"n": number})
    with pytest.raises(VersionConflict) as caught:
        store.undo(revision=2)
    assert [later.revision for later in caught.value.later] == [3]


def test_a_conflict_does_not_name_what_is_taken_back_with_it(store: Store) -> None:
    for number in range(4):
        store.states.set(*K, number)
    with pytest.raises(VersionConflict) as caught:
        store.undo(revision=[2, 4])
    assert [later.revision for later in caught.value.later] == [3], "4 is being taken back by this very call"


def test_metadata_that_was_changed_again_is_a_conflict_where_nothing_else_changed(store: Store) -> None:
    for number in range(1, 4):
        store.states.set(*K, "the same", metadata={"m": number})
    with pytest.raises(VersionConflict, match="metadata was changed again by revision 3") as caught:
        store.undo(revision=2)
    assert [later.revision for later in caught.value.later] == [3]
    store.states.set(*K, {"a": 1, "b": 1}, metadata={"m": 4})
    store.states.set(*K, {"a": 2, "b": 1}, metadata={"m": 5})
    store.states.set(*K, {"a": 2, "b": 2}, metadata={"m": 6})
    store.undo(revision=5)
    entry = store.states.entry(*K)
    assert entry is not None
    assert (entry.value, entry.metadata) == ({"a": 1, "b": 2}, {"m": 6})


def test_a_ttl_that_was_changed_again_stays(store: Store, clock: Clock) -> None:
    store.states.set(*K, {"a": 1})
    store.states.set(*K, {"a": 2}, ttl=60)
    store.states.set(*K, {"a": 2, "b": 1}, ttl=500)
    store.undo(revision=2)
    entry = store.states.entry(*K)
    assert entry is not None
    assert entry.value == {"a": 1, "b": 1}
    assert entry.expires_at == clock.moment + timedelta(seconds=500)


def test_a_version_names_its_source_only_where_it_is_as_that_was(store: Store) -> None:
    store.states.set(*K, {"a": 1, "b": 1})
    store.states.patch(*K, {"a": 2})
    store.undo(revision=2)
    store.states.patch(*K, {"a": 3})
    store.states.patch(*K, {"b": 2})
    store.undo(revision=4)
    assert [version.source_version for version in store.history.versions(*K)] == [None, None, None, 1, None, None]


def test_innocent_writes_after_the_overlapping_one_are_not_named(store: Store) -> None:
    store.states.set(*K, {"theme": 1, "n": 0})
    store.states.patch(*K, {"theme": 2})
    store.states.patch(*K, {"n": 1})
    store.states.patch(*K, {"theme": 3})
    store.states.patch(*K, {"n": 2})
    store.states.patch(*K, {"theme": 4})
    store.states.patch(*K, {"n": 3})
    with pytest.raises(VersionConflict, match="revision 4, 6;") as caught:
        store.undo(revision=2)
    assert [later.revision for later in caught.value.later] == [4, 6]


def test_of_many_keys_in_conflict_their_number_is_said(store: Store) -> None:
    for number in range(3):
        store.states.set_many("a", "local", dict.fromkeys("xyz", number))
    with pytest.raises(VersionConflict, match="with 2 more of its keys") as caught:
        store.undo(revision=2)
    assert caught.value.key == "x"


def test_bytes_are_no_list_of_revisions(store: Store) -> None:
    from statedb import InvalidValue

    store.states.set(*K, 1)
    for wrong in (b"\x01", bytearray(b"\x01")):
        with pytest.raises(InvalidValue):
            store.undo(revision=wrong)
