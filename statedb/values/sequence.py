"""Three versions of a list, cut into runs of elements that each came from one side.

    base     a b c d
    ours     a x c d        runs: a · b to x, by ours · c · d to nothing, by theirs
    theirs   a b c          merged: a x c

This is diff3, which git merges lines by, but that elements taken away and put in beside each other are no conflict.
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

    That is so where they have nothing in common, and where one side moved what the other moved elsewhere or took away:
    to diff3 (and to git) a move is a removal and an addition that have nothing to do with each other, and it would
    double the element, or bring back what was removed, without a word.
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
        if (i, j, k) != (at, *until):
            run = Run(slice(i, at), slice(j, until[0]), slice(k, until[1]), None)
            put = _put(mine, run.base, run.ours), _put(others, run.base, run.theirs)
            if put[0] is not None and put[1] is not None and put[0].keys().isdisjoint(put[1]):
                yield from _apart(run, mine, others, put[0], put[1])
            else:
                yield run._replace(taken=_taken(base[run.base], ours[run.ours], theirs[run.theirs]))
        i, j, k = at + 1, until[0] + 1, until[1] + 1
        if at < len(base):
            yield Run(slice(at, i), slice(j - 1, j), slice(k - 1, k), "theirs")


def _put(kept: dict[int, int], part: slice, side: slice) -> dict[int, slice] | None:
    """Return what a side put before which elements of a part of the base; None where it put it in place of others."""
    found: dict[int, slice] = {}
    following, j = part.start, side.start
    for n in [*(n for n in range(part.start, part.stop) if n in kept), part.stop]:
        until = side.stop if n == part.stop else kept[n]
        if j < until:
            if n != following:
                return None
            found[n] = slice(j, until)
        following, j = n + 1, until + 1
    return found


def _apart(
    run: Run, mine: dict[int, int], others: dict[int, int], ours: dict[int, slice], theirs: dict[int, slice]
) -> Iterator[Run]:
    """Yield the parts of a run in which each side took elements away or put some beside others: all of that is done.

    To diff3 they are neighbours, and so in conflict. But nothing was changed twice: lists merged by id take both too,
    and without it nobody could undo an append once there was another after it.
    """
    j, k = run.ours.start, run.theirs.start
    for n in range(run.base.start, run.base.stop + 1):
        if n in ours or n in theirs:
            put = ours.get(n, slice(j, j)), theirs.get(n, slice(k, k))
            yield Run(slice(n, n), *put, "ours" if n in ours else "theirs")
            j, k = put[0].stop, put[1].stop
        if n < run.base.stop:
            left = slice(j, j + (n in mine)), slice(k, k + (n in others))
            yield Run(slice(n, n + 1), *left, "theirs" if n in mine else "ours")
            j, k = left[0].stop, left[1].stop


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
