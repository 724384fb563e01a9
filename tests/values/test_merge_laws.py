"""What holds of every merge, whatever is merged; and that git makes the same of the same."""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from ast import literal_eval
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from random import Random
from typing import Any, get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from statedb.values import pointer
from statedb.values.merge import MISSING, Clash, Merge, Side, by_id, merge
from statedb.values.same import alike, is_list, is_object, same
from tests.strategies import json_values

SIDES: tuple[Side, ...] = get_args(Side)

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
    result = merge(base, ours, theirs)
    assert result.conflicts == ()
    value = result.value
    assert value.keys() == both.keys()
    assert all(same(value[name], both[name]) for name in both)


@given(sides())
def test_what_stands_at_a_clash_is_the_side_to_prefer(three: tuple[Any, Any, Any]) -> None:
    for prefer in SIDES:
        result = merge(*three, prefer=prefer)
        for found in result.conflicts:
            if "[" not in found.path:
                here = result.value
                for part in pointer.parse(found.path):
                    here = here.get(part, MISSING)
                assert same(here, getattr(found, prefer))


@given(sides())
def test_ours_and_theirs_are_symmetric(three: tuple[Any, Any, Any]) -> None:
    base, x, y = three
    one, other = merge(base, x, y, prefer="ours"), merge(base, y, x, prefer="theirs")
    assert same(one.value, other.value)
    mirrored = [Clash(each.path, each.kind, each.base, each.theirs, each.ours) for each in other.conflicts]
    assert same([astuple(each) for each in one.conflicts], [astuple(each) for each in mirrored])


@given(sides())
def test_which_places_clash_does_not_depend_on_which_side_stands_there(three: tuple[Any, Any, Any]) -> None:
    ours, theirs = (merge(*three, prefer=prefer) for prefer in SIDES)
    assert where(ours) == where(theirs)
    if not ours.conflicts:
        assert same(unordered(ours.value), unordered(theirs.value))


@given(sides())
def test_a_merge_is_the_same_each_time(three: tuple[Any, Any, Any]) -> None:
    for prefer in SIDES:
        one, other = merge(*three, prefer=prefer), merge(*copy.deepcopy(three), prefer=prefer)
        assert same(one.value, other.value)
        assert same([astuple(each) for each in one.conflicts], [astuple(each) for each in other.conflicts])


@given(sides())
def test_nothing_is_lost_that_only_one_side_touched(three: tuple[Any, Any, Any]) -> None:
    for prefer in SIDES:
        check_kept(*three, merge(*three, prefer=prefer).value)


def check_kept(base: Any, ours: Any, theirs: Any, value: Any) -> None:
    """Check what only one side touched, member by member and element by element, whatever clashes beside it."""
    if same(base, theirs):
        assert same(value, ours)
    elif same(base, ours):
        assert same(value, theirs)
    else:
        four = base, ours, theirs, value
        found = four if all(map(is_object, four)) else [by_id(side) if is_list(side) else None for side in four]
        parts = [side for side in found if side is not None]
        if len(parts) == 4:
            for name in {name for side in parts for name in side}:
                check_kept(*(side.get(name, MISSING) for side in parts))


# Of few different elements, so that they meet and are moved; half of the lists hold none of them twice.
ELEMENTS = st.sampled_from([1, 1.0, True, "a", "b", {"a": 1}, {"a": 1, "b": 2}])
LISTS = st.lists(ELEMENTS, max_size=6) | st.lists(ELEMENTS, max_size=6, unique_by=repr)


@st.composite
def edited_list(draw: st.DrawFn, value: list[Any]) -> list[Any]:
    """The list after some elements were taken out, put in, or moved."""
    value = list(value)
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(value)))
        if at < len(value) and draw(st.booleans()):
            element = value.pop(at)
            at = draw(st.integers(0, len(value)))
        else:
            element = draw(ELEMENTS)
        if draw(st.booleans()):
            value.insert(at, element)
    return value


@st.composite
def list_sides(draw: st.DrawFn) -> tuple[list[Any], list[Any], list[Any]]:
    base = draw(LISTS)
    return base, draw(edited_list(base)), draw(edited_list(base))


def counts(elements: list[Any]) -> Counter[str]:
    return Counter(map(repr, elements))


@given(list_sides())
def test_an_element_that_one_side_alone_made_more_or_less_is_there_as_often_as_in_that_side(
    three: tuple[list[Any], list[Any], list[Any]],
) -> None:
    result = merge(*three)
    base, ours, theirs = map(counts, three)
    found = counts(result.value)
    assert found.keys() <= ours.keys() | theirs.keys(), "no element is made up"
    for element in {*base, *ours, *theirs}:
        b, o, t = base[element], ours[element], theirs[element]
        assert found[element] <= max(o, t, o + t - b)
        if not result.conflicts and b in (o, t):
            assert found[element] == (t if b == o else o)


@given(list_sides())
def test_what_a_side_added_comes_out_in_its_order(three: tuple[list[Any], list[Any], list[Any]]) -> None:
    result = merge(*three)
    if not (result.conflicts or any(repeats(unordered(side)) for side in (*three, result.value))):
        base, ours, theirs, value = ([repr(unordered(each)) for each in side] for side in (*three, result.value))
        for side in ours, theirs:
            added = [each for each in side if each not in base]
            assert [each for each in value if each in added] == added


