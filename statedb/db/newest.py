"""Where the log stands: its newest commit, and what the server's clock says."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, literal_column, select

from statedb.db.clock import ServerClock
from statedb.db.statements import Row, Statement
from statedb.db.tables import state_commits
from statedb.times import EARLIEST


class Newest(NamedTuple):
    """The newest commit, and the server's clock as it was read: 0 where there is none. Times are microseconds."""

    revision: int
    at: int
    hash: bytes
    clock: int

    @classmethod
    def of(cls, row: Row) -> Newest:
        """Return what a row of `NEWEST` says; a log without commits stands at 0."""
        revision, at, hash, clock = row
        return cls(0, EARLIEST, b"", clock) if revision is None else cls(revision, at, hash, clock)


_c = state_commits.c
_nothing = select(literal_column("1").label("one")).subquery()

NEWEST = Statement(
    select(_c.revision, _c.at, _c.hash, ServerClock()).select_from(
        _nothing.outerjoin(state_commits, _c.revision == select(func.max(_c.revision)).scalar_subquery())
    )
)
"""One row, be there a commit or not: whoever asks wants the clock as well."""
