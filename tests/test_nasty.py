"""Values, names and arguments at the edge of what there is: kept exactly, or refused with nothing written."""

from __future__ import annotations

import decimal
import enum
import fractions
import math
import pickle
import subprocess
import sys
import uuid
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, computed_field

import statedb
from statedb import InvalidKey, InvalidValue, NoSuchRevision, StateDBError, Store, ValueTooLarge, VersionConflict
from statedb.values import pointer
from statedb.values.same import same
from tests.conftest import Opener
from tests.helpers import HANG, Clock, pages
from tests.places import APART, Places
from tests.strategies import json_values

PLACE = ("a", "persistent", "k")

# ---- kept


def nested(levels: int, kind: str) -> Any:
    """Return containers in containers: `levels` of them, around null."""
    value: Any = None
    for level in range(levels):
        as_list = kind == "lists" or (kind == "mixed" and level % 2)
        value = [value] if as_list else {"": value}
    return value


def digits(count: int) -> int:
    """Return the largest integer of so many digits."""
    return int(10**count - 1)


KEPT: dict[str, Any] = {
    "null": None,
    "bools": [True, False],
    "one of three types": [1, 1.0, True],
    "zero of three types": [0, 0.0, False],
    "minus zero": [-0.0, 0.0, {"z": -0.0}],
    "floats at the edge": [
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        0.1 + 0.2,
        1e16,
        1e22,
        1e-7,
        123456789.0,
    ],
    "integers at the edge": [2**63 - 1, -(2**63), 2**63, 2**64, -(2**64), 2**53 + 1],
    "400 digits": [digits(400), -digits(400)],
    "4,299 digits": [digits(4299), -digits(4299)],
    "4,300 digits": digits(4300),
    "4,300 digits below zero": -digits(4300),
    "4,300 digits, the smallest": [10**4299, -(10**4299)],
    "empty": [[], {}, "", [[]], {"": {}}],
    "order of members": {"z": 1, "a": {"y": 1, "b": 2}, "m": 3},
    "members that look like indexes": {"0": 1, "1": 2, "-1": 3},
    "members that look alike": {"é": 1, "e\u0301": 2, "É": 3, "a": 4, "\u0430": 5, "a\u200b": 6, "ﬁ": 7, "fi": 8},
    "text of every sort": [
        "\0",
        "a\0b",
        "\x1f\x7f\x80",
        "\u2028\u2029",
        "\ufeff",
        "\uffff",
        "\U0010ffff",
        "😀",
        "\\",
        '"',
    ],
    "directions and joins": ["\u202e abc", "\u200f", "a\u200db", "👩\u200d👩\u200d👧", "\u0627\u0644"],
    "text that looks like JSON": ['{"a": 1}', "null", "1e5", "NaN", "\\u0041", "\\ud800"],
    "NUL in a member's name": {"\0": 1, "a\0": 2},
    "nested lists to the limit": nested(192, "lists"),
    "nested objects to the limit": nested(192, "objects"),
    "nested both to the limit": nested(192, "mixed"),
    "wide": [list(range(1000)), {str(n): n for n in range(1000)}],
    "parts shared a little": [[[1, 2]] * 3] * 3,
    "16,383 bytes of text": "x" * (16 * 1024 - 3),
    "16,384 bytes of text": "x" * (16 * 1024 - 2),
    "a long text, compressed": ["äx\U0001f642" * 5000, "\0" * 20000],
    "bytes": b"",
    "bytes with NUL": b"\0a\0",
    "bytes of every sort": bytes(range(256)),
    "bytes that are JSON": b"[1]",
    "bytes that look compressed": b"\x28\xb5\x2f\xfd" + b"a" * 30000,
    "long bytes": bytes(range(256)) * 200,
}


def assert_kept_everywhere(store: Any, value: Any, clock: Clock) -> None:
    """Check that a value reads the same in every way there is: present, past, history, feed and another store."""
    entry = store.states.entry(*PLACE)
    commit = store.history.commit(entry.revision)
    readings = [
        store.states.get(*PLACE),
        entry.value,
        dict(store.states.items(*PLACE[:2]))[PLACE[2]],
        store.states.get_many("a", [PLACE[1:]])[PLACE[1:]],
        store.agent("a").persistent.get(PLACE[2]),
        store.history.get(*PLACE, version=entry.version).value,
        store.at(entry.revision).states.get(*PLACE),
        dict(store.at(entry.revision).states.items(*PLACE[:2]))[PLACE[2]],
        commit.changes[-1].new_value,
        store.feed.changes(since=entry.revision - 1)[-1].new_value,
    ]
    assert all(same(reading, value) for reading in readings)
    with Store(":memory:", clock=clock) as other:
        other.transfer.load(pages(store))
        assert same(other.states.get(*PLACE), value)
        assert same(other.history.get(*PLACE, version=entry.version).value, value)
        assert same(list(pages(other)), list(pages(store)))


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT.keys())
def test_a_value_at_the_edge_comes_back_as_it_went_in(value: Any, open_store: Opener, where: str, clock: Clock) -> None:
    store = open_store()
    store.states.set(*PLACE, "before")
    assert same(store.states.set(*PLACE, value).value, value)
    assert_kept_everywhere(store, value, clock)
    assert store.states.set(*PLACE, value).version == 2  # the same once more is no version
    store.close()
    with Store(where, clock=clock) as again:
        assert_kept_everywhere(again, value, clock)
        assert again.states.set(*PLACE, value).version == 2
        again.states.set(*PLACE, "after")
        assert same(again.history.revert(*PLACE, version=2).value, value)
        assert_kept_everywhere(again, value, clock)


