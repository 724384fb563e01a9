"""Branches as a graph of their commits: which of those that are shown leads to which, and where each branch ends."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from statedb.cli.terminal.graph import Lanes
from statedb.cli.terminal.marks import Line
from statedb.models import Branch, Commit

Names = Mapping[int, Sequence[str]]
"""The branches that stand at a commit."""


class Forest:
    """Some commits, newest first, `branch` their line or None for those of every branch.

    `made_on` has the parents of all that were looked at: where only some of those are shown, lanes pass by the others.
    `living` are the branches there are.
    """

    def __init__(
        self,
        shown: Sequence[Commit],
        made_on: Mapping[int, int | None],
        branch: str | None,
        living: Iterable[Branch] = (),
    ) -> None:
        self._shown, self._made_on = shown, made_on
        self._revisions = {each.revision for each in shown}
        self._last = min(self._revisions, default=0)
        self._living = {each.name: each for each in living}
        self._of_branch = defaultdict(list)
        for each in shown:
            self._of_branch[each.branch].append(each.revision)
        self._parents = {each.revision: list(self._parents_of(each)) for each in shown}
        self._names = self._heads() if branch is None else {each.revision: [branch] for each in shown[:1]}

    def lines(self, block: Callable[[Commit, Sequence[str]], Iterable[Line]]) -> Iterator[Line]:
        """Yield the graph with block(commit, names of the branches there) beside it."""
        lanes = Lanes()
        for each in self._shown:
            first, more, below = lanes.draw(each.revision, self._parents[each.revision])
            for at, line in enumerate(block(each, self._names.get(each.revision, ()))):
                yield [*(more if at else first), *line]
            yield from below

    # ---- inside

    def _parents_of(self, commit: Commit) -> Iterator[int]:
        first = self._nearest(commit.parent)
        if first is not None and first not in self._revisions and first >= self._last:
            first = self._passing(commit.branch, first)
        if first is not None:
            yield first
        other = self._nearest(commit.merged)
        if other in self._revisions and first is not None and other != first:
            yield other

    def _nearest(self, revision: int | None) -> int | None:
        """Return the commit itself or the nearest before it that is shown, as far as its line is known."""
        while revision is not None and revision in self._made_on and revision not in self._revisions:
            revision = self._made_on[revision]
        return revision

    def _passing(self, branch: str, top: int) -> int | None:
        """Return the nearest commit of a branch's line that is shown, where the library left out what is between."""
        while True:
            for each in self._of_branch[branch]:
                if each <= top:
                    return each
            # Of a branch that has ended nobody says what it was made from: its lane just ends.
            beneath = self._living.get(branch)
            if beneath is None or beneath.parent is None:
                return None
            branch, top = beneath.parent, min(top, beneath.base)

    def _heads(self) -> Names:
        """Return the names of branches by the commits at which they stand; none where there is but one branch."""
        found: dict[int, list[str]] = defaultdict(list)
        for head in self._living.values():
            found[head.head].append(head.name)
        branch = {each.revision: each.branch for each in self._shown}
        first = {own: parents[0] for own, parents in self._parents.items() if parents}
        inner = {parent for own, parent in first.items() if branch.get(parent) == branch[own]}
        for each in self._shown:
            if each.revision not in inner and each.branch not in found[each.revision]:
                found[each.revision].append(each.branch)
        return found if len({name for names in found.values() for name in names}) > 1 else {}
