"""Rows that were kept back, written: the same few statements, each for all of its rows at once.

    row … ──▶ gathered by statement, what refers to a row after it ──▶ executemany

Of a row that one statement changes again and again only the outcome is written. Where another statement comes to it,
what was gathered is written first: so a row is changed in the order in which it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Insert, Update
from sqlalchemy.engine.interfaces import Dialect

from statedb.db.statements import Parameters, Row, Statement
from statedb.db.tables import metadata

_FEW = 8
"""Up to so many rows are written one after another: to gather them would cost more than it saves."""


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a statement is run for many rows. `key` is the parameter that tells which row is made or changed.

    A `heavy` one carries values. One that changes whatever rows it finds goes `alone`: those before it have to be
    there, those after it not yet.
    """

    place: int
    table: str
    key: int | None
    alone: bool
    heavy: bool
    text: str
    order: Callable[[Parameters], Row]


class RowsKept:
    """Rows in the order in which they were made and changed."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        # Two lists and no pairs: a tuple of numbers and texts is none of the garbage collector's business, a pair of
        # one and a plan is, and among ten thousand of them it takes a third of the time of an import.
        self._plans: list[Plan] = []
        self.rows: list[Row] = []
        self.weight = 0
        """Characters and bytes of the values among them."""

    def add(self, statement: Statement, parameters: Parameters) -> None:
        """Keep what a statement would do."""
        plan = _plan(statement, self._dialect)
        self._plans.append(plan)
        self.rows.append(plan.order(parameters))
        if plan.heavy:
            self.weight += len(parameters["value"] or parameters["data"] or "")

    def cut(self, length: int) -> None:
        """Forget all but the first so many rows."""
        del self._plans[length:], self.rows[length:]

    def clear(self) -> None:
        """Forget all rows."""
        self._plans.clear()
        self.rows.clear()
        self.weight = 0

    def write(self, raw: sqlite3.Connection) -> None:
        """Write the rows."""
        if len(self.rows) <= _FEW:
            for plan, row in zip(self._plans, self.rows, strict=True):
                raw.execute(plan.text, row)
            return
        gathered = Gathered()
        for plan, row in zip(self._plans, self.rows, strict=True):
            if not gathered.takes(plan, row):
                gathered.write(raw)
                gathered = Gathered()
            if plan.alone:
                raw.execute(plan.text, row)
            else:
                gathered.add(plan, row)
        gathered.write(raw)


class Gathered:
    """Rows of which none is changed by two statements, so that all of one statement can be written at once."""

    def __init__(self) -> None:
        self._rows: dict[Plan, dict[int, Row]] = {}
        self._plans: dict[tuple[str, int], Plan] = {}

    def takes(self, plan: Plan, row: Row) -> bool:
        """Tell whether a row may join."""
        if plan.key is None:
            return not plan.alone
        return self._plans.setdefault((plan.table, row[plan.key]), plan) is plan

    def add(self, plan: Plan, row: Row) -> None:
        """Have a row join."""
        rows = self._rows.get(plan)
        if rows is None:
            rows = self._rows[plan] = {}
        rows[len(rows) if plan.key is None else row[plan.key]] = row

    def write(self, raw: sqlite3.Connection) -> None:
        """Write the rows, table by table."""
        for plan in sorted(self._rows, key=lambda plan: plan.place):
            raw.executemany(plan.text, self._rows[plan].values())


_TABLES = [table.name for table in metadata.sorted_tables]


@lru_cache(maxsize=256)
def _plan(statement: Statement, dialect: Dialect) -> Plan:
    text, order = statement.on(dialect)
    clause = statement.clause
    assert isinstance(clause, Insert | Update), "rows are made or changed here, and never deleted"
    makes = isinstance(clause, Insert)
    named = clause.compile(dialect=dialect).positiontup or []
    key = named.index("id" if makes else "row") if ("id" if makes else "row") in named else None
    table = str(clause.table.description)
    # What refers to a row comes after it; within a table rows are made first, and changed are others than those made.
    place = 2 * _TABLES.index(table) + (not makes)
    return Plan(place, table, key, not makes and key is None, {"value", "data"} <= {*named}, text, order)
