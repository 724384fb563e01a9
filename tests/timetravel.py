"""Branches in plain Python: every commit keeps a copy of all a branch holds, and a merge base is sought among them all.

A commit knows its parents, the later one first only where it was merged; a branch is the row of commits it sees, its
parent's up to where it was forked included. Whatever a store may work out of numbers is found here by looking.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from statedb import MISSING
from statedb.values.merge import merge
from statedb.values.same import alike, same

Where = tuple[str, str, str]
Held = dict[Where, Any]
"""What a branch holds; a key that holds nothing is not there."""
Strategy = Literal["merge", "ours", "theirs"] | Callable[[Any, Any, Any], Any]

TRUNK = "main"


@dataclass(frozen=True)
class Node:
    """A commit: all that its branch held then, and the keys it made a version of."""

    revision: int
    at: int
    parents: tuple[int, ...]
    held: Held
    wrote: frozenset[Where]


class Mark(NamedTuple):
    """A checkpoint: the revision it names, and the id of the branch it was made on."""

    revision: int
    line: int


Marks = dict[tuple[str, str | None], Mark]
"""Checkpoints by name and agent."""


@dataclass
class Line:
    """A branch: the revisions of the commits it sees, oldest first, and its checkpoints, all of them at each change."""

    id: int
    seen: list[int] = field(default_factory=lambda: [0])
    marked: list[tuple[int, Marks]] = field(default_factory=lambda: [(0, {})])

    @property
    def tip(self) -> int:
        return self.seen[-1]

    @property
    def marks(self) -> Marks:
        return self.marked[-1][1]

    def as_of(self, revision: int) -> int:
        """Return the newest commit seen by then."""
        return self.seen[bisect_right(self.seen, revision) - 1]

    def meant(self, mark: str, agent: str | None) -> tuple[int, str | None] | None:
        """Return the revision a name means and the agent it is about; None where it means nothing, or several things.

        An agent's own comes first, then the store's; where no agent is told, the only one's who has it will do.
        """
        for whose in (agent, None):
            if (mark, whose) in self.marks:
                return self.marks[mark, whose].revision, agent
        having = [whose for each, whose in self.marks if each == mark]
        return (self.marks[mark, having[0]].revision, having[0]) if agent is None and len(having) == 1 else None


@dataclass
class Merging:
    """What a merge is to bring about, by key: any of these values, one for each merge base; and what is in conflict."""

    values: dict[Where, list[Any]] = field(default_factory=dict)
    clashing: list[set[Where]] = field(default_factory=list)


class Model:
    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {0: Node(0, 0, (), {}, frozenset())}
        self.lines: dict[str, Line] = {TRUNK: Line(1)}
        self.ids = {1}

    # ---- reading

    def now(self, name: str) -> Held:
        return self.nodes[self.lines[name].tip].held

    def at(self, name: str, revision: int) -> Held:
        return self.nodes[self.lines[name].as_of(revision)].held

    def versions(self, name: str, where: Where, revision: int | None = None) -> list[tuple[int, Any]]:
        """Return the revisions that made versions of a key, oldest first, and what each held."""
        seen = [each for each in self.lines[name].seen if revision is None or each <= revision]
        return [(each, self.nodes[each].held.get(where, MISSING)) for each in seen if where in self.nodes[each].wrote]

    def ancestors(self, revision: int) -> set[int]:
        """Return a commit and all it came from."""
        found, pending = set[int](), [revision]
        while pending:
            each = pending.pop()
            if each not in found:
                found.add(each)
                pending += self.nodes[each].parents
        return found

    def bases(self, a: int, b: int) -> list[int]:
        """Return the common ancestors of two commits that are no other common ancestor's ancestors."""
        common = self.ancestors(a) & self.ancestors(b)
        return sorted(each for each in common if not any(each in self.ancestors(n) for n in common if n != each))

    # ---- what a change would be

    def difference(self, old: Held, new: Held) -> Held:
        """Return what keys hold that differ, MISSING where they hold nothing any more."""
        changed = {where for where in old.keys() | new.keys() if not held_same(old, new, where)}
        return {where: new.get(where, MISSING) for where in sorted(changed)}

    def merging(self, source: str, into: str, how: Strategy) -> Merging:
        theirs, ours = self.lines[source].tip, self.lines[into].tip
        found = Merging()
        for base in self.bases(ours, theirs):
            sides = [self.nodes[each].held for each in (base, ours, theirs)]
            clashing = set[Where]()
            for where in sorted(set[Where]().union(*sides)):
                was, mine, yours = (side.get(where, MISSING) for side in sides)
                value, clash = settled(was, mine, yours, how)
                found.values.setdefault(where, []).append(value)
                clashing |= {where} if clash else set()
            found.clashing.append(clashing)
        return found

    # ---- writing

    def commit(self, name: str, revision: int, at: int, changes: Held, merged: Iterable[int] = ()) -> None:
        line = self.lines[name]
        held = {where: value for where, value in {**self.now(name), **changes}.items() if value is not MISSING}
        self.nodes[revision] = Node(revision, at, (line.tip, *merged), held, frozenset(changes))
        line.seen.append(revision)

    def fork(self, name: str, parent: str, revision: int, id: int) -> None:
        assert id not in self.ids, "an id is never used again"
        self.ids.add(id)
        line = self.lines[parent]
        seen = [each for each in line.seen if each <= revision]
        self.lines[name] = Line(id, seen, [each for each in line.marked if each[0] <= revision])

    def drop(self, name: str) -> None:
        del self.lines[name]


def held_same(a: Held, b: Held, where: Where) -> bool:
    return same(a.get(where, MISSING), b.get(where, MISSING))


def held_alike(a: Any, b: Any) -> bool:
    """Tell whether two values are the same but for the order of members, which a merge may choose."""
    return a is b or (MISSING not in (a, b) and alike(a, b))


def settled(base: Any, ours: Any, theirs: Any, how: Strategy) -> tuple[Any, bool]:
    """Return what a key is to hold, and whether the sides are in conflict that nothing settles."""
    if how == "merge":
        found = merge(base, ours, theirs)
        return ours if found.conflicts else found.value, bool(found.conflicts)
    if callable(how):
        found = merge(base, ours, theirs)
        return how(base, ours, theirs) if found.conflicts else found.value, False
    return merge(base, ours, theirs, prefer=how).value, False
