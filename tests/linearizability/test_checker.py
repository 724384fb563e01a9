"""The checker accepts what can be explained and nothing else: drawn histories, and beside every order of small ones."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.linearizability.cell import CELL, Value
from tests.linearizability.checker import Model, check, holds
from tests.linearizability.history import Call, Operation


def register(value: int, call: Call) -> tuple[Any, int]:
    """A register of numbers, with nothing but reads, writes and compare-and-set to tell what became of it."""
    match call:
        case ("read",):
            return value, value
        case ("write", new):
            return None, new
        case ("cas", old, new):
            return value == old, new if value == old else value
    raise AssertionError(call)


REGISTER = Model(0, register)


def history(text: str) -> list[Operation]:
    """Return a history drawn as lines, each an operation: a bar from its call to its return, its call, its result.

    A bar that ends in `>` has no return.
    """
    found: list[Operation] = []
    for line in filter(str.strip, text.splitlines()):
        bar, _, rest = line.strip().partition("| ")
        said, _, result = rest.partition(" -> ")
        word, *args = said.split()
        invoked = len(bar) - len(bar.lstrip("."))
        returned = None if bar.endswith(">") else len(bar)
        call = (word, *map(int, args))
        found.append(Operation("x", call, invoked, returned, RESULTS[result]))
    return found


RESULTS = {"": None, "no": False, "yes": True, **{str(number): number for number in range(10)}}

GOOD = {
    "one after the other": """
        ---|       write 1
        ....---|   read -> 1
    """,
    "a read beside a write sees it": """
        --------|  write 1
        ..---|     read -> 1
    """,
    "or does not": """
        --------|  write 1
        ..---|     read -> 0
    """,
    "two writes beside each other, in either order": """
        --------|        write 1
        --------|        write 2
        .........---|    read -> 1
    """,
    "a write that returned late took effect early": """
        -------------|   write 1
        --|              read -> 0
        ...--|           read -> 1
        ......--|        read -> 1
    """,
    "an unknown write takes effect later": """
        -->|             write 1
        ...--|           read -> 0
        ......--|        read -> 1
    """,
    "an unknown write never takes effect": """
        -->|             write 1
        ...--|           read -> 0
        ......--|        write 2
        .........--|     read -> 2
    """,
    "an unknown write takes effect after one that was asked for later": """
        -->|             write 1
        ...--|           write 2
        ......--|        read -> 2
        .........--|     read -> 1
    """,
    "an unknown cas takes effect where it can": """
        -->|                cas 2 3
        ...--|              read -> 0
        ......--|           write 2
        .........--|        read -> 3
    """,
    "only one of two has set what both compared": """
        --------|        cas 0 1 -> yes
        --------|        cas 0 2 -> no
        .........---|    read -> 1
    """,
    "nobody knows of anything": """
        -->|             write 1
        -->|             read
    """,
}

DOCTORED = {
    "a stale read": """
        --|              write 1
        ...--|           write 2
        ......--|        read -> 1
    """,
    "a read of the beginning after a write": """
        --|              write 1
        ...--|           read -> 0
    """,
    "a value read that nobody has written": """
        --|              write 1
        ...--|           read -> 2
    """,
    "a value read before it is written": """
        --|              read -> 1
        ...--|           write 1
    """,
    "seen by one, and not by another after that": """
        -------------|   write 1
        ...--|           read -> 1
        ......--|        read -> 0
    """,
    "two readers see two writes in different orders": """
        -----|              write 1
        -----|              write 2
        ......--|           read -> 1
        ......--|           read -> 1
        .........--|        read -> 2
    """,
    "a lost update": """
        --|              read -> 0
        --|              read -> 0
        ...--|           cas 0 1 -> yes
        ......--|        read -> 0
    """,
    "two have set what both compared": """
        --------|        cas 0 1 -> yes
        --------|        cas 0 2 -> yes
    """,
    "a cas that failed though it could not": """
        --|              cas 0 1 -> no
    """,
    "a cas that succeeded though it could not": """
        --|              write 5
        ...--|           cas 0 1 -> yes
    """,
    "an unknown write seen, then unseen": """
        -->|             write 1
        ...--|           read -> 1
        ......--|        read -> 0
    """,
    "an unknown write seen twice": """
        -->|                write 1
        ...--|              read -> 1
        ......--|           write 2
        .........--|        read -> 2
        ............--|     read -> 1
    """,
    "an unknown write seen before it was asked for": """
        --|              read -> 1
        ...-->|          write 1
    """,
    "an unknown cas that cannot have": """
        -->|             cas 7 1
        ...--|           read -> 1
    """,
}


@pytest.mark.parametrize("name", GOOD)
def test_what_can_be_explained_is_accepted(name: str) -> None:
    assert holds(history(GOOD[name]), REGISTER)


@pytest.mark.parametrize("name", DOCTORED)
def test_what_cannot_be_explained_is_rejected(name: str) -> None:
    assert not holds(history(DOCTORED[name]), REGISTER)


def test_a_verdict_says_where_the_search_got_stuck() -> None:
    found = check(history(DOCTORED["a stale read"]), REGISTER)["x"]
    assert [each.call for each in found.order] == [("write", 1), ("write", 2)]
    assert [each.call for each in found.stuck] == [("read",)]
    assert "none of these can be next" in str(found)


def test_keys_are_explained_apart_from_each_other() -> None:
    well = history(GOOD["a read beside a write sees it"])
    ill = [replace(each, key="y") for each in history(DOCTORED["a stale read"])]
    found = check([*well, *ill], REGISTER)
    assert {key: verdict.linearizable for key, verdict in found.items()} == {"x": True, "y": False}


# ---- beside brute force


def brute(operations: list[Operation], model: Model[Any]) -> bool:
    """Tell whether any order of any choice of operations explains a history of one key, by trying them all."""
    known, unknown = ([each for each in operations if each.known is want] for want in (True, False))
    return any(
        _explains(order, model)
        for count in range(len(unknown) + 1)
        for some in combinations(unknown, count)
        for order in permutations([*known, *some])
    )


def _explains(order: tuple[Operation, ...], model: Model[Any]) -> bool:
    state = model.initial
    for place, each in enumerate(order):
        if any(later.returned is not None and later.returned < each.invoked for later in order[place:]):
            return False
        result, state = model.apply(state, each.call)
        if each.known and result != each.result:
            return False
    return True


NUMBERS = st.integers(0, 2)
CALLS = st.one_of(st.just(("read",)), st.tuples(st.just("write"), NUMBERS), st.tuples(st.just("cas"), NUMBERS, NUMBERS))


@st.composite
def anything(draw: st.DrawFn) -> list[Operation]:
    """Histories of which nobody knows whether they can be explained."""
    found = []
    for _ in range(draw(st.integers(1, 5))):
        call, invoked = draw(CALLS), draw(st.integers(0, 8))
        returned = draw(st.none() | st.integers(invoked, 10))
        result = draw({"read": NUMBERS, "cas": st.booleans(), "write": st.none()}[call[0]])
        found.append(Operation("x", call, invoked, returned, result))
    return found


TOKENS, VERSIONS = st.sampled_from("abc"), st.integers(0, 3)
CELL_CALLS = st.one_of(
    st.sampled_from([("get",), ("entry",), ("delete",)]),
    st.tuples(st.sampled_from(["set", "update"]), TOKENS),
    st.tuples(st.just("cas"), VERSIONS, TOKENS),
    st.tuples(st.just("cas delete"), VERSIONS),
)


@st.composite
def real(draw: st.DrawFn, model: Model[Any], calls: st.SearchStrategy[Call], most: int) -> list[Operation]:
    """What came of an object: every call takes effect at an instant of its interval.

    Of an unknown one that is any instant after it was asked for, or none.
    """
    state, found = model.initial, []
    for at in range(0, 10 * draw(st.integers(1, most)), 10):
        call, known = draw(calls), draw(st.integers(0, 4)) > 0
        invoked = at - draw(st.integers(0, 40 if known else 200))
        result = None
        if known or draw(st.booleans()):
            result, state = model.apply(state, call)
        found.append(Operation("x", call, invoked, at + draw(st.integers(0, 40)) if known else None, result))
    return found


@given(anything())
@settings(max_examples=300)
def test_it_finds_what_trying_every_order_finds(operations: list[Operation]) -> None:
    assert holds(operations, REGISTER) == brute(operations, REGISTER)


@given(real(REGISTER, CALLS, 40))
def test_what_came_of_a_register_is_accepted(operations: list[Operation]) -> None:
    assert holds(operations, REGISTER)


@given(real(CELL, CELL_CALLS, 40))
def test_what_came_of_a_key_is_accepted(operations: list[Operation]) -> None:
    assert holds(operations, CELL)


@given(real(REGISTER, CALLS, 6), st.data())
@settings(max_examples=200)
def test_one_changed_result_is_rejected_unless_some_order_explains_it(operations: list[Operation], data: Any) -> None:
    place = data.draw(st.integers(0, len(operations) - 1))
    told = operations[place]
    result = (told.result + 1) % 3 if told.call[0] == "read" and told.known else not told.result
    operations[place] = replace(told, result=result)
    assert holds(operations, REGISTER) == brute(operations, REGISTER)


@given(real(CELL, CELL_CALLS, 6), st.data())
@settings(max_examples=200)
def test_that_versions_only_rise_spares_the_search_nothing_it_needs(operations: list[Operation], data: Any) -> None:
    one, other = (data.draw(st.integers(0, len(operations) - 1)) for _ in range(2))
    operations[one] = replace(operations[one], call=operations[other].call, result=operations[other].result)
    assert holds(operations, CELL) == brute(operations, CELL)


# ---- at length, and on the model of a key


def test_a_long_history_takes_few_configurations() -> None:
    """Three at a time throughout, and unknown writes that never take effect, which stay possible to the very end."""
    state, found = 0, []
    for number in range(3_000):
        call = [("write", number), ("read",), ("cas", number - 2, number)][number % 3]
        result, state = register(state, call)
        found.append(Operation("x", call, 10 * number - 12, 10 * number + 12, result))
        if number % 100 == 0:
            found.append(Operation("x", ("write", -number - 1), 10 * number))
    verdict = check(found, REGISTER)["x"]
    assert verdict.linearizable
    assert verdict.looked < 4 * len(found), str(verdict)


def test_a_cell_counts_its_versions_as_a_key_does() -> None:
    calls: list[tuple[Call, Any]] = [
        (("entry",), None),
        (("cas", 0, "a"), 1),
        (("set", "b"), 2),
        (("get",), Value("b")),
        (("cas", 1, "c"), ("conflict", 2, Value("b"))),
        (("update", "d"), (3, Value("d", "b"))),
        (("cas delete", 2), ("conflict", 3, Value("d", "b"))),
        (("cas delete", 3), True),
        (("delete",), False),
        (("cas", 4, "e"), ("conflict", 0, None)),
        (("cas", 0, "e"), 5),
        (("entry",), (5, Value("e"))),
        (("delete",), True),
        (("update", "f"), (7, Value("f"))),
    ]
    cell = CELL.initial
    for call, told in calls:
        result, cell = CELL.apply(cell, call)
        assert result == told, call
