"""Stores of every sort, driven at random beside a model, must tell of the same present and the same past."""

from __future__ import annotations

import contextlib
import math
import os
import random
import tempfile
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from statedb import MISSING, InvalidValue, NoSuchRevision, NoSuchVersion, StateType, Store, VersionConflict
from statedb.times import LATEST
from statedb.values.merge import merge
from statedb.values.patch import merge_patch
from statedb.values.same import same
from tests.helpers import SHELLS, Clock, pages
from tests.model import GONE, KEEP, Commit, Made, Model, Where, Work, moment, session_of, shown
from tests.places import Places
from tests.strategies import json_values

How = dict[str, Any]
"""How a session's handle is made: with which ttl, and whether it slides."""

Step = Callable[[Any, Work], tuple[Any, Any]]
"""Something done to a store, or a transaction, and to the model: returns what each answered."""

# Few names, so that the same key is hit again and again; the awkward ones sort and match unlike plain text.
AGENTS = ("a", "ä'; --")
KEYS = ("k", "d", "c/x", "c/y", "c*/x", "\U0001f642/é")
NAMES = ("c", "c*")
VALUES: tuple[Any, ...] = (0, 0.0, -0.0, False, None, "", 1, [], {}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, b"", b"\x00x")
TTLS = (5, 60, 3600, math.inf)

agents, keys = st.sampled_from(AGENTS), st.sampled_from(KEYS)
values = st.sampled_from(VALUES) | json_values(max_leaves=5)
ttls = st.none() | st.sampled_from(TTLS)
hows = st.fixed_dictionaries({"ttl": ttls, "sliding": st.booleans()})
metadata = st.none() | st.sampled_from(({}, {"x": 1}, {"x": 1.0}))
# The session tier twice: its rules have the most corners.
tiers = st.sampled_from(("local", "shared", "persistent", "session", "session"))
places: st.SearchStrategy[Where] = st.tuples(agents, tiers, keys)


def standing(work: Work, where: Where, value: Any) -> tuple[Any, Any]:
    """Return what the model's key looks like as an entry: value and version."""
    return (shown(value), work.version(where))


def entry_like(entry: Any) -> tuple[Any, Any]:
    return (entry.value, entry.version)


def step_set(where: Where, value: Any, said: Any, ttl: Any, rooms: Any, work: Work) -> tuple[Any, Any]:
    entry = rooms.states.set(*where, value, metadata=said, ttl=ttl)
    work.put(where, value, said, ttl)
    return entry_like(entry), standing(work, where, value)


def step_set_many(agent: str, tier: str, many: dict[str, Any], ttl: Any, rooms: Any, work: Work) -> tuple[Any, Any]:
    made = rooms.states.set_many(agent, tier, many, ttl=ttl)
    for key, value in many.items():
        work.put((agent, tier, key), value, None, ttl)
    return made.keys(), many.keys()


def step_delete(where: Where, rooms: Any, work: Work) -> tuple[Any, Any]:
    there = work.is_alive(where)
    if there:
        work.put(where, GONE)
    return rooms.states.delete(*where), there


def step_touch(where: Where, ttl: Any, rooms: Any, work: Work) -> tuple[Any, Any]:
    return rooms.states.touch(*where, ttl=ttl), work.touch(where, KEEP if ttl is None else ttl)


def step_update(where: Where, value: Any, ttl: Any, rooms: Any, work: Work) -> tuple[Any, Any]:
    heard: list[Any] = []

    def fn(old: Any) -> Any:
        heard.append(old)
        return value

    entry = rooms.states.update(*where, fn, default="none", ttl=ttl)
    was = work.value(where)
    kept = None if was is GONE else work.contents[where].metadata
    work.put(where, value, kept, KEEP if ttl is None else ttl)
    return [*entry_like(entry), heard], [value, work.version(where), ["none" if was is GONE else was]]


def step_patch(where: Where, patch: dict[str, Any], rooms: Any, work: Work) -> tuple[Any, Any]:
    was = work.value(where)
    if isinstance(was, bytes):
        with pytest.raises(InvalidValue):
            rooms.states.patch(*where, patch)
        return None, None
    entry = rooms.states.patch(*where, patch)
    value = merge_patch(shown(was), patch)
    work.put(where, value, None if was is GONE else work.contents[where].metadata, KEEP)
    return entry_like(entry), standing(work, where, value)


