"""Restore: a commit that brings the store, or a part of it, back to a point."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from statedb.db import checkpoints
from statedb.db.context import Asked, Point
from statedb.db.points import Named, checked, resolve
from statedb.db.restore import Extent
from statedb.db.restore import restore as brought_back
from statedb.db.tx import Tx
from statedb.models import Outcome
from statedb.times import moment


def restore(
    tx: Tx,
    point: Named,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    keys: str | Iterable[str] | None = None,
    dry_run: bool = False,
    message: str | None = None,
    partial: bool = False,
) -> Outcome:
    """Bring the store, or an agent, a tier or some keys (names or globs) back to a point, in a new commit.

    What was changed since goes back, value and metadata; what was made since is deleted, as a version; what was deleted
    or has expired since comes back, with its whole ttl before it. What had expired by the point stays gone. A restore
    can be undone. Sessions stay as they are unless `state_type` is "session". By the name of an agent's checkpoint only
    that agent goes back. With `dry_run` nothing is changed, and what would be is returned. Raises NoSuchRevision,
    NoSuchCheckpoint, and Compacted where what was there is not kept, or with `partial` leaves those keys as they are
    and names them in `missing`. The cost follows what changed since the point.
    """
    extent = Extent.of(agent_id, state_type, keys)
    where, extent = _place(tx, checked(point), extent)
    said = message or f"restore to {_called(point, where)}"
    return brought_back(tx, where, extent, said=said, dry_run=dry_run, partial=partial)


def _place(tx: Tx, asked: Asked, extent: Extent) -> tuple[Point, Extent]:
    if not isinstance(asked, str):
        return resolve(tx, asked), extent
    found = checkpoints.meant(tx, asked, extent.agent_id)
    return checkpoints.point_of(tx, found), extent._replace(agent_id=extent.agent_id or found.agent_id)


def _called(point: Named, where: Point) -> str:
    if isinstance(point, datetime | timedelta):
        return moment(where.instant).isoformat()
    return f"revision {point}" if isinstance(point, int) else point
