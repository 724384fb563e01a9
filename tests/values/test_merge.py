from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from statedb.values import pointer
from statedb.values.merge import MISSING, Clash, Merge, merge
from statedb.values.same import is_list, is_object, same
from tests.strategies import json_values


def merged(base: Any, ours: Any, theirs: Any) -> Any:
    """Return the value of a merge that is expected to be clean, both ways round."""
    result = merge(base, ours, theirs)
    assert result.conflicts == ()
    assert merge(base, theirs, ours).conflicts == ()
    return result.value


def clash(base: Any, ours: Any, theirs: Any) -> Clash:
    """Return the one clash of a merge, which leaves theirs standing."""
    (found,) = merge(base, ours, theirs).conflicts
    return found


def item(name: Any, **members: Any) -> dict[str, Any]:
    return {"id": name, **members}


def items(*names: Any) -> list[dict[str, Any]]:
    return [item(name) for name in names]


def ids(value: list[dict[str, Any]]) -> list[Any]:
    return [element["id"] for element in value]


# ---- clean merges

CLEAN: dict[str, tuple[Any, Any, Any, Any]] = {
    "nothing changed": ({"a": 1}, {"a": 1}, {"a": 1}, {"a": 1}),
    "ours changed": (1, 2, 1, 2),
    "theirs changed": (1, 1, 2, 2),
    "both changed to the same": (1, 2, 2, 2),
    "ours changed the type alone": (1, 1.0, 1, 1.0),
    "theirs changed the sign of zero alone": (0.0, 0.0, -0.0, -0.0),
    "ours made it": (MISSING, 1, MISSING, 1),
    "theirs made it null": (MISSING, MISSING, None, None),
    "both made the same": (MISSING, {"a": 1}, {"a": 1}, {"a": 1}),
    "ours deleted": (1, MISSING, 1, MISSING),
    "theirs deleted": ({"a": 1}, {"a": 1}, MISSING, MISSING),
    "both deleted": (1, MISSING, MISSING, MISSING),
    "there was never anything": (MISSING, MISSING, MISSING, MISSING),
    "ours turned an object into a list": ({"a": 1}, [1], {"a": 1}, [1]),
    "each changed another member": ({"a": 1, "b": 2}, {"a": 3, "b": 2}, {"a": 1, "b": 4}, {"a": 3, "b": 4}),
    "each changed another member, further down": (
        {"o": {"a": 1, "b": {"c": 2}}},
        {"o": {"a": 3, "b": {"c": 2}}},
        {"o": {"a": 1, "b": {"c": 4}}},
        {"o": {"a": 3, "b": {"c": 4}}},
    ),
    "each added a member: theirs first": ({"a": 1}, {"x": 2, "a": 1}, {"a": 1, "y": 3}, {"a": 1, "y": 3, "x": 2}),
    "each removed a member": ({"a": 1, "b": 2, "c": 3}, {"b": 2, "c": 3}, {"a": 1, "c": 3}, {"c": 3}),
    "one removed what the other left": ({"a": 1, "b": 2}, {"b": 2}, {"a": 1, "b": 3}, {"b": 3}),
    "both removed the same member": ({"a": 1, "b": 2}, {"b": 3}, {"b": 2}, {"b": 3}),
    "null is a value": ({"a": 1, "b": 1}, {"a": None, "b": 1}, {"a": 1}, {"a": None}),
    "both made an object": (MISSING, {"a": 1}, {"b": 2}, {"b": 2, "a": 1}),
    "both made an object of something else": (7, {"a": 1, "c": 3}, {"b": 2, "c": 3}, {"b": 2, "c": 3, "a": 1}),
    "both made an object of null": ({"o": None}, {"o": {"a": 1}}, {"o": {"b": 2}}, {"o": {"b": 2, "a": 1}}),
    "both made the same change beside others": (
        {"a": 1, "b": 1, "c": 1},
        {"a": 2, "b": 2, "c": 1},
        {"a": 1, "b": 2, "c": 2},
        {"a": 2, "b": 2, "c": 2},
    ),
    "a list is one value, which ours changed": ({"l": [1], "b": 1}, {"l": [2], "b": 1}, {"l": [1]}, {"l": [2]}),
    "bytes are one value": (b"1", b"2", b"1", b"2"),
}


