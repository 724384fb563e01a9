from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from statedb.values import pointer
from tests.strategies import json_texts

# RFC 6901, section 5, and what it leaves to the reader.
PAIRS = [
    ("", ()),
    ("/", ("",)),
    ("//", ("", "")),
    ("/foo", ("foo",)),
    ("/foo/0", ("foo", "0")),
    ("/foo/", ("foo", "")),
    ("/a~1b", ("a/b",)),
    ("/m~0n", ("m~n",)),
    ("/~01", ("~1",)),
    ("/~10", ("/0",)),
    ("/~00", ("~0",)),
    ("/c%d", ("c%d",)),
    ("/e^f", ("e^f",)),
    ("/i\\j", ("i\\j",)),
    ('/k"l', ('k"l',)),
    ("/ ", (" ",)),
    ("/-", ("-",)),
    ("/\n/ü", ("\n", "ü")),
]


@pytest.mark.parametrize(("text", "parts"), PAIRS)
def test_a_pointer_is_parsed_into_its_parts(text: str, parts: tuple[str, ...]) -> None:
    assert pointer.parse(text) == parts


@pytest.mark.parametrize(("text", "parts"), PAIRS)
def test_parts_are_rendered_as_a_pointer(text: str, parts: tuple[str, ...]) -> None:
    assert pointer.render(parts) == text


@pytest.mark.parametrize(
    "text", ["foo", "#/foo", " /foo", "0", "~0", "/~", "/~2", "/a~", "/~~0", "/~0~", "/a/~/b", "/~\n"]
)
def test_what_is_no_pointer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="JSON Pointer"):
        pointer.parse(text)


@given(st.lists(json_texts() | st.text("~/01", max_size=6)))
def test_parse_undoes_render(parts: list[str]) -> None:
    assert pointer.parse(pointer.render(parts)) == tuple(parts)


@given(st.text("~/01a", max_size=12))
def test_render_undoes_parse_wherever_there_is_a_pointer(text: str) -> None:
    try:
        parts = pointer.parse(text)
    except ValueError:
        return
    assert pointer.render(parts) == text
