"""A branch is a store of its own to whoever stands on it: what it shows is what a store shows that did only the same.

One store does everything on nested branches, with others writing to the branches beneath; a plain one does the same
steps without a branch. Both are asked all there is to ask, now and as of earlier times.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

from statedb.errors import StateDBError
from tests.conftest import Opener
from tests.helpers import Clock
from tests.places import APART, only_sqlite

AGENTS, TIERS, KEYS = ("a", "b"), ("local", "session"), ("k", "s/x", "s/y", "t/z")
STEPS = 40
FORKS = (12, 25, 30)

Step = Callable[[Any], Any]


def drawn(chance: random.Random, number: int, moments: list[datetime]) -> Step:
    """Return a step that writes what no other does: the same value again is a version where a branch has none."""
    agent, tier = chance.choice(AGENTS), chance.choice(TIERS)
    at = (agent, tier, chance.choice(KEYS))
    value = chance.choice([number, {"n": number, "text": "x" * chance.choice([1, 9_000, 20_000])}, b"%d" % number])
    ttl, version = chance.choice([3, 7, 20]) + number / 1000, chance.randrange(1, 5)
    past = chance.choice(moments) if moments else None

    def session(store: Any) -> Any:
        return store.agent(agent).session("s", ttl=ttl if version > 2 else None)

    steps: list[Step] = [
        lambda store: store.states.set(*at, value).version,
        lambda store: store.states.set(*at, value, ttl=ttl, metadata={"m": number}).version,
        lambda store: store.states.set(*at, value, expected_version=version).version,
        lambda store: len(store.states.set_many(agent, tier, {"k": value, "s/x": number})),
        lambda store: store.states.patch(*at, {"n": number}).version,
        lambda store: store.states.update(*at, lambda there: [type(there).__name__, number]).version,
        lambda store: store.states.delete(*at),
        lambda store: session(store).set("x", value).version,
        lambda store: session(store).set("y", value).version,
        lambda store: session(store).close(),
        lambda store: session(store).touch("x"),
        lambda store: store.history.revert(*at, version=version).version,
    ]
    if past is not None:
        steps.append(lambda store: [each.version for each in store.restore(past, agent_id=agent).changes])
        steps.append(lambda store: [each.version for each in store.restore(past, state_type="session").changes])
    return chance.choice(steps)


def done(step: Step, store: Any) -> Any:
    try:
        return step(store)
    except StateDBError as error:
        return type(error).__name__


def entry(found: Any) -> Any:
    return found and (
        found.value,
        found.version,
        found.parent_version,
        found.created_at,
        found.expires_at,
        found.metadata,
    )


def shown(store: Any) -> dict[Any, Any]:
    """Return all a store says, but for revisions, which count what is done on every branch."""
    found: dict[Any, Any] = {}
    for agent in AGENTS:
        for tier in TIERS:
            found[agent, tier] = store.states.items(agent, tier)
            for key in KEYS:
                at = (agent, tier, key)
                versions = store.history.versions(*at, limit=None)
                found[at] = entry(store.states.entry(*at))
                found[at, "versions"] = [
                    (each.version, each.parent_version, each.source_version, each.at, each.change, each.expires_at)
                    for each in versions
                ]
                found[at, "values"] = [entry(store.history.get(*at, version=each.version)) for each in versions[:3]]
    found["query"] = store.query(
        "select agent_id, state_key, version, value, expires_at from states order by 1, 2, 3, 4"
    )
    changes = store.feed.changes(limit=1000)
    found["feed"] = [(each.key, each.change, each.version, each.old_value, each.new_value, each.at) for each in changes]
    return found


@only_sqlite  # which rows are read is told in one dialect as in the other
def test_a_branch_shows_what_a_store_shows_that_did_the_same(open_store: Opener, clock: Clock) -> None:
    for seed in range(6):
        chance, moments, beneath = random.Random(seed), list[datetime](), list[Any]()
        root, plain = open_store(APART), open_store(APART)
        here = root
        for number in range(STEPS):
            if number in FORKS:
                here.branches.create(f"b{number}")
                beneath.append(here)
                here = root.branch(f"b{number}")
            step = drawn(chance, number, moments)
            assert done(step, here) == done(step, plain), (seed, number)
            for other in beneath:
                done(drawn(chance, number + STEPS, moments), other)
            if chance.random() < 0.2:
                moments.append(clock.moment)
                clock.advance(chance.choice([1, 5, 30]))
        assert shown(here) == shown(plain), seed
        for moment in moments[-2:]:
            assert shown(here.at(moment)) == shown(plain.at(moment)), (seed, moment)
