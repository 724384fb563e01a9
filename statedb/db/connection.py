"""What transactions and shells need of a connection, whatever the dialect."""

from __future__ import annotations

from typing import Protocol

from statedb.db.statements import Parameters, Row, Statement


class Connection(Protocol):
    """What transactions and shells need of a connection, whatever the dialect."""

    path: str | None
    """The file, where any number of connections may read it by themselves; None where only this one can."""

    def all(self, statement: Statement, parameters: Parameters) -> list[Row]:
        """Run a statement and return every row."""
        ...

    def one(self, statement: Statement, parameters: Parameters) -> Row | None:
        """Run a statement and return its first row, if any."""
        ...

    def run(self, statement: Statement, parameters: Parameters) -> None:
        """Run a statement that returns no rows."""
        ...

    def begin_read(self) -> None:
        """Hold one snapshot until `end_read`."""
        ...

    def end_read(self) -> None: ...

    def begin_write(self, left: float | None = None) -> None:
        """Take the write lock, or raise StoreBusy after the timeout, of which `left` seconds may be left."""
        ...

    def prepare(self) -> None:
        """Be about to write: called before the first row of a transaction."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """Take everything back; fine where there is nothing, or the database has done so already."""
        ...

    def savepoint(self) -> None: ...

    def release(self) -> None: ...

    def rollback_to(self) -> bool:
        """Undo what came since the savepoint; False where the whole transaction is gone already."""
        ...

    def size(self) -> int:
        """Return the bytes the database takes."""
        ...

    def faults(self) -> list[str]:
        """Return what the database itself finds wrong with the store."""
        ...
