"""Transfer of what has a name: branches, merges, checkpoints, conflicts; in pages, in part, and damaged."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from statedb import AutoCheckpoint, InvalidValue, Store
from tests.helpers import Clock, pages
from tests.places import Places

K = ("a", "persistent", "k")
OTHER = ("a", "persistent", "other")
HELD: dict[str, Any] = {"base": {"value": 1}, "ours": {"value": 2}, "theirs": {"value": 3}}


def fill(store: Any, clock: Clock) -> None:
    """Make branches that nest, end and come again, merges, a conflict of each sort, checkpoints and a policy."""
    store.states.set(*K, {"x": 1, "y": 1})
    store.agent("a").session("s", ttl=900).set("k", 1)
    store.checkpoints.create("c1", agent_id="a", metadata={"m": 1})
    store.checkpoints.configure("a", AutoCheckpoint(max_checkpoints=2))
    clock.advance(1)
    store.branches.create("mid")
    mid = store.branch("mid")
    mid.states.set(*K, {"x": 2, "y": 1})
    mid.agent("a").session("s").set("k", 2)
    mid.branches.create("lab")
    lab = store.branch("lab")
    lab.states.set(*K, {"x": 3, "y": 1})
    lab.states.set(*OTHER, b"\0raw")
    mid.states.set(*K, {"x": 4, "y": 1})
    store.branches.delete("mid")
    clock.advance(1)
    store.states.set(*K, {"x": 5, "y": 1})
    store.branches.merge("lab", strategy="manual")
    store.branches.create("mid", at=2)
    store.branch("mid").states.set(*OTHER, 7)
    store.states.set(*OTHER, 8, expected_version=0, on_conflict="manual")
    for conflict in store.conflicts.list():
        store.conflicts.resolve(conflict.id, {"settled": conflict.key})
    lab.checkpoints.create("c2", agent_id="a")
    lab.checkpoints.delete("c2", agent_id="a")
    with lab.transaction() as tx:
        tx.branches.delete("lab")
        tx.branches.create("lab")
    store.branch("lab").states.set(*K, "again")
    store.branches.merge("lab", strategy="theirs")


def seen(store: Any) -> dict[str, Any]:
    """Return all that a store says of what has a name, and what each branch holds."""
    found: dict[str, Any] = {"branches": store.branches.list()[1:], "commits": store.history.commits(limit=None)}
    for branch in store.branches.list():
        shell = store.branch(branch.name)
        held = {key: shell.states.entry(*key) for key in (K, OTHER, ("a", "session", "s/k"))}
        history = {key: shell.history.of(*key) for key in (K, OTHER)}
        checkpoints = shell.checkpoints.list(agent_id="a")
        found[branch.name] = (held, history, shell.conflicts.list(resolved=None), checkpoints)
    return found


def test_what_has_a_name_arrives_as_it_was_in_pages_of_any_size(store: Store, ground: Places, clock: Clock) -> None:
    fill(store, clock)
    records = list(pages(store))
    for size in (1, 3, len(records)):
        with Store(ground.apart(), clock=clock) as other:
            for page in range(0, len(records), size):
                other.transfer.load(records[page : page + size])
            assert list(pages(other)) == records
            assert seen(other) == seen(store)
            assert other.health.check().problems == ()


def test_what_has_a_name_finds_its_place_in_a_store_that_holds_something(
    store: Store, ground: Places, clock: Clock
) -> None:
    fill(store, clock)
    with Store(ground.apart(), clock=clock) as other:
        other.states.set("z", "local", "z", 1)
        other.transfer.load(pages(store))
        for branch in store.branches.list():
            ours, theirs = store.branch(branch.name), other.branch(branch.name)
            for key in (K, OTHER, ("a", "session", "s/k")):
                assert theirs.states.get(*key) == ours.states.get(*key)
            assert other.branches.get(branch.name).base in (0, branch.base + 1)
        assert other.health.check().problems == ()


def test_a_version_of_a_conflict_that_has_another_number_elsewhere_is_none_there(
    store: Store, ground: Places, clock: Clock
) -> None:
    store.states.set(*K, 1)
    store.states.set(*K, 2, expected_version=0, on_conflict="manual")
    with Store(ground.apart(), clock=clock) as other:
        other.states.set(*K, 0)
        other.transfer.load(pages(store))
        [conflict] = other.conflicts.list()
        assert (conflict.theirs, conflict.theirs_version) == (1, None)
        assert other.health.check().problems == ()


def test_records_that_begin_later_are_refused_or_stand_by_themselves(
    store: Store, ground: Places, clock: Clock
) -> None:
    store.states.set(*K, 0)
    store.branches.create("lab")
    store.branch("lab").states.set(*K, 1)
    store.branches.merge("lab")
    records = list(pages(store))
    with Store(ground.apart(), clock=clock) as other:
        with pytest.raises(InvalidValue, match=r"record 1 .*no branch 'lab'"):
            other.transfer.load(records[2:])
        other.transfer.load(records[3:])
        assert other.states.get(*K) == 1
        other.branches.create("lab")
        other.branch("lab").states.set(*K, 2)
        assert other.branches.merge("lab").conflicts == ()
        assert other.history.commits(limit=None)[-1].merged is None
        assert other.health.check().problems == ()


def record(number: int, **said: Any) -> dict[str, Any]:
    return {"revision": number, "kind": "write", "at": 1, "origin": f"z:{number}", **said}


def test_what_changes_nothing_leaves_nothing_for_another_branch(store: Store) -> None:
    store.agent("a").session("s", ttl=50).set("x", 1)
    [clocked] = [each["sessions"] for each in pages(store)]
    store.branches.create("lab")
    lab = store.branch("lab")
    lab.agent("a").session("s").set("x", 2)
    lab.states.set(*K, 5)
    later = [{**clocked[0], "expires_at": clocked[0]["expires_at"] + 20_000_000}]
    where = dict(zip(("agent", "type", "key"), K, strict=True))
    loaded = store.transfer.load(
        [
            record(1, changes=[{**where, "change": "delete"}]),
            record(2, branch="lab", changes=[{**where, "change": "update", "value": 6}]),
            record(3, sessions=clocked),
            record(4, branch="lab", sessions=later),
        ]
    )
    assert loaded == 2
    assert (store.states.get(*K), lab.states.get(*K)) == (None, 6)
    here, there = (each.states.entry("a", "session", "s/x") for each in (store, lab))
    assert here is not None
    assert there is not None
    assert here.expires_at is not None
    assert there.expires_at == here.expires_at + timedelta(seconds=20)


def test_an_expiry_of_a_key_beneath_needs_no_clock_of_its_session(store: Store) -> None:
    store.agent("a").session("s", ttl=50).set("x", 1)
    store.branches.create("lab")
    gone = {"agent": "a", "type": "session", "key": "s/x", "change": "expire"}
    store.transfer.load([{**record(1, branch="lab", changes=[gone]), "kind": "expire"}])
    lab = store.branch("lab").agent("a").session("s")
    assert (lab.get("x"), store.agent("a").session("s").get("x")) == (None, 1)
    assert lab.set("x", 2).version == 3


WRONG: list[dict[str, Any]] = [
    {"do": ["x"]},
    {"do": "other"},
    {"do": "branch", "name": "lab"},
    {"do": "branch", "name": "lab", "base": 12},
    {"do": "branch", "name": "lab", "base": "z:99999999999999999999999"},
    {"do": "branch", "name": "main", "base": None},
    {"do": "end branch", "name": ["x"]},
    {"do": "end branch", "name": "main"},
    {"do": "merge", "branch": None},
    {"do": "checkpoint", "name": "c", "agent": None, "type": "odd", "at": None, "metadata": None},
    {"do": "checkpoint", "name": "c", "agent": None, "type": "manual", "at": None, "metadata": [1]},
    {"do": "checkpoint", "name": "c", "agent": None, "type": "manual", "at": [1, 2], "metadata": None},
    {"do": "checkpoint", "name": "c", "agent": None, "type": "manual", "at": ["z:1", 10**30], "metadata": None},
    {"do": "end checkpoint", "name": 7, "agent": None},
    {"do": "checkpoint policy", "agent": "a", "config": {}},
    {"do": "conflict", "key": K, "source": {}, "sides": HELD},
    {"do": "conflict", "key": ["a", "odd", "k"], "source": None, "sides": HELD},
    {"do": "conflict", "key": list(K), "source": None, "sides": {**HELD, "ours": {"bytes": "!!"}}},
    {
        "do": "conflict",
        "key": list(K),
        "source": None,
        "sides": {**HELD, "ours": {"version": 10**30, "branch": "main"}},
    },
    {"do": "conflict", "key": list(K), "source": None, "sides": {**HELD, "ours": {"version": 1, "branch": 7}}},
    {"do": "resolve", "recorded": "z:1", "key": list(K), "method": "value", "settled": {}},
    {"do": "resolve", "recorded": 7, "key": list(K), "method": "value", "settled": {}},
]


def test_a_deed_that_no_store_says_is_refused_with_its_record(anywhere: str) -> None:
    with Store(anywhere) as store:
        store.states.set(*K, 0)
        for wrong in WRONG:
            with pytest.raises(InvalidValue, match="record 2 is not one a store exported"):
                store.transfer.load([record(1, deeds=[]), record(2, deeds=[wrong])])
        for branch in ("odd", "", "main\0"):
            with pytest.raises(InvalidValue, match="record 1 is not one a store exported"):
                store.transfer.load([record(1, branch=branch)])
        assert store.transfer.head() == 1
