"""What a transaction has read, where others may commit while it runs: if none of that has changed, it may commit.

On SQLite nobody else writes meanwhile, and there is no footprint.
"""

from __future__ import annotations

from statedb.db.connection import Connection
from statedb.db.newest import Newest
from statedb.db.sessions import session_name
from statedb.db.statements import Parameters, Row, Statement
from statedb.models import Address, StateType
from statedb.values.glob import just_above

Range = tuple[str, str, str, str]
"""Agent, tier, the first key, and the first one beyond."""


class Footprint:
    """What a transaction relies on: keys, ranges of keys, or the whole log; and until when what it saw was alive."""

    def __init__(self) -> None:
        self.keys: set[Address] = set()
        self.wider: set[Range] = set()
        self.whole = False
        self.streams = False
        """Whether it relies on where the streams of events stand."""
        self.until: int | None = None
        self.leases: dict[int, int] = {}
        """Locks whose lease was taken to have ended, by id, and when: who renews one does not appear in the log."""

    def ranges(self) -> list[Range]:
        """Return all that was read as ranges of keys."""
        return [(at.agent_id, at.state_type, at.key, just_above(at.key)) for at in self.keys] + list(self.wider)

    def add(self, other: Footprint) -> None:
        """Rely on what another relies on as well."""
        self.keys |= other.keys
        self.wider |= other.wider
        self.whole, self.streams = self.whole or other.whole, self.streams or other.streams
        self.leases |= other.leases
        if other.until is not None:
            self.ends(other.until)

    def ends(self, expires_at: int) -> None:
        """Note that something was taken to be alive, which ends at a time, in microseconds."""
        if self.until is None or expires_at < self.until:
            self.until = expires_at

    def meets(self, changed: set[Address]) -> bool:
        """Tell whether any of some keys that changed is among what was read; a session's low end is its clock."""
        if self.whole or not (self.keys | self._clocks()).isdisjoint(changed):
            return bool(changed)
        return any(
            low <= key < high and (agent, tier) == (of, in_)
            for agent, tier, low, high in self.wider
            for of, in_, key in changed
        )

    def _clocks(self) -> set[Address]:
        """Return the low ends of the sessions that the keys belong to, or would: when a key ends is read with it."""
        read = [at for at in self.keys if at.state_type == StateType.SESSION]
        names = [name for at in read if (name := session_name(at.agent_id, at.key))]
        return {Address(name.agent_id, StateType.SESSION, name.low) for name in names}


class Watched:
    """A connection that notes in a footprint that its reader looks wherever it likes, and so relies on everything."""

    def __init__(self, connection: Connection, footprint: Footprint) -> None:
        self._connection, self._footprint = connection, footprint
        self.path = connection.path
        self.wall, self.settled, self.run = connection.wall, connection.settled, connection.run
        self.new_id, self.beneath = connection.new_id, connection.beneath
        self.insist = connection.insist
        self.gather, self.lighten = connection.gather, connection.lighten
        self.size, self.faults = connection.size, connection.faults

    def newest(self) -> Newest:
        self._footprint.whole = True
        return self._connection.newest()

    def all(self, statement: Statement, parameters: Parameters) -> list[Row]:
        self._footprint.whole = True
        return self._connection.all(statement, parameters)

    def one(self, statement: Statement, parameters: Parameters) -> Row | None:
        self._footprint.whole = True
        return self._connection.one(statement, parameters)
