from __future__ import annotations

from typing import Any

import pytest

from statedb.cli.terminal.marks import diff_lines
from statedb.models import MISSING
from statedb.values.diff import diff


def lines(old: Any, new: Any) -> list[str]:
    return ["".join(part for part, _ in line) for line in diff_lines(diff(old, new))]


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ({"b": 1, "a": 1}, {"c": 1, "a": 2}, ["~ /a: 1 → 2", "- /b: 1", "+ /c: 1"]),
        (MISSING, 1, ["+ (the value): 1"]),
        (1, MISSING, ["- (the value): 1"]),
        (1, 2, ["~ (the value): 1 → 2"]),
        ([1, 2, 3], [0, 1, 2], ["+ /0: 0", "- /2: 3"]),
        ({"": 1}, {"": 2}, ["~ /: 1 → 2"]),
        ({"a/b": 1}, {"a~b": 1}, ["+ /a~0b: 1", "- /a~1b: 1"]),
        ({}, {"x": "y" * 300}, [f'+ /x: "{"y" * 198}…']),
    ],
)
def test_a_line_for_each_place(old: Any, new: Any, shown: list[str]) -> None:
    assert lines(old, new) == shown
