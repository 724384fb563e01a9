"""Sessions: keys that expire together."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any

import pytest

from statedb import CheckpointExists, InvalidKey, InvalidValue, Store
from tests.helpers import Clock, pages
from tests.places import Places

DAY = 24 * 3600


def test_keys_of_a_session_expire_together_and_any_write_restarts_all(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c7", ttl=60)
    session.set("one", 1)
    clock.advance(50)
    session.set("two", 2)
    clock.advance(50)
    assert session.items() == [("one", 1), ("two", 2)]
    session.touch("one")
    writes: list[Any] = [
        lambda: session.touch("one"),
        lambda: session.set("one", 1),
        lambda: session.patch("one", [{"op": "replace", "path": "", "value": 3}]),
        lambda: session.delete("two"),
        lambda: session.set_many({"x": 1, "y": 1}),
        lambda: session.clear("y"),
        lambda: store.states.set("a", "session", "c7/raw", 1),
        lambda: store.states.delete("a", "session", "c7/raw"),
        lambda: store.states.touch("a", "session", "c7/one"),
        lambda: store.history.revert("a", "session", "c7/one", version=1),
    ]
    for write in writes:
        clock.advance(50)
        write()
        clock.advance(59)
        assert session.exists("one")
        session.touch("one")
    clock.advance(60)
    assert session.keys() == []
    assert store.states.keys("a", "session") == []


def test_a_session_lasts_24_hours_unless_told(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c7")
    session.set("k", 1)
    clock.advance(DAY - 1)
    assert session.get("k") == 1
    clock.advance(1)
    assert session.get("k") is None


def test_a_session_keeps_its_own_ttl_until_it_is_told_another(store: Store, clock: Clock) -> None:
    def left() -> float:
        entry = store.states.entry("a", "session", "c/k")
        assert entry is not None
        assert entry.expires_at is not None
        return (entry.expires_at - clock.moment).total_seconds()

    store.agent("a").session("c", ttl=60).set("k", 1)
    clock.advance(10)
    store.agent("a").session("c").set("other", 1)
    assert left() == 60
    store.agent("a").session("c", ttl=timedelta(minutes=5)).set("other", 2)
    assert left() == 300
    store.states.set("a", "session", "c/other", 3, ttl=7)
    assert left() == 7
    store.states.set("a", "session", "c/other", 4)
    assert left() == 7


def test_sessions_are_apart(store: Store, clock: Clock) -> None:
    for agent in ("a", "b"):
        for name in ("c", "c7", "c70", "c0"):
            store.agent(agent).session(name, ttl=60).set("k", f"{agent} {name}")
    clock.advance(30)
    store.agent("a").session("c7").touch("k")
    clock.advance(30)
    assert store.states.items("a", "session") == [("c7/k", "a c7")]
    assert store.states.items("b", "session") == []


def test_the_same_name_in_another_tier_is_no_session(store: Store, clock: Clock) -> None:
    store.agent("a").session("c", ttl=60).set("k", 1)
    store.states.set("a", "local", "c/k", 2)
    clock.advance(60)
    assert store.states.get("a", "local", "c/k") == 2


def test_closing_ends_a_session_at_once_and_the_next_write_begins_anew(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=60)
    session.set_many({"x": 1, "y": 2})
    clock.advance(1)
    assert session.close()
    assert not session.close()
    assert session.keys() == []
    assert [version.change for version in store.history.versions("a", "session", "c/x")] == ["expire", "create"]
    assert store.at(1).states.items("a", "session") == [("c/x", 1), ("c/y", 2)]
    session.set("x", 3)
    assert session.items() == [("x", 3)]
    assert store.states.entry("a", "session", "c/x").expires_at == clock.moment + timedelta(seconds=60)  # type: ignore[union-attr]
    assert not store.agent("a").session("never").close()


def test_a_write_to_a_session_that_has_ended_brings_none_of_its_keys_back(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=60)
    session.set_many({"x": 1, "y": 2})
    clock.advance(61)
    session.set("x", 3)
    assert session.items() == [("x", 3)]
    assert [version.change for version in store.history.versions("a", "session", "c/y")] == ["expire", "create"]
    assert store.at(timedelta(seconds=1)).states.keys("a", "session") == []


def test_keys_that_lie_below_the_name_join_a_session_when_it_begins(store: Store, clock: Clock) -> None:
    store.states.set("a", "session", "c/raw", 1, ttl=30)
    store.states.set("a", "session", "c/late", 1, ttl=5)
    clock.advance(10)
    store.agent("a").session("c", ttl=60).set("k", 1)
    clock.advance(59)
    assert store.states.keys("a", "session") == ["c/k", "c/raw"]
    assert store.at(2).states.entry("a", "session", "c/raw").expires_at == clock.moment - timedelta(seconds=39)  # type: ignore[union-attr]


def test_a_transaction_that_begins_a_session_reads_its_clock_in_every_key_of_it(store: Store) -> None:
    def ends(rooms: Any, *at: str) -> Any:
        return rooms.states.entry("a", *at).expires_at

    store.states.set("a", "session", "c7/x", 1, ttl=10)
    store.states.set("a", "shared", "c7/x", 1, ttl=10)

    def begin(tx: Any) -> list[Any]:
        tx.agent("a").session("c7", ttl=60).set("y", 1)
        keys = [("session", "c7/x"), ("session", "c7/y"), ("shared", "c7/x")]
        return [ends(tx, *key) for key in keys]

    joined, own, other = store.run(begin)
    assert joined == own == ends(store, "session", "c7/x")
    assert other == ends(store, "shared", "c7/x") < own


def test_nothing_is_written_until_a_key_is(store: Store) -> None:
    session = store.agent("a").session("c", ttl=60)
    assert session.keys() == []
    assert not session.exists("k")
    assert not session.delete("k")
    assert not session.touch("k")
    assert session.clear() == 0
    assert not session.close()
    assert store.transfer.head() == 0


def test_a_call_that_changes_nothing_begins_no_session_for_the_writes_beside_it(store: Store) -> None:
    # Each in one transaction with a write below the name that is not the session's: that keeps a ttl of its own.
    def fails(tx: Any) -> None:
        with pytest.raises(InvalidValue):
            tx.agent("a").session("bad", ttl=60).set("x", object())

    for name, idle in (
        ("delete", lambda tx: tx.agent("a").session("delete", ttl=60).delete("none")),
        ("touch", lambda tx: tx.agent("a").session("touch", ttl=60).touch("none")),
        ("bad", fails),
    ):
        for first in (True, False):
            agent = "a" if first else "b"
            with store.transaction() as tx:
                if first:
                    idle(tx)
                entry = tx.states.set(agent, "session", f"{name}/k", 1)
                if not first:
                    tx.agent("b").session(name, ttl=60).delete("none")
            expected = store.states.entry(agent, "session", f"{name}/k")
            assert expected is not None
            assert expected.expires_at == entry.expires_at
            assert not store.agent(agent).session(name).close()  # there is none to end
            assert store.health.check().problems == ()


def test_expired_keys_are_not_recorded_by_a_call_that_changes_nothing(store: Store, clock: Clock) -> None:
    store.states.set("a", "session", "c/raw", 1, ttl=5)
    clock.advance(5)
    assert not store.agent("a").session("c").delete("none")
    assert store.transfer.head() == 1


def test_all_of_a_transactions_entries_tell_of_the_clock_it_leaves(store: Store, clock: Clock) -> None:
    with store.transaction() as tx:
        first = tx.agent("a").session("c", ttl=60).set("x", 1)
        tx.agent("a").session("c", ttl=10).set("y", 1)
        inside = tx.states.entry("a", "session", "c/x")
        assert inside is not None
        assert inside.expires_at == clock.moment + timedelta(seconds=10)
    found = store.states.entry("a", "session", "c/x")
    assert found is not None
    assert found.expires_at == clock.moment + timedelta(seconds=10)
    assert first.version == found.version


def test_a_session_without_end_never_expires(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=math.inf)
    session.set("k", 1)
    clock.advance(100 * DAY)
    assert session.get("k") == 1
    assert store.retention.sweep() == 0


def test_closing_a_session_is_the_closers_commit(store: Store) -> None:
    session = store.agent("a").session("c7")
    session.set("topic", 1)
    with store.transaction(message="wrap up", actor="me") as tx:
        tx.agent("a").session("c7").close()
        tx.states.set("a", "local", "summary", "x")
    commit = store.history.commit(2)
    assert tx.revision == 2
    assert (commit.kind, commit.by, commit.message) == ("write", "me", "wrap up")
    assert sorted((change.key, change.change) for change in commit.changes) == [
        ("c7/topic", "expire"),
        ("summary", "create"),
    ]


def test_a_close_alone_is_one_commit(store: Store) -> None:
    session = store.agent("a").session("c7")
    session.set("topic", 1)
    session.close()
    assert [(commit.kind, len(commit.changes)) for commit in store.history.commits()] == [("expire", 1), ("write", 1)]


def test_a_session_begun_and_closed_at_once_keeps_its_keys(store: Store) -> None:
    store.states.set_many("a", "session", {"c/x": 1, "c/y": 2})
    with store.transaction() as tx:
        tx.agent("a").session("c").set("x", 3)
        tx.agent("a").session("c").close()
    assert store.states.keys("a", "session") == []
    assert store.health.check().problems == ()


def test_what_a_function_writes_beside_its_session_stays_beside_it(filed: Store) -> None:
    with filed.transaction() as tx:

        def aside(value: int) -> int:
            tx.states.set("a", "local", "note", 1)
            tx.states.set("a", "session", "d/x", 1)
            tx.agent("a").session("e", ttl=5).set("y", 1)
            return value + 1

        tx.agent("a").session("c", ttl=60).update("k", aside, default=0)
    expiries = {
        key: entry.expires_at - entry.updated_at if entry and entry.expires_at else None
        for key in ("c/k", "d/x", "e/y")
        for entry in [filed.states.entry("a", "session", key)]
    }
    assert expiries == {"c/k": timedelta(seconds=60), "d/x": timedelta(hours=24), "e/y": timedelta(seconds=5)}
    note = filed.states.entry("a", "local", "note")
    assert note is not None
    assert note.expires_at is None


def test_a_listing_leaves_what_expired_before_its_session_began_as_it_was(store: Store, clock: Clock) -> None:
    store.states.set("a", "session", "c/old", 1, ttl=5)
    clock.advance(10)
    with store.transaction() as tx:
        tx.agent("a").session("c").set("new", 1)
        assert tx.states.keys("a", "session") == ["c/new"]
    assert store.health.check().problems == ()


# ---- sessions that do not slide


def left(store: Store, clock: Clock, key: str = "c/k") -> float | None:
    entry = store.states.entry("a", "session", key)
    assert entry is not None
    return None if entry.expires_at is None else (entry.expires_at - clock.moment).total_seconds()


def test_a_session_that_does_not_slide_ends_when_it_was_to_end(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=60, sliding=False)
    session.set("k", 1)
    clock.advance(10)
    writes: list[Any] = [
        lambda: session.set("k", 2),
        lambda: session.set_many({"x": 1, "y": 1}),
        lambda: session.touch("k"),
        lambda: session.delete("x"),
        lambda: store.agent("a").session("c").set("k", 3),
        lambda: store.states.set("a", "session", "c/raw", 1),
        lambda: store.states.touch("a", "session", "c/k"),
        lambda: store.history.revert("a", "session", "c/k", version=1),
    ]
    for write in writes:
        write()
        assert left(store, clock) == 50
    info = session.info()
    assert info is not None
    assert (info.ttl, info.sliding, info.expires_at) == (None, False, clock.moment + timedelta(seconds=50))
    clock.advance(50)
    assert (session.keys(), session.get("k"), session.info()) == ([], None, None)
    assert store.retention.sweep() == 3
    assert store.history.commits()[0].kind == "expire"
    session.set("k", 4)
    assert left(store, clock) == 60, "it begins anew"
    clock.advance(61)
    store.states.set("a", "session", "c/k", 5)
    assert left(store, clock) == DAY, "nothing tells how long another is to be"
    assert session.keys() == ["k"]


def test_a_ttl_that_is_told_moves_the_end_and_says_whether_it_slides(store: Store, clock: Clock) -> None:
    agent = store.agent("a")
    agent.session("c", ttl=60, sliding=False).set("k", 1)
    store.states.set("a", "session", "c/k", 2, ttl=90)
    clock.advance(10)
    agent.session("c").set("k", 3)
    assert left(store, clock) == 80, "it still does not slide"
    agent.session("c", ttl=30).set("k", 4)
    clock.advance(10)
    agent.session("c").set("k", 5)
    assert left(store, clock) == 30, "now it slides"
    agent.session("c", ttl=20, sliding=False).set("k", 6)
    clock.advance(5)
    agent.session("c", ttl=20, sliding=False).set("k", 7)
    assert left(store, clock) == 15
    agent.session("c", ttl=math.inf, sliding=False).touch()
    assert left(store, clock) is None


def test_touching_a_session_restarts_all_of_it(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=60)
    assert not session.touch(), "it has not begun"
    session.set_many({"k": 1, "other": 1})
    clock.advance(50)
    assert session.touch()
    assert store.history.commits()[0].kind == "touch"
    assert left(store, clock) == left(store, clock, "c/other") == 60
    clock.advance(10)
    assert store.agent("a").session("c").touch(ttl=7)
    assert left(store, clock) == 7
    clock.advance(1)
    assert store.agent("a").session("c").touch()
    assert left(store, clock) == 7
    clock.advance(7)
    assert not session.touch(), "it has ended"
    assert not session.exists("k")
    fixed = store.agent("a").session("c", ttl=60, sliding=False)
    fixed.set("k", 1)
    clock.advance(10)
    with pytest.raises(InvalidValue, match="has no ttl of its own"):
        store.agent("a").session("c").touch()
    assert fixed.touch()
    assert left(store, clock) == 60
    assert store.agent("a").session("c").touch(ttl=5)
    info = fixed.info()
    assert info is not None
    assert (info.sliding, left(store, clock)) == (False, 5)


def test_a_sessions_end_can_be_asked_for_now_and_of_the_past(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=60)
    assert session.info() is None
    session.set("k", 1)
    first = clock.moment
    clock.advance(10)
    session.set("k", 2, ttl=90)
    info = session.info()
    assert info is not None
    assert (info.agent_id, info.name, info.ttl, info.sliding) == ("a", "c", 90, True)
    assert info.expires_at == clock.moment + timedelta(seconds=90)
    before = store.at(1).agent("a").session("c").info()
    assert before is not None
    assert (before.ttl, before.expires_at) == (60, first + timedelta(seconds=60))
    session.close()
    assert session.info() is None
    store.branches.create("lab")
    clock.advance(1000)
    for shell in (store, store.branch("lab")):
        for point in (1, first + timedelta(seconds=5)):
            assert shell.at(point).agent("a").session("c").info() == before, "that it has ended since is none of theirs"
        assert shell.at(clock.moment).agent("a").session("c").info() is None


def test_a_session_that_does_not_slide_is_that_on_a_branch_and_elsewhere(
    store: Store, ground: Places, clock: Clock
) -> None:
    store.agent("a").session("c", ttl=60, sliding=False).set("k", 1)
    store.branches.create("lab")
    lab = store.branch("lab")
    clock.advance(10)
    lab.agent("a").session("c").set("k", 2)
    lab.agent("a").session("d", ttl=70, sliding=False).set("k", 1)
    info = lab.agent("a").session("c").info()
    assert info is not None
    assert (info.sliding, info.expires_at) == (False, clock.moment + timedelta(seconds=50))
    clock.advance(10)
    store.branches.merge("lab")
    assert (left(store, clock), left(store, clock, "d/k")) == (40, 60)
    snapshot = store.checkpoints.export(store.checkpoints.create("now").name, agent_id="a")
    assert snapshot["state_snapshot"]["session"]["d/k"]["ttl"] == 60
    with Store(ground.apart(), clock=clock) as other:
        other.transfer.load(pages(store))
        assert list(pages(other)) == list(pages(store))
        copied = other.agent("a").session("d").info()
        assert copied == store.agent("a").session("d").info()
        assert other.health.check().problems == ()


def test_a_session_may_be_closed_behind_a_checkpoint(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=60)
    assert not session.close(checkpoint="never"), "it has not begun"
    session.set("k", 1)
    head = store.transfer.head()
    clock.advance(5)
    assert session.close(checkpoint="the end", message="bye")
    [made] = store.checkpoints.list("a")
    assert (made.name, made.type, made.revision, made.at) == ("the end", "milestone", head, clock.moment)
    assert made.created_revision == store.history.commits()[0].revision == head + 1, "all in one commit"
    assert store.history.commits()[0].message == "bye"
    assert (session.keys(), store.at("the end").agent("a").session("c").get("k")) == ([], 1)
    assert not session.close(checkpoint="twice")
    store.checkpoints.restore("the end", agent_id="a", state_type="session")
    assert (session.get("k"), left(store, clock)) == (1, 60)
    with pytest.raises(CheckpointExists):
        session.close(checkpoint="the end")
    with pytest.raises(InvalidKey):
        session.close(checkpoint="2026-01-01")
    assert session.get("k") == 1
