"""Blame: which version last set each leaf."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from statedb import MISSING, Store
from statedb.values.leaves import Leaves
from tests.places import Places
from tests.strategies import json_values
from tests.values.plainly import leaves

K = ("a", "persistent", "k")

few: st.SearchStrategy[Any] = st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, None, "", "x", [], {}])
small = st.recursive(
    few, lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "", "/~"]), below)
)
histories = st.lists(small | json_values(8) | st.just(MISSING) | st.just(b"x"), min_size=1, max_size=12)


def replayed(history: list[tuple[int, Any]]) -> dict[str, int]:
    """Return what blame is, by replaying every version from the first."""
    found: dict[str, int] = {}
    before: dict[str, str] = {}
    for version, value in history:
        now = leaves(value)
        found = {at: found[at] if before.get(at) == leaf else version for at, leaf in now.items()}
        before = now
    return found


def test_blame_agrees_with_a_replay_of_every_version(places: Places) -> None:
    @settings(max_examples=places.examples(150))
    @given(histories)
    def holds(history: list[Any]) -> None:
        with places.briefly() as where, Store(where, durability="normal") as store:
            made: list[tuple[int, Any]] = []
            for value in history:
                if value is MISSING:
                    if store.states.delete(*K):
                        made.append((len(made) + 1, MISSING))
                elif (entry := store.states.set(*K, value)).version > len(made):
                    made.append((entry.version, value))
            for version, _ in made:
                found = store.at(version).history.blame(*K)
                assert {at: each.version for at, each in found.items()} == replayed(made[:version])
                assert found.missing == ()
            if made:
                assert list(store.history.blame(*K)) == list(replayed(made)), "in the order of the document"

    holds()


@given(small, small)
def test_leaves_taken_are_those_the_older_value_does_not_hold(value: Any, older: Any) -> None:
    open_, was = Leaves(value), leaves(older)
    assert set(open_.take(older)) == {at for at, leaf in leaves(value).items() if was.get(at) != leaf}
    assert set(open_.take(MISSING)) == {at for at, leaf in leaves(value).items() if was.get(at) == leaf}
    assert not open_


def test_a_blamed_version_says_who_and_why(store: Store) -> None:
    with store.transaction(actor="ann", message="first") as tx:
        tx.states.set(*K, {"theme": "dark", "tabs": [1, 2]})
    with store.transaction(actor="bob", message="brighter") as tx:
        tx.states.patch(*K, {"theme": "light"})
    found = store.history.blame(*K)
    assert {at: (each.by, each.message, each.version) for at, each in found.items()} == {
        "/theme": ("bob", "brighter", 2),
        "/tabs/0": ("ann", "first", 1),
        "/tabs/1": ("ann", "first", 1),
    }


def test_where_there_is_no_value_there_is_nobody_to_blame(store: Store) -> None:
    assert store.history.blame(*K) == {}
    store.states.set(*K, 1)
    assert list(store.history.blame(*K)) == [""]
    store.states.delete(*K)
    assert store.history.blame(*K) == {}
    store.states.set(*K, 1)
    assert store.history.blame(*K)[""].version == 3


def test_only_what_the_answer_needs_is_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from statedb.values import codec

    for number in range(2000):
        store.states.set(*K, {"n": number, "even": number % 2})
    read = 0
    decode = codec.decode

    def counting(stored: Any) -> Any:
        nonlocal read
        read += 1
        return decode(stored)

    monkeypatch.setattr(codec, "decode", counting)
    assert {each.version for each in store.history.blame(*K).values()} == {2000}
    assert read <= 20


def test_inside_a_transaction_it_tells_of_what_is_committed(store: Store) -> None:
    store.states.set(*K, {"a": 1})
    with store.transaction() as tx:
        tx.states.set(*K, {"a": 2})
        assert tx.history.blame(*K)["/a"].version == 1


def test_no_version_is_passed_over_between_two_pages(store: Store) -> None:
    value = {f"f{number}": 0 for number in range(40)}
    for number in range(40):
        value[f"f{number}"] = 1
        store.states.set(*K, value)
    found = store.history.blame(*K)
    assert {at: version.version for at, version in found.items()} == {f"/f{n}": n + 1 for n in range(40)}
