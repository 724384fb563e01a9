"""Branches: lines of commits side by side, made from any point, compared and merged."""

from __future__ import annotations

from statedb.db import branches as rows
from statedb.db import cuts, differences
from statedb.db.context import Point
from statedb.db.lineage import line_of
from statedb.db.points import Named, checked, newest_point, resolve
from statedb.db.spans import Side
from statedb.db.tx import Tx
from statedb.models import Branch, Difference, Listing
from statedb.values.names import name as checked_name


def create(tx: Tx, name: str, *, at: Named | None = None, message: str | None = None) -> Branch:
    """Make a branch that sees this one as it was at a point, or as this commit leaves it, and writes only to itself.

    It costs the same however much there is. Raises BranchExists; the name of a deleted one may be used again.
    """
    called = checked_name(name, "the name of a branch")
    base = None if at is None else resolve(tx, checked(at)).revision
    tx.writing.say(message)
    return rows.make(tx, called, base)


def get(tx: Tx, name: str) -> Branch:
    """Return a branch. Raises NoSuchBranch."""
    return rows.get(tx, checked_name(name, "the name of a branch"))


def list(tx: Tx) -> Listing[Branch]:
    """Return the branches there are, the trunk first, then in the order in which they were made."""
    return Listing(rows.listed(tx))


def delete(tx: Tx, name: str, *, message: str | None = None) -> bool:
    """End a branch, merged or not; False where there is none. Its commits stay in the log, and so does what was merged.

    Branches made of it go on. Its name may be used again.
    """
    called = checked_name(name, "the name of a branch")
    ended = rows.end(tx, called)
    tx.writing.say(message if ended else None)
    return ended


def diff(
    tx: Tx, name: str, *, agent_id: str | None = None, at: Named | None = None, partial: bool = False
) -> Listing[Difference]:
    """Return the keys that hold something else on a branch, as it stands or at a point, than they do here.

    Sides are as in `history.changes`: what is here is old, what the branch has is new. The cost follows what was
    written on either since they parted.
    """
    of = None if agent_id is None else checked_name(agent_id, "agent_id")
    here = newest_point(tx)
    there = here if at is None else resolve(tx, checked(at))
    other = line_of(tx.db, checked_name(name, "the name of a branch"))
    missing = cuts.settle(
        [*cuts.below(tx.db, tx.line, here.revision, of), *cuts.below(tx.db, other, there.revision, of)],
        min(here.revision, there.revision),
        partial=partial,
    )
    known = set(missing)
    found = differences.across(tx, Side(tx.line, here), Side(other, Point(*there)), of)
    return Listing([each for each in found if (each.agent_id, each.state_type, each.key) not in known], missing)
