from __future__ import annotations

import copy
import pickle
from bisect import bisect_left
from dataclasses import FrozenInstanceError
from random import Random
from typing import Any

import pytest

from statedb.values import align, pointer
from statedb.values.merge import MISSING, Clash, merge
from statedb.values.same import same


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
    "a list that ours changed": ({"l": [1], "b": 1}, {"l": [2], "b": 1}, {"l": [1]}, {"l": [2]}),
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
    "two lists with nothing in common": ({"a": [1]}, {"a": [2]}, {"a": [3]}, "/a", "concurrent_modification"),
    "two first elements": ({"a": []}, {"a": [1]}, {"a": [2]}, "/a", "concurrent_modification"),
    "a list emptied and changed": ({"a": [1, 2]}, {"a": []}, {"a": [1, 3]}, "/a", "concurrent_modification"),
    "two lists both made": ({}, {"a": [1, 2]}, {"a": [1, 3]}, "/a", "concurrent_modification"),
    "two lists made of something else": ({"a": 1}, {"a": [1, 2]}, {"a": [1, 3]}, "/a", "concurrent_modification"),
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
def test_a_list_with_an_element_that_has_no_id_of_its_own_merges_as_a_sequence(odd: list[Any]) -> None:
    plain, other = items(1, 2), items(1, 3)
    for base, ours, theirs in [(odd, plain, other), (plain, odd, other), (plain, other, odd)]:
        first = same([base[0]] * 2, [ours[0], theirs[0]])
        sides = [side[1:] for side in (base, ours, theirs)] if first else (base, ours, theirs)
        result = merge({"l": base}, {"l": ours}, {"l": theirs})
        path = "/l" + f"/[1:{len(base)}]" * first
        assert result.conflicts == (
            Clash(path, "deleted_modified" if [] in sides else "concurrent_modification", *sides),
        )
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


# ---- any other list


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "result"),
    [
        ("abc", "xabc", "abcy", "xabcy"),
        ("abc", "axc", "abcy", "axcy"),
        ("abcd", "bcd", "abc", "bc"),
        ("abcd", "xbcd", "abcy", "xbcy"),
        ("abc", "axbc", "abyc", "axbyc"),
        ("abcde", "axxcde", "abcdyye", "axxcdyye"),
        ("abcd", "axcd", "axcy", "axcy"),  # what both changed to the same is taken once
        ("abc", "abcxy", "abcxy", "abcxy"),
        ("aaa", "aaaa", "baaa", "baaaa"),
        ("abcd", "acbd", "abcdx", "acbdx"),  # one moved something, the other added something
        ("abc", "cab", "abcd", "cabd"),
        ("ab", "xab", "abx", "xabx"),  # both added it, each where it wanted it
        ("abc", "ac", "abxc", "axc"),  # one took away what the other put something beside
        ("abc", "ac", "axbyc", "axyc"),
        ("abc", "", "abcx", "x"),
        ("abc", "", "xaybzcw", "xyzw"),
        ("abcd", "abd", "abcxdy", "abxdy"),
        ("abcd", "acd", "abd", "ad"),
        ("abc", "bcx", "abc", "bcx"),
        ("abc", "xacd", "b", "xd"),
    ],
)
def test_runs_of_elements_that_one_side_changed_are_taken(base: str, ours: str, theirs: str, result: str) -> None:
    assert same(merged({"l": list(base)}, {"l": list(ours)}, {"l": list(theirs)}), {"l": list(result)})
    assert same(merged(list(base), list(theirs), list(ours)), list(result))


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "path", "kind", "parts"),
    [
        ("abc", "axc", "ayc", "/[1:2]", "concurrent_modification", ("b", "x", "y")),
        ("ab", "abx", "aby", "/[2:2]", "concurrent_modification", ("", "x", "y")),
        ("abc", "ac", "axc", "/[1:2]", "deleted_modified", ("b", "", "x")),
        ("abc", "axc", "ac", "/[1:2]", "deleted_modified", ("b", "x", "")),
        ("abcd", "axcd", "abyd", "/[1:3]", "concurrent_modification", ("bc", "xc", "by")),  # no element between
        ("abcd", "ad", "abxd", "/[1:3]", "deleted_modified", ("bc", "", "bx")),
        ("abc", "", "abx", "", "concurrent_modification", ("abc", "", "abx")),
    ],
)
def test_a_run_that_both_sides_changed_is_named_by_its_place_in_the_base(
    base: str, ours: str, theirs: str, path: str, kind: Any, parts: tuple[str, str, str]
) -> None:
    assert clash(list(base), list(ours), list(theirs)) == Clash(path, kind, *map(list, parts))
    assert same(merge(list(base), list(ours), list(theirs)).value, list(theirs))
    assert same(merge(list(base), list(ours), list(theirs), prefer="ours").value, list(ours))


