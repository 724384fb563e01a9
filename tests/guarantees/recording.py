"""Recordings of what a watcher received, over as many lives as it had, and the log it is held against."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any

from statedb import Address, Change, StateType

KINDS = frozenset({"create", "update", "delete", "expire"})
"""What a watch shows unless it is told otherwise."""


@dataclass(frozen=True)
class Filter:
    """What a watcher asked for, and what that means, said once more than in the store."""

    agent_id: str | None = None
    pattern: str = "*"
    state_type: str | None = None
    kinds: frozenset[str] = KINDS

    def covers(self, key: Address) -> bool:
        return (
            self.agent_id in (None, key.agent_id)
            and self.state_type in (None, key.state_type)
            and fnmatchcase(key.key, self.pattern)
        )

    def picks(self, change: Change) -> bool:
        return change.change in self.kinds and self.covers(at(change))


@dataclass(frozen=True)
class Marked:
    """A bookmark came: nothing the watcher asked for is to come up to this revision."""

    revision: int


@dataclass(frozen=True)
class Noted:
    """The watcher wrote down where it is; it goes on from there if it is killed."""

    revision: int


Item = Change | Marked | Noted
Values = Mapping[Address, Any]


@dataclass(frozen=True)
class Life:
    """What a watcher saw from its start to its end.

    It began after revision `since`, with what it was told of that point (`listing`) if it had to begin anew.
    `floor`: it ended since what it wanted had been cut, and was told so. `until`: it ended having been told to follow
    up to that revision. Otherwise it was killed.
    """

    since: int
    items: Sequence[Item] = ()
    listing: Values | None = None
    floor: int | None = None
    until: int | None = None

    @property
    def changes(self) -> list[Change]:
        return [item for item in self.items if isinstance(item, Change)]

    @property
    def cursor(self) -> int:
        """Return where it would go on."""
        return next((item.revision for item in reversed(self.items) if isinstance(item, Noted)), self.since)

    @property
    def reached(self) -> int:
        """Return the revision below which it has seen all: in that one it may have been killed."""
        if self.until is not None:
            return self.until + 1
        return max((item.revision for item in self.items), default=self.since)


@dataclass(frozen=True)
class Log:
    """All that a branch ever saw, in order, as the store told afterwards; its newest revision; how far it was cut."""

    changes: Sequence[Change]
    head: int
    floor: int = 0

    def between(self, since: int, before: int, wanted: Filter) -> list[Change]:
        """Return what a filter picks of the commits after one revision and before another."""
        first, last = bisect_right(self._revisions, since), bisect_left(self._revisions, before)
        return [each for each in self.changes[first:last] if wanted.picks(each)]

    @cached_property
    def _revisions(self) -> list[int]:
        return [each.revision for each in self.changes]

    def replay(self) -> Iterator[tuple[Change, dict[Address, Any]]]:
        """Yield each change with the values before it, made of nothing but the new values of all before it."""
        values: dict[Address, Any] = {}
        for change in self.changes:
            yield change, values
            if change.change in ("create", "update"):
                values[at(change)] = change.new_value
            elif change.change in ("delete", "expire"):
                values.pop(at(change), None)

    def values(self, revision: int) -> Values:
        """Return what stood at a revision, by the new values of all up to it."""
        upto = [each for each in self.changes if each.revision <= revision]
        last = {at(each): each for each in upto}
        return {where: each.new_value for where, each in last.items() if each.change in ("create", "update")}


def at(change: Change) -> Address:
    return Address(change.agent_id, change.state_type, change.key)


# ---- in files


def as_json(change: Change) -> dict[str, Any]:
    return {**asdict(change), "at": change.at.isoformat()}


def of_json(said: dict[str, Any]) -> Change:
    told = {**said, "state_type": StateType(said["state_type"]), "at": datetime.fromisoformat(said["at"])}
    return Change(**told)
