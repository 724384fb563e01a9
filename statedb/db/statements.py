"""A statement written once in SQLAlchemy Core, compiled once per dialect, run on the driver's own cursor.

Running Core through SQLAlchemy's own connection costs 13 µs a statement, this 0.5 µs: compiling, caching, result
wrapping and type conversion are the price, and with the column types of `tables.py` there is nothing to convert.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import itemgetter
from typing import Any, ClassVar

from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.elements import ClauseElement

Parameters = Mapping[str, Any]
Row = tuple[Any, ...]


class Statement:
    """One statement and its compiled forms, by dialect."""

    every: ClassVar[list[Statement]] = []
    """All statements of the library, for the test that compiles each for each dialect; not those of one dialect, nor
    any that are made while it runs."""

    def __init__(self, clause: ClauseElement, *, listed: bool = True) -> None:
        self.clause = clause
        self._compiled: dict[Dialect, tuple[str, Callable[[Parameters], Any]]] = {}
        if listed:
            Statement.every.append(self)

    def on(self, dialect: Dialect) -> tuple[str, Callable[[Parameters], Any]]:
        """Return the text for a dialect, and what orders named parameters for its driver."""
        try:
            return self._compiled[dialect]
        except KeyError:
            made = self._compiled[dialect] = _compile(self.clause, dialect)
            return made


def _compile(clause: ClauseElement, dialect: Dialect) -> tuple[str, Callable[[Parameters], Any]]:
    compiled = clause.compile(dialect=dialect, **getattr(dialect, "compiled_with", {}))
    assert isinstance(compiled, SQLCompiler)
    # A bind processor would be skipped silently here, and a wrong value stored: better to stop at once.
    assert not compiled._bind_processors, f"a column type of this statement needs conversion: {compiled}"
    constants = {name: bind.effective_value for name, bind in compiled.binds.items() if not bind.required}
    order = compiled.positiontup
    if order is None:
        return compiled.string, (lambda given: {**constants, **given}) if constants else (lambda given: given)
    if not order:
        return compiled.string, lambda given: ()
    if constants:
        pick = _picker(order)
        return compiled.string, lambda given: pick({**constants, **given})
    return compiled.string, _picker(order)


def _picker(order: list[str]) -> Callable[[Parameters], Any]:
    pick = itemgetter(*order)
    return pick if len(order) > 1 else lambda given: (pick(given),)