def test_beside_a_run_in_conflict_the_other_runs_are_merged() -> None:
    base, ours, theirs = list("abcdefg"), list("Abxdefg"), list("abydefG")
    assert [found.path for found in merge(base, ours, theirs).conflicts] == ["/[2:3]"]
    assert merge(base, ours, theirs).value == list("AbydefG")
    assert merge(base, ours, theirs, prefer="ours").value == list("AbxdefG")


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        ("xabc", "axbc", "abxc"),  # moved to two places: x would stand at both
        ("xab", "axb", "ab"),  # moved and removed: x would come back
        ("abcex", "cabx", "abcEx"),  # moved out of a place in conflict: with theirs standing there, c would stand twice
        ("ax", "xa", "axa"),  # moved, and another added: one of the two would be lost
    ],
)
def test_lists_in_which_a_moved_element_would_be_doubled_or_lost_clash_as_a_whole(
    base: str, ours: str, theirs: str
) -> None:
    for sides in (ours, theirs), (theirs, ours):
        assert clash(list(base), *map(list, sides)).path == ""
        assert merge(list(base), *map(list, sides)).value == list(sides[1])


def test_elements_without_an_id_are_taken_whole() -> None:
    base, ours, theirs = [{"a": 1, "b": 1}, 0], [{"a": 2, "b": 1}, 0], [{"a": 1, "b": 2}, 0]
    assert clash(base, ours, theirs) == Clash("/[0:1]", "concurrent_modification", base[:1], ours[:1], theirs[:1])
    assert same(merged([*base, 1], [*ours, 1], [*base, 2]), [*ours, 2])


def test_elements_are_told_apart_by_type() -> None:
    assert same(merged([1, 0, 5], [1, 0, True], [1.0, 0, 5]), [1.0, 0, True])
    assert same(merged([0.0, 7, 1], [-0.0, 7, 1], [0.0, 7, 2]), [-0.0, 7, 2])


def test_a_long_list_of_two_kinds_of_elements_is_merged_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = 0

    def counting(*args: Any) -> int:
        nonlocal looked
        looked += 1
        return bisect_left(*args)

    monkeypatch.setattr("statedb.values.align.bisect_left", counting)
    chance = Random(0)
    base = [chance.randrange(2) for _ in range(6000)]
    assert same(merged(base, [9, *base[1:]], [*base[:3000], 7, *base[3000:]]), [9, *base[1:3000], 7, *base[3000:]])
    merge(base, [chance.randrange(2) for _ in base], [chance.randrange(2) for _ in base])
    assert 0 < looked <= 5 * align._MOST_PAIRS


# ---- which side stands


def test_the_side_to_prefer_stands_at_a_clash_and_leads_in_order() -> None:
    base = {"a": 1, "b": 1, "l": [item(1)], "o": {"x": 1, "y": 2, "z": 3}}
    ours = {"a": 2, "l": [item(1), item("u")], "o": {"z": 3, "y": 2, "x": 1}, "u": 1}
    theirs = {"a": 3, "b": 2, "l": [item(1), item("t")], "o": {"y": 2, "x": 1, "z": 3}, "t": 1}
    stands = merge(base, ours, theirs, prefer="ours")
    assert same(stands.value, {"a": 2, "l": items(1, "u", "t"), "o": {"z": 3, "y": 2, "x": 1}, "u": 1, "t": 1})
    assert stands.conflicts == (
        Clash("/a", "concurrent_modification", 1, 2, 3),
        Clash("/b", "deleted_modified", 1, MISSING, 2),
    )


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
