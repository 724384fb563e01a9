"""The diff: its patches turn one value into the other, and it says no more than it must."""

from __future__ import annotations

import pickle
from bisect import bisect_left
from random import Random
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from statedb import MISSING, InvalidValue
from statedb.values import align
from statedb.values.diff import Modified, diff
from statedb.values.patch import json_patch, merge_patch
from statedb.values.same import json_type
from tests.strategies import json_scalars, json_texts, json_values
from tests.values.plainly import alike, sayable

ids = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 6)}, optional={"done": st.booleans(), "n": st.integers(0, 2)}),
    max_size=6,
    unique_by=lambda each: each["id"],
)
few = st.sampled_from([0, 1, 1.0, True, None, "a", [], {}, [1], {"a": 1}])
near = st.recursive(few, lambda below: st.lists(below, max_size=6) | st.dictionaries(st.sampled_from("ab/~"), below))
anything = json_values() | near | ids


@given(anything, anything)
@example([1, 2, 3], [0, 1, 2, 3])
@example({"a": [{"id": 1, "x": 1}, {"id": 2}]}, {"a": [{"id": 2}, {"id": 1, "x": 2}]})
@example({"": {"~": 0.0}}, {"": {"~": -0.0}})
@example([[1, 2], [3]], [[3, 4], [5], [1]])
def test_the_patches_turn_the_old_value_into_the_new(old: Any, new: Any) -> None:
    found = diff(old, new)
    assert alike(json_patch(old, found.json_patch()), new)
    if sayable(old, new):
        assert alike(merge_patch(old, found.merge_patch()), new)
    else:
        with pytest.raises(InvalidValue, match="null"):
            found.merge_patch()
    assert bool(found) is not alike(old, new)


@given(st.lists(json_scalars(), max_size=12), st.lists(json_scalars(), max_size=12), st.data())
def test_elements_put_in_and_taken_out_are_all_that_is_said(kept: list[Any], extra: list[Any], data: Any) -> None:
    longer = list(kept)
    for each in extra:
        longer.insert(data.draw(st.integers(0, len(longer))), each)
    found = diff(kept, longer)
    assert (len(found.added), found.modified, found.removed) == (len(extra), {}, {})
    found = diff(longer, kept)
    assert (found.added, found.modified, len(found.removed)) == ({}, {}, len(extra))


@pytest.mark.parametrize(
    ("old", "new", "added", "modified", "removed"),
    [
        ({"a": 1, "b": 2}, {"b": 3, "c": 4}, {"/c": 4}, {"/b": (2, 3)}, {"/a": 1}),
        ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": 2}}}, {}, {"/a/b/c": (1, 2)}, {}),
        ({"a": 1}, {"a": 1.0}, {}, {"/a": (1, 1.0)}, {}),
        ({"a": 1}, {"a": True}, {}, {"/a": (1, True)}, {}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {}, {}, {}),
        ({"a/b": 1}, {"a/b": 1, "m~n": 2}, {"/m~0n": 2}, {}, {}),
        ([1, 2, 3], [0, 1, 2, 3], {"/0": 0}, {}, {}),
        (["a", "b", "c"], ["b", "c", "d"], {"/2": "d"}, {}, {"/0": "a"}),
        (["a", "b", "c"], ["a", "x", "c"], {}, {"/1": ("b", "x")}, {}),
        ([{"id": 1, "n": 1}, {"id": 2}], [{"id": 0}, {"id": 1, "n": 2}], {"/0": {"id": 0}}, {"/1/n": (1, 2)},
         {"/1": {"id": 2}}),
        ({}, [], {}, {"": ({}, [])}, {}),
        (b"old", b"new", {}, {"": (b"old", b"new")}, {}),
        (MISSING, {"a": 1}, {"": {"a": 1}}, {}, {}),
        (None, MISSING, {}, {}, {"": None}),
        (MISSING, MISSING, {}, {}, {}),
    ],
)  # fmt: skip
def test_what_is_said(old: Any, new: Any, added: Any, modified: Any, removed: Any) -> None:
    found = diff(old, new)
    assert (found.added, found.modified, found.removed) == (added, modified, removed)


def test_a_diff_survives_pickling_and_names_both_sides() -> None:
    found = diff({"a": 1}, {"a": 2})
    assert pickle.loads(pickle.dumps(found)) == found
    assert found.modified["/a"] == Modified(old=1, new=2)


def test_bytes_and_absence_have_no_patch_that_could_say_them() -> None:
    for made in (diff(b"a", b"b"), diff(1, b"b"), diff(b"a", MISSING)):
        for patch in (made.json_patch, made.merge_patch):
            with pytest.raises(InvalidValue):
                patch()
    assert diff(1, MISSING).json_patch() == [{"op": "remove", "path": ""}]
    with pytest.raises(InvalidValue):
        diff(1, MISSING).merge_patch()


def test_long_lists_of_few_elements_are_aligned_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def counting(*args: Any) -> int:
        nonlocal looked
        looked += 1
        return bisect_left(*args)

    monkeypatch.setattr("statedb.values.align.bisect_left", counting)
    old = [i % 3 for i in range(6000)] + ["rare"] + [0] * 6000
    new = [(i + 1) % 2 for i in range(6000)] + ["rare"] + [1] * 5990
    found = diff(old, new)
    assert looked <= 2 * align._MOST_PAIRS
    assert json_patch(old, found.json_patch()) == new


def test_two_elements_put_into_a_long_list_of_few_are_two_additions() -> None:
    chance = Random(0)
    old = [chance.randrange(2) for _ in range(4000)]
    new = [*old[:1000], 7, *old[1000:3000], 8, *old[3000:]]
    assert diff(old, new).added == {"/1000": 7, "/3001": 8}
    again = [1 - old[0], *old[:2500], 1 - old[2500], *old[2500:]]
    found = diff(old, again)
    assert (len(found.added), found.modified, found.removed) == (2, {}, {})


@given(json_texts(), json_texts())
def test_pointers_escape_the_names_they_are_made_of(name: str, other: str) -> None:
    found = diff({name: {other: 1}}, {name: {other: 2}})
    assert json_patch({name: {other: 1}}, found.json_patch()) == {name: {other: 2}}
    assert json_type(found.modified) is dict