@pytest.mark.parametrize("name", CLEAN)
def test_changes_that_do_not_meet_are_both_kept(name: str) -> None:
    base, ours, theirs, result = CLEAN[name]
    assert same(merged(base, ours, theirs), result)


# ---- clashes

CLASHES: dict[str, tuple[Any, Any, Any, str, str]] = {
    "two numbers": (1, 2, 3, "", "concurrent_modification"),
    "two numbers of different python types": (1, 2, 2.0, "", "concurrent_modification"),
    "two texts": ({"a": "x"}, {"a": "y"}, {"a": "z"}, "/a", "concurrent_modification"),
    "two bools": ({"a": None}, {"a": True}, {"a": False}, "/a", "concurrent_modification"),
    "two lists": ({"a": [1]}, {"a": [1, 2]}, {"a": [1, 3]}, "/a", "concurrent_modification"),
    "two orders of a list": ([1, 2, 3], [2, 1, 3], [3, 2, 1], "", "concurrent_modification"),
    "two new values": ({}, {"a": 1}, {"a": 2}, "/a", "concurrent_modification"),
    "two first values": (MISSING, 1, 2, "", "concurrent_modification"),
    "two blobs": (b"1", b"2", b"3", "", "concurrent_modification"),
    "zeros of both signs": (1, 0.0, -0.0, "", "concurrent_modification"),
    "further down": ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": 3}}, "/a/b", "concurrent_modification"),
    "a name that needs an escape": ({}, {"a/b~c": 1}, {"a/b~c": 2}, "/a~1b~0c", "concurrent_modification"),
    "a member with an empty name": ({}, {"": 1}, {"": 2}, "/", "concurrent_modification"),
    "ours deleted": (1, MISSING, 2, "", "deleted_modified"),
    "theirs deleted": (1, 2, MISSING, "", "deleted_modified"),
    "ours deleted a member": ({"a": 1}, {}, {"a": 2}, "/a", "deleted_modified"),
    "theirs deleted a member": ({"a": 1}, {"a": 2}, {}, "/a", "deleted_modified"),
    "deleted and turned into null": ({"a": 1}, {}, {"a": None}, "/a", "deleted_modified"),
    "deleted and changed below": ({"o": {"a": 1}}, {}, {"o": {"a": 1, "b": 2}}, "/o", "deleted_modified"),
    "deleted and reordered": ({"o": {"a": 1, "b": 2}}, {"o": {"b": 2, "a": 1}}, {}, "/o", "deleted_modified"),
    "a number and a text": (1, 2, "2", "", "type_mismatch"),
    "a number and a bool": (5, 1, True, "", "type_mismatch"),
    "null and false": (5, None, False, "", "type_mismatch"),
    "an object and a list": ({"a": 1}, {"a": {}}, {"a": []}, "/a", "type_mismatch"),
    "an object changed and replaced": ({"a": {"b": 1}}, {"a": {"b": 2}}, {"a": "x"}, "/a", "type_mismatch"),
    "two first values of different types": (MISSING, [], {}, "", "type_mismatch"),
    "JSON and bytes": ("a", "b", b"b", "", "type_mismatch"),
}


@pytest.mark.parametrize("name", CLASHES)
def test_a_place_both_changed_to_different_things_clashes(name: str) -> None:
    base, ours, theirs, path, kind = CLASHES[name]
    found = clash(base, ours, theirs)
    assert (found.path, found.kind) == (path, kind)
    for part in pointer.parse(path):
        base, ours, theirs = (side.get(part, MISSING) for side in (base, ours, theirs))
    assert same([found.base, found.ours, found.theirs], [base, ours, theirs])
    assert same(merge(*CLASHES[name][:3]).value, CLASHES[name][2])


def test_beside_a_clash_the_rest_is_merged_and_theirs_keeps_standing() -> None:
    base = {"a": 1, "b": 1, "c": {"x": 1, "y": 1}, "d": 1, "e": 1}
    ours = {"a": 2, "b": 1, "c": {"x": 2, "y": 2}, "e": 1, "f": 1}
    theirs = {"a": 3, "b": 3, "c": {"x": 3, "y": 1}, "d": 3}
    result = merge(base, ours, theirs)
    assert same(result.value, {"a": 3, "b": 3, "c": {"x": 3, "y": 2}, "d": 3, "f": 1})
    assert [(found.path, found.kind) for found in result.conflicts] == [
        ("/a", "concurrent_modification"),
        ("/c/x", "concurrent_modification"),
        ("/d", "deleted_modified"),
    ]