def step_expecting(where: Where, value: Any, off: int, how: Any, rooms: Any, work: Work) -> tuple[Any, Any]:
    theirs = work.value(where)
    version = 0 if theirs is GONE else work.version(where)
    expected = max(0, version + off)
    call = partial(rooms.states.set, *where, value, expected_version=expected, on_conflict=how)
    if expected == version:
        entry = call()
        work.put(where, value)
        return entry_like(entry), standing(work, where, value)
    key = work.model.keys.get(where)
    made = key.made[expected - 1] if key and 0 < expected <= len(key.made) else None
    base = MISSING if made is None or made.content.value is GONE else made.content.value
    ours, theirs = value, MISSING if theirs is GONE else theirs
    merged = merge(base, ours, theirs)
    if how in (None, "raise") or (how == "merge" and merged.conflicts) or (how == "theirs" and key is None):
        with pytest.raises(VersionConflict) as caught:
            call()
        clash = caught.value
        told = (clash.version, clash.expected_version, clash.base, clash.ours, clash.theirs)
        return list(told), [version, expected, base, ours, theirs]
    entry = call()
    if how == "theirs":
        return entry.value, None if theirs is MISSING else theirs
    if how == "merge":
        value = GONE if merged.value is MISSING else merged.value
    elif callable(how):
        value = how(base, ours, theirs)
    work.put(where, value, None, None if how == "ours" else KEEP)
    return entry.value, shown(value)


def step_revert(where: Where, version: int, rooms: Any, work: Work) -> tuple[Any, Any]:
    key = work.model.keys.get(where)
    if key is None or version > len(key.made):
        with pytest.raises(NoSuchVersion):
            rooms.history.revert(*where, version=version)
        return None, None
    entry = rooms.history.revert(*where, version=version)
    content = key.made[version - 1].content
    if content.value is GONE and not work.is_alive(where):
        if work.contents[where].value is not GONE:
            work.record(where)
    else:
        work.put(where, content.value, content.metadata, KEEP, source=version)
    return entry.value, shown(content.value)


def step_session_set(
    agent: str, name: str, how: How, key: str, value: Any, said: Any, rooms: Any, work: Work
) -> tuple[Any, Any]:
    entry = rooms.agent(agent).session(name, **how).set(key, value, metadata=said)
    where = (agent, "session", f"{name}/{key}")
    work.open((agent, name), **how)
    work.put(where, value, said)
    return entry_like(entry), standing(work, where, value)


def step_session_delete(agent: str, name: str, how: How, key: str, rooms: Any, work: Work) -> tuple[Any, Any]:
    where = (agent, "session", f"{name}/{key}")
    answer = rooms.agent(agent).session(name, **how).delete(key)
    there = work.is_alive(where)
    if there and work.base(where).value is not GONE:  # what takes back a write of its own transaction begins nothing
        work.open((agent, name), **how)
    if there:
        work.put(where, GONE)
    return answer, there


def step_session_touch(agent: str, name: str, how: How, key: str, rooms: Any, work: Work) -> tuple[Any, Any]:
    where = (agent, "session", f"{name}/{key}")
    answer = rooms.agent(agent).session(name, **how).touch(key)
    if work.is_alive(where):  # what changes nothing opens no session
        work.open((agent, name), **how)
    return answer, work.touch(where, KEEP)


def step_session_close(agent: str, name: str, rooms: Any, work: Work) -> tuple[Any, Any]:
    return rooms.agent(agent).session(name).close(), work.close((agent, name))


def step_sweep(rooms: Any, work: Work) -> tuple[Any, Any]:
    return rooms.retention.sweep(), work.sweep()


