from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb.errors import InvalidValue
from statedb.values import pointer
from statedb.values.patch import json_patch, merge_patch
from statedb.values.same import is_list, is_object, same
from tests.strategies import json_values

# ---- merge patch

# RFC 7386, appendix A, line by line.
RFC_7386_TABLE: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]

RFC_7386_SECTION_3: tuple[Any, Any, Any] = (
    {
        "title": "Goodbye!",
        "author": {"givenName": "John", "familyName": "Doe"},
        "tags": ["example", "sample"],
        "content": "This will be unchanged",
    },
    {
        "title": "Hello!",
        "phoneNumber": "+01-123-456-7890",
        "author": {"familyName": None},
        "tags": ["example"],
    },
    {
        "title": "Hello!",
        "author": {"givenName": "John"},
        "tags": ["example"],
        "content": "This will be unchanged",
        "phoneNumber": "+01-123-456-7890",
    },
)

MORE_MERGES: list[tuple[Any, Any, Any]] = [
    ({"a": 1}, {}, {"a": 1}),
    (7, {}, {}),
    (None, {"a": None}, {}),
    ({"a": 1}, {"b": None}, {"a": 1}),
    ({"a": None}, {"a": {"b": 1}}, {"a": {"b": 1}}),
    ({"a": 1, "b": 2, "c": 3}, {"d": 4, "b": 5}, {"a": 1, "b": 5, "c": 3, "d": 4}),
    ({"a": 1, "b": 2}, {"a": True, "b": 2.0}, {"a": True, "b": 2.0}),
    ({"a": {"b": 1}}, {"a": {}}, {"a": {"b": 1}}),
    ({"a": [None]}, {"a": [None, {"b": None}]}, {"a": [None, {"b": None}]}),
]


@pytest.mark.parametrize(("value", "patch", "result"), [*RFC_7386_TABLE, RFC_7386_SECTION_3, *MORE_MERGES])
def test_a_merge_patch_gives(value: Any, patch: Any, result: Any) -> None:
    given_value, given_patch = copy.deepcopy((value, patch))
    assert same(merge_patch(value, patch), result)
    assert same([value, patch], [given_value, given_patch])


@given(json_values(), json_values())
def test_a_merge_patch_leaves_value_and_patch_alone(value: Any, patch: Any) -> None:
    before = copy.deepcopy([value, patch])
    merge_patch(value, patch)
    assert same([value, patch], before)


@given(json_values(), json_values())
def test_a_merge_patch_applied_again_changes_nothing(value: Any, patch: Any) -> None:
    once = merge_patch(value, patch)
    assert same(merge_patch(once, patch), once)


@given(json_values())
def test_an_empty_merge_patch_keeps_an_object_and_empties_anything_else(value: Any) -> None:
    assert same(merge_patch(value, {}), value if isinstance(value, dict) else {})


# ---- JSON patch: what applies


def op(name: str, path: str, **members: Any) -> dict[str, Any]:
    return {"op": name, "path": path, **members}


def add(path: str, value: Any) -> dict[str, Any]:
    return op("add", path, value=value)


def remove(path: str) -> dict[str, Any]:
    return op("remove", path)


def replace(path: str, value: Any) -> dict[str, Any]:
    return op("replace", path, value=value)


def move(source: str, path: str) -> dict[str, Any]:
    return op("move", path, **{"from": source})


def copy_of(source: str, path: str) -> dict[str, Any]:
    return op("copy", path, **{"from": source})


def check(path: str, value: Any) -> dict[str, Any]:
    return op("test", path, value=value)


Patch = list[dict[str, Any]]

