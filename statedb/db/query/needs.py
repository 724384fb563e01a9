"""Which rows of the views a query can need, as far as its conditions tell that for certain.

A query runs over rows that were fetched, so all that it might find must be among them; that there are more does no
harm, for SQLite applies every condition again. Why rows that fail a condition read here can be left out:

- One that fails the WHERE, or the ON of an inner join, adds nothing to the answer. Every condition read here is false
  of NULL, so where a LEFT JOIN would show NULLs in the place of such a row, these fail it as well.
- One that fails the ON of the LEFT JOIN it is the right side of has never matched.
- Where columns are equal, what must hold of one must hold of the other.

A view's name that no FROM read by `clauses` accounts for may be one more reference to it, or name a WITH clause; then
the view is needed whole, as where nothing is known of a reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from statedb.db.query.clauses import Clauses, Group, Item, Piece, clauses, conditions, inside, word
from statedb.db.query.extents import ANY, Extent, beginning, some
from statedb.db.query.sqltext import Query
from statedb.db.views import NAMES, VIEWS
from statedb.values.glob import literal

Need = dict[str, Extent]
"""By column what its values must be; of a column that is not there, any."""

_KINDS: dict[str, type] = {**dict.fromkeys(NAMES, str), "revision": int}
"""The columns that are looked at, and the type of their values. Comparing these with another type converts it first."""


class Place(NamedTuple):
    """A column of a table, by the table's place in its FROM."""

    item: int
    column: str


class Fact(NamedTuple):
    """What a condition says of a column: its extent, or which other one it equals."""

    of: Place
    extent: Extent = ANY
    equals: Place | None = None


def needs(query: Query, parameters: Sequence[Any] | Mapping[str, Any]) -> dict[str, Need | None]:
    """Return what a query that SQLite has compiled can need, by view; None where it can need no row of a view.

    A view that is not there may be needed whole.
    """
    found: dict[str, list[Need]] = {view: [] for view in VIEWS}
    for read in clauses(query, parameters):
        known = _known(read)
        for n, item in enumerate(read.items):
            if item.table in VIEWS:
                extents = {column: known.get(Place(n, column), ANY) for column in VIEWS[item.table].narrowed}
                found[item.table].append({column: extent for column, extent in extents.items() if extent != ANY})
    return {view: _covering(each) for view, each in found.items() if len(each) == _mentions(query, view)}


def _mentions(query: Query, view: str) -> int:
    """Count what may be a reference to a view: its name, where it does not say whose column follows."""
    behind = [*(token.text for token in query.tokens[1:]), ""]
    return sum(token.name == view and after != "." for token, after in zip(query.tokens, behind, strict=True))


def _covering(wanted: list[Need]) -> Need | None:
    """Return a need that covers several, None where they come to nothing."""
    real = [need for need in wanted if not any(extent.nothing for extent in need.values())]
    if not real:
        return None
    covering, *others = real
    for need in others:
        hulls = {column: extent.hull(need[column]) for column, extent in covering.items() if column in need}
        covering = {column: extent for column, extent in hulls.items() if extent != ANY}
    return covering


# ---- what is known of the columns in a FROM


def _known(read: Clauses) -> dict[Place, Extent]:
    known: dict[Place, Extent] = {}
    equal: dict[tuple[Place, Place], None] = {}
    for of, extent, other in _facts(read):
        known[of] = extent.meet(known.get(of, ANY))
        if other is not None:
            equal[of, other] = None
    for _ in read.items:  # the longest way from one table to another
        for of, other in equal:
            known[of] = known.get(other, ANY).meet(known.get(of, ANY))
    return known


def _facts(read: Clauses) -> Iterator[Fact]:
    yield from _told(read.items, read.where)
    for n, item in enumerate(read.items):
        for fact in (*_told(read.items, item.on), *_shared(read.items, n)):
            mine = fact.of.item == n and (fact.equals is None or fact.equals.item < n)
            if mine or not item.outer:
                yield fact


