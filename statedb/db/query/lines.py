"""The rows of the views that a query on a branch runs over: those of each level, the nearest of each key in the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from statedb.db.context import Point
from statedb.db.inherited import session
from statedb.db.lineage import Level, upto
from statedb.db.query.fetching import Reading, fetch
from statedb.db.query.needs import Need
from statedb.db.sessions import SessionName, session_name
from statedb.db.statements import Row
from statedb.db.tx import Tx
from statedb.db.views import VIEWS
from statedb.models import StateType


def fetch_line(tx: Tx, view: str, values: bool, need: Need | None, point: Point) -> list[Row]:
    """Return the rows of a view that are needed of a branch at a point. Raises QueryRefused for too many."""
    most, levels = tx.settings.query_max_fetch, list(upto(tx.line, point.revision))
    found: list[list[Row]] = []
    for branch, top in levels:
        given = {"branch": branch, "revision": top}
        found.append(fetch(tx.db, Reading(view, "level", values), need, given, most - sum(map(len, found))))
    if view != "states":
        return [row for rows in reversed(found) for row in rows]
    return list(_Standing(tx, levels, point).rows(found))


class _Standing:
    """The states of a branch, made of those of its levels."""

    def __init__(self, tx: Tx, levels: list[Level], point: Point) -> None:
        self._tx, self._levels, self._point = tx, levels, point
        self._clocks: dict[SessionName, Any] = {}
        names = [name for name, _ in VIEWS["states"].columns]
        self._codec, self._ends, self._floor = (names.index(name) for name in ("codec", "expires_at", "floor"))

    def rows(self, found: list[list[Row]]) -> Iterator[Row]:
        """Yield the rows of keys that have a value, and of those of which retention has cut what they had."""
        nearest: dict[tuple[str, str, str], Row] = {}
        for (_, top), rows in reversed([*zip(self._levels, found, strict=True)]):
            nearest.update((row[:3], self._told(row, top)) for row in rows if self._is_seen(row, top))
        return (row for row in nearest.values() if self._is_shown(row))

    def _is_seen(self, row: Row, top: int) -> bool:
        return row[3] is not None or row[self._floor] > top

    def _told(self, row: Row, top: int) -> Row:
        """Return a row with the clock of its session, and a floor that says whether it was cut at its level."""
        told = list(row)
        told[self._floor] = self._point.revision + 1 if row[self._floor] > top else 0
        name = session_name(row[0], row[2]) if row[1] == StateType.SESSION else None
        if name is not None:
            if name not in self._clocks:
                self._clocks[name] = session(self._tx, name, self._levels)
            if (clock := self._clocks[name]) is not None:
                told[self._ends] = clock.expires_at
        return tuple(told)

    def _is_shown(self, row: Row) -> bool:
        if row[self._floor]:
            return True
        ends = row[self._ends]
        return row[self._codec] is not None and (ends is None or ends > self._point.instant)
