"""A graph of commits, newest first, beside whatever is said of each: a lane for each line of them.

    * 9     a merge
    |\\
    | * 8   taken in by it
    * | 7
    |/
    * 5     where both began
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from statedb.cli.terminal.marks import Line

_STYLES = ("", "cyan", "magenta", "yellow", "green", "blue")


class Drawn(NamedTuple):
    """What stands left of a commit, left of each further line about it, and in lines of their own below those."""

    first: Line
    more: Line
    below: list[Line]


class Lanes:
    """The lanes that are open, from left to right: each waits for the commit it leads to."""

    def __init__(self) -> None:
        self._awaited: list[int] = []

    def draw(self, commit: int, parents: Sequence[int]) -> Drawn:
        """Draw a commit, whose parents come later; one that never comes leaves its lane open to the end."""
        if commit not in self._awaited:
            self._awaited.append(commit)
        lane = self._awaited.index(commit)
        first = self._row({lane: "*"})
        more = self._row({} if parents else {lane: " "})
        return Drawn(first, more, self._lead_on(lane, parents))

    # ---- inside

    def _lead_on(self, lane: int, parents: Sequence[int]) -> list[Line]:
        """Let a lane wait for the parents of the commit it had waited for; return the lines that draw it."""
        below = []
        if parents:
            self._awaited[lane] = parents[0]
        else:
            del self._awaited[lane]
            if lane < len(self._awaited):
                below.append(_line(_upright(lane) | self._shifted(lane, "/", -1, 1)))
        for at, each in enumerate(parents[1:], lane + 1):
            below.append(_line(_upright(at) | {2 * at - 1: ("\\", at)} | self._shifted(at, "\\", 1, 0)))
            self._awaited.insert(at, each)
        while (twins := self._twins()) is not None:
            below.append(self._joined(*twins))
        return below

    def _twins(self) -> tuple[int, int] | None:
        """Return two lanes that lead to one commit, None where there are none."""
        for right, each in enumerate(self._awaited):
            if (left := self._awaited.index(each)) < right:
                return left, right
        return None

    def _joined(self, left: int, right: int) -> Line:
        """Let a lane end in one on its left, beneath those between them."""
        marks = _upright(right) | {2 * at - 1: ("_", right) for at in range(left + 1, right)}
        del self._awaited[right]
        return _line(marks | {2 * right - 1: ("/", right)} | self._shifted(right, "/", -1, 1))

    def _shifted(self, lane: int, mark: str, by: int, of: int) -> dict[int, tuple[str, int]]:
        """Return the marks of the lanes from one on, each of which moves to its side; `of` have gone before them."""
        return {2 * (at + of) + by: (mark, at + of) for at in range(lane, len(self._awaited))}

    def _row(self, marked: Mapping[int, str]) -> Line:
        parts = [(marked.get(at, "|"), at) for at in range(len(self._awaited))]
        return [(f"{mark} ", _style(at)) for mark, at in parts]


def _upright(lanes: int) -> dict[int, tuple[str, int]]:
    return {2 * at: ("|", at) for at in range(lanes)}


def _line(marks: Mapping[int, tuple[str, int]]) -> Line:
    """Return a line of marks by their columns."""
    return [(mark, _style(at)) for mark, at in (marks.get(each, (" ", 0)) for each in range(max(marks) + 1))]


def _style(lane: int) -> str:
    return _STYLES[lane % len(_STYLES)]
