"""A store's locks against a model of them: a table of holders, lines of those who wait, and a clock.

The model goes from event to event: a lease ends, somebody has waited long enough, somebody is called, or is passed by
since he did not come. The store works all of it out from its rows, at whatever moment somebody looks.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from statedb import Fenced, LockHeld
from statedb.models import StateType
from statedb.rooms.locks import Ask
from statedb.values.line import GRACE
from tests.helpers import SHELLS, Clock
from tests.places import Places

SECOND = 1_000_000
NEVER = 10**15
KEYS = st.sampled_from(["k", "l"])
TYPES = st.sampled_from(["read", "write", "exclusive"])
TTLS = st.sampled_from([3, 5, 10])
WAITS = st.sampled_from([4, 20, None])
TIERS = st.sampled_from([tier.value for tier in StateType])
SHARE = {frozenset({"read"}), frozenset({"read", "write"})}


def shares(one: str, other: str) -> bool:
    return frozenset({one, other}) in SHARE


@dataclass(eq=False)
class Holder:
    """Somebody who holds a key, or held it until his lease ended and nobody has noticed yet."""

    type: str
    end: int
    ttl: int
    fence: int


@dataclass(eq=False)
class Waiter:
    """Somebody who waits; a ghost, where he was called and did not come, or wanted to wait no longer."""

    ask: Ask
    deadline: int
    place: Any
    called: int | None = None
    is_ghost: bool = False


@dataclass
class Line:
    """One key's holders, and who waits for it, in the order of arrival."""

    holders: list[Holder] = field(default_factory=list)
    waiting: list[Waiter] = field(default_factory=list)
    now: int = 0

    def live(self) -> list[Holder]:
        return [each for each in self.holders if each.end > self.now]

    def is_free(self, type: str, mine: Waiter | None = None) -> bool:
        ahead = self.waiting if mine is None else self.waiting[: self.waiting.index(mine)]
        stand = [each.ask.type for each in ahead if not each.is_ghost] + [each.type for each in self.live()]
        return all(shares(type, other) for other in stand)

    def advance(self, to: int) -> None:
        while (event := min((each for each in self.events() if self.now < each <= to), default=None)) is not None:
            self.now = event
            for each in self.waiting:
                each.is_ghost = each.is_ghost or each.deadline <= event or self.passed(each) <= event
            self.call()
        self.now = to

    def events(self) -> list[int]:
        there = [each for each in self.waiting if not each.is_ghost]
        return [each.end for each in self.holders] + [t for each in there for t in (each.deadline, self.passed(each))]

    def passed(self, waiter: Waiter) -> int:
        return NEVER * 10 if waiter.called is None else waiter.called + GRACE

    def call(self) -> None:
        for each in self.waiting:
            if not each.is_ghost and each.called is None and self.is_free(each.ask.type, each):
                each.called = self.now

    def hold(self, type: str, ttl: int, fence: int, waiter: Waiter | None) -> Holder:
        self.waiting = [each for each in self.waiting if each is not waiter and not each.is_ghost]
        for each in self.waiting:
            if not shares(each.ask.type, type):
                each.called = None
        self.holders = [*self.live(), Holder(type, self.now + ttl * SECOND, ttl, fence)]
        return self.holders[-1]


