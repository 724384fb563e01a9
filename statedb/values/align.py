"""Which elements of two lists are the same ones: a longest common subsequence.

left   a b c d
right  x a c d      common: a, c and d, as the indexes (0, 1), (2, 2), (3, 3)
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterator, Sequence
from typing import Any

from pydantic_core import to_json

_MOST_PAIRS = 1_000_000
"""Pairs of equal elements that are looked at in long lists of few different elements, by and large."""


def tokens(elements: list[Any]) -> list[Hashable]:
    """Return what elements are recognised by: all of their text, in which 1, 1.0 and true differ."""
    return [to_json(each) for each in elements]


def common(left: Sequence[Hashable], right: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Return the indexes of a longest common subsequence.

    Hunt and Szymanski 1977: the longest rising chain among the pairs of equal elements, in O(pairs · log).
    """
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    end = 0
    while end < min(len(left), len(right)) - start and left[-1 - end] == right[-1 - end]:
        end += 1
    ends: list[int] = []  # ends[n]: the lowest right index at which a chain of n + 1 pairs can end
    chains: list[tuple[Any, ...]] = []  # the chain that does, as nested pairs (chain before, left, right)
    for i, j in _pairs(left[start : len(left) - end], right[start : len(right) - end]):
        n = bisect_left(ends, j)
        chain = (chains[n - 1] if n else None, i + start, j + start)
        # A slice of one or of none: the chain of this length is bettered, or a longer one begun.
        ends[n : n + 1], chains[n : n + 1] = [j], [chain]
    middle: list[tuple[int, int]] = []
    link = chains[-1] if chains else None
    while link is not None:
        middle.append((link[1], link[2]))
        link = link[0]
    head = [(i, i) for i in range(start)]
    tail = [(len(left) - n, len(right) - n) for n in range(end, 0, -1)]
    return head + middle[::-1] + tail


def _pairs(left: Sequence[Hashable], right: Sequence[Hashable]) -> Iterator[tuple[int, int]]:
    """Yield the indexes of equal elements, rising on the left and for each of those falling on the right.

    Where there are too many, the most frequent elements are paired near the diagonal only.
    """
    places: dict[Hashable, list[int]] = {each: [] for each in left}
    for j, each in enumerate(right):
        if each in places:
            places[each].append(j)
    reach = _reach(left, places)
    for i, each in enumerate(left):
        at, far = places[each], reach[each]
        yield from ((i, j) for j in reversed(at[bisect_left(at, i - far) : bisect_right(at, i + far)]))


def _reach(left: Sequence[Hashable], places: dict[Hashable, list[int]]) -> dict[Hashable, int]:
    """Return for each element how far from the diagonal it is paired, so that the pairs stay within bounds."""
    counts: dict[Hashable, int] = {}
    for each in left:
        counts[each] = counts.get(each, 0) + len(places[each])
    room, near = _MOST_PAIRS // 2, _MOST_PAIRS // (4 * max(1, len(left)))
    reach: dict[Hashable, int] = {}
    for each in sorted(counts, key=counts.__getitem__):
        room -= counts[each]
        reach[each] = near if room < 0 else _ANYWHERE
    return reach


_ANYWHERE = 2**62
