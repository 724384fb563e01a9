"""What retention has cut: the keys whose past is not all there, and the refusal that names them.

A key's floor is the first revision as of which it can be read. A reading that would have to look below it is refused,
or with `partial` leaves the key out and names it: never today's value, never a silent gap, by accident.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import bindparam, literal_column, select

from statedb.db.connection import Connection
from statedb.db.lineage import Line, upto
from statedb.db.statements import Statement
from statedb.db.tables import agent_states, agents
from statedb.errors import Compacted
from statedb.models import Address, StateType


class Cut(NamedTuple):
    """A key that cannot be read below its floor."""

    at: Address
    floor: int


def below(db: Connection, line: Line, revision: int, agent_id: str | None = None) -> list[Cut]:
    """Return the keys, of one agent or all, that cannot be read on a line as of a revision."""
    statement = _ALL if agent_id is None else _OF_AGENT
    return _found(db, statement, line, revision, {"agent": agent_id})


def in_range(db: Connection, line: Line, first: Address, high: str, revision: int) -> list[Cut]:
    """Return the keys, from the first up to but not including `high`, that cannot be read as of a revision."""
    given = {"agent": first.agent_id, "state_type": first.state_type, "low": first.key, "high": high}
    return _found(db, _IN_RANGE, line, revision, given)


def _found(db: Connection, statement: Statement, line: Line, revision: int, given: dict[str, Any]) -> list[Cut]:
    rows = (
        row
        for level in upto(line, revision)
        for row in db.all(statement, {**given, "branch": level.branch, "revision": level.top})
    )
    return [_cut(*row) for row in rows]


def settle(found: Iterable[Cut], revision: int, *, partial: bool) -> tuple[Address, ...]:
    """Return the names of what was cut, to go with a partial answer; raise Compacted where none was asked for."""
    cuts = list(found)
    if cuts and not partial:
        raise refusal(cuts, revision)
    return tuple(cut.at for cut in cuts)


def refusal(cuts: list[Cut], revision: int) -> Compacted:
    """Return the refusal to read keys below their floors."""
    floor = max(cut.floor for cut in cuts)
    at = cuts[0].at
    more = f" and {len(cuts) - 1:,} more" if len(cuts) > 1 else ""
    return Compacted(
        f"what {at.key} ({at.state_type} of {at.agent_id}){more} was at revision {revision} lies below what retention "
        f"kept; the first revision that can be read is {floor}",
        floor=floor,
        missing=tuple(cut.at for cut in cuts),
    )


def _cut(agent: str, state_type: str, key: str, floor: int) -> Cut:
    return Cut(Address(agent, StateType(state_type), key), floor)


_s, _a = agent_states.c, agents.c
_cut_keys = (
    select(_a.name, _s.state_type, _s.state_key, _s.floor)
    .select_from(agent_states.join(agents, _a.id == _s.agent_id))
    .where(_s.floor > bindparam("revision"))
    .order_by(_a.name, _s.state_type, _s.state_key)
)
# That it is above zero is said as well: then the few keys that were cut are found by an index that holds no others. The
# sum keeps SQLite from the index that begins with the branch, by which it would look at every key: 11 ms at 100,000.
_everywhere = _cut_keys.where(_s.floor > literal_column("0"), _s.branch_id + literal_column("0") == bindparam("branch"))
_ALL = Statement(_everywhere)
_OF_AGENT = Statement(_everywhere.where(_a.name == bindparam("agent")))
# By that very index here: the keys of a range are few beside all that were cut, and are read next anyway.
_IN_RANGE = Statement(
    _cut_keys.where(
        _a.name == bindparam("agent"),
        _s.branch_id == bindparam("branch"),
        _s.state_type == bindparam("state_type"),
        _s.state_key >= bindparam("low"),
        _s.state_key < bindparam("high"),
    )
)
