"""What a branch sees of those beneath it: keys it has no row of its own for, and the clocks of their sessions.

A head from beneath has no id here. Its version number and salt go on in the row that the branch's first write to it
makes; and its session's clock is the branch's own, once something has moved that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from statedb.db import heads
from statedb.db.heads import Head
from statedb.db.lineage import Level, upto
from statedb.db.sessions import PAST_SESSION, UNWRITTEN, Session, SessionName, session_name
from statedb.models import Address, StateType

if TYPE_CHECKING:
    from statedb.db.tx import Tx


def head(tx: Tx, at: Address) -> Head | None:
    """Return a key as the branch has inherited it, be it a tombstone or expired; None where there is none."""
    for level in tx.ancestors:
        row = tx.connection.one(heads.PAST_ONE, {**tx.where(at), "branch": level.branch, "revision": level.top})
        if row is not None:
            return adopted(tx, at.agent_id, at.state_type, tx.contents.heads([row])[0])
    return None


def adopted(tx: Tx, agent_id: str, state_type: str, beneath: Head, revision: int | None = None) -> Head:
    """Return a head read from beneath as the branch has it, now or as of a revision."""
    name = session_name(agent_id, beneath.key) if state_type == StateType.SESSION else None
    clock = None
    if name is not None:
        clock = tx.session(name) if revision is None else session(tx, name, upto(tx.line, revision))
    beneath.id, beneath.session_id, beneath.floor = None, None, 0
    if clock is not None:
        beneath.ttl, beneath.expires_at = clock.ttl, clock.expires_at
        beneath.session_id = UNWRITTEN if clock.id is None else clock.id
    if beneath.expires_at is not None and revision is None and tx.note is None:
        beneath.newest = tx.now
    return beneath


def session(tx: Tx, name: SessionName, levels: Iterable[Level]) -> Session | None:
    """Return a session's clock, from the nearest level that has it; it is not the branch's own yet."""
    for branch, top in levels:
        given = {"agent": name.agent_id, "name": name.name, "branch": branch, "revision": top}
        row = tx.connection.one(PAST_SESSION, given)
        if row is not None:
            return Session(name, None, *row)
    return None