def test_a_member_that_theirs_deleted_and_ours_changed_stays_away() -> None:
    result = merge({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"b": 2})
    assert same(result.value, {"b": 2})
    assert result.conflicts == (Clash("/a", "deleted_modified", 1, 2, MISSING),)


# ---- order of members


def test_an_order_that_one_side_changed_is_kept_beside_the_others_changes() -> None:
    base, ours, theirs = {"a": 1, "b": 2, "c": 3}, {"c": 3, "b": 2, "a": 1}, {"a": 1, "b": 5, "c": 3, "d": 4}
    assert same(merged(base, ours, theirs), {"c": 3, "b": 5, "a": 1, "d": 4})
    assert same(merged(base, theirs, ours), {"c": 3, "b": 5, "a": 1, "d": 4})


def test_an_order_that_both_changed_is_theirs() -> None:
    base, ours, theirs = {"a": 1, "b": 2, "c": 3}, {"c": 3, "b": 2, "a": 1}, {"b": 2, "a": 1, "c": 3}
    assert same(merged(base, ours, theirs), theirs)
    assert same(merged(base, theirs, ours), ours)


def test_a_reorder_alone_is_a_change() -> None:
    base, ours = {"a": 1, "b": 2}, {"b": 2, "a": 1}
    assert same(merged(base, ours, base), ours)
    assert same(merged([base], [ours], [base]), [ours])


def test_new_members_and_removed_ones_are_no_reorder() -> None:
    base, ours, theirs = {"a": 1, "b": 2, "c": 3}, {"x": 0, "a": 1, "c": 3}, {"c": 3, "b": 2, "a": 1}
    assert same(merged(base, ours, theirs), {"c": 3, "a": 1, "x": 0})
    assert same(merged(base, theirs, ours), {"c": 3, "a": 1, "x": 0})


def test_two_orders_of_members_inside_a_list_are_no_conflict() -> None:
    base = [{"a": 1, "b": 2, "c": 3}, 1]
    ours, theirs = [{"b": 2, "a": 1, "c": 3}, 1], [{"c": 3, "b": 2, "a": 1}, 1]
    assert same(merged(base, ours, theirs), theirs)
    assert same(merged(base, theirs, ours), ours)


def test_two_equal_changes_in_two_orders_of_members_are_no_conflict() -> None:
    base, ours, theirs = [1], [[{"a": 1, "b": [{"x": 1, "y": 2}]}]], [[{"b": [{"y": 2, "x": 1}], "a": 1}]]
    assert same(merged(base, ours, theirs), theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"), [([{"a": 1}], [{"a": 1.0}]), ([[1, 2]], [[2, 1]]), ([{"a": 0}], [{"b": 0}])]
)
def test_lists_that_differ_in_more_than_the_order_of_members_clash(ours: Any, theirs: Any) -> None:
    assert clash([], ours, theirs).kind == "concurrent_modification"


# ---- lists by id


def test_elements_merge_by_id() -> None:
    base = [item("a", n=1), item("b", n=1)]
    ours = [item("a", n=2), item("b", n=1)]
    theirs = [item("a", n=1, m=1), item("b", n=3)]
    assert same(merged(base, ours, theirs), [item("a", n=2, m=1), item("b", n=3)])


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        ("ab", "abx", "aby", "abyx"),  # two appends, in the order they reached the store
        ("ab", "axb", "ayb", "ayxb"),
        ("ab", "xab", "yab", "yxab"),
        ("ab", "axb", "aby", "axby"),
        ("ab", "axyb", "abz", "axybz"),
        ("ab", "axby", "zab", "zaxby"),
        ("abc", "axbyc", "ac", "axyc"),  # what x and y followed, or the nearest before it that stands
        ("abc", "abxc", "c", "xc"),
        ("abc", "ac", "abyc", "ayc"),
        ("abc", "bc", "ab", "b"),
        ("abc", "", "abc", ""),
        ("abc", "abcx", "", "x"),
        ("", "xy", "zy", "zxy"),
        ("abc", "cba", "abc", "cba"),
        ("abc", "cba", "abcx", "cxba"),  # ours alone reordered, so x goes after c, which it followed
        ("abc", "cbax", "abc", "cbax"),
        ("abc", "abcx", "cba", "cxba"),
        ("abc", "cba", "bac", "bac"),  # both reordered
        ("abc", "cbxa", "bacy", "bxacy"),
        ("abcd", "dba", "abc", "ba"),
    ],
)
def test_elements_stand_where_theirs_put_them_and_ours_after_what_they_followed(
    base: str, ours: str, theirs: str, result: str
) -> None:
    assert ids(merged(items(*base), items(*ours), items(*theirs))) == list(result)