# RFC 6902, appendix A. (A.13, an operation with two members `op`, cannot be written as a dict.)
RFC_6902_EXAMPLES: dict[str, tuple[Any, Patch, Any]] = {
    "A.1": ({"foo": "bar"}, [add("/baz", "qux")], {"foo": "bar", "baz": "qux"}),
    "A.2": ({"foo": ["bar", "baz"]}, [add("/foo/1", "qux")], {"foo": ["bar", "qux", "baz"]}),
    "A.3": ({"baz": "qux", "foo": "bar"}, [remove("/baz")], {"foo": "bar"}),
    "A.4": ({"foo": ["bar", "qux", "baz"]}, [remove("/foo/1")], {"foo": ["bar", "baz"]}),
    "A.5": ({"baz": "qux", "foo": "bar"}, [replace("/baz", "boo")], {"baz": "boo", "foo": "bar"}),
    "A.6": (
        {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
        [move("/foo/waldo", "/qux/thud")],
        {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
    ),
    "A.7": (
        {"foo": ["all", "grass", "cows", "eat"]},
        [move("/foo/1", "/foo/3")],
        {"foo": ["all", "cows", "eat", "grass"]},
    ),
    "A.8": (
        {"baz": "qux", "foo": ["a", 2, "c"]},
        [check("/baz", "qux"), check("/foo/1", 2)],
        {"baz": "qux", "foo": ["a", 2, "c"]},
    ),
    "A.10": ({"foo": "bar"}, [add("/child", {"grandchild": {}})], {"foo": "bar", "child": {"grandchild": {}}}),
    "A.11": ({"foo": "bar"}, [op("add", "/baz", value="qux", xyz=123)], {"foo": "bar", "baz": "qux"}),
    "A.14": ({"/": 9, "~1": 10}, [check("/~01", 10)], {"/": 9, "~1": 10}),
    "A.16": ({"foo": ["bar"]}, [add("/foo/-", ["abc", "def"])], {"foo": ["bar", ["abc", "def"]]}),
}

ONE: dict[str, Any] = {"x": []}

APPLIES: dict[str, tuple[Any, Patch, Any]] = {
    "an empty patch": ({"a": 1, "b": 2}, [], {"a": 1, "b": 2}),
    "an empty patch on a scalar": (7, [], 7),
    "add a member": ({}, [add("/a", 1)], {"a": 1}),
    "add null": ({}, [add("/a", None)], {"a": None}),
    "add false": ({}, [add("/a", False)], {"a": False}),
    "add over a member, in its place": ({"a": 1, "b": 2}, [add("/a", 3)], {"a": 3, "b": 2}),
    "add a member with an empty name": ({}, [add("/", 1)], {"": 1}),
    "add below with an empty name": ({"a": {}}, [add("/a/", 1)], {"a": {"": 1}}),
    "add a member that looks like an index": ({"a": 1}, [add("/0", 2)], {"a": 1, "0": 2}),
    "add a member called -": ({}, [add("/-", 1)], {"-": 1}),
    "add a member with a leading zero": ({}, [add("/01", 1)], {"01": 1}),
    "names differ by case": ({"a": 1}, [add("/A", 2)], {"a": 1, "A": 2}),
    "add the first element": ([], [add("/0", 1)], [1]),
    "add before an element": ([1, 2], [add("/0", 0)], [0, 1, 2]),
    "add between elements": ([1, 3], [add("/1", 2)], [1, 2, 3]),
    "add at the length": ([1, 2], [add("/2", 3)], [1, 2, 3]),
    "add at the length, of two digits": (list(range(10)), [add("/10", 10)], list(range(11))),
    "add at -": ([1], [add("/-", 2)], [1, 2]),
    "add at - of an empty list": ([], [add("/-", 1)], [1]),
    "add at - further down": ([1, [2, [3]]], [add("/1/1/-", 4)], [1, [2, [3, 4]]]),
    "add a list as one element": ([1, 2], [add("/1", [8, 9])], [1, [8, 9], 2]),
    "add below an element": ({"a": [{"b": 1}]}, [add("/a/0/c", 2)], {"a": [{"b": 1, "c": 2}]}),
    "add in what was added": ({}, [add("/a", {}), add("/a/b", [1]), add("/a/b/0", 0)], {"a": {"b": [0, 1]}}),
    "add over the whole": ({"a": 1}, [add("", [])], []),
    "replace the whole": ({"a": 1}, [replace("", {"b": 2})], {"b": 2}),
    "replace the whole of a scalar": ("a", [replace("", None)], None),
    "go on after replacing the whole": ([], [replace("", {}), add("/a", 1)], {"a": 1}),
    "replace in its place": ({"a": 1, "b": 2}, [replace("/a", [1, 2])], {"a": [1, 2], "b": 2}),
    "replace null": ({"a": None}, [replace("/a", 1)], {"a": 1}),
    "replace by null": ({"a": 1}, [replace("/a", None)], {"a": None}),
    "replace an element": ([1, 2], [replace("/1", [1])], [1, [1]]),
    "replace by an equal value of another type": ([1], [replace("/0", True)], [True]),
    "replace below an element": ({"a": [{"b": 1}]}, [replace("/a/0/b", 2)], {"a": [{"b": 2}]}),
    "remove null": ({"a": None}, [remove("/a")], {}),
    "remove below an element": ({"a": [{"b": 1}]}, [remove("/a/0/b")], {"a": [{}]}),
    "remove counts anew each time": ([1, 2, 3, 4], [remove("/1"), remove("/2")], [1, 3]),
    "remove and add makes it the last": ({"a": 1, "b": 2}, [remove("/a"), add("/a", 1)], {"b": 2, "a": 1}),
    "move onto itself": ({"a": 1, "b": 2}, [move("/a", "/a")], {"a": 1, "b": 2}),
    "move the whole onto itself": ({"a": 1}, [move("", "")], {"a": 1}),
    "move an element onto itself": ([1, 2], [move("/0", "/0")], [1, 2]),
    "move null": ({"a": None}, [move("/a", "/b")], {"b": None}),
    "move to a new name": ({"a": 1, "b": 2}, [move("/a", "/c")], {"b": 2, "c": 1}),
    "move over a member": ({"a": 1, "b": 2, "c": 3}, [move("/c", "/a")], {"a": 3, "b": 2}),
    "move to a name that starts the same": ({"a": 1}, [move("/a", "/ab")], {"ab": 1}),
    "move up, over the parent": ({"a": {"b": 1}}, [move("/a/b", "/a")], {"a": 1}),
    "move up, over the whole": ({"a": {"b": 1}}, [move("/a", "")], {"b": 1}),
    "move from an object into a list": ([{"a": "x"}, 1], [move("/0/a", "/1")], [{}, "x", 1]),
    "move to the end": ([1, 2, 3], [move("/0", "/-")], [2, 3, 1]),
    "copy null": ({"a": None}, [copy_of("/a", "/b")], {"a": None, "b": None}),
    "copy out of a list": ({"a": [{"b": 1}]}, [copy_of("/a/0", "/c")], {"a": [{"b": 1}], "c": {"b": 1}}),
    "copy into a list": ([1, 2], [copy_of("/1", "/0")], [2, 1, 2]),
    "copy into itself": ({"a": {"b": 1}}, [copy_of("/a", "/a/c")], {"a": {"b": 1, "c": {"b": 1}}}),
    "copy the whole into itself": ({"a": 1}, [copy_of("", "/b")], {"a": 1, "b": {"a": 1}}),
    "copy a part over the whole": ({"a": [1]}, [copy_of("/a", "")], [1]),
    "copy, then change the copy": (
        {"a": {"b": [{"c": 1}]}},
        [copy_of("/a", "/d"), replace("/d/b/0/c", 2)],
        {"a": {"b": [{"c": 1}]}, "d": {"b": [{"c": 2}]}},
    ),
    "copy, then change the original": (
        {"a": {"b": [{"c": 1}]}},
        [copy_of("/a", "/d"), replace("/a/b/0/c", 2)],
        {"a": {"b": [{"c": 2}]}, "d": {"b": [{"c": 1}]}},
    ),
    "change, copy, then change the copy": (
        {"a": {"b": {"c": 1}}},
        [replace("/a/b/c", 2), copy_of("/a", "/d"), replace("/d/b/c", 3), add("/a/e", 4)],
        {"a": {"b": {"c": 2}, "e": 4}, "d": {"b": {"c": 3}}},
    ),
    "add one object twice, then change one": (
        {},
        [add("/a", ONE), add("/b", ONE), add("/a/c", 1)],
        {"a": {"x": [], "c": 1}, "b": {"x": []}},
    ),
    "test whatever the order of members": (
        [{"a": 1, "b": {"c": 2, "d": 3}}],
        [check("", [{"b": {"d": 3, "c": 2}, "a": 1}])],
        [{"a": 1, "b": {"c": 2, "d": 3}}],
    ),
    "test null": ({"a": None}, [check("/a", None)], {"a": None}),
    "test the whole": ({"a": 1}, [check("", {"a": 1})], {"a": 1}),
    "test an integer as a float": ({"a": [1]}, [check("/a", [1.0])], {"a": [1]}),
    "test zeros of both signs": ([0.0], [check("", [-0.0])], [0.0]),
    "test a member called like a number": ({"1e0": 1}, [check("/1e0", 1)], {"1e0": 1}),
    "test names that need an escape": (
        {"": 0, "a/b": 1, "c%d": 2, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8},
        [
            check("/", 0),
            check("/a~1b", 1),
            check("/c%d", 2),
            check("/i\\j", 5),
            check('/k"l', 6),
            check("/ ", 7),
            check("/m~0n", 8),
        ],
        {"": 0, "a/b": 1, "c%d": 2, "i\\j": 5, 'k"l': 6, " ": 7, "m~n": 8},
    ),
    "test sees what came before": ({"a": 1}, [add("/b", 2), check("/b", 2), remove("/b")], {"a": 1}),
}

ALL_THAT_APPLY = RFC_6902_EXAMPLES | APPLIES


@pytest.mark.parametrize("name", ALL_THAT_APPLY)
def test_a_json_patch_gives(name: str) -> None:
    value, operations, result = ALL_THAT_APPLY[name]
    given_value, given_operations = copy.deepcopy((value, operations))
    assert same(json_patch(value, operations), result)
    assert same([value, operations], [given_value, given_operations])


# ---- JSON patch: what is refused

REFUSED: dict[str, tuple[Any, dict[str, Any]]] = {
    "A.9, a string that differs": ({"baz": "qux"}, check("/baz", "bar")),
    "A.12, add without a parent": ({"foo": "bar"}, add("/baz/bat", "qux")),
    "A.15, a string for a number": ({"/": 9, "~1": 10}, check("/~01", "10")),
    "add below a missing member": ({"q": {"bar": 2}}, add("/a/b", 1)),
    "add below a scalar": ({"a": 1}, add("/a/b", 1)),
    "add below text, by index": ({"a": "xyz"}, add("/a/0", "w")),
    "add below null": ({"a": None}, add("/a/b", 1)),
    "add past the end": ([1, 2], add("/3", 3)),
    "add far past the end": ([1, 2], add("/8", 3)),
    "add past the end, of two digits": (list(range(10)), add("/11", 3)),
    "add before the start": ([1, 2], add("/-1", 3)),
    "add at a name in a list": ([1, 2], add("/a", 3)),
    "add at 1e0": ([1, 2], add("/1e0", 3)),
    "add at a leading zero": ([1, 2], add("/01", 3)),
    "add at 00": ([1, 2], add("/00", 3)),
    "add at a plus sign": ([1, 2], add("/+1", 3)),
    "add at a space": ([1, 2], add("/ 1", 3)),
    "add at a newline": ([1, 2], add("/1\n", 3)),
    "add at an underscore": (list(range(20)), add("/1_0", 3)),
    "add at digits of another script": ([1, 2], add("/\u0661", 3)),
    "add at a superscript": ([1, 2], add("/\u00b9", 3)),
    "add at no name in a list": ([1, 2], add("/", 3)),
    "add below -": ([[1]], add("/-/0", 3)),
    "add at more digits than an int takes": ([1, 2], add("/" + "9" * 5000, 3)),
    "remove what is not there": ({"a": 1}, remove("/b")),
    "remove below what is not there": ({"a": 1}, remove("/b/c")),
    "remove past the end": ([1, 2], remove("/2")),
    "remove at -": ([1, 2], remove("/-")),
    "remove at -1": ([1, 2], remove("/-1")),
    "remove at 1e0": ([1, 2], remove("/1e0")),
    "remove below 1e0": ({"a": [{"b": 1}]}, remove("/a/1e0/b")),
    "remove below null": ([None], remove("/0/0")),
    "remove below text": ({"a": "x"}, remove("/a/0")),
    "remove at more digits than an int takes": ([1, 2], remove("/" + "1" * 5000)),
    "remove the whole": ({"a": 1}, remove("")),
    "replace what is not there": ({"a": 1}, replace("/b", 1)),
    "replace below what is not there": ({"a": 1}, replace("/b/c", 1)),
    "replace at the length": ([1], replace("/1", 1)),
    "replace at -": ([1], replace("/-", 1)),
    "replace at 1e0": ([1, 2], replace("/1e0", 1)),
    "replace below text": ("abc", replace("/0", "x")),
    "move what is not there": ({"a": 1}, move("/b", "/a")),
    "move what is not there onto itself": ({"a": 1}, move("/b", "/b")),
    "move from -": ([1], move("/-", "/0")),
    "move from 1e0": ({"a": [1, 2]}, move("/a/1e0", "/b")),
    "move into itself": ({"a": {"b": 1}}, move("/a", "/a/b")),
    "move far into itself": ({"a": {"b": {"c": 1}}}, move("/a", "/a/b/c/d")),
    "move an element into itself": ([[1]], move("/0", "/0/0")),
    "move an element into itself, where another takes its place": ([[1], [2]], move("/0", "/0/0")),
    "move the whole into itself": ({"a": 1}, move("", "/b")),
    "move past the end, counted without it": ([1, 2], move("/0", "/2")),
    "move to where there is no parent": ({"a": 1}, move("/a", "/b/c")),
    "copy what is not there": ({"a": 1}, copy_of("/b", "/a")),
    "copy from 1e0": ({"a": [1, 2]}, copy_of("/a/1e0", "/b")),
    "copy from -": ([1], copy_of("/-", "/0")),
    "copy past the end": ([1], copy_of("/0", "/2")),
    "test what is not there": ({"a": 1}, check("/b", None)),
    "test past the end": ([1], check("/1", None)),
    "test at -": ([1], check("/-", 1)),
    "test at 1e0": ([1, 2], check("/1e0", 2)),
    "test at 00": ([1, 2], check("/00", 1)),
    "test at 01": ([1, 2], check("/01", 2)),
    "test a list that is longer": ({"a": [1, 2, 3]}, check("/a", [1, 2])),
    "test elements in another order": ([1, 2], check("", [2, 1])),
    "test true for 1": ({"a": 1}, check("/a", True)),
    "test 0 for false": ({"a": False}, check("/a", 0)),
    "test null for 0": ({"a": 0}, check("/a", None)),
    "test with a member too few": ({"a": 1, "b": 2}, check("", {"a": 1})),
    "test below a scalar": ({"a": 1}, check("/a/b", 1)),
}

MALFORMED: dict[str, Any] = {
    "no op": {"path": "/a", "value": 1},
    "unknown op": op("spam", "/a", value=1),
    "an op of another case": op("Add", "/a", value=1),
    "null for op": {"op": None, "path": "/a", "value": 1},
    "a list for op": {"op": ["add"], "path": "/a", "value": 1},
    "no path": {"op": "add", "value": 1},
    "null for path": {"op": "add", "path": None, "value": 1},
    "a list for path": {"op": "add", "path": ["a"], "value": 1},
    "a path without a slash": add("a", 1),
    "a path with half an escape": add("/a~", 1),
    "a path with a wrong escape": add("/~2", 1),
    "add without value": op("add", "/a"),
    "replace without value": op("replace", "/a"),
    "test without value": op("test", "/n"),
    "move without from": op("move", "/b"),
    "copy without from": op("copy", "/b"),
    "null for from": op("copy", "/b", **{"from": None}),
    "a from without a slash": copy_of("a", "/b"),
    "text for an operation": "add",
    "null for an operation": None,
    "a list for an operation": ["add", "/a", 1],
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_operation_that_does_not_apply_is_refused_by_index_and_pointer(name: str) -> None:
    value, operation = REFUSED[name]
    before = copy.deepcopy(value)
    with pytest.raises(InvalidValue, match=r"^operation 1 of the patch .*nothing was changed$") as caught:
        json_patch(value, [check("", before), operation])
    assert same(value, before)
    assert caught.value.path == operation["path"]
    assert f'"{operation["path"][:100]}'.replace("\n", "\\n") in str(caught.value)


# In a list long enough to have an element wherever a lenient reader might look.
@pytest.mark.parametrize(
    "index",
    [
        "",
        "00",
        "01",
        "-1",
        "-0",
        "+1",
        " 1",
        "1 ",
        "1\n",
        "1_0",
        "1.0",
        "1e0",
        "0x1",
        "\u0661",
        "\u00b9",
        "\uff11",
        "a",
        "-",
    ],
)
@pytest.mark.parametrize("name", ["remove", "replace", "test", "copy from", "move from", "add", "add below"])
def test_only_plain_digits_name_an_element(name: str, index: str) -> None:
    if (name, index) == ("add", "-"):
        return
    at = f"/{index}"
    operation = {
        "remove": remove(at),
        "replace": replace(at, 0),
        "test": check(at, 1),
        "copy from": copy_of(at, "/0"),
        "move from": move(at, "/0"),
        "add": add(at, 0),
        "add below": add(f"{at}/-", 0),
    }[name]
    with pytest.raises(InvalidValue, match="is not an index of a list"):
        json_patch([1] * 2000, [operation])


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_operation_is_refused_by_index(name: str) -> None:
    value = {"a": 1, "n": None}
    with pytest.raises(InvalidValue, match=r"^operation 2 of the patch"):
        json_patch(value, [add("/b", 1), remove("/b"), MALFORMED[name]])
    assert same(value, {"a": 1, "n": None})


@pytest.mark.parametrize("operations", [None, {}, add("/a", 1), "[]", (add("/a", 1),), 1])
def test_a_patch_that_is_no_list_is_refused(operations: Any) -> None:
    with pytest.raises(InvalidValue, match="a list of operations"):
        json_patch({}, operations)


def test_a_refusal_says_what_was_asked_and_why_not() -> None:
    with pytest.raises(InvalidValue) as caught:
        json_patch({"a": {"x": 1}}, [copy_of("/a/y", "/b")])
    assert str(caught.value) == (
        'operation 0 of the patch ("copy" "/a/y" "/b"): there is no member "y"; nothing was changed'
    )


def test_a_message_stays_short_however_long_the_pointer() -> None:
    with pytest.raises(InvalidValue) as caught:
        json_patch({}, [remove("/" + "x" * 100_000)])
    assert len(str(caught.value)) < 1000


def test_a_patch_that_fails_late_changes_nothing() -> None:
    value = {"a": {"b": [1, 2]}, "c": {}}
    operations = [add("/a/b/-", 3), move("/a/b/0", "/c/d"), remove("/a"), replace("/c/d", []), check("/c/d", [0])]
    with pytest.raises(InvalidValue, match="operation 4"):
        json_patch(value, operations)
    assert same(value, {"a": {"b": [1, 2]}, "c": {}})


def test_copies_of_copies_cost_no_more_than_their_operations() -> None:
    doubled = json_patch({"a": 1}, [copy_of("", f"/{n}") for n in range(1000)])
    assert len(doubled) == 1001
    assert doubled["500"]["499"]["498"]["a"] == 1


# ---- JSON patch: laws


@st.composite
def patched(draw: st.DrawFn) -> tuple[Any, Patch]:
    """A value and a patch, most of whose operations name places that are there."""
    value = draw(json_values())
    place = st.sampled_from([pointer.render(path) for path in _places(value)])
    to = st.builds("{}{}".format, place, st.sampled_from(["", "", "/0", "/-", "/a", "/~1"]))
    operation = st.one_of(
        st.builds(add, to, json_values(5)),
        st.builds(remove, to),
        st.builds(replace, to, json_values(5)),
        st.builds(move, place, to),
        st.builds(copy_of, place, to),
        st.builds(check, place, json_values(2)),
    )
    return value, draw(st.lists(operation, max_size=5))


def _places(value: Any) -> list[tuple[str, ...]]:
    parts: dict[str, Any] = {}
    if is_object(value):
        parts = value
    elif is_list(value):
        parts = {str(index): element for index, element in enumerate(value)}
    return [(), *((name, *rest) for name, part in parts.items() for rest in _places(part))]


@given(patched())
def test_a_json_patch_applies_or_is_invalid_and_leaves_its_inputs_alone(case: tuple[Any, Patch]) -> None:
    value, operations = case
    before = copy.deepcopy([value, operations])
    try:
        json_patch(value, operations)
    except InvalidValue:
        pass
    finally:
        assert same([value, operations], before)


@given(patched())
def test_a_json_patch_does_the_same_one_operation_at_a_time(case: tuple[Any, Patch]) -> None:
    value, operations = case
    try:
        whole = json_patch(value, operations)
    except InvalidValue:
        return
    for operation in operations:
        # A copy in between, so that nothing one step shared can be spoilt by the next.
        value = json_patch(copy.deepcopy(value), [operation])
    assert same(whole, value)


@given(json_values(), json_values())
def test_a_test_before_a_replacement_makes_compare_and_set(value: Any, new: Any) -> None:
    assert same(json_patch(value, [check("", value), replace("", new)]), new)
