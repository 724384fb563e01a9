"""Restores: what goes back and what stays, beside a model that keeps a whole copy of everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import Compacted, InvalidKey, InvalidValue, NoSuchRevision, Store, ValueTooLarge
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import Places, tamper

SORTS = ("file", "postgres", "async postgres")

K = ("a", "persistent", "k")


def everything(store: Any) -> dict[tuple[str, str, str], tuple[Any, Any]]:
    """Return every value a store shows, with its metadata."""
    found = {}
    for agent in ("a", "b"):
        for tier in ("local", "session"):
            for key in store.states.keys(agent, tier):
                entry = store.states.entry(agent, tier, key)
                found[agent, tier, key] = (entry.value, entry.metadata)
    return found


def told(outcome: Any) -> list[tuple[str, str, Any, Any]]:
    return [(each.key, each.change, each.old_value, each.new_value) for each in outcome.changes]


def test_everything_goes_back_and_the_restore_can_be_undone(store: Store) -> None:
    store.states.set_many("a", "local", {"changed": 1, "deleted": 2, "left": 3}, metadata={"m": 1})
    store.states.set("b", "local", "other", b"raw")
    then = everything(store)
    store.states.set("a", "local", "changed", {"x": 1}, metadata={"m": 2})
    store.states.delete("a", "local", "deleted")
    store.states.set("a", "local", "made", 1)
    store.states.set("b", "local", "other", b"new")
    now = everything(store)
    outcome = store.restore(2, message="back")
    assert told(outcome) == [
        ("changed", "update", {"x": 1}, 1),
        ("deleted", "create", None, 2),
        ("made", "delete", 1, None),
        ("other", "update", b"new", b"raw"),
    ]
    assert everything(store) == then
    commit = store.history.commit(7)
    assert (outcome.revision, commit.kind, commit.message, len(commit.changes)) == (7, "restore", "back", 4)
    assert [each.source_version for each in store.history.versions("a", "local", "changed")] == [1, None, None]
    assert [each.version for each in store.history.versions("a", "local", "left")] == [1]
    store.undo(revision=7)
    assert everything(store) == now
    assert [each.source_version for each in store.history.versions("a", "local", "deleted")][1] == 1


def test_what_is_to_go_back_can_be_narrowed(store: Store) -> None:
    def fresh(value: int) -> None:
        for agent in "ab":
            for tier in ("local", "persistent"):
                store.states.set_many(agent, tier, dict.fromkeys(("plan/1", "plan/2", "notes", "[x]", "x"), value))

    fresh(1)
    start = store.transfer.head()
    fresh(2)
    narrowed: list[tuple[dict[str, Any], int]] = [
        ({"agent_id": "a", "state_type": "local", "keys": "notes"}, 1),
        ({"agent_id": "a", "keys": "plan/*"}, 4),
        ({"keys": ["plan/1", "notes"], "state_type": "persistent"}, 4),
        ({"keys": "[x]"}, 8),
        ({"keys": "plan"}, 0),
        ({"keys": []}, 0),
        ({"agent_id": "nobody"}, 0),
        ({"agent_id": "b"}, 10),
        ({"state_type": "local"}, 10),
        ({}, 20),
    ]
    for how, count in narrowed:
        assert len(store.restore(start, dry_run=True, **how).changes) == count, how
    assert store.restore(start, agent_id="a", state_type="local", keys="notes").changes[0].key == "notes"
    assert len(store.restore(start).changes) == 19
    assert store.restore(start).revision is None, "nothing differs any more"


def test_a_dry_run_lists_exactly_what_would_change(store: Store, clock: Clock) -> None:
    store.states.set("a", "local", "back", 1)
    store.states.set_many("a", "local", {"x": 1, "y": 2, "z": 3}, ttl=60)
    clock.advance(120)
    store.states.delete("a", "local", "back")
    store.states.set("a", "local", "fresh", 1, ttl=10)
    store.states.set("a", "local", "x", 9)
    clock.advance(10)
    head = store.transfer.head()
    shown = store.restore(2, dry_run=True)
    assert (shown.revision, store.transfer.head()) == (None, head)
    done = store.restore(2)
    assert done.revision is not None
    assert [replace(each, revision=done.revision) for each in shown.changes] == list(done.changes)
    assert [each[:2] for each in told(done)] == [("back", "create"), ("x", "update"), ("y", "create"), ("z", "create")]
    assert [store.states.entry("a", "local", each).version for each in "xyz"] == [4, 3, 3]  # type: ignore[union-attr]


def test_a_dry_run_tells_the_versions_of_what_its_transaction_has_changed(store: Store) -> None:
    store.states.set_many("a", "local", {"changed": 1, "deleted": 1})
    store.states.set_many("a", "local", {"both": 1, "gone": 1})
    store.states.delete("a", "local", "gone")
    with store.transaction() as tx:
        tx.states.set_many("a", "local", {"both": 2, "changed": 2, "gone": 2, "made": 2})
        tx.states.delete("a", "local", "deleted")
        shown, done = tx.restore(1, dry_run=True), tx.restore(1)
    assert [(each.key, each.version) for each in shown.changes] == [
        ("both", 2), ("changed", 1), ("deleted", 1), ("gone", 0), ("made", 0),
    ]  # fmt: skip
    assert [replace(each, revision=0) for each in done.changes] == list(shown.changes)


def test_an_expiry_since_is_made_good_with_a_whole_ttl(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=60)
    clock.advance(100)
    outcome = store.restore(1)
    entry = store.states.entry(*K)
    assert told(outcome) == [("k", "create", None, 1)]
    assert entry is not None
    assert entry.expires_at == clock.moment + timedelta(seconds=60)
    assert (entry.version, outcome.changes[0].version) == (3, 3), "the expiry is a version of its own"


def test_what_had_expired_by_the_point_stays_gone(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1, ttl=60)
    store.states.set("a", "persistent", "j", 1)
    clock.advance(60)
    then = clock.moment
    clock.advance(60)
    store.states.set(*K, 2)
    store.states.set("a", "persistent", "j", 2)
    assert told(store.restore(then)) == [("j", "update", 2, 1), ("k", "delete", 2, None)]
    assert store.states.get(*K) is None


def test_points_of_every_kind_go_back_to(store: Store, clock: Clock) -> None:
    store.states.set(*K, 1)
    then = clock.moment
    clock.advance(60)
    points: list[Any] = [1, then, then.isoformat(), timedelta(seconds=60)]
    for point in points:
        store.states.set(*K, 2)
        assert told(store.restore(point)) == [("k", "update", 2, 1)], point
    messages = [each.message for each in store.history.commits() if each.kind == "restore"]
    assert messages[::-1] == ["restore to revision 1", *[f"restore to {then.isoformat()}"] * 3]
    for point in (99, clock.moment + timedelta(seconds=1)):
        with pytest.raises(NoSuchRevision):
            store.restore(point)
    assert told(store.restore(0)) == [("k", "delete", 1, None)]


def test_by_a_checkpoint_its_agent_goes_back(store: Store) -> None:
    for agent in "ab":
        store.states.set(agent, "local", "k", 1)
    store.checkpoints.create("all")
    store.checkpoints.create("mine", agent_id="a")
    for agent in "ab":
        store.states.set(agent, "local", "k", 2)
    for ask in (store.restore, store.checkpoints.restore):
        assert [each.agent_id for each in ask("mine", dry_run=True).changes] == ["a"]
        assert [each.agent_id for each in ask("all", dry_run=True).changes] == ["a", "b"]
        assert [each.agent_id for each in ask("all", agent_id="b", dry_run=True).changes] == ["b"]
    assert store.checkpoints.restore("mine").revision == 7
    assert store.history.commit(7).message == "restore to mine"
    assert [store.states.get(agent, "local", "k") for agent in "ab"] == [1, 2]


def test_sessions_stay_unless_they_are_asked_for(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=100)
    session.set("topic", 1)
    store.states.set("a", "session", "alone", 1, ttl=50)
    clock.advance(10)
    session.set("topic", 2)
    session.set("more", 1)
    store.states.set("a", "session", "alone", 2)
    store.states.set("a", "local", "k", 1)
    clock.advance(10)
    assert told(store.restore(2, dry_run=True)) == [("k", "delete", 1, None)]
    session.close()
    assert told(store.restore(2, state_type="session")) == [
        ("alone", "update", 2, 1),
        ("c/topic", "create", None, 1),
    ]
    entry = session.entry("topic")
    assert entry is not None
    assert entry.expires_at == clock.moment + timedelta(seconds=100), "the session's clock restarts"
    alone = store.states.entry("a", "session", "alone")
    assert alone is not None
    assert alone.expires_at == clock.moment + timedelta(seconds=50)
    assert session.get("more") is None
    assert store.states.get("a", "local", "k") == 1


def test_in_a_transaction_its_own_writes_go_back_too(store: Store) -> None:
    store.states.set_many("a", "local", {"x": 1, "y": 1})
    store.states.set("a", "local", "x", 2)
    with store.transaction() as tx:
        tx.states.set("a", "local", "y", 2)
        tx.states.set("a", "local", "new", 2)
        tx.states.set("b", "local", "other", 2)
        outcome = tx.restore(1, agent_id="a")
        assert tx.states.items("a", "local") == [("x", 1), ("y", 1)]
    assert [each.key for each in outcome.changes] == ["new", "x", "y"]
    assert (outcome.revision, store.history.commit(3).kind) == (3, "restore")
    assert store.states.items("a", "local") == [("x", 1), ("y", 1)]
    assert store.states.get("b", "local", "other") == 2


def test_a_restore_is_refused_whole(open_store: Opener, where: str) -> None:
    store = open_store(max_value_bytes=100)
    store.states.set_many("a", "local", {"long": "." * 90, "short": 1})
    store.states.set_many("a", "local", {"long": "", "short": 2})
    small = open_store(max_value_bytes=50)
    for dry_run in (True, False):
        with pytest.raises(ValueTooLarge):
            small.restore(1, dry_run=dry_run)
    with small.transaction() as tx:
        with pytest.raises(ValueTooLarge):
            tx.restore(1)
        tx.states.set("a", "local", "z", 1)
    assert store.states.items("a", "local") == [("long", ""), ("short", 2), ("z", 1)]
    assert (store.history.commit(3).kind, store.history.commit(3).message) == ("write", None)


def test_what_is_not_kept_is_refused_or_named(open_store: Opener, where: str) -> None:
    store = open_store(check=False)
    for number in (1, 2, 3):
        store.states.set_many("a", "local", {"cut": number, "kept": number})
    tamper(
        where,
        "update agent_states set floor = 2 where state_key = 'cut'",
        "delete from state_versions where revision = 1 and state_id = "
        "(select id from agent_states where state_key = 'cut')",
        by=store,
    )
    with pytest.raises(Compacted) as caught:
        store.restore(1)
    assert [at.key for at in caught.value.missing] == ["cut"]
    assert told(store.restore(1, keys="kept", dry_run=True)) == [("kept", "update", 3, 1)]
    outcome = store.restore(1, partial=True)
    assert (told(outcome), [at.key for at in outcome.missing]) == ([("kept", "update", 3, 1)], ["cut"])
    assert store.states.items("a", "local") == [("cut", 3), ("kept", 1)]


def test_what_was_erased_is_refused_or_named(open_store: Opener, where: str) -> None:
    store = open_store(check=False)
    for number in (1, 2, 3):
        store.states.set_many("a", "local", {"erased": number, "kept": number})
    tamper(
        where,
        "update state_versions set codec = 4, value = null, data = null, base = null where revision = 1 and state_id "
        "= (select id from agent_states where state_key = 'erased')",
        by=store,
    )
    with pytest.raises(Compacted, match="erased"):
        store.restore(1)
    outcome = store.restore(1, partial=True)
    assert (told(outcome), [at.key for at in outcome.missing]) == ([("kept", "update", 3, 1)], ["erased"])


def test_what_cannot_be_asked_for_is_refused(store: Store) -> None:
    store.states.set(*K, 1)
    wrongs: list[dict[str, Any]] = [
        {"agent_id": ""}, {"state_type": "all"}, {"keys": 5}, {"keys": b"k"}, {"keys": [""]}, {"keys": [None]},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises((InvalidKey, InvalidValue)):
            store.restore(1, **wrong)
    points: list[Any] = [None, 1.5, "", True, b"x"]
    for point in points:
        with pytest.raises(InvalidValue):
            store.restore(point)


def test_metadata_alone_comes_back_too(store: Store) -> None:
    store.states.set(*K, 1, metadata={"m": 1})
    store.states.set(*K, 1, metadata={"m": 2})
    assert told(store.restore(1)) == [("k", "update", 1, 1)]
    entry = store.states.entry(*K)
    assert entry is not None
    assert entry.metadata == {"m": 1}


# ---- beside a model

tiers = st.sampled_from(("local", "session"))
values = st.sampled_from([0, 1, {"x": 1}, {"x": 2}, b"raw", None])
writes = st.tuples(
    st.sampled_from(("set", "ttl", "delete", "wait", "sweep", "checkpoint")),
    st.sampled_from("ab"), tiers, st.sampled_from(("k", "l", "c/k")), values, st.sampled_from((None, {"m": 1})),
)  # fmt: skip


def test_a_restore_brings_back_what_a_copy_shows(places: Places) -> None:
    @settings(max_examples=places.examples(60))
    @given(st.lists(writes, min_size=2, max_size=14), st.integers(0, 14), st.sampled_from((None, "a")), tiers)
    def holds(done: list[Any], to: int, agent: str | None, tier: str) -> None:
        clock = Clock()
        with places.briefly() as where, Store(where, clock=clock, durability="normal") as store:
            for what, whose, kind, key, value, metadata in done:
                clock.advance(1)
                if what == "delete":
                    store.states.delete(whose, kind, key)
                elif what == "wait":
                    clock.advance(30)
                elif what == "sweep":
                    store.retention.sweep()
                elif what == "checkpoint":
                    store.checkpoints.create(str(clock.micros))
                else:
                    ttl = 20 if what == "ttl" else None
                    store.states.set(whose, kind, key, value, metadata=metadata, ttl=ttl)
            to %= store.transfer.head() + 1
            now, then = everything(store), everything(store.at(to))

            def within(at: tuple[str, str, str]) -> bool:
                return at[1] == tier and agent in (None, at[0])

            outcome = store.restore(to, agent_id=agent, state_type=tier)
            expected = {at: what for at, what in now.items() if not within(at)}
            expected |= {at: what for at, what in then.items() if within(at)}
            assert everything(store) == expected
            changed = {(each.agent_id, each.state_type.value, each.key) for each in outcome.changes}
            assert changed == {at for at in {**now, **then} if within(at) and now.get(at) != then.get(at)}
            assert store.health.check().problems == ()
            if outcome.revision is not None and not any(each.new_value is None for each in outcome.changes):
                assert store.restore(to, agent_id=agent, state_type=tier).changes == ()

    holds()