def test_a_changed_element_in_a_reordered_list_keeps_both() -> None:
    base = [item(1, n=1), item(2, n=1), item(3, n=1)]
    ours = [item(3, n=1), item(1, n=1), item(2, n=1)]
    theirs = [item(1, n=1), item(2, n=2), item(3, n=1), item(4)]
    result = [item(3, n=1), item(4), item(1, n=1), item(2, n=2)]
    assert same(merged(base, ours, theirs), result)


def test_lists_both_made_merge_by_id() -> None:
    assert same(merged(MISSING, items("a", "b"), items("c", "b")), items("c", "a", "b"))
    assert same(merged({}, {"l": items(1)}, {"l": items(2)}), {"l": items(2, 1)})
    assert same(merged([], items(1), items(2)), items(2, 1))


def test_ids_are_told_apart_by_type() -> None:
    assert same(
        merged(items(1, "1"), [item(1, n=1), item("1")], [item(1), item("1", n=2)]), [item(1, n=1), item("1", n=2)]
    )


def test_lists_by_id_merge_at_any_depth() -> None:
    base = [item("a", l=[item("x", n=1, m=1)])]
    ours = [item("a", l=[item("x", n=2, m=1)])]
    theirs = [item("a", l=[item("x", n=1, m=2)])]
    assert same(merged(base, ours, theirs), [item("a", l=[item("x", n=2, m=2)])])


@pytest.mark.parametrize(
    "odd",
    [
        [item(1), item(1)],
        [item(1), {"n": 1}],
        [item(1), 1],
        [item(1), None],
        [item(1), [item(2)]],
        [item(True)],
        [item(1.0)],
        [item(None)],
        [item([1])],
        [item({"a": 1})],
    ],
)
def test_a_list_with_an_element_that_has_no_id_of_its_own_is_one_value(odd: list[Any]) -> None:
    plain, other = items(1, 2), items(1, 3)
    for base, ours, theirs in [(odd, plain, other), (plain, odd, other), (plain, other, odd)]:
        result = merge({"l": base}, {"l": ours}, {"l": theirs})
        assert result.conflicts == (Clash("/l", "concurrent_modification", base, ours, theirs),)
        assert same(result.value, {"l": theirs})


def test_lists_by_id_that_both_made_of_something_else_clash() -> None:
    assert clash(None, items(1), items(2)) == Clash("", "concurrent_modification", None, items(1), items(2))
    assert clash({"id": 1}, items(1), items(2)).path == ""


@pytest.mark.parametrize(
    ("name", "path"),
    [("a", '/l/[id="a"]/n'), (7, "/l/[id=7]/n"), ("7", '/l/[id="7"]/n'), ("x/y~ü", '/l/[id="x~1y~0ü"]/n')],
)
def test_a_clash_names_an_element_by_its_id(name: Any, path: str) -> None:
    base, ours, theirs = [[item(name, n=n)] for n in (1, 2, 3)]
    result = merge({"l": base}, {"l": ours}, {"l": [item("first"), *theirs]})
    assert result.conflicts == (Clash(path, "concurrent_modification", 1, 2, 3),)
    assert same(result.value, {"l": [item("first"), *theirs]})


def test_an_element_deleted_on_one_side_and_changed_on_the_other_clashes() -> None:
    base, changed, without = [item(1), item(2, n=1), item(3)], [item(1), item(2, n=2), item(3)], items(1, 3)
    kept = merge(base, without, changed)
    assert kept.conflicts == (Clash("/[id=2]", "deleted_modified", item(2, n=1), MISSING, item(2, n=2)),)
    assert same(kept.value, changed)
    gone = merge(base, changed, without)
    assert gone.conflicts == (Clash("/[id=2]", "deleted_modified", item(2, n=1), item(2, n=2), MISSING),)
    assert same(gone.value, without)


