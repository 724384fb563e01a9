"""The functions of a query that replace SQLite's: they are held to what SQLite's own say."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from statedb import QueryRefused
from statedb.db.query import functions

LETTERS = st.sampled_from("aAbBkK\u212a%_*?[]^-!\\éÉ\0\n.+(1")
TEXT = st.text(LETTERS, max_size=12)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
VALUE = TEXT | NUMBER | st.none()


@pytest.fixture(scope="module")
def sqlite() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as raw:
        yield raw


def ask(raw: sqlite3.Connection, sql: str, *given: Any) -> Any:
    return raw.execute(f"select {sql}", given).fetchone()[0]


@settings(max_examples=1000)
@given(VALUE, VALUE)
@example("%a%b%", "xxaxxbxx")
@example("_%_", "a")
@example("%", "")
@example("1.0e+20", 1e20)
@example("-0.0", -0.0)
@example("0.0", -0.0)
@example("%inf%", -math.inf)
def test_like_says_what_sqlites_own_says(sqlite: sqlite3.Connection, pattern: Any, text: Any) -> None:
    assert functions.like(pattern, text) == ask(sqlite, "? like ?", text, pattern)


@settings(max_examples=1000)
@given(TEXT, TEXT, LETTERS)
@example("%%a", "%a", "%")
@example("a_b__", "a_b", "_")
@example("a\\", "a", "\\")
@example("AA", "a", "a")
def test_like_with_an_escape_too(sqlite: sqlite3.Connection, pattern: str, text: str, escape: str) -> None:
    if escape != "\0":
        assert functions.like(pattern, text, escape) == ask(sqlite, "? like ? escape ?", text, pattern, escape)


@settings(max_examples=2000)
@given(VALUE | st.text(st.sampled_from("ab[]^-*?"), max_size=9), VALUE | st.text(st.sampled_from("ab]^-"), max_size=5))
@example("[]]", "]")
@example("[^]]", "]")
@example("[]-a]", "-")
@example("[a-]", "-")
@example("[b-a]", "b")
@example("[a-c-e]", "-")
@example("[a-", "a")
@example("[^", "a")
@example("*[", "")
@example("[a--]", "a")
@example("[--b]", "a")
def test_glob_says_what_sqlites_own_says(sqlite: sqlite3.Connection, pattern: Any, text: Any) -> None:
    assert functions.glob(pattern, text) == ask(sqlite, "? glob ?", text, pattern)


@settings(max_examples=500)
@given(VALUE | st.binary(max_size=5), VALUE | st.binary(max_size=3))
@example("abc", "")
@example("a\0b", "b")
@example(b"\xc3\xa9a", b"a")
def test_instr_says_what_sqlites_own_says(sqlite: sqlite3.Connection, text: Any, sought: Any) -> None:
    kinds = {type(text), type(sought)}
    if kinds != {bytes, str} and not (bytes in kinds and kinds & {int, float}):  # half bytes: not defined beyond ASCII
        assert functions.instr(text, sought) == ask(sqlite, "instr(?, ?)", text, sought)


def test_bytes_are_like_nothing() -> None:
    assert functions.like(b"a", "a") == functions.like("a", b"a") == functions.glob(b"a", "a") == 0
    assert functions.instr("abc", b"c") == 3


def test_a_pattern_that_would_take_too_long_is_refused() -> None:
    text = "a" * 1_000_000
    for pattern in ("%" + "_b" * 100 + "%", "%" + "a" * 40_000 + "_%"):
        with pytest.raises(QueryRefused, match="too much"):
            functions.like(pattern, text)
    with pytest.raises(QueryRefused, match="50,000"):
        functions.glob("a" * 50_001, "a")
    with pytest.raises(QueryRefused, match="single"):
        functions.like("a", "a", "ab")


def test_a_pattern_that_takes_sqlite_for_ever_is_answered() -> None:
    text = "a" * 1_000_000
    assert functions.like("%a" * 20 + "%b", text) == 0
    assert functions.glob("*a" * 20 + "*b", text) == 0
    assert functions.glob("*" + "a" * 40_000 + "b*", text) == 0
    assert functions.instr(text, "a" * 400_000 + "b") == 0
