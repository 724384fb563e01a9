"""Which values a column may have: a few that are known, or all between two."""

from __future__ import annotations

from typing import Any, NamedTuple

from statedb.values.glob import above

MOST = 64
"""How many values are told one by one; of more it is told between which two they lie."""


class Extent(NamedTuple):
    """Values of one column, all texts or all whole numbers: `few` of them, or those from `low` to `high` inclusive.

    None for an end is no bound. Texts are in the order of their code points, which is that of their UTF-8.
    """

    few: frozenset[Any] | None = None
    low: Any = None
    high: Any = None

    @property
    def nothing(self) -> bool:
        """Whether there is no such value."""
        return self.few is not None and not self.few

    def meet(self, other: Extent) -> Extent:
        """Return the values in both."""
        if self.few is not None:
            return Extent(frozenset(filter(other._holds, self.few)))
        if other.few is not None:
            return other.meet(self)
        low = max((each for each in (self.low, other.low) if each is not None), default=None)
        high = min((each for each in (self.high, other.high) if each is not None), default=None)
        return Extent(None, low, high)

    def hull(self, other: Extent) -> Extent:
        """Return the values in either, and perhaps some between them."""
        if self.nothing or other.nothing:
            return other if self.nothing else self
        if self.few is not None and other.few is not None:
            return some(self.few | other.few)
        (low, high), (also_low, also_high) = self._ends(), other._ends()
        return Extent(
            None,
            None if low is None or also_low is None else min(low, also_low),
            None if high is None or also_high is None else max(high, also_high),
        )

    def _holds(self, value: Any) -> bool:
        if self.few is not None:
            return value in self.few
        return (self.low is None or self.low <= value) and (self.high is None or value <= self.high)

    def _ends(self) -> tuple[Any, Any]:
        return (self.low, self.high) if self.few is None else (min(self.few), max(self.few))


def some(values: frozenset[Any]) -> Extent:
    """Return some values; where they are too many, all that lie between the least and the greatest."""
    return Extent(values) if len(values) <= MOST else Extent(None, min(values), max(values))


def beginning(prefix: str) -> Extent:
    """Return the texts that begin with a prefix, and the one above them all."""
    return Extent(None, prefix, above(prefix))


ANY = Extent()
