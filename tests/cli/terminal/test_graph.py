from __future__ import annotations

import pytest

from statedb.cli.terminal.graph import Lanes


def drawn(*commits: tuple[int, ...]) -> list[str]:
    """Return the graph of commits, each with its parents, and a line of dashes about each."""
    lanes, lines = Lanes(), []
    for commit, *parents in commits:
        first, more, below = lanes.draw(commit, parents)
        lines += [*(("".join(part for part, _ in line) + end) for line, end in ((first, str(commit)), (more, "-")))]
        lines += ["".join(part for part, _ in line) for line in below]
    return lines


def test_a_line_is_one_lane() -> None:
    assert drawn((3, 2), (2, 1), (1,)) == ["* 3", "| -", "* 2", "| -", "* 1", "  -"]


@pytest.mark.parametrize(
    ("commits", "shown"),
    [
        pytest.param(
            [(9, 7, 8), (8, 5), (7, 5), (5,)],
            ["* 9", "|\\", "| * 8", "* | 7", "|/", "* 5"],
            id="a branch that was merged",
        ),
        pytest.param(
            [(12, 9), (11, 8), (10, 9), (9, 7, 8), (8, 1), (7, 1)],
            ["* 12", "| * 11", "| | * 10", "|_|/", "* | 9", "|\\ \\", "| |/", "| * 8", "* | 7", "|/"],
            id="lanes that pass others",
        ),
        pytest.param(
            [(9, 1), (8, 4), (7, 3), (4,), (3, 1), (1,)],
            ["* 9", "| * 8", "| | * 7", "| * | 4", "|  /", "| * 3", "|/", "* 1"],
            id="one that has no parent makes room",
        ),
        pytest.param(
            [(9, 8, 4), (8, 7, 4), (7, 3), (4, 3)],
            ["* 9", "|\\", "* | 8", "|\\ \\", "| |/", "* | 7", "| * 4", "|/"],
            id="two that took in one",
        ),
        pytest.param([(9, 2), (8, 1), (7, 2)], ["* 9", "| * 8", "| | * 7", "|_|/"], id="what comes later stays open"),
    ],
)
def test_lanes_part_and_join(commits: list[tuple[int, ...]], shown: list[str]) -> None:
    assert [line for line in drawn(*commits) if not line.endswith("-")] == shown


def test_a_lane_keeps_its_place_beside_what_is_said() -> None:
    assert drawn((9, 5), (8, 5), (5,)) == ["* 9", "| -", "| * 8", "| | -", "|/", "* 5", "  -"]
