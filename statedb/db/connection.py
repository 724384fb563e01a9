"""What transactions need of a connection, whatever the dialect."""

from __future__ import annotations

from typing import Protocol

from sqlalchemy import Table

from statedb.db.newest import Newest
from statedb.db.statements import Parameters, Row, Statement


class Connection(Protocol):
    """What transactions need of a connection. How one begins and ends is between the engine and its dialect."""

    path: str | None
    """The file, where any number of connections may read it by themselves; None where only this one can."""

    def wall(self) -> int:
        """Return the wall clock's time, in microseconds; always 0 where the server's comes with what is read."""
        ...

    def all(self, statement: Statement, parameters: Parameters) -> list[Row]:
        """Run a statement and return every row."""
        ...

    def one(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Run a statement and return its first row, if any."""
        ...

    def beneath(self, statement: Statement, parameters: Parameters) -> list[Row]:
        """Return every row as the database has it; what is kept back the caller lays over it."""
        ...

    def settled(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Return the first row of what nothing that this transaction has written can change."""
        ...

    def run(self, statement: Statement, parameters: Parameters) -> None:
        """Run a statement that returns no rows, now or at the latest when the transaction is committed."""
        ...

    def insist(self) -> None:
        """Have the turn to write; on a server the transaction may have to be run again for it."""
        ...

    def gather(self) -> None:
        """Keep rows back from now on until the commit, since those of many writes will be written together."""
        ...

    def lighten(self) -> bool:
        """Send the rows kept back between two commits, where they are many; True where none is kept any more."""
        ...

    def newest(self) -> Newest:
        """Return where the log stands."""
        ...

    def new_id(self, table: Table) -> int:
        """Return an id for a new row of a table, which nobody else is given."""
        ...

    def size(self) -> int:
        """Return the bytes the database takes."""
        ...

    def faults(self) -> list[str]:
        """Return what the database itself finds wrong with the store."""
        ...
