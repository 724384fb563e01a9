"""Which commits a branch has taken in, and the newest that two branches share: the base of a merge.

    main  1 ── 2 ── 5 ─────── 8 ── 9        what a point has taken in is, of each branch, all up to some commit:
               └ lab  3 ── 4 ─┘└ 10         9 has main up to 9 and lab up to 4; 10 has lab up to 10 and main up to 8

So a point is known by one revision of each branch (a version vector), and what two points share by the lesser of each.
The base is the point among those that has all the others in it. There may be several, where two branches took in the
same two others by themselves (a criss-cross); then their own merge is the base, as in git's recursive strategy.
"""

from __future__ import annotations

from bisect import bisect_right
from operator import itemgetter
from typing import NamedTuple

from sqlalchemy import literal_column, select

from statedb.db.branches import head_of
from statedb.db.lineage import Level, Line, line_by_id
from statedb.db.spans import Span
from statedb.db.statements import Statement
from statedb.db.tables import state_commits
from statedb.db.tx import Tx

Vector = dict[int, int]
"""Of each branch, by id, the newest commit of its own that has been taken in."""


class Tip(NamedTuple):
    """A commit, and the branch it belongs to."""

    branch: int
    revision: int


class Ancestry:
    """What points have taken in, as one transaction sees it; asked once of each."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._lines: dict[int, Line] = {}
        self._taken: dict[int, list[tuple[int, Vector]]] = {}
        self._is_read = False

    def vector(self, tip: Tip) -> Vector:
        """Return what a commit has taken in, itself included."""
        if not self._is_read:
            self._read()
        taken = self._taken_by(tip.branch)
        found = dict(taken[bisect_right(taken, tip.revision, key=itemgetter(0)) - 1][1])
        found[tip.branch] = tip.revision
        return found

    def shared(self, one: Tip, other: Tip | None) -> Vector:
        """Return what two commits have both taken in; None has taken in nothing."""
        if other is None:
            return {}
        a, b = self.vector(one), self.vector(other)
        return {branch: min(a[branch], b[branch]) for branch in a.keys() & b.keys()}

    def bases(self, one: Tip, other: Tip) -> list[Tip]:
        """Return the newest commits that two have both taken in, as a rule one; none is among another's."""
        shared = self.shared(one, other)
        tips = sorted((Tip(*each) for each in shared.items()), key=lambda tip: -tip.revision)
        found: list[Tip] = []
        for tip in tips:
            if not any(self.vector(newer).get(tip.branch, 0) >= tip.revision for newer in found):
                found.append(tip)
        return found

    def since_parted(self, one: Tip, other: Tip | None) -> list[Span]:
        """Return the commits among which is all by which the first may differ from the base of both.

        Those it has taken in since the last of its own line that the other knows: what a merge brought in with it is
        among them even where it was settled for the branch's own value, and so no version tells of it.
        """
        shared = self.shared(one, other)
        known: Vector = {}
        for branch, top in self.line(one.branch):
            if (revision := min(shared.get(branch, 0), top)) > 0:
                known = self.vector(Tip(branch, revision))
                break
        mine = self.vector(one)
        return [Span(branch, known.get(branch, 0), top) for branch, top in sorted(mine.items())]

    def line(self, branch: int) -> Line:
        """Return the line of a branch."""
        if branch not in self._lines:
            self._lines[branch] = line_by_id(self._tx.db, branch)
        return self._lines[branch]

    def tip(self, line: Line) -> Tip | None:
        """Return the newest commit that a line sees, None for an empty log."""
        for level in line:
            revision = head_of(self._tx, (level,))
            if revision:
                return Tip(level.branch, revision)
        return None

    # Oldest first, so that what a merge took in is known by then. Asking each commit for its parents, and those for
    # theirs, went as deep as two branches had merged with each other: the 200th such merge took 70 ms.

    def _read(self) -> None:
        """Note of each branch what its merges have taken in, and when."""
        self._is_read = True
        for branch, revision, *other in self._tx.db.all(_MERGES, {}):
            taken = self._taken_by(branch)
            found = dict(taken[-1][1])
            _take_in(found, self.vector(Tip(*other)))
            taken.append((revision, found))

    def _taken_by(self, branch: int) -> list[tuple[int, Vector]]:
        """Return what a branch has taken in of others since when; from the first, what it was made from."""
        if branch not in self._taken:
            beneath = self.tip(tuple(Level(*each) for each in self.line(branch)[1:]))
            self._taken[branch] = [(0, {} if beneath is None else self.vector(beneath))]
        return self._taken[branch]


def _take_in(found: Vector, other: Vector) -> None:
    for branch, revision in other.items():
        found[branch] = max(found.get(branch, 0), revision)


_c, _p = state_commits.c, state_commits.alias("p").c
_MERGES = Statement(
    select(_c.branch_id, _c.revision, _p.branch_id, _p.revision)
    .join_from(state_commits, _p.revision.table, _p.revision == _c.merge_parent)
    .where(_c.merge_parent.is_not(None))
    .order_by(_c.revision + literal_column("0"))
)
"""The merges there are. The sum keeps SQLite from walking all commits in their order: the merges have an index."""
