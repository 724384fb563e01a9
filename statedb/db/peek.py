"""What stands at a place, looked at without opening a store: nothing is made, upgraded or waited for long."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Select, bindparam, select

from statedb.config import Settings
from statedb.db.location import Place, postgres_installed
from statedb.db.statements import Parameters, Statement
from statedb.db.tables import MAIN, agent_states, event_streams, feed_consumers, state_checkpoints
from statedb.db.tables import agents as agents_table
from statedb.db.tables import branches as branches_table
from statedb.values.glob import above


class Peek(Protocol):
    """How one kind of database is looked at."""

    def exists(self, place: Place, settings: Settings) -> bool:
        """Tell whether anything is there that may be a store."""
        ...

    def schema_of(self, place: Place, settings: Settings) -> str | None:
        """Return the schema revision of a store, None where there is none. NotAStore for anything else."""
        ...

    def names(self, place: Place, settings: Settings, statement: Statement, given: Parameters) -> list[str]:
        """Return what a statement finds in a store of this library's schema, nothing in any other."""
        ...


def exists(place: Place, settings: Settings) -> bool:
    """Tell whether anything is there that may be a store."""
    return _peek(place).exists(place, settings)


def schema_of(place: Place, settings: Settings) -> str | None:
    """Return the schema revision of a store, None where there is none. NotAStore for anything else."""
    return _peek(place).schema_of(place, settings)


def agents(place: Place, settings: Settings, prefix: str, limit: int) -> list[str]:
    """Return the agents whose names begin with a prefix, at most `limit`. Any error means that there are none."""
    return _names(place, settings, _AGENTS, prefix, {"limit": limit})


def branches(place: Place, settings: Settings, prefix: str, limit: int) -> list[str]:
    """Return the branches there are whose names begin with a prefix, at most `limit`; errors as above."""
    return _names(place, settings, _BRANCHES, prefix, {"limit": limit})


def checkpoints(place: Place, settings: Settings, prefix: str, limit: int) -> list[str]:
    """Return the names of checkpoints that begin with a prefix, each once, at most `limit`; errors as above."""
    return _names(place, settings, _CHECKPOINTS, prefix, {"limit": limit})


def streams(place: Place, settings: Settings, prefix: str, limit: int) -> list[str]:
    """Return the streams of events whose ids begin with a prefix, at most `limit`; errors as above."""
    return _names(place, settings, _STREAMS, prefix, {"limit": limit})


def consumers(place: Place, settings: Settings, prefix: str, limit: int) -> list[str]:
    """Return the consumers of the feed whose names begin with a prefix, at most `limit`; errors as above."""
    return _names(place, settings, _CONSUMERS, prefix, {"limit": limit})


def keys(place: Place, settings: Settings, agent_id: str, state_type: str | None, prefix: str, limit: int) -> list[str]:
    """Return the keys, of one tier or of any, that begin with a prefix and hold a value, at most `limit`.

    It may have expired. Errors as above.
    """
    if state_type is None:
        return _names(place, settings, _KEYS_OF_ALL, prefix, {"agent": agent_id, "limit": limit})
    return _names(place, settings, _KEYS, prefix, {"agent": agent_id, "state_type": state_type, "limit": limit})


def _peek(place: Place) -> Peek:
    if place.backend == "postgresql":
        with postgres_installed():
            from statedb.db.postgres import peek as postgres
        return postgres
    from statedb.db.sqlite import peek as sqlite

    return sqlite


def _names(place: Place, settings: Settings, statement: Statement, prefix: str, given: Parameters) -> list[str]:
    return _peek(place).names(place, settings, statement, {**given, "low": prefix, "high": above(prefix)})


def _in_range(found: Select[str]) -> Statement:
    column = found.selected_columns[0]
    return Statement(
        found.where(column >= bindparam("low"), column < bindparam("high")).order_by(column).limit(bindparam("limit"))
    )


_s, _a = agent_states.c, agents_table.c
_b, _p = branches_table.c, state_checkpoints.c
_BRANCHES = _in_range(select(_b.name).where(_b.ended_revision.is_(None)))
_CHECKPOINTS = _in_range(select(_p.checkpoint_name).where(_p.ended_revision.is_(None)).distinct())
_AGENTS = _in_range(select(_a.name))
_STREAMS = _in_range(select(event_streams.c.name))
_CONSUMERS = _in_range(select(feed_consumers.c.name).where(feed_consumers.c.ended_at.is_(None)).distinct())
_of_agent = (
    select(_s.state_key)
    .select_from(agent_states.join(agents_table, _s.agent_id == _a.id))
    .where(_a.name == bindparam("agent"), _s.branch_id == MAIN, _s.codec.is_not(None))
)
_KEYS = _in_range(_of_agent.where(_s.state_type == bindparam("state_type")))
_KEYS_OF_ALL = _in_range(_of_agent.distinct())