def step_read(where: Where, rooms: Any, work: Work) -> tuple[Any, Any]:
    agent, tier, _ = where
    entry = rooms.states.entry(*where)
    listed = work.listed(agent, tier)
    of_session = [(k[2:], value) for k, value in listed if k.startswith("c/")]
    found: list[Any] = [
        rooms.states.get(*where, default="none"),
        rooms.states.exists(*where),
        rooms.states.keys(agent, tier),
        rooms.states.items(agent, tier),
        rooms.states.keys(agent, tier, "c?/*"),
        rooms.states.get_many(agent, [(tier, each) for each in KEYS]),
        None if entry is None else list(entry_like(entry)),
        rooms.agent(agent).session("c").items() if tier == "session" else of_session,
    ]
    value = work.value(where)
    expected: list[Any] = [
        "none" if value is GONE else value,
        value is not GONE,
        [each for each, _ in listed],
        listed,
        [each for each, _ in listed if each[:1] == "c" and each[2:3] == "/"],
        {(tier, each): work.value((agent, tier, each)) for each in KEYS if work.is_alive((agent, tier, each))},
        None if value is GONE else [value, work.version(where)],
        of_session,
    ]
    found[5] = sorted(found[5].items())
    expected[5] = sorted(expected[5].items())
    return found, expected


small = st.sampled_from(("x", "y"))
patches = st.dictionaries(st.sampled_from(("a", "b")), st.sampled_from((None, 1, {"c": None, "d": 2})), max_size=2)
in_transactions: st.SearchStrategy[Step] = st.one_of(
    st.builds(partial, st.just(step_set), places, values, metadata, ttls),
    st.builds(partial, st.just(step_set_many), agents, tiers, st.dictionaries(keys, values, max_size=3), ttls),
    st.builds(partial, st.just(step_delete), places),
    st.builds(partial, st.just(step_touch), places, ttls),
    st.builds(partial, st.just(step_update), places, values, ttls),
    st.builds(partial, st.just(step_patch), places, patches),
    st.builds(partial, st.just(step_session_set), agents, st.sampled_from(NAMES), hows, small, values, metadata),
    st.builds(partial, st.just(step_session_delete), agents, st.sampled_from(NAMES), hows, small),
    st.builds(partial, st.just(step_session_touch), agents, st.sampled_from(NAMES), hows, small),
    st.builds(partial, st.just(step_session_close), agents, st.sampled_from(NAMES)),
    st.builds(partial, st.just(step_sweep)),
    st.builds(partial, st.just(step_read), places),
)
how = st.sampled_from(
    (None, "raise", "ours", "theirs", "merge", lambda base, ours, theirs: [shown_side(base), shown_side(ours)])
)
alone: st.SearchStrategy[Step] = st.one_of(
    in_transactions,
    in_transactions,
    st.builds(partial, st.just(step_expecting), places, values, st.sampled_from((0, 0, -1, -2, 1)), how),
    st.builds(partial, st.just(step_revert), places, st.integers(1, 6)),
)


def shown_side(side: Any) -> Any:
    return "none" if side is MISSING or isinstance(side, bytes) else side


