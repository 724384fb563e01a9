"""What tests draw from: values of every kind the store takes."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

LARGEST = 10**400


def json_texts(max_size: int = 20) -> st.SearchStrategy[str]:
    """Any text that has a UTF-8 form, so no lone surrogates."""
    return st.text(st.characters(codec="utf-8"), max_size=max_size)


def json_scalars() -> st.SearchStrategy[Any]:
    """null, bools, integers of up to 400 digits, finite floats (-0.0 included) and text."""
    return st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(-LARGEST + 1, LARGEST - 1),
        st.floats(allow_nan=False, allow_infinity=False),
        json_texts(),
    )


def json_values(max_leaves: int = 20) -> st.SearchStrategy[Any]:
    """Any JSON value, nested."""
    return st.recursive(
        json_scalars(),
        lambda below: st.lists(below, max_size=5) | st.dictionaries(json_texts(8), below, max_size=5),
        max_leaves=max_leaves,
    )