def test_values_that_python_holds_equal_are_versions_of_their_own(store: Store) -> None:
    alike = [1, 1.0, True, 0, 0.0, -0.0, False, "1", b"1", [1], {"a": 1, "b": 2}, {"b": 2, "a": 1}, None, [None], [[]]]
    for number, value in enumerate(alike, 1):
        assert store.states.set(*PLACE, value).version == number
        assert store.states.set(*PLACE, value).version == number
    assert [same(store.history.get(*PLACE, version=n).value, v) for n, v in enumerate(alike, 1)] == [True] * len(alike)


def test_any_json_round_trips_through_every_way_of_reading(open_store: Opener, places: Places, clock: Clock) -> None:
    store = open_store(APART)
    store.states.set(*PLACE, "before")

    @settings(max_examples=places.examples(100))
    @given(
        json_values(), st.none() | st.dictionaries(st.text(st.characters(codec="utf-8")), json_values(5), max_size=3)
    )
    def holds(value: Any, metadata: dict[str, Any] | None) -> None:
        entry = store.states.set(*PLACE, value, metadata=metadata)
        found = store.states.entry(*PLACE)
        past = store.at(found.revision).states.entry(*PLACE)
        made = store.history.get(*PLACE, version=found.version)
        [record] = store.transfer.export(since=found.revision - 1, limit=1)
        record["changes"][0]["change"] = "create"  # it is, in a store that has nothing before it
        for each in (entry, found, past, made):
            assert same(each.value, value)
            assert same(each.metadata, metadata)
        with Store(":memory:", clock=clock) as other:
            other.transfer.load([record])
            assert same(other.states.entry(*PLACE).value, value)  # type: ignore[union-attr]
            [again] = other.transfer.export()
            assert same(again | {"revision": 0}, record | {"revision": 0})

    holds()


def test_any_bytes_round_trip(open_store: Opener) -> None:
    store = open_store(APART)

    @given(st.binary(max_size=100) | st.binary(max_size=100).map(lambda part: part * 700))
    def holds(value: bytes) -> None:
        entry = store.states.set(*PLACE, value)
        assert same(store.states.get(*PLACE), value)
        assert same(store.history.get(*PLACE, version=entry.version).value, value)

    holds()


@pytest.mark.parametrize("value", ["x" * 50_000_000, b"\0x" * 25_000_000], ids=["text", "bytes"])
def test_fifty_megabytes_are_refused_by_default_and_kept_where_told(value: Any, open_store: Opener) -> None:
    store = open_store(APART)
    with pytest.raises(ValueTooLarge, match="max_value_bytes"):
        store.states.set(*PLACE, value)
    assert store.transfer.head() == 0
    roomy = open_store(max_value_bytes=50_000_002)
    roomy.states.set(*PLACE, value)
    assert roomy.states.get(*PLACE) == value
    assert roomy.history.versions(*PLACE)[0].size == 50_000_000 + (2 if isinstance(value, str) else 0)


@pytest.mark.parametrize(("value", "size"), [("x" * 98, 100), (b"x" * 100, 100), ({"é": "é"}, 11)])
def test_the_largest_value_is_the_one_of_exactly_that_many_bytes(value: Any, size: int, open_store: Opener) -> None:
    exact = open_store(APART, max_value_bytes=size)
    exact.states.set(*PLACE, value)
    assert exact.states.get(*PLACE) == value
    smaller = open_store(APART, max_value_bytes=size - 1)
    with pytest.raises(ValueTooLarge):
        smaller.states.set(*PLACE, value)


# ---- refused


class StrSub(str):
    pass


class IntSub(int):
    pass


class FloatSub(float):
    pass


class ListSub(list[Any]):
    pass


class DictSub(dict[str, Any]):
    pass


class BytesSub(bytes):
    pass


class Color(enum.Enum):
    RED = "red"


class StrColor(enum.StrEnum):
    RED = "red"


class IntColor(enum.IntEnum):
    RED = 1


def cyclic_list() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def cyclic_dict() -> Any:
    value: dict[str, Any] = {}
    value["again"] = [value]
    return value


def shared(kind: str) -> Any:
    """Return a hundred containers that hold 2**100 leaves between them."""
    value: Any = ["leaf"]
    for _ in range(100):
        value = [value, value] if kind == "lists" else {"a": value, "b": value}
    return value


