"""Snapshots: a checkpoint's whole content as JSON, and back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import Compacted, InvalidKey, InvalidValue, Store
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART, Places, tamper

SORTS = ("file", "postgres", "async postgres")

K = ("a", "local", "k")


def test_a_snapshot_is_a_row_of_the_research_schema(store: Store, clock: Clock) -> None:
    with store.transaction(actor="ann") as tx:
        tx.states.set("a", "persistent", "prefs", {"theme": "dark"}, metadata={"src": "ui"})
        tx.states.set("a", "local", "raw", b"\x00\xff", ttl=60)
        tx.states.set("b", "local", "other", 1)
    store.agent("a").session("c", ttl=100).set("topic", None)
    at = clock.moment.isoformat()
    clock.advance(10)
    with store.transaction(actor="bob") as tx:
        made = tx.checkpoints.create("before", agent_id="a", metadata={"x": 1})
    store.states.set("a", "persistent", "prefs", 2)
    kept = {"version": 1, "created_at": at, "updated_at": at}
    row = store.checkpoints.export("before", agent_id="a")
    assert row == {
        "id": str(made.id),
        "agent_id": "a",
        "checkpoint_name": "before",
        "checkpoint_type": "manual",
        "state_snapshot": {
            "local": {"raw": {"bytes": "AP8=", "metadata": None, "ttl": 60.0, "created_by": "ann"} | kept},
            "session": {"c/topic": {"value": None, "metadata": None, "ttl": 100.0, "created_by": None} | kept},
            "persistent": {
                "prefs": {"value": {"theme": "dark"}, "metadata": {"src": "ui"}, "ttl": None, "created_by": "ann"}
                | kept
            },
        },
        "created_at": clock.moment.isoformat(),
        "created_by": "bob",
        "metadata": {"x": 1},
    }
    assert json.loads(json.dumps(row)) == row
    with store.transaction() as tx:
        tx.states.set("a", "persistent", "prefs", "staged")
        assert tx.checkpoints.export("before") == row, "what a transaction has staged is not of the past"


def test_a_snapshot_brings_back_what_it_holds(store: Store, clock: Clock) -> None:
    store.states.set_many("a", "local", {"k": 1, "gone": b"x"}, ttl=60, metadata={"m": 1})
    store.states.set("b", "local", "k", 1)
    store.checkpoints.create("then", agent_id="a")
    row = json.loads(json.dumps(store.checkpoints.export("then")))
    clock.advance(100)
    store.states.set(*K, 2)
    store.states.set("a", "shared", "made", 1)
    store.states.set("a", "session", "s", 1)
    store.states.set("b", "local", "k", 2)
    shown = store.checkpoints.load(row, dry_run=True)
    done = store.checkpoints.load(row)
    assert done.revision is not None
    assert [replace(each, revision=done.revision) for each in shown.changes] == list(done.changes)
    assert [(each.key, each.change) for each in done.changes] == [
        ("gone", "create"), ("k", "update"), ("made", "delete")
    ]  # fmt: skip
    entry = store.states.entry("a", "local", "gone")
    assert entry is not None
    assert (entry.value, entry.metadata) == (b"x", {"m": 1})
    assert entry.expires_at == clock.moment + timedelta(seconds=60)
    assert store.states.get("a", "session", "s") == 1, "sessions stay unless they are asked for"
    assert store.states.get("b", "local", "k") == 2
    commit = store.history.commit(done.revision)
    assert (commit.kind, commit.message) == ("restore", "load then")
    assert store.checkpoints.load(row).revision is None
    store.undo(revision=done.revision)
    assert store.states.get(*K) == 2


def test_a_snapshot_of_the_whole_store_holds_every_agent(store: Store) -> None:
    for agent in "ab":
        store.states.set(agent, "local", "k", agent)
    store.checkpoints.create("all")
    row = store.checkpoints.export("all")
    assert row["agent_id"] is None
    assert {agent: list(tiers) for agent, tiers in row["state_snapshot"].items()} == {"a": ["local"], "b": ["local"]}
    assert store.checkpoints.export("all", agent_id="b")["state_snapshot"] == row["state_snapshot"]["b"]
    for agent in "abc":
        store.states.set(agent, "local", "k", "new")
    assert [each.agent_id for each in store.checkpoints.load(row, agent_id="b").changes] == ["b"]
    assert [(each.agent_id, each.change) for each in store.checkpoints.load(row).changes] == [
        ("a", "update"), ("c", "delete")
    ]  # fmt: skip


def test_one_agents_snapshot_may_be_anothers(open_store: Opener) -> None:
    store, other = open_store(APART), open_store(APART)
    store.states.set(*K, 1)
    store.checkpoints.create("x", agent_id="a")
    row = store.checkpoints.export("x")
    assert [each.new_value for each in other.checkpoints.load(row, agent_id="z").changes] == [1]
    assert other.states.get("z", "local", "k") == 1
    assert other.states.keys("a", "local") == []


def test_sessions_come_back_where_they_are_asked_for(store: Store, clock: Clock) -> None:
    session = store.agent("a").session("c", ttl=100)
    session.set("topic", 1)
    store.checkpoints.create("x", agent_id="a")
    row = store.checkpoints.export("x")
    session.set("topic", 2)
    store.states.set("a", "local", "k", 1)
    assert len(store.checkpoints.load(row, state_type="session").changes) == 1
    assert session.get("topic") == 1
    assert store.states.get(*K) == 1


def test_what_is_no_snapshot_is_refused(store: Store) -> None:
    store.states.set(*K, 1)

    def row(states: Any, agent_id: Any = "a") -> dict[str, Any]:
        return {"agent_id": agent_id, "state_snapshot": states}

    wrongs: list[Any] = [
        None, [], {}, {"agent_id": "a"}, row([]), row({"nope": {"k": {"value": 1}}}), row({"local": []}),
        row({"local": {"k": 1}}), row({"local": {"k": {}}}), row({"local": {"k": {"value": 1, "bytes": "AA=="}}}),
        row({"local": {"k": {"bytes": "?"}}}), row({"local": {"": {"value": 1}}}), row({}, 5), row({}, ""),
        row({"local": {"k": {"value": 1, "ttl": -1}}}), row({"local": {"k": {"value": 1, "metadata": []}}}),
        row({"local": {"k": {"value": float("nan")}}}), row({"local": {"k": {"value": 1}}}, None),
        {"state_snapshot": {}},
    ]  # fmt: skip
    for wrong in wrongs:
        with pytest.raises((InvalidValue, InvalidKey)):
            store.checkpoints.load(wrong)
    with pytest.raises(InvalidKey):
        store.checkpoints.load(row({}), agent_id="")
    assert store.transfer.head() == 1


def test_what_is_not_kept_makes_no_snapshot(open_store: Opener, where: str) -> None:
    store = open_store(check=False)
    for number in (1, 2, 3):
        store.states.set(*K, number)
    store.checkpoints.create("x", at=1)
    tamper(where, "update agent_states set floor = 2", by=store)
    with pytest.raises(Compacted):
        store.checkpoints.export("x")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
contents = st.dictionaries(
    st.tuples(st.sampled_from(("local", "shared", "persistent")), st.sampled_from("kl*")),
    values | st.binary(max_size=5), max_size=5,
)  # fmt: skip


def test_out_and_in_again_is_the_same(places: Places) -> None:
    @settings(max_examples=places.examples(25))
    @given(contents, contents)
    def holds(first: dict[tuple[str, str], Any], second: dict[tuple[str, str], Any]) -> None:
        with places.briefly() as where, Store(where, durability="normal") as store:
            for content in (first, second):
                with store.transaction() as tx:
                    for tier in ("local", "shared", "persistent"):
                        for key in "kl*":
                            tx.states.delete("a", tier, key)
                    for (tier, key), value in content.items():
                        tx.states.set("a", tier, key, value)
                store.checkpoints.create("x", agent_id="a") if content is first else None
            store.checkpoints.load(json.loads(json.dumps(store.checkpoints.export("x"))))
            assert store.checkpoints.diff("x") == []

    holds()
