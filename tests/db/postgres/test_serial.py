"""Random transactions that meet in every way, and then the log done again, one after the other, on SQLite.

What each was told while it ran must be what it is told when it runs alone, at its time, in its place in the log: values
and versions, times and expiry, what is absent, what a pattern finds, conflicts.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from statedb import MISSING, AsyncStore, Entry, Store, VersionConflict
from statedb.db.newest import Newest
from statedb.db.tx import Tx
from statedb.times import micros
from tests.helpers import Clock
from tests.places import only_postgres

pytestmark = only_postgres

AGENTS = ("a", "b")
KEYS = {"shared": ("x", "y", "p/0", "p/1"), "session": ("c/x", "c/y", "d/x", "e"), "local": ("l",)}
PATTERNS = ("*", "x*", "c/*", "d/?", "p/[01]", "nothing*")
TTLS = (1, 2, 5, 60)

Step = tuple[str, str, str, str, str, float, str, int]


def steps(chance: random.Random, name: str) -> list[Step]:
    """Return what a transaction does: kind, agent, tier, key, a value nobody else writes, ttl, pattern, version."""
    found: list[Step] = []
    for number in range(chance.choice((1, 1, 2, 3))):
        tier = chance.choice(("shared", "shared", "session", "session", "local"))
        names = chance.choice(AGENTS), tier, chance.choice(KEYS[tier]), f"{name}.{number}"
        kind = chance.choice(tuple(KINDS))
        found.append((kind, *names, chance.choice(TTLS), chance.choice(PATTERNS), chance.randrange(4)))
    return found


def _appended(value: Any, name: str) -> list[str]:
    return [*(value if isinstance(value, list) else []), name]


KINDS: dict[str, Any] = {
    "get": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.get(a, t, k),
    "entry": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.entry(a, t, k),
    "keys": lambda tx, a, t, k, v, ttl, pattern, n: list(tx.states.keys(a, t, pattern)),
    "items": lambda tx, a, t, k, v, ttl, pattern, n: list(tx.states.items(a, t, pattern)),
    "set": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.set(a, t, k, [v]),
    "set with ttl": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.set(a, t, k, [v], ttl=ttl),
    "set many": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.set_many(a, t, {k: [v], KEYS[t][0]: v}, ttl=ttl),
    "append": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.update(a, t, k, lambda old: _appended(old, v)),
    "touch": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.touch(a, t, k, ttl=ttl),
    "delete": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.delete(a, t, k),
    "expect": lambda tx, a, t, k, v, ttl, pattern, n: tx.states.set(a, t, k, [v], expected_version=n),
    "session": lambda tx, a, t, k, v, ttl, pattern, n: tx.agent(a).session("cd"[n % 2], ttl=ttl).set("x", [v]),
    "touch session": lambda tx, a, t, k, v, ttl, pattern, n: tx.agent(a).session("cd"[n % 2], ttl=ttl).touch("x"),
    "close session": lambda tx, a, t, k, v, ttl, pattern, n: tx.agent(a).session("cd"[n % 2]).close(),
    "where absent": lambda tx, a, t, k, v, ttl, pattern, n: (
        tx.states.set(a, "local", "l", [v]) if tx.states.get(a, t, k) is None else None
    ),
}


def done(tx: Any, what: list[Step], told: list[Any]) -> None:
    told.clear()
    for kind, *given in what:
        try:
            told.append(KINDS[kind](tx, *given))
        except VersionConflict as clash:
            told.append(("conflict", clash.version, clash.base is MISSING or clash.base, clash.theirs is MISSING))


class Done:
    """A transaction, what it was told, and the revision it made."""

    def __init__(self, chance: random.Random, name: str) -> None:
        self.steps, self.told, self.revision = steps(chance, name), list[Any](), -1

    async def run(self, store: AsyncStore, clock: Clock, moves: float) -> None:
        transactions = []

        def fn(tx: Any) -> None:
            transactions.append(tx)
            done(tx, self.steps, self.told)
            clock.advance(moves)

        await store.run(fn)
        self.revision = transactions[-1].revision or -1


async def together(where: str, clock: Clock, seed: int) -> list[Done]:
    chance = random.Random(seed)
    made: list[Done] = []
    async with AsyncStore(where, clock=clock) as one, AsyncStore(where, clock=clock, postgres_pool=3) as two:
        for round in range(12):
            these = [Done(chance, f"{round}.{n}") for n in range(chance.choice((2, 4, 9)))]
            moves = [chance.choice((0, 0, 0, 0, 0.5, 1)) for _ in these]
            stores = [chance.choice((one, one, two)) for _ in these]
            await asyncio.gather(*(each.run(at, clock, by) for each, at, by in zip(these, stores, moves, strict=True)))
            made += these
            clock.advance(chance.choice((0, 0, 0.3, 2.5)))
    return made


class Again:
    """The log done again: a store in memory, in which a transaction happens when it is told to."""

    def __init__(self) -> None:
        self._clock = Clock()
        self.store = Store(":memory:", clock=self._clock)

    @contextmanager
    def at(self, moment: datetime) -> Iterator[None]:
        """Have it be that time, though it may be before the newest commit's."""
        self._clock.micros = micros(moment)
        plain = Tx._stand

        def stand(tx: Tx, newest: Newest) -> None:
            plain(tx, newest)
            tx.now = self._clock.micros

        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(Tx, "_stand", stand)
            yield

    def run(self, each: Done) -> tuple[list[Any], int]:
        told: list[Any] = []
        transactions = []

        def fn(tx: Any) -> None:
            transactions.append(tx)
            done(tx, each.steps, told)

        self.store.run(fn)
        return told, transactions[-1].revision or -1


def in_terms_of(moved: dict[datetime, datetime], told: Any) -> Any:
    """Return what was told, times that the server moved on put back."""
    if isinstance(told, Entry):
        back = {name: moved.get(at, at) for name in ("created_at", "updated_at") if (at := getattr(told, name))}
        return replace(told, **back)
    if isinstance(told, dict):
        return {key: in_terms_of(moved, value) for key, value in told.items()}
    return told


@pytest.mark.parametrize("seed", range(6))
def test_what_happened_together_could_have_happened_one_after_the_other(where: str, clock: Clock, seed: int) -> None:
    made = asyncio.run(together(where, clock, seed))
    again = Again()
    with Store(where, clock=clock) as store:
        assert store.health.check().problems == ()
        commits = {commit.revision: commit for commit in store.history.commits(limit=100_000)}
        # Where others came in between, a commit is of a later time than its transaction, which is its origin.
        moved = {each.at: each.origin_at for each in commits.values() if each.at != each.origin_at}
        for each in sorted((each for each in made if each.revision > 0), key=lambda each: each.revision):
            with again.at(commits[each.revision].origin_at):
                told, revision = again.run(each)
            assert revision == each.revision, each.steps
            for step, was, comes in zip(each.steps, each.told, told, strict=True):
                assert in_terms_of(moved, was) == in_terms_of(moved, comes), (revision, step)
        assert len(commits) == max(commits)
        for agent in AGENTS:
            for tier in KEYS:
                assert store.states.items(agent, tier) == again_items(again, commits, agent, tier, clock)


def again_items(again: Again, commits: dict[int, Any], agent: str, tier: str, clock: Clock) -> Any:
    with again.at(clock.moment):
        return again.store.states.items(agent, tier)
