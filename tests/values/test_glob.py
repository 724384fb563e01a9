"""Globs: the range read from the index loses no match, and what is picked is what fnmatch picks."""

from __future__ import annotations

import fnmatch

from hypothesis import example, given
from hypothesis import strategies as st

from statedb.values.glob import BEYOND, above, glob

# Few characters, so that patterns match: the special ones, both ends of the surrogate gap, and the very last one.
LETTERS = "ab/*?[]!-^.\\'%\ud7ff\ue000\U0010ffff"
texts = st.text(LETTERS, max_size=6)


@given(st.lists(texts, max_size=20), texts)
@example(["plan/1", "plan/2", "plans"], "plan/*")
@example(["a", "ab"], "a")
@example(["\ud7ffx", "\ue000"], "\ud7ff*")
@example(["\U0010ffffx"], "\U0010ffff*")
def test_a_glob_picks_what_fnmatch_picks(keys: list[str], pattern: str) -> None:
    wanted = glob(pattern)
    in_range = [key for key in keys if wanted.low <= key < wanted.high]
    assert wanted.pick(in_range) == [key for key in keys if fnmatch.fnmatchcase(key, pattern)]


@given(texts, texts)
def test_above_is_above_everything_that_begins_with_the_prefix_and_nothing_else(prefix: str, key: str) -> None:
    assert (prefix <= key < above(prefix)) == key.startswith(prefix)


@given(st.text(max_size=50))
def test_the_order_of_keys_is_the_order_of_their_bytes(text: str) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return
    assert size > 1024 or (text < BEYOND and text.encode() < BEYOND.encode())


def test_a_pattern_that_could_backtrack_for_ever_does_not() -> None:
    assert glob("*a" * 30 + "b").pick(["a" * 200]) == []
