"""Where the log stands: its newest commit, and what the server's clock says."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import func, literal_column, select

from statedb.db.clock import ServerClock
from statedb.db.statements import Row, Statement
from statedb.db.tables import checkpoint_policies, state_commits, state_locks
from statedb.times import EARLIEST


class Newest(NamedTuple):
    """The newest commit, and the server's clock as it was read: 0 where there is none. Times are microseconds.

    `policies` is the newest revision that changed when automatic checkpoints are made, 0 where there are no policies;
    `leases` when the last of the leases on locks ends, 0 where none stands.
    """

    revision: int
    at: int
    hash: bytes
    clock: int
    policies: int
    leases: int

    @classmethod
    def of(cls, row: Row) -> Newest:
        """Return what a row of `NEWEST` says; a log without commits stands at 0."""
        revision, _, _, clock, policies, leases = row
        return cls(0, EARLIEST, b"", clock, policies, leases) if revision is None else cls(*row)


_c = state_commits.c
_nothing = select(literal_column("1").label("one")).subquery()

# 0.4 µs of the 3 that reading where the log stands takes.
_policies = func.coalesce(
    select(func.max(checkpoint_policies.c.created_revision)).scalar_subquery(), literal_column("0")
)
_k = state_locks.c
_leases = func.coalesce(
    select(func.max(_k.expires_at)).where(_k.ended_revision.is_(None), _k.fence.is_not(None)).scalar_subquery(),
    literal_column("0"),
)

NEWEST = Statement(
    select(_c.revision, _c.at, _c.hash, ServerClock(), _policies, _leases).select_from(
        _nothing.outerjoin(state_commits, _c.revision == select(func.max(_c.revision)).scalar_subquery())
    )
)
"""One row, be there a commit or not: whoever asks wants the clock as well."""
