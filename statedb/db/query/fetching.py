"""The rows of the views that a query runs over, where it cannot read them where they lie.

What it needs of them (`needs`) is said in conditions made here, whose values are bound: no text of a user's is ever
part of what a server is asked. A transaction that only reads, with a parser before it, was tried in the place of this,
and let `pg_advisory_lock` through.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, bindparam, null
from sqlalchemy.sql.elements import Label

from statedb.db.connection import Connection
from statedb.db.contents import Contents, Kept
from statedb.db.query.extents import MOST, Extent
from statedb.db.query.needs import Need
from statedb.db.statements import Row, Statement
from statedb.db.views import VIEWS, View
from statedb.errors import QueryRefused
from statedb.values import codec


class Reading(NamedTuple):
    """A view, now, as of a point or of one level of a branch, with its values or, as most of it, without."""

    view: str
    when: Literal["now", "then", "level"]
    values: bool


class Form(NamedTuple):
    """The form of a condition on a column: how many values are told, or which ends there are."""

    column: str
    few: int
    low: bool
    high: bool


def fetch(db: Connection, reading: Reading, need: Need | None, given: Mapping[str, Any], most: int) -> list[Row]:
    """Return the rows of a view that are needed. Raises QueryRefused where there are more of them than `most`."""
    if need is None:
        return []
    bound = {**given, "most": most + 1}
    for column, extent in need.items():
        bound |= _bound(column, extent)
    rows = db.all(_statement(reading, tuple(_form(*each) for each in sorted(need.items()))), bound)
    if len(rows) <= most:
        return _whole(db, VIEWS[reading.view], rows) if reading.values else rows
    view = reading.view
    narrowed = VIEWS[view].narrowed
    narrowing = f"{', '.join(narrowed[:-1])} or {narrowed[-1]}".removeprefix(" or ")
    example = " and ".join(f"{column} = ?" for column in narrowed[:2])
    raise QueryRefused(
        f"the query needs more than {most:,} rows of {view} (Settings.query_max_fetch), which are fetched before it "
        f"runs; narrow each {view} it names by constants for {narrowing}, as in: where {example}"
    )


def _form(column: str, extent: Extent) -> Form:
    if extent.few is not None:
        return Form(column, _told(extent.few), False, False)
    return Form(column, 0, extent.low is not None, extent.high is not None)


def _told(values: frozenset[Any]) -> int:
    """Return how many values are told: one of a few numbers, so that there are but a few statements."""
    return next(size for size in (1, 8, MOST) if len(values) <= size)


def _bound(column: str, extent: Extent) -> dict[str, Any]:
    if extent.few is None:
        return {f"{column}_low": extent.low, f"{column}_high": extent.high}
    values = sorted(extent.few)
    values += values[-1:] * (_told(extent.few) - len(values))
    return {f"{column}_{n}": value for n, value in enumerate(values)}


_VALUES = ("value", "codec", "data")
_PAGE = 256
"""Rows whose deltas are undone together: each page is one more question to the database."""


def _whole(db: Connection, view: View, rows: list[Row]) -> list[Row]:
    """Return rows with every value whole, since what they are deltas on may not be among them."""
    names = [name for name, _ in view.columns]
    if "base" not in names:
        return rows
    places = [names.index(name) for name in ("state", "revision", "base", "state_key", "codec", "data")]
    contents, found = Contents(db), list(rows)
    deltas = [number for number, row in enumerate(rows) if row[places[2]] is not None]
    for first in range(0, len(deltas), _PAGE):
        page = [(number, _kept(*(rows[number][place] for place in places))) for number in deltas[first : first + _PAGE]]
        contents.prepare(kept for _, kept in page)
        for number, kept in page:
            stored = codec.unpacked(contents.plain(kept), json=codec.is_json(kept.stored))
            given = {"codec": stored.codec, "value": stored.text, "data": stored.data, "base": None}
            found[number] = tuple(given.get(name, old) for name, old in zip(names, rows[number], strict=True))
    return found


def _kept(state: int, revision: int, base: int, key: str, number: int, data: bytes) -> Kept:
    return Kept(state, revision, base, key, 0, b"", None, number, None, data)


@lru_cache(maxsize=256)
def _statement(reading: Reading, forms: tuple[Form, ...]) -> Statement:
    view = VIEWS[reading.view]
    clause = {"now": view.now, "then": view.then, "level": view.level}[reading.when].clause
    assert isinstance(clause, Select)
    if not reading.values:
        columns = [null().label(each.name) if each.name in _VALUES else each for each in clause.selected_columns]
        clause = clause.with_only_columns(*columns, maintain_column_froms=True)
    for form in forms:
        clause = clause.where(*_conditions(clause.selected_columns[form.column], form))
    return Statement(clause.limit(bindparam("most", type_=BigInteger)), listed=False)


def _conditions(column: ColumnElement[Any], form: Form) -> list[ColumnElement[bool]]:
    read = column.element if isinstance(column, Label) else column
    if form.few:
        return [read.in_([bindparam(f"{form.column}_{n}", type_=read.type) for n in range(form.few)])]
    found = []
    if form.low:
        found.append(read >= bindparam(f"{form.column}_low", type_=read.type))
    if form.high:
        found.append(read <= bindparam(f"{form.column}_high", type_=read.type))
    return found
