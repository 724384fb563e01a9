"""What a process knows of automatic checkpoints: who has a policy, and whom to wake when one falls due."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple


class Tally(NamedTuple):
    """Changes counted since a revision, up to the commit that has this hash, and when the first of them was made."""

    since: int
    upto: int
    hash: bytes | None
    number: int
    first: int | None


class Schedule:
    """Policies as of the newest change of any, so that a write asks the database for none of them."""

    def __init__(self) -> None:
        self._known: tuple[int, Mapping[Any, Any]] = 0, {}
        self.tallies: dict[Any, Tally] = {}
        self.alarm: Callable[[int], object] | None = None
        """Called with the time, in microseconds, at which a checkpoint falls due that nobody may be there to make."""
        self.lines: set[str] = set()
        """The branches beside the trunk on which one may."""

    def policies(self, stamp: int, read: Callable[[], Mapping[Any, Any]]) -> Mapping[Any, Any]:
        """Return the policies as of a revision, the newest that changed any; `read` fetches them if need be."""
        known, found = self._known
        if known != stamp:
            found = read()
            self._known = stamp, found
        return found
