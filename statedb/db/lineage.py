"""The line a branch stands on: what it sees of itself and of each branch beneath it.

    main  1 ── 2 ── 3 ── 4 ── 9          the line of sub:  sub   whole
               └ lab  5 ── 6 ── 8                          lab   up to 6
                           └ sub  7                        main  up to 2

Whoever reads on a branch looks level by level, and the nearest level that has a key wins, be it a tombstone there. So
to make a branch costs the same however much there is, and what it costs to read follows how deep it is nested.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, bindparam, literal_column, select

from statedb.db.connection import Connection
from statedb.db.statements import Statement
from statedb.db.tables import MAIN, branches
from statedb.errors import NoSuchBranch
from statedb.values.arguments import LARGEST

TRUNK = "main"
"""The name of the branch every store has."""


class Level(NamedTuple):
    """A branch of a line, and the last revision that is seen of it."""

    branch: int
    top: int


Line = tuple[Level, ...]
"""The levels of a branch, its own first."""

MAIN_LINE: Line = (Level(MAIN, LARGEST),)


def line_of(db: Connection, name: str) -> Line:
    """Return the line of a branch that has not ended. Raises NoSuchBranch."""
    if name == TRUNK:
        return MAIN_LINE
    found = db.all(_LINE, {"name": name})
    if not found:
        raise NoSuchBranch(f"there is no branch {name!r}; store.branches.list() names those there are")
    return _line(found)


def line_by_id(db: Connection, branch: int) -> Line:
    """Return the line of a branch, be it ended."""
    return MAIN_LINE if branch == MAIN else _line(db.all(_LINE_BY_ID, {"branch": branch}))


def name_of(db: Connection, branch: int) -> str:
    """Return what a branch is called, or was."""
    if branch == MAIN:
        return TRUNK
    row = db.settled(_NAME, {"branch": branch})
    assert row is not None, "a branch has a row for ever"
    return str(row[0])


def upto(line: Line, revision: int) -> Iterator[Level]:
    """Yield the levels of a line as of a revision, nearest first."""
    return (Level(branch, min(top, revision)) for branch, top in line)


def _line(rows: Sequence[tuple[int, int]]) -> Line:
    levels, top = [], LARGEST
    for branch, base in rows:
        levels.append(Level(branch, top))
        top = min(top, base)
    return tuple(levels)


_b, _p = branches.c, branches.alias("p").c
_columns: tuple[Any, ...] = (_b.id, _b.parent_id, _b.base, literal_column("0").label("depth"))


def _upwards(first: ColumnElement[bool]) -> Statement:
    line = select(*_columns).where(first).cte("line", recursive=True)
    parents = select(_p.id, _p.parent_id, _p.base, line.c.depth + literal_column("1"))
    line = line.union_all(parents.select_from(line.join(_p.id.table, _p.id == line.c.parent_id)))
    return Statement(select(line.c.id, line.c.base).order_by(line.c.depth))


_NAME = Statement(select(_b.name).where(_b.id == bindparam("branch")))
_LINE = _upwards((_b.name == bindparam("name")) & _b.ended_revision.is_(None))
_LINE_BY_ID = _upwards(_b.id == bindparam("branch"))
