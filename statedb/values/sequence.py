"""Three versions of a list, cut into runs of elements that each came from one side: diff3.

base     a b c d
ours     a x c d        runs: a · b to x, by ours · c · d to nothing, by theirs
theirs   a b c          merged: a x c
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from statedb.values.align import common, tokens

Tokens = Sequence[Hashable]


class Run(NamedTuple):
    """What lies at one place in each of the three, and whose is taken; None where both changed it, and differently."""

    base: slice
    ours: slice
    theirs: slice
    taken: Literal["ours", "theirs"] | None


def runs(base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Run] | None:
    """Return the runs of which a merge is made, in order; None where the lists are in each other's way as a whole.

    That is so where no element stands in all three of them, and where one side moved what the other moved elsewhere or
    took away: to diff3 (and to git) a move is a removal and an addition that have nothing to do with each other, and it
    would double the element, or bring back what was removed, without a word.
    """
    sides = tokens(base), tokens(ours), tokens(theirs)
    found = list(_runs(*sides))
    return found if len(found) > 1 and _adds_up(found, *sides) else None


def _runs(base: Tokens, ours: Tokens, theirs: Tokens) -> Iterator[Run]:
    """Yield what lies between the elements that stand in all three, and those."""
    mine, others = dict(common(base, ours)), dict(common(base, theirs))
    i = j = k = 0
    for at in [*(n for n in mine if n in others), len(base)]:
        until = mine.get(at, len(ours)), others.get(at, len(theirs))
        between = slice(i, at), slice(j, until[0]), slice(k, until[1])
        if (i, j, k) != (at, *until):
            yield Run(*between, _taken(base[between[0]], ours[between[1]], theirs[between[2]]))
        i, j, k = at + 1, until[0] + 1, until[1] + 1
        if at < len(base):
            yield Run(slice(at, i), slice(j - 1, j), slice(k - 1, k), "theirs")


def _taken(base: Tokens, ours: Tokens, theirs: Tokens) -> Literal["ours", "theirs"] | None:
    if ours in (base, theirs):
        return "theirs"
    return "ours" if theirs == base else None


def _adds_up(found: list[Run], base: Tokens, ours: Tokens, theirs: Tokens) -> bool:
    """Tell whether each element comes out as often as the two sides make it, whichever of them stands in open runs."""
    taken: Counter[Hashable] = Counter()
    in_ours: Counter[Hashable] = Counter()
    in_theirs: Counter[Hashable] = Counter()
    for run in found:
        if run.taken != "theirs":
            (in_ours if run.taken is None else taken).update(ours[run.ours])
        if run.taken != "ours":
            (in_theirs if run.taken is None else taken).update(theirs[run.theirs])
    b, o, t = Counter(base), Counter(ours), Counter(theirs)
    if in_ours or in_theirs:
        either = taken + (in_ours | in_theirs)
        return all(count <= _most(b[each], o[each], t[each]) for each, count in either.items())
    return all(_fits(taken[each], b[each], o[each], t[each]) for each in b | o | t)


def _most(base: int, ours: int, theirs: int) -> int:
    """Return how often an element may come out where something is left open."""
    return max(ours, theirs, ours + theirs - base)


def _fits(count: int, base: int, ours: int, theirs: int) -> bool:
    """Tell whether that is how often an element may come out: as often as in the one side that changed how often."""
    if ours == base:
        return count == theirs
    return count == ours if theirs == base else count <= _most(base, ours, theirs)
