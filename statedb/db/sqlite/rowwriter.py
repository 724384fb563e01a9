"""Rows that were kept back, written: the same few statements, each for all of its rows at once.

    (statement, row) … ──▶ gathered by statement, what refers to a row after it ──▶ executemany

Of a row that one statement changes again and again only the outcome is written. Where another statement comes to it,
what was gathered is written first: so a row is changed in the order in which it was.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Insert, Update
from sqlalchemy.engine.interfaces import Dialect

from statedb.db.statements import Parameters, Statement
from statedb.db.tables import metadata

Kept = tuple[Statement, Parameters]

_FEW = 8
"""Up to so many rows are written one after another: to gather them would cost more than it saves."""


def write(raw: sqlite3.Connection, dialect: Dialect, kept: list[Kept]) -> None:
    """Write rows that were kept back."""
    if len(kept) <= _FEW:
        for statement, parameters in kept:
            plan = _plan(statement, dialect)
            raw.execute(plan.text, plan.order(parameters))
        return
    gathered: dict[Plan, dict[int, Any]] = {}
    of_row: dict[tuple[str, int], Plan] = {}
    for statement, parameters in kept:
        plan = _plan(statement, dialect)
        row = None if plan.key is None else parameters[plan.key]
        if plan.alone or (row is not None and of_row.setdefault((plan.table, row), plan) is not plan):
            _run(raw, gathered)
            gathered, of_row = {}, {}
        if plan.alone:
            raw.execute(plan.text, plan.order(parameters))
            continue
        rows = gathered.get(plan)
        if rows is None:
            rows = gathered[plan] = {}
        rows[len(rows) if row is None else row] = plan.order(parameters)
    _run(raw, gathered)


def _run(raw: sqlite3.Connection, gathered: dict[Plan, dict[int, Any]]) -> None:
    for plan in sorted(gathered, key=lambda plan: plan.place):
        raw.executemany(plan.text, gathered[plan].values())


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """How a statement is run for many rows: `key` names the parameter that tells which row it makes or changes.

    One that changes whatever rows it finds goes `alone`: those before it have to be there, those after it not yet.
    """

    place: int
    table: str
    key: str | None
    alone: bool
    text: str
    order: Callable[[Parameters], Any]


_TABLES = [table.name for table in metadata.sorted_tables]


@lru_cache(maxsize=256)
def _plan(statement: Statement, dialect: Dialect) -> Plan:
    text, order = statement.on(dialect)
    clause = statement.clause
    assert isinstance(clause, Insert | Update), "rows are made or changed; what is deleted is deleted at once"
    table = str(clause.table.description)
    key = "id" if isinstance(clause, Insert) else "row"
    named = clause.compile().params
    # Beside the tables, rows are made before they are changed: these may be others, gathered before or after.
    place = 2 * _TABLES.index(table) + isinstance(clause, Update)
    alone = isinstance(clause, Update) and key not in named
    return Plan(place, table, key if key in named else None, alone, text, order)
