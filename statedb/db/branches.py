"""Branches: made, found, ended. To make one is a row, however much there is: what it sees lies beneath it already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, case, func, insert, select, update

from statedb.db import journal
from statedb.db.deeds import Deed
from statedb.db.lineage import Line, line_by_id, name_of
from statedb.db.statements import Row, Statement
from statedb.db.tables import MAIN, branches, state_commits, store_info
from statedb.db.tx import Tx
from statedb.errors import BranchExists, InvalidKey, NoSuchBranch
from statedb.models import Branch
from statedb.times import moment


@dataclass(frozen=True, slots=True)
class Making(Deed):
    """A branch that a transaction makes, before it is in the log."""

    branch: Branch


def make(tx: Tx, name: str, base: int | None) -> Branch:
    """Stage a branch of the one the transaction is on, seeing it as of a revision; None: of this commit."""
    if find(tx, name) is not None:
        raise BranchExists(f"there is a branch {name!r} already; give another name, or delete that one")
    made = Branch(
        id=tx.connection.new_id(branches),
        name=name,
        parent=name_of(tx.connection, tx.branch),
        base=base or 0,
        head=base or 0,
        created_at=moment(tx.now),
        created_by=tx.writing.actor,
    )

    def write(tx: Tx) -> None:
        seen = tx.revision if base is None else base
        row = {"name": name, "parent_id": tx.branch, "base": seen, "created_revision": tx.revision}
        tx.connection.run(_INSERT, {"id": made.id, **row})
        for field in ("base", "head"):
            object.__setattr__(made, field, seen)

    journal.do(tx, Making("branch", {"do": "branch", "name": name, "base": base}, write, made))
    return made


def end(tx: Tx, name: str) -> bool:
    """Stage the end of a branch; False where there is none. What it has written stays in the log."""
    row = find(tx, name)
    if row is None:
        return False
    if row[0] == MAIN:
        raise InvalidKey("main is the trunk, and cannot be deleted")

    def write(tx: Tx) -> None:
        tx.connection.run(_END, {"row": row[0], "ended_revision": tx.revision})

    journal.do(tx, Deed("branch", {"do": "end branch", "name": name}, write))
    return True


def find(tx: Tx, name: str) -> Row | None:
    """Return the row of a branch that has not ended, as this transaction leaves it; None where there is none."""
    for deed in reversed(tx.deeds):
        if deed.kind == "branch" and deed.said["name"] == name:
            return (deed.branch.id, name) if isinstance(deed, Making) else None
    return tx.db.one(_FIND, {"name": name})


def last_of(tx: Tx, name: str) -> int | None:
    """Return the newest branch that is, or was, called so; None where none ever was."""
    staged = [deed.branch.id for deed in tx.deeds if isinstance(deed, Making) and deed.branch.name == name]
    [[found]] = tx.db.all(_LAST, {"name": name})
    return staged[-1] if staged else found


def get(tx: Tx, name: str) -> Branch:
    """Return a branch. Raises NoSuchBranch."""
    row = tx.db.one(_FIND, {"name": name})
    if row is None:
        raise NoSuchBranch(f"there is no branch {name!r}; branches.list() names those there are")
    return _branch(tx, row)


def listed(tx: Tx) -> list[Branch]:
    """Return the branches that have not ended, in the order in which they were made."""
    return [_branch(tx, row) for row in tx.db.all(_ALL, {})]


def head_of(tx: Tx, line: Line) -> int:
    """Return the newest commit that a line sees, 0 where there is none."""
    for branch, top in line:
        row = tx.db.one(_NEWEST[branch == MAIN], {"branch": branch, "top": top})
        if row is not None and row[0] is not None:
            return int(row[0])
    return 0


def _branch(tx: Tx, row: Row) -> Branch:
    branch, name, parent, base, at, actor = row
    head = head_of(tx, line_by_id(tx.db, branch))
    return Branch(branch, name, parent, base, head, moment(at), actor)


_b, _p, _c = branches.c, branches.alias("p").c, state_commits.c
_made: Any = case((_b.id == MAIN, select(store_info.c.created_at).scalar_subquery()), else_=_c.at)
_listed = (
    select(_b.id, _b.name, _p.name, _b.base, _made, _c.actor)
    .select_from(
        branches.outerjoin(_p.id.table, _p.id == _b.parent_id).outerjoin(
            state_commits, _c.revision == _b.created_revision
        )
    )
    .where(_b.ended_revision.is_(None))
)
_ALL = Statement(_listed.order_by(_b.id))
_FIND = Statement(_listed.where(_b.name == bindparam("name")))
_LAST = Statement(select(func.max(_b.id)).where(_b.name == bindparam("name")))
_newest = select(_c.revision).where(_c.branch_id == bindparam("branch"), _c.revision <= bindparam("top"))
_of_branch = _newest.where(_c.branch_id > MAIN)
_NEWEST = {
    True: Statement(_newest.order_by(_c.revision.desc()).limit(1)),
    False: Statement(select(func.max(_of_branch.subquery().c.revision))),
}
_INSERT = Statement(
    insert(branches).values({name: bindparam(name) for name in ("id", "name", "parent_id", "base", "created_revision")})
)
_END = Statement(update(branches).where(_b.id == bindparam("row")).values(ended_revision=bindparam("ended_revision")))