class Machine(RuleBasedStateMachine):
    shell, sort = "sync", "file"

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.places = Places(self.sort, Path(self.folder.name))
        self.clock = Clock()
        self.store = SHELLS[self.shell](self.places.another(), clock=self.clock, durability="normal")
        self.lines = {key: Line(now=self.clock.micros) for key in ("k", "l")}
        self.waiters: list[Waiter] = []
        self.held: list[tuple[str, Holder]] = []
        self.fence = 0
        self.writes = 0

    def teardown(self) -> None:
        try:
            assert self.store.health.check().problems == ()
        finally:
            self.store.close()
            self.places.close()
            self.folder.cleanup()

    def deadline(self, wait: int | None) -> int:
        return NEVER * 10 if wait is None else self.clock.micros + wait * SECOND

    def got(self, found: Any, ask: Ask, waiter: Waiter | None = None) -> None:
        """Take in that somebody has a lock."""
        self.fence += 1
        assert found.fence == self.fence
        self.held.append((ask.key, self.lines[ask.key].hold(ask.type, int(ask.ttl), self.fence, waiter)))  # type: ignore[arg-type]

    # ---- locks

    @rule(key=KEYS, type=TYPES, ttl=TTLS)
    def acquire(self, key: str, type: str, ttl: int) -> None:
        line = self.lines[key]
        if line.is_free(type):
            self.got(self.store.locks.acquire("a", key, type, ttl=ttl), Ask("a", key, type, ttl, None, None))
            return
        with pytest.raises(LockHeld) as refused:
            self.store.locks.acquire("a", key, type, ttl=ttl)
        assert {each.fence for each in refused.value.holders} == {each.fence for each in line.live()}

    @rule(key=KEYS, type=TYPES, ttl=TTLS, wait=WAITS)
    def arrive(self, key: str, type: str, ttl: int, wait: int | None) -> None:
        ask, line = Ask("a", key, type, ttl, None, None), self.lines[key]
        found = self.store.locks._take(ask, wait)
        if line.is_free(type):
            self.got(found, ask)
            return
        self.waiters.append(Waiter(ask, self.deadline(wait), found))
        line.waiting.append(self.waiters[-1])

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def come(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiters))
        line = self.lines[waiter.ask.key]
        place = self.store.locks._look(waiter.ask, waiter.place)
        if waiter not in line.waiting:
            assert place.id == 0
            if waiter.deadline <= self.clock.micros:
                self.waiters.remove(waiter)
                return
            found = self.store.locks._take(waiter.ask, None, place)
            if line.is_free(waiter.ask.type):
                self.waiters.remove(waiter)
                self.got(found, waiter.ask)
                return
            waiter.called, waiter.is_ghost, waiter.place = None, False, found
            line.waiting.append(waiter)
            return
        is_free = line.is_free(waiter.ask.type, waiter)
        assert place.is_ready == is_free
        if is_free:
            self.waiters.remove(waiter)
            self.got(self.store.locks._take(waiter.ask, None, place), waiter.ask, waiter)
        else:
            assert place.free_at > self.clock.micros

    @precondition(lambda self: self.waiters)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        waiter = data.draw(st.sampled_from(self.waiters))
        self.waiters.remove(waiter)
        assert isinstance(self.store.locks._give_up(waiter.ask, waiter.place), LockHeld)
        line = self.lines[waiter.ask.key]
        if waiter in line.waiting:
            line.waiting.remove(waiter)
            line.call()

    @precondition(lambda self: self.held)
    @rule(data=st.data(), ttl=TTLS | st.none())
    def renew(self, data: st.DataObject, ttl: int | None) -> None:
        key, holder = data.draw(st.sampled_from(self.held))
        if holder in self.lines[key].live():
            holder.ttl = ttl or holder.ttl
            holder.end = self.clock.micros + holder.ttl * SECOND
            assert self.store.locks.renew(holder.fence, ttl).ttl == holder.ttl
        else:
            with pytest.raises(Fenced):
                self.store.locks.renew(holder.fence, ttl)

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        key, holder = data.draw(st.sampled_from(self.held))
        line = self.lines[key]
        is_live = holder in line.live()
        assert self.store.locks.release(holder.fence) == is_live
        if is_live:
            line.holders.remove(holder)
            line.call()

    @rule()
    def sweep(self) -> None:
        lapsed = [(line, each) for line in self.lines.values() for each in line.holders if each not in line.live()]
        assert self.store.retention.sweep() == len(lapsed)
        for line, each in lapsed:
            line.holders.remove(each)

    @rule(seconds=st.sampled_from([0.5, 1, 2, 3, 5]))
    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for line in self.lines.values():
            line.advance(self.clock.micros)

    # ---- writes

    @rule(data=st.data(), key=KEYS, tier=TIERS, in_transaction=st.booleans())
    def write(self, data: st.DataObject, key: str, tier: str, in_transaction: bool) -> None:
        of = {holder.fence: (where, holder) for where, holder in self.held}
        fence = data.draw(st.sampled_from([None, *of]))
        live = {each.fence for line in self.lines.values() for each in line.live()}
        guards = {each.fence for each in self.lines[key].live() if each.type != "read"}
        expected: type[Fenced] | type[LockHeld] | None = None
        if fence is not None and fence not in live:
            expected = Fenced
        elif guards - {fence}:
            expected = LockHeld
        self.writes += 1
        given = ("a", tier, key, self.writes)
        if expected is None:
            made = self.store.states.set(*given, fence=fence)
            assert made.value == self.writes
        elif in_transaction:
            with self.store.transaction() as tx, pytest.raises(expected):
                tx.states.set(*given, fence=fence)
        else:
            with pytest.raises(expected):
                self.store.states.set(*given, fence=fence)

    @rule(key=KEYS, type=TYPES, ttl=TTLS, ends=st.booleans())
    def lock_write_and_release_in_one(self, key: str, type: str, ttl: int, ends: bool) -> None:
        line = self.lines[key]
        if not line.is_free(type):
            return
        may_write = type != "read" or all(each.type == "read" for each in line.live())
        with self.store.transaction() as tx:
            lock = tx.locks.acquire("a", key, type, ttl=ttl)
            self.writes += 1
            if may_write and all(each.type == "read" for each in line.live()):
                lock.states.set("a", "local", key, self.writes)
            assert not ends or tx.locks.release(lock)
        self.got(lock, Ask("a", key, type, ttl, None, None))
        if ends:
            line.holders.pop()
            line.call()

    # ---- what is seen

    @invariant()
    def the_list_is_as_the_model_says(self) -> None:
        listed = self.store.locks.list(waiting=True)
        for key, line in self.lines.items():
            held = [(each.fence, each.type, each.end // SECOND) for each in line.live()]
            waits = [each.ask.type for each in line.waiting if each.deadline > self.clock.micros]
            mine = [each for each in listed if each.key == key]
            seen = [(each.fence, each.type, int(each.expires_at.timestamp())) for each in mine if each.fence]
            assert seen == sorted(held)
            assert [each.type for each in mine if each.fence is None] == waits


EXAMPLES = {"sync file": 40, "async file": 15, "sync postgres": 8, "async postgres": 6}


@pytest.mark.parametrize("sort", EXAMPLES)
def test_locks_are_what_the_model_says(sort: str) -> None:
    driven = type("Driven", (Machine,), dict(zip(("shell", "sort"), sort.split(), strict=True)))
    effort = int(os.environ.get("TEST_EFFORT", "1"))
    run_state_machine_as_test(
        driven, settings=settings(max_examples=EXAMPLES[sort] * effort, stateful_step_count=30, deadline=None)
    )
