"""Pairs of numbers, or rows of texts, told as one parameter: one statement for however many there are.

An expanding IN would be another text for each number of them, and a row value no dialect has an array of.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import to_json
from sqlalchemy import BigInteger, Select, Text, bindparam, cast, column, literal_column, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import GenericFunction


class _each(GenericFunction[Any]):
    """The elements of a JSON array, a row each."""

    inherit_cache = True
    name = "json_each"


@compiles(_each, "postgresql")
def _elements(element: _each, compiler: SQLCompiler, **options: Any) -> str:
    return f"json_array_elements(CAST({compiler.process(element.clauses, **options)} AS JSON))"


_NUMBER = BigInteger()


def told(pairs: Iterable[tuple[int, int]]) -> str:
    """Return pairs as the value of a parameter."""
    return to_json(list(pairs)).decode()


def select_pairs(parameter: str, first: str, second: str) -> Select[tuple[int, int]]:
    """Return a select of the pairs in a parameter, by the names of their parts."""
    each = _each(bindparam(parameter, type_=Text())).table_valued(column("value"), name="each")
    return select(_part(each.c.value, 0).label(first), _part(each.c.value, 1).label(second))


def select_names(parameter: str, *names: str) -> Select[*tuple[Any, ...]]:
    """Return a select of the rows of texts in a parameter, by the names of their parts."""
    each = _each(bindparam(parameter, type_=Text())).table_valued(column("value"), name="each")
    return select(*(_part(each.c.value, place, Text()).label(name) for place, name in enumerate(names)))


def _part(pair: Any, place: int, kind: Any = _NUMBER) -> Any:
    return cast(pair.op("->>")(literal_column(str(place))), kind)
