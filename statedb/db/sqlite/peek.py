"""Names that stand in a store's file, read without opening the store: nothing is made, upgraded or waited for long."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Select, bindparam, select

from statedb.db.migrate import HEAD
from statedb.db.sqlite.connection import DIALECT
from statedb.db.sqlite.opening import version_of
from statedb.db.statements import Parameters, Statement
from statedb.db.tables import MAIN, agent_states
from statedb.db.tables import agents as agents_table
from statedb.values.glob import above

_PATIENCE = 0.2
"""Seconds to wait for a lock: somebody has pressed a key and looks at the terminal."""


def agents(path: str, prefix: str, limit: int) -> list[str]:
    """Return the agents whose names begin with a prefix, at most `limit`."""
    return _names(path, _AGENTS, prefix, {"limit": limit})


def keys(path: str, agent_id: str, state_type: str, prefix: str, limit: int) -> list[str]:
    """Return the keys that begin with a prefix and hold a value, expired or not, at most `limit`."""
    return _names(path, _KEYS, prefix, {"agent": agent_id, "state_type": state_type, "limit": limit})


def _names(path: str, statement: Statement, prefix: str, given: Parameters) -> list[str]:
    text, order = statement.on(DIALECT)
    with _peeking(path) as raw:
        if version_of(raw) != HEAD:
            return []
        return [name for (name,) in raw.execute(text, order({**given, "low": prefix, "high": above(prefix)}))]


@contextmanager
def _peeking(path: str) -> Iterator[sqlite3.Connection]:
    # A reading connection leaves a log and its index behind where there were none, unless it is told that nobody
    # writes. Where somebody begins to at this very moment a name may be missing, the better end of the bargain.
    mode = "mode=ro" if os.path.exists(f"{path}-wal") else "mode=ro&immutable=1"
    raw = sqlite3.connect(f"{Path(path).absolute().as_uri()}?{mode}", uri=True, timeout=_PATIENCE)
    try:
        yield raw
    finally:
        raw.close()


def _in_range(found: Select[str]) -> Statement:
    column = found.selected_columns[0]
    return Statement(
        found.where(column >= bindparam("low"), column < bindparam("high")).order_by(column).limit(bindparam("limit"))
    )


_s, _a = agent_states.c, agents_table.c
_AGENTS = _in_range(select(_a.name))
_KEYS = _in_range(
    select(_s.state_key)
    .select_from(agent_states.join(agents_table, _s.agent_id == _a.id))
    .where(
        _a.name == bindparam("agent"),
        _s.branch_id == MAIN,
        _s.state_type == bindparam("state_type"),
        _s.codec.is_not(None),
    )
)