# Each alone is refused; so is each within a list and an object, with the path to it.
NOT_JSON: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "minus infinity": -math.inf,
    "a lone surrogate": "\ud800",
    "a lone low surrogate": "a\udfff",
    "a surrogate pair in two parts": "\ud83d\ude42",
    "4,301 digits": digits(4301),
    "4,301 digits, the smallest": 10**4300,
    "4,301 digits below zero": -digits(4301),
    "5,000 digits": digits(5000),
    "5,000 digits below zero": -digits(5000),
    "tuple": (1, 2),
    "set": {1},
    "frozenset": frozenset(),
    "datetime": datetime(2026, 1, 1, tzinfo=UTC),
    "date": date(2026, 1, 1),
    "timedelta": timedelta(1),
    "Decimal": decimal.Decimal("1.5"),
    "Fraction": fractions.Fraction(1, 3),
    "complex": 1j,
    "UUID": uuid.UUID(int=0),
    "range": range(3),
    "generator": (n for n in range(3)),
    "function": len,
    "type": int,
    "object": object(),
    "path": Path("x"),
    "bytearray": bytearray(b"x"),
    "memoryview": memoryview(b"x"),
    "subclass of str": StrSub("x"),
    "subclass of int": IntSub(1),
    "subclass of float": FloatSub(1.0),
    "subclass of list": ListSub(),
    "subclass of dict": DictSub(),
    "subclass of bytes": BytesSub(b"x"),
    "OrderedDict": OrderedDict(a=1),
    "defaultdict": defaultdict(int),
    "mapping proxy": MappingProxyType({"a": 1}),
    "deque": deque([1]),
    "enum": Color.RED,
    "enum of text": StrColor.RED,
    "enum of integers": IntColor.RED,
    "MISSING": statedb.MISSING,
    "ellipsis": ...,
}
INSIDE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "alone": (lambda bad: bad, ""),
    "in a list": (lambda bad: [0, bad, bad], "/1"),
    "in an object": (lambda bad: {"ok": 1, "a/b~c": bad}, "/a~1b~0c"),
    "far below": (lambda bad: {"é": [{"x": [0, 0, {"": bad}]}]}, "/é/0/x/2/"),
}


def assert_nothing_written(store: Store) -> None:
    assert store.transfer.head() == 0
    assert store.states.keys(*PLACE[:2]) == []
    assert store.history.versions(*PLACE) == []
    assert store.feed.changes() == []
    assert store.history.commits() == []


@pytest.mark.parametrize("inside", INSIDE)
@pytest.mark.parametrize("bad", NOT_JSON)
def test_what_is_not_json_is_refused_with_the_path_to_it(bad: str, inside: str, open_store: Opener) -> None:
    store = open_store(APART)
    wrap, path = INSIDE[inside]
    if bad == "MISSING" and inside == "alone":
        bad = "ellipsis"
    value = wrap(NOT_JSON[bad])
    writes: list[Callable[[], Any]] = [
        lambda: store.states.set(*PLACE, value),
        lambda: store.states.update(*PLACE, lambda old: value),
        lambda: store.states.set_many("a", "persistent", {"fine": 1, "k": value}),
        lambda: store.agent("a").session("c").set("k", value),
        lambda: store.run(lambda tx: tx.states.set(*PLACE, value)),
        lambda: store.transfer.load_versions(*PLACE, [(0, 1), (1, value)]),
        lambda: store.states.set(*PLACE, 1, metadata={"m": value}),
    ]
    for number, write in enumerate(writes):
        with pytest.raises(InvalidValue) as caught:
            write()
        assert caught.value.path == ("/m" + path if number == 6 else path)
        assert pointer.parse(caught.value.path) is not None
    transaction = store.transaction()
    with pytest.raises(InvalidValue), transaction as tx:
        tx.states.set_many("a", "persistent", {"fine": 1, "k": value})
    assert_nothing_written(store)


def test_bytes_are_a_value_but_no_part_of_one(open_store: Opener) -> None:
    store = open_store(APART)
    for value, path in (([b"x"], "/0"), ({"a": {"b": b""}}, "/a/b")):
        with pytest.raises(InvalidValue) as caught:
            store.states.set(*PLACE, value)
        assert caught.value.path == path
    assert_nothing_written(store)


@pytest.mark.parametrize(
    "name", [1, 0, -1, 1.5, None, True, False, (1, 2), b"x", StrSub("x"), StrColor.RED, frozenset(), math.nan]
)
def test_a_member_name_that_is_no_text_is_refused(name: Any, open_store: Opener) -> None:
    store = open_store(APART)
    for value, path in (({"a": 1, name: 1}, ""), ([{"b": {name: 1}}], "/0/b")):
        with pytest.raises(InvalidValue) as caught:
            store.states.set(*PLACE, value)
        assert caught.value.path == path
    assert_nothing_written(store)


def test_a_member_name_with_a_lone_surrogate_is_refused(open_store: Opener) -> None:
    store = open_store(APART)
    for value, path in (({"\ud800": 1}, ""), ([1, {"a": {"x\udc00": 1}}], "/1/a")):
        with pytest.raises(InvalidValue) as caught:
            store.states.set(*PLACE, value)
        assert caught.value.path == path
    assert_nothing_written(store)


@pytest.mark.parametrize("kind", ["lists", "objects", "mixed"])
@pytest.mark.parametrize("levels", [193, 199, 200, 201, 250, 1000, 100_000])
def test_what_nests_deeper_than_can_be_read_back_is_refused(levels: int, kind: str, open_store: Opener) -> None:
    store = open_store(APART)
    value = nested(levels, kind)
    with pytest.raises(InvalidValue, match="nested deeper") as caught:
        store.states.set(*PLACE, value)
    assert len(pointer.parse(caught.value.path)) == 192
    assert_nothing_written(store)
    while value:  # taken apart by hand: freeing a hundred thousand levels at once overflows the C stack of some pythons
        value = value[0] if isinstance(value, list) else value[""]


