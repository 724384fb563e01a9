"""What a query finds: rows that know their columns by name."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, ClassVar

from statedb.models import Address, Listing


class Row(tuple[Any, ...]):
    """A row of a query: a tuple that also takes `row["name"]` and `row.name`; `dict(row)` works.

    Where two columns have one name, it means the first. A column called like a method of tuples (count, index) or
    `keys` is reached by `row["count"]` alone.
    """

    __slots__ = ()
    _names: ClassVar[tuple[str, ...]] = ()
    _places: ClassVar[dict[str, int]] = {}

    def keys(self) -> tuple[str, ...]:
        """Return the names of the columns, in order."""
        return self._names

    def __getitem__(self, place: Any) -> Any:
        return tuple.__getitem__(self, self._places[place] if type(place) is str else place)

    def __getattr__(self, name: str) -> Any:
        try:
            return tuple.__getitem__(self, self._places[name])
        except KeyError:
            raise AttributeError(f"the row has no column {name!r}; it has {', '.join(self._names)}") from None

    def __repr__(self) -> str:
        return f"Row({', '.join(map('{}={!r}'.format, self._names, self))})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _row, (self._names, tuple(self))


@lru_cache(maxsize=256)
def row_type(names: tuple[str, ...]) -> type[Row]:
    """Return the type of rows with these columns. The names stand in the type, so that a row is as small as a tuple."""
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    return type("Row", (Row,), {"__slots__": (), "__doc__": Row.__doc__, "_names": names, "_places": places})


def _row(names: tuple[str, ...], values: tuple[Any, ...]) -> Row:
    return row_type(names)(values)


class Rows(Listing[Row]):
    """What a query found, and the names of its columns."""

    def __init__(self, found: Iterable[Row] = (), columns: Iterable[str] = (), missing: Iterable[Address] = ()) -> None:
        super().__init__(found, missing)
        self.columns: tuple[str, ...] = tuple(columns)