def repeats(value: Any) -> bool:
    """Tell whether some list in a value holds an element twice."""
    if is_list(value) and max(counts(value).values(), default=0) > 1:
        return True
    parts = value.values() if is_object(value) else value if is_list(value) else ()
    return any(map(repeats, parts))


@given(sides())
def test_merging_ours_again_into_what_was_merged_changes_nothing(three: tuple[Any, Any, Any]) -> None:
    # In lists without ids nobody can tell what was put beside an element taken away from what was put in its place.
    base, ours, theirs = three
    once = merge(base, ours, theirs)
    if not (once.conflicts or any(map(has_plain_list, three))):
        assert same(unordered(merge(base, ours, once.value).value), unordered(once.value))
        assert not merge(base, ours, once.value).conflicts


def has_plain_list(value: Any) -> bool:
    if is_list(value) and by_id(value) is None:
        return True
    parts = value.values() if is_object(value) else value if is_list(value) else ()
    return any(map(has_plain_list, parts))


# ---- beside git

# Both apply where a member is a line, and lines that nobody changes stand between any two: without them, git (like
# diff3) takes neighbours for one place, and joins conflicts that three lines or fewer are between. Order is left out:
# to git a line stands where it stands, and here a new member of the other side comes at the end.


@pytest.mark.parametrize("seed", range(3))
def test_objects_merge_as_git_merges_their_lines(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    base = {
        f"case {n}": {name: chance.choice(VALUES) for name in "abcdef" if chance.random() < 0.7} for n in range(300)
    }
    ours, theirs = ({name: touched(chance, case) for name, case in base.items()} for _ in SIDES)
    texts = [document(side) for side in (ours, base, theirs)]
    for prefer in SIDES:
        value = json.loads(merge_file(tmp_path, texts, f"--{prefer}"))
        del value["end"]
        for case in value.values():
            for name in [name for name in case if name.startswith("above ")]:
                del case[name]
        assert alike(merge(base, ours, theirs, prefer=prefer).value, value)
    # In what git leaves open, the line above each conflict says of which case and member it is.
    lines = merge_file(tmp_path, texts).splitlines()
    left = {lines[at - 1].split('"')[1] for at, line in enumerate(lines) if line.startswith("<<<<<<<")}
    clashes = merge(base, ours, theirs).conflicts
    assert left == {f"above 3 {each.path}" for each in clashes}
    assert len(clashes) > 100


VALUES = [None, True, 0, 1, 1.0, -0.0, "", "a", 10**30]


def touched(chance: Random, case: dict[str, Any]) -> dict[str, Any]:
    """The members of a case after some were set, made and deleted."""
    drawn = {
        name: chance.choice([*VALUES, MISSING]) if chance.random() < 0.4 else case.get(name, MISSING)
        for name in "abcdef"
    }
    return {name: value for name, value in drawn.items() if value is not MISSING}


def document(cases: dict[str, dict[str, Any]]) -> str:
    """The cases as JSON of one member a line."""
    lines = ["{"]
    for name, case in cases.items():
        lines.append(f'"{name}": {{')
        for member in "abcdef":
            lines += [f'"above {n} /{name}/{member}": 0,' for n in range(4)]
            if member in case:
                lines.append(f'"{member}": {json.dumps(case[member])},')
        lines.append(f'"above /{name}/end": 0}},')
    return "\n".join([*lines, '"end": {}}', ""])


# Where elements are put in and replaced but not moved, and none is there twice, there is but one way to align them. And
# what both put in is the same or has nothing in common: git would cut what it has out of a conflict. What one side
# takes away lies apart from what the other puts in: to git neighbours are in conflict.


@pytest.mark.parametrize("seed", range(3))
def test_lists_merge_as_git_merges_their_lines(tmp_path: Path, seed: int) -> None:
    chance = Random(seed)
    base = list(range(2000))
    ours, theirs = ([each for at in base for each in around(chance, at, side)] for side in SIDES)
    texts = ["".join(f"{each!r}\n" for each in side) for side in (ours, base, theirs)]
    for prefer in SIDES:
        said = merge_file(tmp_path, texts, f"--{prefer}")
        assert [literal_eval(line) for line in said.splitlines()] == merge(base, ours, theirs, prefer=prefer).value
    assert len(merge(base, ours, theirs).conflicts) > 20


def around(chance: Random, element: int, side: str) -> list[Any]:
    """An element after what a side did to it: nothing mostly."""
    drawn = chance.random()
    if drawn > 0.15 or element % 10 in (0, 2):
        return [element]
    if element % 10 == 1:
        return []
    said = side if drawn > 0.03 else "both"
    return chance.choice([[f"{said} for {element}"], [element, f"{said} after {element}"]])


def merge_file(where: Path, texts: list[str], *options: str) -> str:
    """Return what `git merge-file` makes of ours, base and theirs."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git program to compare with")
    paths = [where / name for name in ("ours", "base", "theirs")]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return subprocess.run(
        [git, "merge-file", "-p", *options, *paths], capture_output=True, text=True, check=False
    ).stdout