@pytest.mark.parametrize("make", [cyclic_list, cyclic_dict])
def test_what_is_part_of_itself_is_refused(make: Callable[[], Any], open_store: Opener) -> None:
    store = open_store(APART)
    with pytest.raises(InvalidValue, match="part of itself"):
        store.states.set(*PLACE, make())
    assert_nothing_written(store)


@pytest.mark.parametrize("kind", ["lists", "objects"])
def test_a_value_that_shares_its_parts_without_end_is_refused(kind: str, open_store: Opener) -> None:
    store = open_store(APART, max_value_bytes=100_000)
    with pytest.raises(ValueTooLarge):
        store.states.set(*PLACE, shared(kind))
    assert_nothing_written(store)


SHARED_TEXT = """
import resource, sys
from statedb import Store, ValueTooLarge
store = Store(":memory:")
part = {"text": "x" * 1_000_000, "bytes": "\\u0001" * 1_000_000, "name": {"x" * 1_000_000: 1}}[sys.argv[1]]
resource.setrlimit(resource.RLIMIT_AS, (1 << 31, 1 << 31))
try:
    store.states.set("a", "local", "k", [part] * 4_000)
except ValueTooLarge:
    assert store.transfer.head() == 0
    print("refused")
"""


@pytest.mark.parametrize("part", ["text", "bytes", "name"])
def test_a_long_text_shared_many_times_is_refused_before_it_is_written_out(part: str) -> None:
    # Four gigabytes of JSON from a megabyte of text, where two may be had.
    done = subprocess.run([sys.executable, "-c", SHARED_TEXT, part], capture_output=True, text=True, timeout=HANG)
    assert (done.returncode, done.stdout, done.stderr) == (0, "refused\n", "")


# ---- pydantic models


class Inner(BaseModel):
    when: datetime
    tags: set[str] = set()


class Outer(BaseModel):
    name: str
    inner: Inner | None = None
    raw: bytes = b""
    number: float = 0.0


class Aliased(BaseModel):
    theme: str = Field(alias="colorTheme")


class Computed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def area(self) -> int:
        return self.width**2


class Listed(RootModel[list[int]]):
    pass


