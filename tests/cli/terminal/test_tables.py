"""Tables on terminals too narrow for them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from statedb.cli.terminal import tables
from tests.cli.helpers import Program


def plain(shown: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


def on_terminal(program: Program, *args: str, columns: int) -> str:
    terminal = program.on_a_terminal("--no-pager", *args, columns=columns)
    terminal.end()
    return plain(terminal.shown)


def test_revisions_and_times_are_whole_however_long_the_message(program: Program) -> None:
    program("set", "a", "persistent", "a/long/key/of/a/plan", "1", "-m", "a message that goes on and on " * 5)
    for command in (["log"], ["history", "a", "persistent", "a/long/key/of/a/plan"]):
        for columns in (80, 100):
            shown = on_terminal(program, *command, columns=columns)
            assert re.search(r"\b1\b.*\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", shown), shown
            assert max(map(len, shown.splitlines())) <= columns


def test_what_is_too_wide_even_so_is_printed_row_by_row(program: Program) -> None:
    program("set", "a", "persistent", "k", "1")
    shown = on_terminal(program, "query", "select * from states", columns=60)
    assert re.search(r"^agent_id +a\s*$", shown, re.MULTILINE), shown
    assert re.search(r"^state_type +persistent\s*$", shown, re.MULTILINE), shown


@given(
    st.lists(st.tuples(st.sampled_from(["revision", "message", "at", "x"]), st.integers(1, 90)), min_size=1, max_size=8)
)
def test_columns_fit_and_none_is_widened_or_cut_below_its_least(made: list[tuple[str, int]]) -> None:
    headings, cells = [name for name, _ in made], [["c" * width for _, width in made]]
    natural = [max(len(name), width) for name, width in made]
    widths = tables._widths(headings, cells, 80)
    least = [n if name in tables._WHOLE else min(n, 12) for (name, _), n in zip(made, natural, strict=True)]
    gaps = 2 * (len(made) - 1)
    if widths is None:
        assert sum(least) + gaps > 80
    else:
        assert sum(widths) + gaps <= 80
        assert all(low <= width <= high for low, width, high in zip(least, widths, natural, strict=True))