def test_an_element_kept_by_a_clash_finds_its_place_in_the_other_sides_order() -> None:
    base = [item(1), item(2, n=1), item(3)]
    ours, theirs = items(3, 1), [item(1), item(2, n=2), item(3)]
    result = merge(base, ours, theirs)
    assert [found.path for found in result.conflicts] == ["/[id=2]"]
    assert same(result.value, [item(3), item(1), item(2, n=2)])


# ---- what a merge is


def test_missing_is_one_and_not_false() -> None:
    assert repr(MISSING) == "MISSING"
    assert bool(MISSING) is True
    for twin in (copy.copy(MISSING), copy.deepcopy(MISSING), pickle.loads(pickle.dumps(MISSING))):
        assert twin is MISSING


def test_a_merge_and_its_clashes_are_frozen() -> None:
    result = merge(1, 2, 3)
    with pytest.raises(FrozenInstanceError):
        result.value = 2  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        result.conflicts[0].path = "/a"  # type: ignore[misc]


def deep(leaf: Any, levels: int = 200) -> Any:
    for level in range(levels):
        leaf = [{"id": 1, "in": leaf}] if level % 2 else {"in": leaf}
    return leaf


def test_values_of_200_levels_merge() -> None:
    sides = [deep(leaf, 133) for leaf in ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 2})]
    assert same(merged(*sides), deep({"a": 2, "b": 2}, 133))
    assert clash(deep(1, 133), deep(2, 133), deep(3, 133)).kind == "concurrent_modification"


# ---- laws

# Few names and few leaves, so that what is drawn meets itself again.
LEAVES = st.sampled_from([None, False, 0, 1, 0.0, -0.0, 1.0, "", "a"])
NAMES = st.sampled_from("abc")
MEMBERS = st.dictionaries(NAMES, LEAVES, max_size=2)


@st.composite
def lists_by_id(draw: st.DrawFn) -> list[dict[str, Any]]:
    names = draw(st.lists(st.sampled_from([1, 2, 3, "1", "2"]), unique=True, max_size=4))
    return [{"id": name, **draw(MEMBERS)} for name in names]


LISTS_BY_ID = lists_by_id()
# Objects, lists and lists by id that are likely to share names and values.
SMALL = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3) | LISTS_BY_ID,
    max_leaves=8,
)
ADDED = st.lists(st.tuples(st.sampled_from("abcd"), SMALL), max_size=1)
BASES = SMALL | st.dictionaries(NAMES, SMALL | LISTS_BY_ID, max_size=3)


@st.composite
def edited(draw: st.DrawFn, value: Any) -> Any:
    """The value after some changes: parts removed, replaced, edited, added and put in another order."""
    if draw(st.integers(0, 7)) == 0:
        return draw(SMALL)
    if is_object(value):
        members = [(name, draw(edited(part))) for name, part in value.items() if draw(st.integers(0, 4))]
        members += draw(ADDED)
        return dict(draw(st.permutations(members)) if draw(st.booleans()) else members)
    if is_list(value):
        elements = [draw(edited(part)) for part in value if draw(st.integers(0, 4))]
        elements += draw(LISTS_BY_ID)[:1]
        return list(draw(st.permutations(elements))) if draw(st.booleans()) else elements
    return value if draw(st.booleans()) else draw(LEAVES)


@st.composite
def sides(draw: st.DrawFn) -> tuple[Any, Any, Any]:
    """A base and what two sides made of it; any of them may be MISSING."""
    value = draw(BASES)
    three = [value, draw(edited(value)), draw(edited(value))]
    gone = draw(st.sampled_from([None] * 12 + [0, 1, 2]))
    return tuple(MISSING if index == gone else side for index, side in enumerate(three))  # type: ignore[return-value]


def unordered(value: Any) -> Any:
    """The value without what the law of symmetry leaves open: order of members, and of elements that have ids."""
    if is_object(value):
        return {name: unordered(value[name]) for name in sorted(value)}
    if is_list(value):
        elements = [unordered(element) for element in value]
        if all(is_object(element) and type(element.get("id")) in (str, int) for element in elements):
            elements.sort(key=lambda element: (isinstance(element["id"], str), element["id"]))
        return elements
    return value


