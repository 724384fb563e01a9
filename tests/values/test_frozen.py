"""Values that cannot be changed, and copies that share nothing that can."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import to_json

from statedb import InvalidValue
from statedb.values import codec
from statedb.values.content import Content
from statedb.values.copies import Original
from statedb.values.frozen import FrozenDict, FrozenList, frozen, thawed
from tests.helpers import calls

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4), max_leaves=30
)
LIMIT = 1 << 30


def containers(value: Any) -> list[Any]:
    if not isinstance(value, dict | list):
        return []
    inner = value.values() if isinstance(value, dict) else value
    return [value, *(each for part in inner for each in containers(part))]


def text(value: Any) -> bytes:
    return to_json(thawed(value))


@given(VALUES)
def test_a_frozen_value_is_its_equal_to_whoever_reads(value: Any) -> None:
    made = frozen(value)
    assert made == value
    assert value == made
    assert {type(each) for each in containers(made)} <= {FrozenDict, FrozenList}
    assert to_json(made) == to_json(value) == text(made)
    assert json.dumps(made) == json.dumps(value)
    assert codec.encode(made, LIMIT) == codec.encode(value, LIMIT)
    for plain in (copy.deepcopy(made), pickle.loads(pickle.dumps(made)), thawed(made)):
        assert to_json(plain) == to_json(value)
        assert {type(each) for each in containers(plain)} <= {dict, list}


@given(st.dictionaries(st.text(), VALUES, max_size=4) | st.lists(VALUES, max_size=6))
def test_copies_are_equal_and_share_nothing_that_can_be_changed(value: Any) -> None:
    original = Original(value)
    first, second = original.copy(), original.copy()
    assert to_json(first) == to_json(second) == to_json(value)
    seen = [id(each) for made in (value, first, second) for each in containers(made)]
    assert len(seen) == len(set(seen))
    assert original.size > 0


@given(VALUES)
def test_a_content_is_the_value_in_every_form_and_every_order(value: Any) -> None:
    content = Content.of(codec.encode(value, LIMIT).stored)
    for _ in range(4):
        assert to_json(content.own()) == to_json(value)
        assert text(content.shared()) == to_json(value)
        assert content.shown(object, True) == value
        assert content.size > 0


def test_nothing_that_changes_is_left_open() -> None:
    """Every method of dict and list that a plain one has and a frozen one inherits leaves it as it is."""
    reading = {
        dict: {"copy", "fromkeys", "get", "items", "keys", "values"},
        list: {"copy", "count", "index"},
    }
    for plain, kind in ((dict, FrozenDict), (list, FrozenList)):
        public = {name for name in vars(plain) if not name.startswith("_")}
        assert {name for name in public if name not in vars(kind)} == reading[plain]
        special = {"__init__", "__setitem__", "__delitem__"} | {
            n for n in vars(plain) if n.startswith("__i") and n[3:5] in ("or", "ad", "mu")
        }
        assert special <= set(vars(kind))


def test_every_change_is_refused() -> None:
    made, listed = frozen({"a": 1}), frozen([1, 2])
    changes = calls(
        lambda: made.update(b=1),
        lambda: made.__ior__({"b": 1}),
        lambda: made.__init__(b=1),
        lambda: made.pop("a"),
        lambda: listed.append(3),
        lambda: listed.__iadd__([3]),
        lambda: listed.__init__([3]),
        lambda: listed.sort(),
    )
    for change in changes:
        with pytest.raises(TypeError):
            change()
    assert (made, listed) == ({"a": 1}, [1, 2])
    assert [type(each) for each in (made | {}, made.copy(), listed * 1, listed[:], copy.copy(made))] == [
        dict, dict, list, list, dict,
    ]  # fmt: skip


@pytest.mark.parametrize("value", [{1: frozen([1])}, {"a": [frozen({"b": 1}), {1, 2}]}, [frozen([1]), float("nan")]])
def test_what_is_wrong_beside_a_frozen_part_is_named(value: Any) -> None:
    with pytest.raises(InvalidValue) as refused:
        codec.encode(value, LIMIT)
    assert "Frozen" not in str(refused.value)
