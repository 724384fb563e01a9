from __future__ import annotations

import pytest
from hypothesis import given
from pydantic_core import from_json, to_json

from statedb.cli.terminal.texts import one_line, safe_json, shortened
from tests.strategies import json_values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ünï ☃ 👩\u200d🚀", "plain ünï ☃ 👩\u200d🚀"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x1b[2J", "\\u001b[2J"),
        ("\x9b31m", "\\u009b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_could_move_a_cursor_is_shown_escaped(text: str, shown: str) -> None:
    assert one_line(text) == shown


@given(json_values())
def test_json_made_safe_to_show_means_the_same(value: object) -> None:
    text = to_json(value).decode()
    assert to_json(from_json(safe_json(text))).decode() == text


def test_json_made_safe_to_show_holds_nothing_a_terminal_obeys() -> None:
    assert safe_json(to_json("\x9b\u202e\x7f").decode()) == '"\\u009b\\u202e\\u007f"'


def test_a_long_text_ends_in_an_ellipsis() -> None:
    assert shortened("abcdef", 4) == "abc…"
    assert shortened("abcd", 4) == "abcd"