def where(result: Merge) -> set[tuple[str, str]]:
    return {(found.path, found.kind) for found in result.conflicts}


ANY = json_values() | SMALL | st.just(MISSING)


@given(ANY, ANY)
def test_what_one_side_did_alone_is_taken(base: Any, x: Any) -> None:
    for result in (merge(base, x, base), merge(base, base, x), merge(base, x, x)):
        assert result.conflicts == ()
        assert same(result.value, x)


@given(sides())
def test_what_one_side_did_to_the_base_is_taken(three: tuple[Any, Any, Any]) -> None:
    base, x, _ = three
    for result in (merge(base, x, base), merge(base, base, x), merge(base, x, x)):
        assert result.conflicts == ()
        assert same(result.value, x)


@given(sides())
def test_a_clean_merge_is_symmetric_up_to_order(three: tuple[Any, Any, Any]) -> None:
    base, x, y = three
    one, other = merge(base, x, y), merge(base, y, x)
    assert where(one) == where(other)
    assert len(one.conflicts) == len(where(one))
    if not one.conflicts:
        assert same(unordered(one.value), unordered(other.value))


@given(sides())
def test_every_clash_is_told_alike_from_both_sides(three: tuple[Any, Any, Any]) -> None:
    base, x, y = three
    mirrored = {found.path: found for found in merge(base, y, x).conflicts}
    for found in merge(base, x, y).conflicts:
        other = mirrored[found.path]
        assert same([found.base, found.ours, found.theirs], [other.base, other.theirs, other.ours])
        assert not same(found.ours, found.theirs)
        assert not same(found.base, found.ours)
        assert not same(found.base, found.theirs)


@given(sides())
@example(([{"id": 1}], [{"id": 1, "a": 1}], MISSING))
def test_inputs_are_left_alone_and_shared_with_nothing(three: tuple[Any, Any, Any]) -> None:
    before = copy.deepcopy(three)
    result = merge(*three)
    for part in (
        result.value,
        *(side for found in result.conflicts for side in (found.base, found.ours, found.theirs)),
    ):
        spoil(part)
    assert same(list(three), list(before))


@given(sides())
def test_parts_of_a_result_are_shared_with_each_other_nowhere(three: tuple[Any, Any, Any]) -> None:
    result = merge(*three)
    before = copy.deepcopy(result.conflicts)
    spoil(result.value)
    assert same([c.theirs for c in result.conflicts], [c.theirs for c in before])


def spoil(value: Any) -> None:
    """Empty every container of a value, from the inside out."""
    if is_object(value) or is_list(value):
        for part in list(value.values() if is_object(value) else value):
            spoil(part)
        value.clear()


@st.composite
def disjoint_edits(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any], dict[str, Any]]:
    """An object, two edits of different members of it, and what the members are after both."""
    names = list("abcdef")
    base: dict[str, Any] = draw(st.dictionaries(st.sampled_from(names), SMALL))
    cut = draw(st.integers(0, len(names)))
    new = {name: draw(SMALL | st.just(MISSING)) for name in names}
    ours, theirs, both = dict(base), dict(base), dict(base)
    for index, name in enumerate(names):
        for side in (ours if index < cut else theirs), both:
            side[name] = new[name]
            if new[name] is MISSING:
                del side[name]
    return base, ours, theirs, both


@given(disjoint_edits())
def test_edits_of_different_members_never_clash(case: tuple[Any, Any, Any, dict[str, Any]]) -> None:
    base, ours, theirs, both = case
    value = merged(base, ours, theirs)
    assert value.keys() == both.keys()
    assert all(same(value[name], both[name]) for name in both)


@given(sides())
def test_without_lists_by_id_what_stands_at_a_clash_is_theirs(three: tuple[Any, Any, Any]) -> None:
    result = merge(*three)
    for found in result.conflicts:
        if "[id=" not in found.path:
            here = result.value
            for part in pointer.parse(found.path):
                here = here.get(part, MISSING)
            assert same(here, found.theirs)


@given(sides())
def test_merging_ours_again_into_what_was_merged_changes_nothing(three: tuple[Any, Any, Any]) -> None:
    base, ours, theirs = three
    once = merge(base, ours, theirs)
    if not once.conflicts:
        assert same(unordered(merged(base, ours, once.value)), unordered(once.value))
