"""Which commits a branch has taken in, and the newest that two branches share: the base of a merge.

    main  1 ── 2 ── 5 ─────── 8 ── 9        what a point has taken in is, of each branch, all up to some commit:
               └ lab  3 ── 4 ─┘└ 10         9 has main up to 9 and lab up to 4; 10 has lab up to 10 and main up to 8

So a point is known by one revision of each branch (a version vector), and what two points share by the lesser of each.
The base is the point among those that has all the others in it. There may be several, where two branches took in the
same two others by themselves (a criss-cross); then their own merge is the base, as in git's recursive strategy.
"""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import bindparam, func, literal_column, select

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
        self._vectors: dict[Tip, Vector] = {}
        self._lines: dict[int, Line] = {}

    def vector(self, tip: Tip) -> Vector:
        """Return what a commit has taken in, itself included."""
        found = self._vectors.get(tip)
        if found is None:
            found = {tip.branch: tip.revision}
            for parent in self._parents(tip):
                _take_in(found, self.vector(parent))
            self._vectors[tip] = found
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

    def _parents(self, tip: Tip) -> list[Tip]:
        """Return the commits of other branches that a branch has taken in by then: what it was made from, and merges.

        Of each the newest will do, since the older ones are in it.
        """
        beneath = self.tip(tuple(Level(*each) for each in self.line(tip.branch)[1:]))
        merges = self._tx.db.all(_MERGED, {"branch": tip.branch, "top": tip.revision})
        return [Tip(*row) for row in merges] + ([] if beneath is None else [beneath])


def _take_in(found: Vector, other: Vector) -> None:
    for branch, revision in other.items():
        found[branch] = max(found.get(branch, 0), revision)


_c, _p = state_commits.c, state_commits.alias("p").c
_MERGED = Statement(
    select(_p.branch_id, func.max(_p.revision))
    .join_from(state_commits, _p.revision.table, _p.revision == _c.merge_parent)
    # The sum keeps SQLite from the range of all commits up to `top`: there is an index of those that are merges.
    .where(
        _c.merge_parent.is_not(None),
        _c.branch_id == bindparam("branch"),
        _c.revision + literal_column("0") <= bindparam("top"),
    )
    .group_by(_p.branch_id)
)
