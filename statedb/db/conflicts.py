"""Conflicts that somebody is to settle: recorded, found, ended. Each is of one key, and a row with its three sides.

The log says of a side that is a version its number, and of any other the digest of its value, keyed as those of the
key's versions: so a value can be erased and no link breaks. The rows hold all values whole, whatever becomes of the
versions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from pydantic_core import from_json, to_json
from sqlalchemy import bindparam, insert, select, update

from statedb.db import journal
from statedb.db.deeds import Deed
from statedb.db.lineage import name_of
from statedb.db.pairs import select_pairs, told
from statedb.db.rows import agent_id_of
from statedb.db.statements import Row, Statement
from statedb.db.tables import agents, branches, conflict_sides, state_commits, state_conflicts
from statedb.db.tx import Tx
from statedb.errors import NoSuchConflict
from statedb.models import MISSING, UNAVAILABLE, Address, StateType
from statedb.times import moment
from statedb.values import codec
from statedb.values.arguments import LARGEST
from statedb.values.codec import NOTHING, Stored
from statedb.values.conflict import Conflict, Resolution, clashes_of, kind_of
from statedb.values.merge import Side


class Held(NamedTuple):
    """What one side holds: its value (MISSING: none), and the version that is, where it is one, on which branch."""

    value: Any = MISSING
    version: int | None = None
    branch: int | None = None
    revision: int | None = None


@dataclass(frozen=True, slots=True)
class Recording(Deed):
    """A conflict that a transaction records, before it is in the log."""

    conflict: Conflict


@dataclass(frozen=True, slots=True)
class Settling(Deed):
    """The end of a conflict, before it is in the log."""

    id: int
    resolution: Resolution


def stands(conflict: Conflict) -> Side:
    """Return the side whose value stood where the conflict was recorded."""
    return "theirs" if conflict.source is None else "ours"


# ---- recording and settling


def record(tx: Tx, at: Address, base: Held, ours: Held, theirs: Held, source: str | None = None) -> Conflict:
    """Stage a conflict; `source` is the branch that was merged, None for a write."""
    made = replace(found(tx, at, base, ours, theirs, source), id=tx.connection.new_id(state_conflicts))
    sides = {"base": base, "ours": ours, "theirs": theirs}
    said = {
        "do": "conflict",
        "id": made.id,
        "key": at,
        "kind": made.kind,
        "source": source,
        "sides": {side: _said(tx, at, held) for side, held in sides.items()},
    }
    journal.do(tx, Recording("conflict", said, lambda tx: _write(tx, made, sides), made))
    tx.outcomes.append(made)
    return made


def found(tx: Tx, at: Address, base: Held, ours: Held, theirs: Held, source: str | None = None) -> Conflict:
    """Return a conflict that is only shown: it has no id."""
    clashes = clashes_of(base.value, ours.value, theirs.value)
    return Conflict(
        id=None,
        branch=name_of(tx.connection, tx.branch),
        agent_id=at.agent_id,
        state_type=StateType(at.state_type),
        key=at.key,
        kind=kind_of(clashes),
        base=base.value,
        ours=ours.value,
        theirs=theirs.value,
        base_version=base.version,
        ours_version=ours.version,
        theirs_version=theirs.version,
        source=source,
        clashes=clashes,
        revision=0,
        at=moment(tx.now),
    )


def settle(tx: Tx, conflict: Conflict, value: Any, method: str) -> Resolution:
    """Stage the end of a conflict; the value itself is written by the caller."""
    assert conflict.id is not None, "only a conflict that was recorded can be settled"
    made = Resolution((conflict,), value, method, False, 0)
    at = Address(conflict.agent_id, conflict.state_type.value, conflict.key)
    said = {"do": "resolve", "id": conflict.id, "key": at, "method": method}
    journal.do(tx, Settling("conflict", said, _ending(conflict.id, made), conflict.id, made))
    tx.outcomes.append(made)
    return made


def _write(tx: Tx, made: Conflict, sides: dict[str, Held]) -> None:
    row = {
        "id": made.id,
        "branch_id": tx.branch,
        "agent_id": agent_id_of(tx, made.agent_id),
        "state_type": made.state_type.value,
        "state_key": made.key,
        "kind": made.kind,
        "source": made.source,
        "created_revision": tx.revision,
        "ended_revision": None,
        "resolution": None,
    }
    tx.connection.run(_INSERT, row)
    for side, held in sides.items():
        _write_side(tx, made.id, side, held)


def _ending(id: int, made: Resolution) -> Callable[[Tx], None]:
    def write(tx: Tx) -> None:
        said = to_json({"method": made.method, "requires_manual_review": made.requires_manual_review}).decode()
        tx.connection.run(_END, {"row": id, "ended_revision": tx.revision, "resolution": said})
        _write_side(tx, id, "settled", Held(made.value))

    return write


def _write_side(tx: Tx, id: int | None, side: str, held: Held) -> None:
    stored = NOTHING if held.value is MISSING else codec.encode(held.value, LARGEST).stored
    where = {"branch_id": held.branch, "version": held.version, "revision": held.revision}
    value = {"codec": stored.codec, "value": stored.text, "data": stored.data}
    tx.connection.run(_INSERT_SIDE, {"conflict_id": id, "side": side, **where, **value})


def _said(tx: Tx, at: Address, held: Held) -> dict[str, Any] | None:
    """Return what the log says of a side: its version, or the digest of a value that is none."""
    if held.version is not None:
        return {"branch": held.branch, "version": held.version}
    if held.value is MISSING:
        return None
    head = tx.head(at)
    assert head is not None, "there is no conflict about a key that never was"
    return {"digest": codec.digest(head.salt, codec.encode(held.value, LARGEST)).hex()}


# ---- finding


def get(tx: Tx, id: int) -> Conflict:
    """Return a conflict of the transaction's branch, settled or not. Raises NoSuchConflict."""
    staged = _staged(tx).get(id)
    if staged is not None:
        return _as_left(tx, staged)
    row = tx.db.one(_ONE, {"id": id, "top": _top(tx)})
    if row is None:
        raise NoSuchConflict(f"there is no conflict {id}; conflicts.list() names those there are")
    if row[1] != tx.branch:
        raise NoSuchConflict(f"conflict {id} is one of branch {row[2]}; ask for it there")
    return _as_left(tx, *_read(tx, [row]))


