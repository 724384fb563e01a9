"""Handles: an agent's tiers and sessions, as calls without the first two arguments, and as mappings."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, MutableMapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb import AsyncStore, InvalidValue, Store
from tests.conftest import Opener
from tests.helpers import Clock, calls, run
from tests.places import APART

TIERS = ("local", "shared", "persistent")


def handle(store: Any, kind: str) -> Any:
    return store.agent("a").session("c7") if kind == "session" else getattr(store.agent("a"), kind)


@pytest.mark.parametrize("kind", [*TIERS, "session"])
def test_a_handle_takes_the_calls_of_states_without_what_it_knows(store: Store, kind: str) -> None:
    mine = handle(store, kind)
    entry = mine.set("k", 1, message="why", metadata={"m": 1})
    place = ("a", kind, "c7/k" if kind == "session" else "k")
    assert (entry.agent_id, entry.state_type, entry.key) == place
    assert (mine.get("k"), mine.get("none", 5), mine.exists("k")) == (1, 5, True)
    assert mine.entry("k") == store.states.entry(*place)
    assert mine.update("k", lambda value: value + 1).version == 2
    assert mine.patch("k", {"a": 1}).value == {"a": 1}
    assert mine.touch("k") is True
    assert list(mine.set_many({"x": 1, "y": 2})) == ["x", "y"]
    assert mine.get_many(["x", "y", "none"]) == {"x": 1, "y": 2}
    assert mine.keys() == ["k", "x", "y"]
    assert mine.keys("[xy]") == ["x", "y"]
    assert mine.items("x*") == [("x", 1)]
    assert mine.delete("x") is True
    assert mine.clear("y") == 1
    assert mine.clear() == 1
    assert mine.keys() == []


def test_a_tiers_handle_is_the_tier(store: Store) -> None:
    agent = store.agent("a")
    for kind in TIERS:
        handle(store, kind).set("k", kind)
        assert store.states.get("a", kind, "k") == kind
    assert agent.agent_id == "a"
    with store.transaction() as tx:
        tx.agent("a").local.set("k", "inside")
        assert store.agent("a").local.get("k") == "local"
    assert agent.local.get("k") == "inside"
    assert store.at(1).agent("a").local.get("k") == "local"


def test_a_handle_has_the_names_docs_and_signatures_of_the_calls(filed: Store) -> None:
    mine = filed.agent("a").local
    assert mine.set.__name__ == "set"
    assert list(inspect.signature(mine.set).parameters)[:3] == ["key", "value", "expected_version"]
    assert mine.set.__doc__ == filed.states.set.__doc__
    assert next(iter(inspect.signature(filed.agent("a").session("c").get).parameters)) == "key"


# ---- as mappings


@pytest.mark.parametrize("kind", [*TIERS, "session"])
def test_a_handle_is_a_mutable_mapping(filed: Store, kind: str) -> None:
    mine = handle(filed, kind)
    assert isinstance(mine, MutableMapping)
    assert isinstance(mine, Mapping)
    missing = [name for name in dir(MutableMapping) if not name.startswith("_") and not hasattr(mine, name)]
    assert missing == []


@pytest.mark.parametrize("kind", ["local", "session"])
def test_a_handle_does_what_a_dict_does(open_store: Opener, kind: str) -> None:
    store = open_store(APART)
    names = st.sampled_from(("x", "y", "z"))
    numbers = st.integers(0, 3)
    calls = st.one_of(
        st.tuples(st.just("__setitem__"), names, numbers),
        st.tuples(st.just("__delitem__"), names),
        st.tuples(st.just("__getitem__"), names),
        st.tuples(st.just("__contains__"), names | numbers),
        st.tuples(st.just("__len__")),
        st.tuples(st.just("get"), names),
        st.tuples(st.just("get"), names, numbers),
        st.tuples(st.just("pop"), names),
        st.tuples(st.just("pop"), names, numbers | st.none()),
        st.tuples(st.just("setdefault"), names),
        st.tuples(st.just("setdefault"), names, numbers),
        st.tuples(st.just("clear")),
        st.tuples(st.just("update"), st.dictionaries(names, numbers)),
        st.tuples(st.just("update"), st.lists(st.tuples(names, numbers), max_size=3)),
    )

    @given(st.lists(calls, max_size=15))
    def holds(made: list[tuple[Any, ...]]) -> None:
        mine, plain = handle(store, kind), dict[str, Any]()
        mine.clear()
        for name, *arguments in made:
            assert outcome(mine, name, arguments) == outcome(plain, name, arguments)
            assert (list(mine), mine.values(), mine.items()) == sorted_like(plain)
        while plain:
            key, value = mine.popitem()
            assert plain.pop(key) == value
        with pytest.raises(KeyError):
            mine.popitem()

    holds()


def outcome(mapping: Any, name: str, arguments: list[Any]) -> Any:
    try:
        found = getattr(mapping, name)(*arguments)
    except KeyError as error:
        return ("KeyError", error.args)
    return None if name == "clear" else found


def sorted_like(plain: dict[str, Any]) -> tuple[list[str], list[Any], list[tuple[str, Any]]]:
    return sorted(plain), [plain[key] for key in sorted(plain)], sorted(plain.items())


def test_update_works_both_ways(filed: Store) -> None:
    mine: Any = filed.agent("a").local
    mine.update({"x": 1}, y=2, key=3, fn=4)
    assert dict(mine) == {"x": 1, "y": 2, "key": 3, "fn": 4}
    assert filed.transfer.head() == 1
    mine.update([("x", 5)])
    mine.update(handle(filed, "persistent"))
    mine.update(z=6)
    assert mine["z"] == 6
    entry = mine.update("x", lambda value: value + 1, default=0, message="why")
    assert (entry.value, filed.history.versions("a", "local", "x")[0].message) == (6, "why")
    other: Any = filed.agent("b").shared
    other.update(mine)
    assert dict(other) == dict(mine)
    with pytest.raises((TypeError, ValueError)):
        mine.update("x", None)


def test_an_empty_handle_is_true_and_a_missing_key_is_a_key_error(filed: Store) -> None:
    mine = filed.agent("a").local
    assert mine
    assert len(mine) == 0
    for call in calls(lambda: mine["k"], lambda: mine.__delitem__("k"), lambda: mine.pop("k")):
        with pytest.raises(KeyError, match="k"):
            call()
    assert mine.pop("k", None) is None
    assert 5 not in mine
    mine["null"] = None
    assert "null" in mine
    assert mine["null"] is None
    assert mine.pop("null", 5) is None


def test_an_expired_key_is_in_no_mapping(filed: Store, clock: Clock) -> None:
    mine = filed.agent("a").local
    mine.set("k", 1, ttl=5)
    clock.advance(5)
    assert "k" not in mine
    assert list(mine) == []
    assert mine.setdefault("k", 2) == 2


def test_setdefault_on_a_key_that_is_there_writes_nothing(filed: Store, clock: Clock) -> None:
    filed.agent("a").local["k"] = 1
    assert filed.agent("a").local.setdefault("k", 2) == 1
    assert filed.transfer.head() == 1


def test_mapping_writes_that_are_refused_write_nothing(filed: Store) -> None:
    mine = filed.agent("a").local
    with pytest.raises(InvalidValue):
        mine.update({"x": 1, "y": {1}})
    with pytest.raises(InvalidValue):
        mine["k"] = (1,)
    assert filed.transfer.head() == 0


def test_handles_of_a_transaction_are_mappings_too(filed: Store) -> None:
    with filed.transaction() as tx:
        mine = tx.agent("a").local
        mine["x"] = 1
        mine.update({"y": 2})
        assert mine.setdefault("x", 9) == 1
        assert mine.pop("y") == 2
        assert mine.popitem() == ("x", 1)
        mine["z"] = 3
        assert dict(mine) == {"z": 3}
    assert dict(filed.agent("a").local) == {"z": 3}
    assert filed.transfer.head() == 1


def test_handles_of_an_async_store_are_awaited_and_are_no_mappings(where: str) -> None:
    async def main() -> None:
        async with AsyncStore(where, durability="normal") as store:
            agent: Any = store.agent("a")
            await agent.local.set("k", 1)
            assert (await agent.local.update("k", lambda value: value + 1)).value == 2
            session = agent.session("c", ttl=60)
            await session.set("k", 3)
            assert await session.items() == [("k", 3)]
            assert await session.close()
            assert not isinstance(agent.local, Mapping)
            assert not isinstance(session, Mapping)

    run(main())