class Machine(RuleBasedStateMachine):
    shell, sort = "sync", "file"

    def __init__(self) -> None:
        super().__init__()
        self.clock, self.model, self.random = Clock(), Model(), random.Random(0)
        self.folder = tempfile.TemporaryDirectory()
        self.places = Places(self.sort, Path(self.folder.name))
        self.where = self.places.another()
        self.store: Any = SHELLS[self.shell](self.where, clock=self.clock, durability="normal", actor="me")

    @initialize(seconds=st.integers(0, 3))
    def start(self, seconds: int) -> None:
        self.clock.advance(seconds)

    def work(self, actor: str | None = "me") -> Work:
        return Work(self.model, self.model.now(self.clock.micros), actor)

    @rule(step=alone)
    def one(self, step: Step) -> None:
        work = self.work()
        found, expected = step(self.store, work)
        assert same(found, expected) or repr(found) == repr(expected), step
        work.commit()
        assert self.store.transfer.head() == len(self.model.commits)

    @rule(
        steps=st.lists(in_transactions, min_size=1, max_size=6), fails=st.booleans(), actor=st.sampled_from((None, "x"))
    )
    def transaction(self, steps: list[Step], fails: bool, actor: str | None) -> None:
        work = self.work(actor or "me")
        with contextlib.suppress(Failed), self.store.transaction(actor=actor) as tx:
            for step in steps:
                found, expected = step(tx, work)
                assert same(found, expected) or repr(found) == repr(expected), step
            if fails:
                raise Failed
        made = None if fails else work.commit()
        assert tx.revision == made
        assert self.store.transfer.head() == len(self.model.commits)

    @rule(seconds=st.sampled_from((0.000001, 1, 4, 5, 56, 3600, 90_000)))
    def time_goes_on(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(seconds=st.sampled_from((1, 100)))
    def the_wall_clock_goes_back(self, seconds: float) -> None:
        self.clock.back(seconds)

    @rule(place=places, ago=st.sampled_from((0, 1, 5, 60, 5000)))
    def look_back(self, place: Where, ago: float) -> None:
        now = self.model.now(self.clock.micros)
        instant = now - round(ago * 1_000_000)
        self.compare(self.store.at(timedelta(seconds=ago)), self.model.revision_at(instant), instant, [place])

    # ---- the whole past, once at the end of an example

    def compare(self, past: Any, revision: int, instant: int, places: list[Where]) -> None:
        """Compare what a store shows at a point with what the model had then."""
        alive = self.model.alive(revision, instant)
        for where in places:
            entry, made = past.states.entry(*where), alive.get(where)
            if made is None:
                assert entry is None
                assert past.states.get(*where) is None
                assert not past.states.exists(*where)
            else:
                assert_entry(entry, where, made, self.model, revision)
                assert same(past.states.get(*where), made.content.value)
        for agent, tier in {where[:2] for where in places}:
            listed = [(w[2], made.content.value) for w, made in alive.items() if w[:2] == (agent, tier)]
            assert same([list(each) for each in past.states.items(agent, tier)], [list(each) for each in listed])
            assert past.states.keys(agent, tier) == [key for key, _ in listed]

    def check_past(self) -> None:
        everywhere = list(self.model.keys)
        for revision in range(len(self.model.commits) + 1):
            at = self.model.commits[revision - 1].at if revision else 0
            self.compare(self.store.at(revision), revision, at, everywhere)
        now = self.model.now(self.clock.micros)
        ends = {seen.expires_at for snapshot in self.model.snapshots for seen in snapshot.values()}
        instants = {commit.at for commit in self.model.commits} | {at for at in ends if at is not None}
        for instant in sorted({each + off for each in instants for off in (-1, 0)} | {now}):
            if instant <= now:
                past = self.store.at(moment(instant))
                self.compare(past, self.model.revision_at(instant), instant, everywhere)
            else:
                with pytest.raises(NoSuchRevision):
                    self.store.at(moment(min(instant, LATEST))).states.get("a", "local", "k")
        self.compare(self.store, len(self.model.commits), now, everywhere)
        with pytest.raises(NoSuchRevision):
            self.store.at(len(self.model.commits) + 1).states.get("a", "local", "k")

    def check_history(self) -> None:
        for where, key in self.model.keys.items():
            found = self.store.history.versions(*where)
            assert [each.version for each in found] == list(range(len(key.made), 0, -1))
            for version in found:
                assert_version(version, key.made)
                entry = self.store.history.get(*where, version=version.version)
                made = key.made[version.version - 1]
                assert same(entry.value, shown(made.content.value))
                assert (entry.deleted, entry.metadata) == (made.content.value is GONE, made.content.metadata)
                assert (entry.version, entry.revision) == (version.version, made.revision)

    def check_log(self) -> None:
        commits = self.store.history.commits(limit=None)
        assert [each.revision for each in commits] == list(range(len(self.model.commits), 0, -1))
        for found, made in zip(reversed(commits), self.model.commits, strict=True):
            assert (found.kind, found.at, found.by) == (made.kind, moment(made.at), made.by)
            assert same(sorted(map(change_like, found.changes)), sorted(map(expected_change, made.changes)))
        for agent in AGENTS:
            of_agent = {c.revision for c in self.store.history.commits(agent_id=agent, limit=None) if c.changes}
            made_by = enumerate(self.model.commits, 1)
            assert of_agent == {r for r, made in made_by if any(each.where[0] == agent for each in made.changes)}

    def check_feed(self) -> None:
        rebuilt: dict[Where, Any] = {}
        since, size = 0, self.random.randint(1, 4)
        while changes := self.store.feed.changes(since=since, limit=size):
            for change in changes:
                where = (change.agent_id, change.state_type.value, change.key)
                assert same(change.old_value, shown(rebuilt.pop(where, GONE)))
                if change.change in ("create", "update"):
                    rebuilt[where] = change.new_value
                assert change.revision > since
            since = changes[-1].revision
        kept = {w: key.content.value for w, key in self.model.keys.items() if key.content.value is not GONE}
        assert rebuilt.keys() == kept.keys()
        assert all(same(rebuilt[where], kept[where]) for where in kept)

    def check_export(self) -> None:
        records = list(pages(self.store, 7))
        clock = Clock()
        clock.micros = max(self.clock.micros, self.model.now(0)) + 12_345_678
        with Store(":memory:", clock=clock) as other:
            assert other.transfer.load(records) == len(records)
            for again, record in zip(pages(other), records, strict=True):
                assert same(again, record), f"{again} is not {record}"
            assert other.health.check().problems == ()
            for where, key in self.model.keys.items():
                ours, theirs = self.store.history.versions(*where), other.history.versions(*where)
                assert ours == theirs
                assert len(theirs) == len(key.made)

    def teardown(self) -> None:
        try:
            self.check_past()
            self.check_history()
            self.check_log()
            self.check_feed()
            self.check_export()
            assert self.store.health.check().problems == ()
        finally:
            self.store.close()
            problems = () if self.sort == "memory" else self.problems_left()
            self.places.close()
            self.folder.cleanup()
        assert problems == ()

    def problems_left(self) -> tuple[str, ...]:
        with Store(self.where, clock=self.clock) as again:
            return again.health.check().problems


class Failed(Exception):
    """What a transaction fails of, here."""


def assert_entry(entry: Any, where: Where, made: Made, model: Model, revision: int) -> None:
    seen = model.snapshots[revision][where]
    assert (entry.agent_id, entry.state_type, entry.key) == where
    assert isinstance(entry.state_type, StateType)
    assert same(entry.value, made.content.value)
    assert same(entry.metadata, made.content.metadata)
    assert (entry.version, entry.parent_version) == (seen.version, seen.version - 1 or None)
    assert (entry.revision, entry.updated_at) == (made.revision, moment(made.at))
    assert (entry.created_at, entry.created_by) == (moment(seen.created[0]), seen.created[1])
    assert entry.expires_at == moment(seen.expires_at)
    assert not entry.deleted


def assert_version(found: Any, made: list[Made]) -> None:
    version = made[found.version - 1]
    assert found.parent_version == (found.version - 1 or None)
    assert (found.change, found.source_version) == (version.change, version.source)
    assert (found.revision, found.by) == (version.revision, version.by)
    assert found.at == found.origin_at == moment(version.at)
    assert found.expires_at == moment(version.expires_at)
    assert same(found.metadata, version.content.metadata)


def change_like(change: Any) -> list[Any]:
    where = (change.agent_id, change.state_type.value, change.key)
    return [list(where), change.change, change.version, change.old_value, change.new_value, change.metadata]


def expected_change(change: Any) -> list[Any]:
    return [list(change.where), change.change, change.version, shown(change.old), shown(change.new), change.metadata]


# How many examples of each sort; PostgreSQL has fewer, since it takes a round trip for what SQLite has at hand.
EXAMPLES = {
    "sync file": 60,
    "sync memory": 60,
    "async file": 40,
    "async memory": 30,
    "sync postgres": 30,
    "async postgres": 20,
}


@pytest.mark.parametrize("sort", EXAMPLES)
def test_a_store_is_what_the_model_says(sort: str) -> None:
    driven = type("Driven", (Machine,), dict(zip(("shell", "sort"), sort.split(), strict=True)))
    effort = int(os.environ.get("TEST_EFFORT", "1"))  # a night's run asks for more
    run_state_machine_as_test(
        driven, settings=settings(max_examples=EXAMPLES[sort] * effort, stateful_step_count=25, deadline=None)
    )


def test_a_session_of_the_model_is_what_stands_before_the_first_slash() -> None:
    assert session_of(("a", "session", "c/x/y")) == ("a", "c")
    assert session_of(("a", "session", "c")) is None
    assert session_of(("a", "local", "c/x")) is None
    assert Commit("write", 0, None, []).kind == "write"