class Anything(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    it: Any


@pytest.mark.parametrize(
    "model",
    [
        Outer(name="x", inner=Inner(when=datetime(2026, 1, 1, tzinfo=UTC), tags={"a", "b"}), raw=b"abc", number=-0.0),
        Outer(name=""),
        Aliased(colorTheme="dark"),
        Computed(width=3),
        Listed([1, 2, 3]),
    ],
    ids=["nested", "plain", "with an alias", "with a computed field", "root model"],
)
def test_a_model_is_stored_as_its_json_and_read_back(model: BaseModel, store: Store) -> None:
    store.states.set(*PLACE, model)
    assert store.states.get(*PLACE, as_type=type(model)) == model
    entry = store.states.entry(*PLACE)
    assert entry is not None
    assert isinstance(entry.value, dict | list)
    assert store.states.update(*PLACE, lambda value: model).version == 1
    store.states.set_many("a", "persistent", {"m": model})
    assert store.states.get("a", "persistent", "m", as_type=type(model)) == model


@pytest.mark.parametrize(
    "model",
    [
        Outer(name="\ud800"),
        Outer(name="x", raw=b"\xff\xfe"),
        Outer(name="x", number=math.nan),
        Anything(it=object()),
        Anything(it=nested(1000, "lists")),
    ],
    ids=["surrogate", "bytes that are no UTF-8", "NaN", "object", "deep"],
)
def test_a_model_that_has_no_json_is_refused(model: BaseModel, open_store: Opener) -> None:
    store = open_store(APART)
    with pytest.raises(InvalidValue):
        store.states.set(*PLACE, model)
    assert_nothing_written(store)


def test_a_value_that_is_no_such_model_is_refused_on_reading(store: Store) -> None:
    store.states.set(*PLACE, {"name": 5, "inner": {"when": "nonsense"}})
    with pytest.raises(InvalidValue) as caught:
        store.states.get(*PLACE, as_type=Outer)
    assert caught.value.path == "/name"
    assert store.states.get("a", "persistent", "none", as_type=Outer) is None
    assert store.states.get("a", "persistent", "none", 7, as_type=Outer) == 7


def test_a_path_in_an_error_of_reading_is_a_json_pointer(store: Store) -> None:
    store.states.set(*PLACE, {"a/b": "x"})
    with pytest.raises(InvalidValue) as caught:
        store.states.get(*PLACE, as_type=dict[str, int])
    assert caught.value.path == "/a~1b"
    store.states.set(*PLACE, "x")
    with pytest.raises(InvalidValue) as caught:
        store.states.get(*PLACE, as_type=int)
    assert caught.value.path == ""


def test_bytes_are_read_back_as_bytes(store: Store) -> None:
    store.states.set(*PLACE, b"\xff\0")
    assert store.states.get(*PLACE, as_type=bytes) == b"\xff\0"
    with pytest.raises(InvalidValue):
        store.states.get(*PLACE, as_type=int)


# ---- names

GOOD_NAMES: dict[str, str] = {
    "1,024 bytes": "k" * 1024,
    "1,024 bytes of two each": "é" * 512,
    "1,024 bytes of four each": "\U0001f642" * 256,
    "the highest there is": "\U0010ffff" * 256,
    "glob": "*",
    "glob, more": "a?[b]*[!c]",
    "brackets": "[[]]",
    "SQL": "'; drop table agent_states; --",
    "quotes": "\"'`\u00b4",
    "percent": "100%_\\",
    "parameters": ":key ? $1 @x {0} %s",
    "slashes": "/a//b/../c/",
    "backslashes": "C:\\a\\b",
    "spaces": " \t\n\r ",
    "composed": "é",
    "decomposed": "e\u0301",
    "right to left": "\u202eabc",
    "zero width": "a\u200bb",
    "nothing to see": "\u200b",
    "byte order mark": "\ufeffk",
    "line separator": "a\u2028b",
    "upper": "KEY",
    "lower": "key",
    "dotless": "\u0131",
    "emoji": "👩\u200d👩\u200d👧",
    "just below the surrogates": "\ud7ff",
    "just above the surrogates": "\ue000",
    "no character": "\uffff",
    "control": "\x01\x1f\x7f",
    "a number": "0",
    "null": "null",
    "dunder": "__class__",
    "dot": ".",
    "tilde": "~0~1",
}


def test_all_awkward_names_are_kept_apart_and_sorted(store: Store, clock: Clock) -> None:
    names = list(GOOD_NAMES.values())
    for number, name in enumerate(names):
        store.states.set(name, "shared", "k", number)
        store.states.set("a", "shared", name, number)
    assert store.states.keys("a", "shared") == sorted(names, key=lambda name: name.encode())
    assert store.states.items("a", "shared") == [(name, names.index(name)) for name in sorted(names)]
    for number, name in enumerate(names):
        assert store.states.get("a", "shared", name) == store.states.get(name, "shared", "k") == number
        assert [version.key for version in store.history.versions("a", "shared", name)] == [name]
        assert [commit.changes[0].agent_id for commit in store.history.commits(agent_id=name)] == [name]
        assert [change.agent_id for change in store.feed.changes(agent_id=name)] == [name]
        assert store.at(store.transfer.head()).states.get("a", "shared", name) == number
        assert store.states.exists("a", "shared", name)
    with Store(":memory:", clock=clock) as other:
        other.transfer.load(pages(store))
        assert other.states.items("a", "shared") == store.states.items("a", "shared")
        assert list(pages(other)) == list(pages(store))
    for name in names:
        assert store.states.delete("a", "shared", name)
    assert store.states.keys("a", "shared") == []


def test_a_pattern_that_stands_for_itself_finds_that_key_alone(store: Store) -> None:
    for name in GOOD_NAMES.values():
        store.states.set("a", "shared", name, 1)
    for name in GOOD_NAMES.values():
        literal = "".join(f"[{each}]" if each in "*?[" else each for each in name)
        assert store.states.keys("a", "shared", literal) == [name]
        assert name in store.states.keys("a", "shared", literal[:1] + "*" if name[0] not in "*?[" else "*")


def test_awkward_names_name_sessions_too(store: Store) -> None:
    names = [name for name in GOOD_NAMES.values() if "/" not in name and len(name.encode()) < 1000]
    for number, name in enumerate(names):
        store.agent("a").session(name).set("x", number)
    for number, name in enumerate(names):
        session = store.agent("a").session(name)
        assert session.items() == [("x", number)]
        assert session.keys("?") == ["x"]
    assert store.agent("a").session(names[0]).close()
    assert len(store.states.keys("a", "session")) == len(names) - 1
    assert all(store.agent("a").session(name).exists("x") for name in names[1:])


BAD_NAMES: dict[str, Any] = {
    "nothing": "",
    "1,025 bytes": "k" * 1025,
    "1,026 bytes of two each": "é" * 513,
    "1,025 bytes with a last one of two": "k" * 1023 + "é",
    "a NUL": "a\0b",
    "only a NUL": "\0",
    "a NUL beside other text": "é\0",
    "a lone surrogate": "\ud800",
    "a lone surrogate in text": "a\udc00é",
    "None": None,
    "a number": 5,
    "bytes": b"k",
    "a list": ["k"],
    "a tuple": ("k",),
    "MISSING": statedb.MISSING,
    "an enum": Color.RED,
}


@pytest.mark.parametrize("bad", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_name_that_cannot_be_one_is_refused_everywhere(bad: Any, open_store: Opener) -> None:
    store = open_store(APART)
    states, history = store.states, store.history
    for place in ((bad, "local", "k"), ("a", "local", bad)):
        uses: list[Callable[[], Any]] = [
            lambda place=place: states.get(*place),  # type: ignore[misc]
            lambda place=place: states.entry(*place),  # type: ignore[misc]
            lambda place=place: states.exists(*place),  # type: ignore[misc]
            lambda place=place: states.set(*place, 1),  # type: ignore[misc]
            lambda place=place: states.update(*place, lambda value: 1),  # type: ignore[misc]
            lambda place=place: states.patch(*place, {}),  # type: ignore[misc]
            lambda place=place: states.touch(*place),  # type: ignore[misc]
            lambda place=place: states.delete(*place),  # type: ignore[misc]
            lambda place=place: states.get_many(place[0], [place[1:]]),  # type: ignore[misc]
            lambda place=place: history.versions(*place),  # type: ignore[misc]
            lambda place=place: history.get(*place, version=1),  # type: ignore[misc]
            lambda place=place: history.revert(*place, version=1),  # type: ignore[misc]
            lambda place=place: store.transfer.load_versions(*place, [(1, 1)]),  # type: ignore[misc]
            lambda place=place: store.agent(place[0]).local.set(place[2], 1),  # type: ignore[misc]
            lambda place=place: store.agent(place[0]).session("c").set(place[2], 1),  # type: ignore[misc]
        ]
        if not isinstance(bad, list):  # which no mapping takes as a key
            uses.append(lambda place=place: states.set_many(*place[:2], {place[2]: 1}))  # type: ignore[misc]
        for use in uses:
            with pytest.raises(InvalidKey):
                use()
    agent_only: list[Callable[[], Any]] = [
        lambda: states.keys(bad, "local"),
        lambda: states.items(bad, "local"),
        lambda: store.agent(bad),
        lambda: store.agent("a").session(bad),
    ]
    # None means every agent in these two.
    if bad is not None:
        agent_only += [lambda: history.commits(agent_id=bad), lambda: store.feed.changes(agent_id=bad)]
    for use in agent_only:
        with pytest.raises(InvalidKey):
            use()
    assert_nothing_written(store)


def test_a_key_that_a_session_makes_too_long_is_refused(open_store: Opener) -> None:
    store = open_store(APART)
    session = store.agent("a").session("c" * 1000)
    session.set("k" * 23, 1)
    with pytest.raises(InvalidKey):
        session.set("k" * 24, 1)
    assert session.keys() == ["k" * 23]


def test_a_session_name_with_a_slash_is_refused(open_store: Opener) -> None:
    store = open_store(APART)
    for bad in ("a/b", "/", "a/"):
        with pytest.raises(InvalidKey):
            store.agent("a").session(bad)


class Key(str, enum.Enum):  # noqa: UP042
    """An enum of text as it was written before StrEnum: str() of a member is not its text."""

    THEME = "theme"


class Odd(str):
    def __str__(self) -> str:
        return "\0 something else"


@pytest.mark.parametrize(
    ("name", "text"),
    [(StrSub("theme"), "theme"), (StrColor.RED, "red"), (Key.THEME, "theme"), (Odd("plain"), "plain")],
    ids=["subclass", "StrEnum", "enum of text", "subclass with a str of its own"],
)
def test_a_name_that_is_a_sort_of_text_is_that_text(name: Any, text: str, store: Store) -> None:
    entry = store.states.set(name, "local", name, 1)
    assert (entry.agent_id, entry.key) == (text, text)
    assert type(entry.key) is str
    assert store.states.get(text, "local", text) == store.states.get(name, "local", name) == 1
    store.agent(name).session(name).set(name, 2)
    assert store.states.keys(text, "session") == [f"{text}/{text}"]
    assert store.agent(text).session(text).get(text) == 2


@pytest.mark.parametrize("bad", ["", "Local", "LOCAL", "local ", "lokal", None, 1, b"local", ["local"], ("local",), {}])
def test_a_state_type_that_is_none_is_refused(bad: Any, open_store: Opener) -> None:
    store = open_store(APART)
    uses: list[Callable[[], Any]] = [
        lambda: store.states.get("a", bad, "k"),
        lambda: store.states.set("a", bad, "k", 1),
        lambda: store.states.keys("a", bad),
        lambda: store.states.items("a", bad),
        lambda: store.states.set_many("a", bad, {"k": 1}),
        lambda: store.states.get_many("a", [(bad, "k")]),
        lambda: store.history.versions("a", bad, "k"),
    ]
    for use in uses:
        with pytest.raises(InvalidKey):
            use()
    assert_nothing_written(store)


# ---- times to live


@pytest.mark.parametrize(
    "bad",
    [0, -1, 0.0, -0.5, math.nan, -math.inf, 1e12, 1e300, 10**400, -(10**400), True, False, "60", b"1", [1], 1j,
     decimal.Decimal(5), timedelta(0), timedelta(seconds=-1), timedelta.max, timedelta.min],
    ids=lambda bad: repr(bad)[:24],
)  # fmt: skip
def test_a_ttl_that_cannot_be_one_is_refused(bad: Any, open_store: Opener) -> None:
    store = open_store(APART)
    uses: list[Callable[[], Any]] = [
        lambda: store.states.set(*PLACE, 1, ttl=bad),
        lambda: store.states.update(*PLACE, lambda value: 1, ttl=bad),
        lambda: store.states.patch(*PLACE, {"a": 1}, ttl=bad),
        lambda: store.states.set_many("a", "persistent", {"k": 1}, ttl=bad),
        lambda: store.states.touch(*PLACE, ttl=bad),
        lambda: store.agent("a").session("c", ttl=bad).set("k", 1),
        lambda: store.agent("a").session("c").set("k", 1, ttl=bad),
    ]
    for use in uses:
        with pytest.raises(InvalidValue):
            use()
    assert_nothing_written(store)


@pytest.mark.parametrize("ttl", [1e-9, 0.000001, 1, 1.5, timedelta(microseconds=1), timedelta(days=3650), 1e11])
def test_a_ttl_from_the_shortest_to_the_longest_is_taken(ttl: Any, store: Store, clock: Clock) -> None:
    entry = store.states.set(*PLACE, 1, ttl=ttl)
    assert entry.expires_at is not None
    assert entry.expires_at > clock.moment
    assert store.states.get(*PLACE) == 1
    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    clock.advance(max(seconds, 0.000001))
    assert store.states.get(*PLACE) is None


def test_a_ttl_without_end_is_for_ever(store: Store, clock: Clock) -> None:
    assert store.states.set("a", "session", "k", 1, ttl=math.inf).expires_at is None
    store.agent("a").session("c", ttl=math.inf).set("k", 1)
    clock.advance(10**9)
    assert store.states.keys("a", "session") == ["c/k", "k"]


# ---- arguments of the wrong sort


def wrong_calls(store: Any) -> dict[str, Callable[[], Any]]:
    states, history = store.states, store.history
    future = {"agent": "a", "type": "local", "key": "k", "change": "create", "value": 1}
    record = {"revision": 1, "kind": "write", "at": 1, "origin": "x:1", "changes": [future]}
    return {
        "expected_version, below zero": lambda: states.set(*PLACE, 1, expected_version=-1),
        "expected_version, a bool": lambda: states.set(*PLACE, 1, expected_version=True),
        "expected_version, text": lambda: states.set(*PLACE, 1, expected_version="1"),
        "expected_version, a float": lambda: states.set(*PLACE, 1, expected_version=1.0),
        "on_conflict without expected_version": lambda: states.set(*PLACE, 1, on_conflict="ours"),
        "on_conflict, unknown": lambda: states.set(*PLACE, 1, expected_version=5, on_conflict="mine"),
        "on_conflict, unknown, where nothing conflicts": lambda: states.set(
            *PLACE, 1, expected_version=0, on_conflict="mine"
        ),
        "on_conflict, a number": lambda: states.set(*PLACE, 1, expected_version=5, on_conflict=5),
        "delete, expected_version": lambda: states.delete(*PLACE, expected_version="x"),
        "metadata, text": lambda: states.set(*PLACE, 1, metadata="x"),
        "metadata, a list": lambda: states.set(*PLACE, 1, metadata=[1]),
        "metadata, names that are no text": lambda: states.set(*PLACE, 1, metadata={1: 2}),
        "message, a number": lambda: states.set(*PLACE, 1, message=5),
        "message, bytes": lambda: states.set(*PLACE, 1, message=b"x"),
        "message, a lone surrogate": lambda: states.set(*PLACE, 1, message="\ud800"),
        "transaction, actor": lambda: written(store, actor=5),
        "transaction, actor, a lone surrogate": lambda: written(store, actor="\ud800"),
        "transaction, message": lambda: written(store, message=5),
        "transaction, message, a lone surrogate": lambda: written(store, message="\ud800"),
        "transaction, context, text": lambda: written(store, context="x"),
        "transaction, context, no JSON": lambda: written(store, context={"a": {1}}),
        "revert, message": lambda: history.revert("a", "shared", "there", version=1, message=5),
        "patch, text": lambda: states.patch(*PLACE, "x"),
        "patch, None": lambda: states.patch(*PLACE, None),
        "patch, a number": lambda: states.patch(*PLACE, 5),
        "patch, an operation that is none": lambda: states.patch(*PLACE, [{"op": "frob", "path": ""}]),
        "update, no function": lambda: states.update(*PLACE, 5),
        "update, default that is no value": lambda: states.update(*PLACE, lambda value: value, default=object()),
        "set_many, no mapping": lambda: states.set_many("a", "local", [1]),
        "keys, pattern": lambda: states.keys("a", "local", 5),
        "keys, pattern, a lone surrogate": lambda: states.keys("a", "local", "\ud800*"),
        "items, pattern": lambda: states.items("a", "local", None),
        "versions, limit": lambda: history.versions("a", "shared", "there", limit=-1),
        "versions, limit, text": lambda: history.versions("a", "shared", "there", limit="x"),
        "versions, before": lambda: history.versions("a", "shared", "there", before="x"),
        "get, version": lambda: history.get("a", "shared", "there", version="1"),
        "get, version, a bool": lambda: history.get("a", "shared", "there", version=True),
        "commits, limit": lambda: history.commits(limit=-1),
        "commits, before": lambda: history.commits(before="x"),
        "commit, text": lambda: history.commit("x"),
        "commit, too large": lambda: history.commit(2**70),
        "changes, since": lambda: store.feed.changes(since="x"),
        "changes, since, below zero": lambda: store.feed.changes(since=-1),
        "changes, limit": lambda: store.feed.changes(limit=0),
        "sweep, limit": lambda: store.retention.sweep(limit="x"),
        "sweep, limit, below zero": lambda: store.retention.sweep(limit=-1),
        "export, since": lambda: store.transfer.export(since="x"),
        "export, limit": lambda: store.transfer.export(limit="x"),
        "load, no records": lambda: store.transfer.load([5]),
        "load, an empty record": lambda: store.transfer.load([{}]),
        "load, no origin": lambda: store.transfer.load([{k: v for k, v in record.items() if k != "origin"}]),
        "load, an origin that is none": lambda: store.transfer.load([record | {"origin": "x"}]),
        "load, a time that is none": lambda: store.transfer.load([record | {"at": "x"}]),
        "load, a kind that is none": lambda: store.transfer.load([record | {"kind": "frob"}]),
        "load, a change that is none": lambda: store.transfer.load([record | {"changes": [future | {"change": "x"}]}]),
        "load, bytes that are none": lambda: store.transfer.load([record | {"changes": [future | {"bytes": "*"}]}]),
        "load, a key that is none": lambda: store.transfer.load([record | {"changes": [future | {"key": ""}]}]),
        "load, a ttl that is none": lambda: store.transfer.load([record | {"changes": [future | {"ttl": "x"}]}]),
        "load, an author that is none": lambda: store.transfer.load([record | {"by": 5}]),
        "load, a message that is none": lambda: store.transfer.load([record | {"message": 5}]),
        "load, a context that is none": lambda: store.transfer.load([record | {"context": "x"}]),
        "load_versions, a time that is none": lambda: store.transfer.load_versions(*PLACE, [("x", 1)]),
        "load_versions, NaN": lambda: store.transfer.load_versions(*PLACE, [(math.nan, 1)]),
        "load_versions, no pair": lambda: store.transfer.load_versions(*PLACE, [(1,)]),
        "load_versions, message": lambda: store.transfer.load_versions(*PLACE, [(1, 1)], message=5),
        "at, None": lambda: store.at(None).states.get(*PLACE),
        "at, a float": lambda: store.at(1.5).states.get(*PLACE),
        "at, a bool": lambda: store.at(True).states.get(*PLACE),
        "at, text that is no time": lambda: store.at("yesterday").states.get(*PLACE),
        "at, no text": lambda: store.at("").states.get(*PLACE),
        "at, bytes": lambda: store.at(b"2026").states.get(*PLACE),
        "at, a date": lambda: store.at(date(2020, 1, 1)).states.get(*PLACE),
        "at, too large": lambda: store.at(2**70).states.get(*PLACE),
        "at, below zero": lambda: store.at(-1).states.get(*PLACE),
        "at, the shortest timedelta": lambda: store.at(timedelta.min).states.get(*PLACE),
        "at, the longest timedelta, which shows nothing": lambda: refused_if_empty(store.at(timedelta.max)),
    }


def written(store: Any, **said: Any) -> None:
    with store.transaction(**said) as tx:
        tx.states.set(*PLACE, 1)


def refused_if_empty(past: Any) -> None:
    if past.states.keys("a", "shared") == []:
        raise InvalidValue("an answer too: before everything there was nothing")


WRONG = list(wrong_calls(Mock()))


@pytest.mark.parametrize("shell", ["sync", "async"])
@pytest.mark.parametrize("call", WRONG)
def test_an_argument_of_the_wrong_sort_is_refused_with_nothing_written(
    call: str, shell: str, open_store: Opener
) -> None:
    store = open_store(APART, shell=shell)
    store.states.set("a", "shared", "there", 1)
    # A TypeError is what Python says of such a call; an error of SQLite's or an assertion would be a defect.
    with pytest.raises((StateDBError, TypeError)):
        wrong_calls(store)[call]()
    assert store.transfer.head() == 1
    assert store.states.set("a", "shared", "there", 2).revision == 2
    assert store.health.check().problems == ()


def test_a_number_beyond_everything_is_fine_where_it_only_bounds(store: Store) -> None:
    store.states.set(*PLACE, 1)
    assert len(store.history.versions(*PLACE, limit=2**70, before=2**70)) == 1
    assert len(store.history.commits(limit=2**70, before=2**70)) == 1
    assert len(store.feed.changes(limit=2**70)) == 1
    with pytest.raises(NoSuchRevision):
        store.feed.changes(since=2**70)


def test_odd_but_fine_texts_go_into_the_log_and_come_back(store: Store) -> None:
    for text in ("", "a\nb\r", "ä\U0001f642", "'; --", "x" * 100_000, "\u202e"):
        with store.transaction(message=text or None, actor=text or None, context={text: text}) as tx:
            tx.states.set(*PLACE, text)
        commit = store.history.commits(limit=1)[0]
        assert (commit.message, commit.by, commit.context) == (text or None, text or None, {text: text})


# ---- errors


def errors() -> list[StateDBError]:
    """Return one of every error, with attributes as the library gives them."""
    found = [getattr(statedb, name) for name in statedb.__all__]
    kinds = [kind for kind in found if isinstance(kind, type) and issubclass(kind, StateDBError)]
    return [kind("what, why and what to do", path="/a/0", floor=7, found="9", known="1") for kind in kinds]


@pytest.mark.parametrize("error", errors(), ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_crosses_a_process_pool_with_its_attributes(error: StateDBError, protocol: int) -> None:
    error.add_note("and a note")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__ == error.__dict__


def test_a_conflict_crosses_a_process_pool_with_its_sides(store: Store) -> None:
    store.states.set(*PLACE, {"a": 1})
    store.states.set(*PLACE, {"a": 2})
    for expected, base in ((1, {"a": 1}), (9, statedb.MISSING)):
        with pytest.raises(VersionConflict) as caught:
            store.states.set(*PLACE, {"a": 3}, expected_version=expected, on_conflict="merge")
        again = pickle.loads(pickle.dumps(caught.value))
        for error in (caught.value, again):
            assert (error.agent_id, error.state_type, error.key) == PLACE
            assert (error.expected_version, error.version) == (expected, 2)
            assert (error.base, error.ours, error.theirs) == (base, {"a": 3}, {"a": 2})
            assert [clash.path for clash in error.conflicts] == ["/a"] if base else [""]
        assert str(again) == str(caught.value)
