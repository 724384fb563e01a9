from __future__ import annotations

import pytest
from rich.text import Text

from statedb.cli.manual import epilog, paragraphs, plain


@pytest.mark.parametrize("text", ["a [b] c", r"\[c]", "[1] {[]} [/] [#x] [a-z] [!a]", r"\\[red]x[/red]", "'prefs/*'"])
def test_plain_text_is_shown_as_it_stands(text: str) -> None:
    assert Text.from_markup(plain(text)).plain == text


def test_a_paragraph_is_one_line() -> None:
    assert paragraphs("One.\n\n    Two\n    three.\n    ") == "One.\n\nTwo three."


def test_examples_stand_on_lines_of_their_own() -> None:
    assert epilog(["x 1"]) == "Example:\n  x 1"
    assert epilog(["x 1", "x 2"], "numbers") == "With --json: numbers.\n\nExamples:\n  x 1\n  x 2"