def _shared(items: list[Item], n: int) -> Iterator[Fact]:
    """Yield that a column named by USING equals that of the first table that has it."""
    for column in items[n].using:
        first = _first(items[:n], column)
        if first is not None and items[n].table in VIEWS:
            yield from _equal(Place(n, column), first)


def _equal(one: Place, other: Place) -> Iterator[Fact]:
    if _KINDS[one.column] is _KINDS[other.column]:
        yield Fact(one, equals=other)
        yield Fact(other, equals=one)


def _told(items: list[Item], clause: Group) -> Iterator[Fact]:
    for condition in conditions(clause):
        of, rest = _place(items, condition)
        if of is None:
            continue
        sign = _sign(rest)
        other, more = _place(items, rest[len(sign) :]) if sign in ("=", "==") else (None, rest)
        if other is not None and not more:
            yield from _equal(of, other)
        elif (extent := _extent(sign, rest[len(sign) :], _KINDS[of.column])) is not None:
            yield Fact(of, extent)


# ---- a condition


def _place(items: list[Item], condition: Group) -> tuple[Place | None, Group]:
    """Return the column that a condition begins with, and what follows."""
    of, rest = "", condition
    if [word(each) for each in condition[1:2]] == ["."]:
        of, rest = _name(condition[0]), condition[2:]
    column = _name(rest[0]) if rest else ""
    if column not in _KINDS:
        return None, condition
    if not of and rest is condition:
        return _first(items, column), rest[1:]
    called = [n for n, item in enumerate(items) if item.called == of and _has(item, column)]
    return (Place(called[0], column) if called else None), rest[1:]


def _first(items: list[Item], column: str) -> Place | None:
    """Return what a column without a table's name means: the first there is, for of several USING has made one."""
    for n, item in enumerate(items):
        if item.table not in VIEWS or column not in _KINDS:
            return None
        if _has(item, column):
            return Place(n, column)
    return None


def _has(item: Item, column: str) -> bool:
    return item.table in VIEWS and column in VIEWS[item.table].shown


def _name(element: Piece | Group) -> str:
    """Return what names a column or its table; a text in single quotes is one that does not."""
    return "" if not isinstance(element, Piece) or element.word[0] == "'" else element.name or ""


def _sign(rest: Group) -> str:
    found = ""
    for each in rest:
        if word(each) not in ("=", "<", ">", "!"):
            break
        found += word(each)
    return found


def _extent(sign: str, rest: Group, kind: type) -> Extent | None:
    """Return the values of which a comparison may be true; perhaps its ends as well. None where that is uncertain."""
    match [word(each) for each in rest], [_constant(each, kind) for each in rest]:
        case [_], [one] if one is not None and sign in ("=", "==", "<", "<=", ">", ">="):
            if sign[0] == "=":
                return some(frozenset([one]))
            return Extent(None, None, one) if sign[0] == "<" else Extent(None, one, None)
        case ["between", _, "and", _], [_, low, _, high] if not sign and low is not None and high is not None:
            return Extent(None, low, high)
        case ["glob", _], [_, str(pattern)] if not sign:
            begun = literal(pattern)
            return some(frozenset([pattern])) if begun == pattern else beginning(begun) if begun else None
        case ["in", "("], _ if not sign:
            return _listed(inside(rest[1]), kind)
    return None


def _listed(group: Group, kind: type) -> Extent | None:
    values: list[Any] = [_constant(each, kind) for each in group[::2]]
    listed = None not in values and all(word(each) == "," for each in group[1::2])
    return some(frozenset(values)) if listed else None


def _constant(element: Piece | Group, kind: type) -> Any:
    """Return a constant that is compared with values of a kind as it is, None where there is none."""
    value = element.constant if isinstance(element, Piece) else None
    whole = not (isinstance(value, str) and "\0" in value)  # which no name holds, and not every database takes
    return value if type(value) is kind and whole else None
