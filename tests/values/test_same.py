from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given

from statedb.models import MISSING
from statedb.values.same import equal, json_type, same
from tests.strategies import json_values

# What the store tells apart, and JSON does not.
EQUAL_BUT_NOT_THE_SAME: list[tuple[Any, Any]] = [
    (1, 1.0),
    (0, -0.0),
    (0.0, -0.0),
    (10**15, 1e15),
    ([1], [1.0]),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": 1, "b": 1}, {"b": 1, "a": 1}),
    ([{"a": 1, "b": [0.0]}], [{"b": [-0.0], "a": 1}]),
]

# What everybody tells apart.
DIFFERENT: list[tuple[Any, Any]] = [
    (1, 2),
    (1, True),
    (0, False),
    (1.0, True),
    (0, None),
    (False, None),
    ("", None),
    ("1", 1),
    ("a", "A"),
    ("é", "e\u0301"),
    (10**400, 10**400 + 1),
    (2**53 + 1, float(2**53)),
    ([], {}),
    ([], None),
    ({}, None),
    ([], ""),
    ([1], [1, 1]),
    ([1, 2], [2, 1]),
    ([[]], [{}]),
    ({"a": None}, {}),
    ({"a": 1}, {"b": 1}),
    ({"a": 1, "b": 2}, {"a": 2, "b": 1}),
    ({"a": [True]}, {"a": [1]}),
]


def deep(leaf: Any, levels: int = 200) -> Any:
    for level in range(levels):
        leaf = {"in": leaf} if level % 2 else [leaf]
    return leaf


@given(json_values())
def test_a_value_is_the_same_as_its_copy(value: Any) -> None:
    assert same(value, copy.deepcopy(value))
    assert equal(value, copy.deepcopy(value))


@given(json_values(), json_values())
def test_two_values_are_the_same_where_their_json_is(a: Any, b: Any) -> None:
    assert same(a, b) == (json.dumps(a) == json.dumps(b))


@given(json_values(), json_values())
def test_what_is_the_same_is_equal(a: Any, b: Any) -> None:
    assert equal(a, b) or not same(a, b)


@pytest.mark.parametrize(("a", "b"), EQUAL_BUT_NOT_THE_SAME)
def test_type_sign_and_order_of_members_count_for_same_alone(a: Any, b: Any) -> None:
    assert not same(a, b)
    assert not same(b, a)
    assert equal(a, b)
    assert equal(b, a)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_different_values_are_neither_the_same_nor_equal(a: Any, b: Any) -> None:
    assert not same(a, b)
    assert not same(b, a)
    assert not equal(a, b)
    assert not equal(b, a)


@pytest.mark.parametrize(("a", "b"), EQUAL_BUT_NOT_THE_SAME + DIFFERENT)
def test_a_difference_200_levels_down_is_seen(a: Any, b: Any) -> None:
    assert not same(deep(a), deep(b))
    assert same(deep(a), deep(copy.deepcopy(a)))
    assert equal(deep(a), deep(b)) == equal(a, b)


def test_bytes_and_no_value_at_all_can_be_compared() -> None:
    assert same(b"1", bytes(bytearray(b"1")))
    assert not same(b"1", "1")
    assert same(MISSING, MISSING)
    assert not same(MISSING, None)
    assert not same({}, MISSING)


def test_every_number_is_of_one_json_type_and_no_bool_is_a_number() -> None:
    assert json_type(1) is json_type(1.5)
    assert json_type(True) is not json_type(1)
    one_of_each: list[Any] = [1, True, None, "", [], {}]
    assert len({json_type(value) for value in one_of_each}) == 6
