"""Query: SQL over what is and what was, which can only read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from statedb.db.query import sandbox, sqltext
from statedb.db.query.sandbox import Work
from statedb.db.tx import Tx
from statedb.errors import InTransaction, InvalidValue
from statedb.times import micros

_WHOLE = range(-(2**63), 2**63)


def query(tx: Tx, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), *, partial: bool = False) -> Work:
    """Return the rows of a SELECT over the views `states`, `history` and `commits`.

    `parameters` is a sequence for `?` or a mapping for `:name`, of text, numbers, bools, bytes, None and datetimes;
    times are integer microseconds since 1970 in the views. `value` is JSON text, NULL for bytes. On `at(…)` the views
    show the store as it was. `partial=True` leaves out keys that retention cut, makes erased values NULL, and names
    both in `missing`; without it they raise Compacted and Erased. Raises QueryRefused for anything a query may not do,
    for an error in the SQL, and beyond `Settings.query_max_rows`, `query_max_fetch` and `query_timeout`.
    """
    if tx.note is not None:
        raise InTransaction("a query reads what is committed; ask it of the store, after the transaction")
    asked = sqltext.checked(sql)
    return sandbox.prepare(tx, asked, _given(parameters, asked.named), partial=partial)


def _given(parameters: Any, named: bool) -> tuple[Any, ...] | dict[str, Any]:
    """Return parameters as the database takes them. Raises InvalidValue."""
    if isinstance(parameters, Mapping):
        return {str(name): _bound(value, f":{name}") for name, value in parameters.items()}
    if not isinstance(parameters, Sequence) or isinstance(parameters, str | bytes | bytearray | memoryview):
        raise InvalidValue(f"parameters are {type(parameters).__name__}; they are a list for ?, or a dict for :name")
    if named:
        raise InvalidValue("the query has parameters with names (:name); give them as a dict")
    return tuple(_bound(value, f"parameter {place}") for place, value in enumerate(parameters, 1))


_LARGEST_GIVEN = 1024 * 1024
"""Characters of a parameter: what is repeated from a few of these is bounded by the time a query may take."""


def _bound(value: Any, which: str) -> str | int | float | bytes | None:
    """Return one parameter as a type of the database's own, since drivers have surprises for others."""
    if value is None:
        return None
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str | bytes) and len(value) > _LARGEST_GIVEN:
        raise InvalidValue(f"{which} has {len(value):,} characters; {_LARGEST_GIVEN:,} is the most")
    if isinstance(value, bytes):
        return bytes(value)
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, int):
        if value not in _WHOLE:
            raise InvalidValue(f"{which} is an integer beyond 64 bits, which the database cannot compare")
        return int(value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidValue(f"{which} holds a lone surrogate, which UTF-8 cannot carry") from None
        return str.__str__(value)
    kinds = "text, a number, a bool, bytes, None or a datetime"
    raise InvalidValue(f"{which} is {type(value).__name__}; it is {kinds}. Give a list as JSON text")
