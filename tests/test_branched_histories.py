"""A real history on two branches: replayed in different orders, or in parts, and merged; every field is accounted for.

A field is a member of the document, or of an object in it that stays one. Its changes are patches of their own, so that
what one version changed together can come in any order, and from either side. Without the real file, which is no part
of the project, a made-up history of the same form does it alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby, pairwise
from typing import Any

import pytest

from statedb import MISSING, Store
from statedb.values.pointer import render
from statedb.values.same import alike
from tests.conftest import Opener
from tests.test_histories import FOLDER, lines

FILE = FOLDER / "express-package.jsonl.zst"
WHERE = ("repo", "persistent", "package.json")
LAB = "lab"
TOGETHER = 8
"""Patches in a commit."""

Field = tuple[str, ...]
Patch = tuple[Field, Any]
"""A field, and what it is changed to; MISSING: it goes."""


@pytest.fixture(scope="module", params=["made up", "real"])
def history(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Versions of which the first is the one branched from."""
    if request.param == "made up":
        return list(_made_up())
    if not FILE.exists():
        pytest.skip(f"there is no {FILE}; STATEDB_HISTORIES names its folder")
    return [value for _, value in lines(FILE)][299:]


def _made_up() -> Iterator[dict[str, Any]]:
    chance = random.Random(6)
    value: dict[str, Any] = {"name": "made-up", "version": 0, "dependencies": {}, "keywords": ["web"]}
    for number in range(60):
        yield {**value, "dependencies": dict(value["dependencies"]), "keywords": list(value["keywords"])}
        value["version"] = number
        name = f"package-{chance.randrange(12)}"
        if value["dependencies"].pop(name, None) is None or chance.random() < 0.7:
            value["dependencies"][name] = f"~{number}"
        if chance.random() < 0.1:
            value["keywords"].insert(chance.randrange(len(value["keywords"]) + 1), f"word {number}")
        if chance.random() < 0.2 and value.pop("homepage", None) is None:
            value["homepage"] = f"https://example.com/{number}"


# ---- fields and patches


def opened(history: list[dict[str, Any]]) -> set[str]:
    """Return the members that are objects in every version: theirs are fields of their own."""
    return {name for name in history[0] if all(isinstance(value.get(name), dict) for value in history)}


def fields(value: dict[str, Any], open_ones: set[str]) -> dict[Field, Any]:
    found: dict[Field, Any] = {}
    for name, member in value.items():
        if name in open_ones:
            found |= {(name, inner): each for inner, each in member.items()}
        else:
            found[(name,)] = member
    return found


def patches(history: list[dict[str, Any]]) -> list[Patch]:
    """Return what turns the first version into the last, version by version and field by field."""
    found, open_ones = list[Patch](), opened(history)
    for before, after in pairwise(fields(value, open_ones) for value in history):
        sides = ((field, before.get(field, MISSING), after.get(field, MISSING)) for field in {**before, **after})
        found += [(field, there) for field, here, there in sides if not held_alike(here, there)]
    return found


def held_alike(a: Any, b: Any) -> bool:
    return a is b or (MISSING not in (a, b) and alike(a, b))


def by_field(wanted: list[Patch]) -> list[Patch]:
    """Return patches in another order: all of one field, then all of the next, the last field first."""
    return sorted(wanted, key=lambda patch: patch[0], reverse=True)


def replay(store: Any, wanted: list[Patch]) -> None:
    for first in range(0, len(wanted), TOGETHER):
        with store.transaction() as tx:
            for field, value in wanted[first : first + TOGETHER]:
                step = {"op": "remove"} if value is MISSING else {"op": "add", "value": value}
                tx.states.patch(*WHERE, [{**step, "path": render(field)}])


def branched(open_store: Opener, history: list[dict[str, Any]]) -> tuple[Store, Any]:
    """Return a store whose trunk and branch hold the first version."""
    store = open_store()
    store.states.set(*WHERE, history[0])
    store.branches.create(LAB)
    return store, store.branch(LAB)


# ---- what is promised


def test_what_both_sides_replay_in_different_orders_merges_without_a_conflict(
    open_store: Opener, history: list[dict[str, Any]]
) -> None:
    store, lab = branched(open_store, history)
    replay(store, patches(history))
    replay(lab, by_field(patches(history)))
    assert store.branches.merge(LAB).conflicts == ()
    assert alike(store.states.get(*WHERE), history[-1])
    assert alike(lab.states.get(*WHERE), history[-1])


def test_what_the_sides_share_out_between_them_is_all_there_after_the_merge(
    open_store: Opener, history: list[dict[str, Any]]
) -> None:
    store, lab = branched(open_store, history)
    chance = random.Random(0)
    on_trunk = {field: chance.random() < 0.5 for field in sorted({field for field, _ in patches(history)})}
    replay(store, [patch for patch in patches(history) if on_trunk[patch[0]]])
    replay(lab, by_field([patch for patch in patches(history) if not on_trunk[patch[0]]]))
    assert store.branches.merge(LAB).conflicts == ()
    assert alike(store.states.get(*WHERE), history[-1])


def test_a_field_that_one_side_left_halfway_is_as_in_the_last_version_or_named_in_a_conflict(
    open_store: Opener, history: list[dict[str, Any]]
) -> None:
    store, lab = branched(open_store, history)
    halfway = left_halfway(history)
    replay(store, by_field(patches(history)))
    replay(lab, halfway)
    found = store.branches.merge(LAB, strategy="theirs", preview=True)
    assert found.conflicts == (), "they are settled"
    planned = store.branches.merge(LAB)
    assert planned.revision is None
    named = {clash.path for conflict in planned.conflicts for clash in conflict.clashes}
    base, last = fields(history[0], opened(history)), fields(history[-1], opened(history))
    theirs = {**base, **dict(halfway)}
    in_conflict = {field for field in {**last, **theirs} if in_conflict_over(field, base, last, theirs)}
    assert in_conflict, "a test of nothing"
    assert named == {render(field) for field in in_conflict}
    store.branches.merge(LAB, strategy="theirs")
    merged = fields(store.states.get(*WHERE), opened(history))
    for field in {**last, **merged, **theirs}:
        wanted = theirs if field in in_conflict else last
        assert held_alike(merged.get(field, MISSING), wanted.get(field, MISSING)), field


def left_halfway(history: list[dict[str, Any]]) -> list[Patch]:
    """Return of each field all patches or none, or as many as chance has.

    Those only of texts and numbers that end as something else than they began: lists merge to what neither side has,
    and what one side leaves halfway and the other brings back to the beginning is the one's.
    """
    chance, kept = random.Random(1), list[Patch]()
    base = fields(history[0], opened(history))
    for field, made in groupby(by_field(patches(history)), key=lambda patch: patch[0]):
        all_of = list(made)
        values = [base.get(field, MISSING), *(value for _, value in all_of)]
        plain = not any(isinstance(value, list | dict) for value in values) and values[0] != values[-1]
        kept += all_of[: chance.randint(0, len(all_of)) if plain else chance.choice([0, len(all_of)])]
    return kept


def in_conflict_over(field: Field, *sides: dict[Field, Any]) -> bool:
    base, ours, theirs = (side.get(field, MISSING) for side in sides)
    return not (held_alike(base, ours) or held_alike(base, theirs) or held_alike(ours, theirs))