def by_id(tx: Tx, id: int) -> Conflict:
    """Return a conflict of any branch."""
    row = tx.db.one(_ONE, {"id": id, "top": LARGEST})
    assert row is not None, "a conflict has a row for ever"
    return _read(tx, [row])[0]


def listed(tx: Tx, resolved: bool | None, wanted: Callable[[Address], bool]) -> list[Conflict]:
    """Return the branch's conflicts whose keys are wanted, in the order recorded: open, settled, or (None) all."""
    open_now = resolved is False and tx.point is None
    rows = tx.db.all(_LISTED[open_now], {"branch": tx.branch, "top": _top(tx)})
    picked = _read(tx, [row for row in rows if wanted(Address(*row[3:6]))])
    staged = [each for each in _staged(tx).values() if wanted(Address(each.agent_id, each.state_type, each.key))]
    left = [_as_left(tx, each) for each in (*picked, *staged)]
    return [each for each in left if resolved is None or (each.resolution is not None) == resolved]


def _top(tx: Tx) -> int:
    return LARGEST if tx.point is None else tx.point.revision


def _staged(tx: Tx) -> dict[int | None, Conflict]:
    return {deed.conflict.id: deed.conflict for deed in tx.deeds if isinstance(deed, Recording)}


def _as_left(tx: Tx, conflict: Conflict) -> Conflict:
    """Return a conflict as this transaction leaves it."""
    ended = [deed.resolution for deed in tx.deeds if isinstance(deed, Settling) and deed.id == conflict.id]
    if not ended:
        return conflict
    left = replace(conflict, resolution=ended[0])
    if not conflict.revision:
        tx.outcomes.append(left)  # which learns its revision as the one it is a copy of does
    return left


def _read(tx: Tx, rows: list[Row]) -> list[Conflict]:
    """Return the conflicts of rows, with what their sides hold."""
    sides: dict[int, dict[str, tuple[int | None, Any]]] = {}
    if rows:
        for id, side, version, *stored in tx.db.all(_SIDES, {"wanted": told((row[0], 0) for row in rows)}):
            sides.setdefault(id, {})[side] = version, _shown(Stored(*stored))
    return [_conflict(tx, row, sides[row[0]]) for row in rows]


def _conflict(tx: Tx, row: Row, sides: dict[str, tuple[int | None, Any]]) -> Conflict:
    id, _, branch, agent, tier, key, kind, source, revision, at, ended, resolution = row
    values = {side: value for side, (_, value) in sides.items()}
    three = values["base"], values["ours"], values["theirs"]
    first, second, third = (sides[side][0] for side in ("base", "ours", "theirs"))
    # Worked out anew: what is kept is what was there, not how it was looked at.
    clashes = clashes_of(*three)
    of = StateType(tier)
    made = Conflict(
        id, branch, agent, of, key, kind, *three, first, second, third, source, clashes, revision, moment(at)
    )
    if ended is None or ended > _top(tx):
        return made
    how = from_json(resolution)
    settled = Resolution((made,), values["settled"], how["method"], how["requires_manual_review"], ended)
    return replace(made, resolution=settled)


def _shown(stored: Stored) -> Any:
    if stored.codec is None:
        return MISSING
    return UNAVAILABLE if stored.codec == codec.ERASED else codec.decode(stored)


# ---- statements

_x, _s, _b = state_conflicts.c, conflict_sides.c, branches.c


def _named(*names: str) -> dict[str, object]:
    return {name: bindparam(name) for name in names}


_ROW = ("id", "branch_id", "agent_id", "state_type", "state_key", "kind", "source", "created_revision")
_INSERT = Statement(insert(state_conflicts).values(_named(*_ROW, "ended_revision", "resolution")))
_INSERT_SIDE = Statement(
    insert(conflict_sides).values(
        _named("conflict_id", "side", "branch_id", "version", "revision", "codec", "value", "data")
    )
)
_END = Statement(
    update(state_conflicts).where(_x.id == bindparam("row")).values(_named("ended_revision", "resolution"))
)
_conflicts = select(
    _x.id,
    _x.branch_id,
    _b.name,
    agents.c.name,
    _x.state_type,
    _x.state_key,
    _x.kind,
    _x.source,
    _x.created_revision,
    state_commits.c.at,
    _x.ended_revision,
    _x.resolution,
).select_from(
    state_conflicts.join(branches, _b.id == _x.branch_id)
    .join(agents, agents.c.id == _x.agent_id)
    .join(state_commits, state_commits.c.revision == _x.created_revision)
)
_known = _conflicts.where(_x.created_revision <= bindparam("top"))
_ONE = Statement(_known.where(_x.id == bindparam("id")))
_all = _known.where(_x.branch_id == bindparam("branch")).order_by(_x.id)
_LISTED = {
    True: Statement(_all.where(_x.ended_revision.is_(None))),
    False: Statement(_all),
}
_wanted = select_pairs("wanted", "id", "unused").subquery("wanted")
_SIDES = Statement(
    select(_s.conflict_id, _s.side, _s.version, _s.codec, _s.value, _s.data).select_from(
        conflict_sides.join(_wanted, _wanted.c.id == _s.conflict_id)
    )
)
