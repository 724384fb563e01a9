"""The FROM and WHERE of each SELECT in a query, as far as nobody can misread them.

They are read from the tokens that `sqltext` tells apart as SQLite does, and after SQLite has compiled them, so that
reserved words stand where the grammar has them. A full parser would read more, and some of it otherwise than SQLite:
sqlglot 30 takes `agent_id = 'a' glob x` for `agent_id = ('a' glob x)`. What nobody can misread is this:

- OR and AND bind loosest of all there is in an expression. Without an OR beside it (or a CASE around it) what stands
  between one AND and the next is a condition of its own; but for the AND of a BETWEEN, of which each has one.
- A FROM is items between commas and JOINs, and a table in it is a name and perhaps what it is called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from statedb.db.query.sqltext import Query

Group: TypeAlias = "list[Piece | Group]"
"""What stands within a pair of parentheses; a pair within is one element."""


class Piece(NamedTuple):
    """A token: its `word` in lower case, and the `name` it may be and the `constant` it stands for, or None."""

    word: str
    name: str | None
    constant: Any


class Item(NamedTuple):
    """A table of a FROM: its name ("" where that is no view's), what it is called ("" for nothing), how it is joined.

    `on` and `using` say which of its rows are joined: an `outer` one may be missing, and no other is then left out.
    """

    table: str
    called: str
    outer: bool
    on: Group
    using: tuple[str, ...]


class Clauses(NamedTuple):
    """The tables of a SELECT, and the condition on what they are joined to."""

    items: list[Item]
    where: Group


def clauses(query: Query, parameters: Sequence[Any] | Mapping[str, Any]) -> Iterator[Clauses]:
    """Yield the clauses of each SELECT that can be read."""
    for group in _groups(_pieces(query, parameters)):
        for select in _selects(group):
            found = _clauses(select)
            if found is not None:
                yield found


def word(element: Piece | Group) -> str:
    """Return a keyword or sign, "(" for what is in parentheses."""
    return element.word if isinstance(element, Piece) else "("


def inside(element: Piece | Group) -> Group:
    """Return what stands in parentheses, nothing where there are none."""
    return [] if isinstance(element, Piece) else element


def conditions(clause: Group) -> Iterator[Group]:
    """Yield the conditions that must all hold, as far as they can be told apart."""
    waiting = [clause]
    while waiting:
        parts = _between_ands(waiting.pop())
        if len(parts) > 1:
            waiting += parts
        elif parts and len(parts[0]) == 1 and inside(parts[0][0]) and not _is_query(parts[0][0]):
            waiting.append(inside(parts[0][0]))
        else:
            yield from parts


# ---- the text

_NUMBER = re.compile("[0-9]{1,18}")


def _pieces(query: Query, parameters: Sequence[Any] | Mapping[str, Any]) -> Iterator[Piece]:
    given: Mapping[Any, Any] = parameters if isinstance(parameters, Mapping) else dict(enumerate(parameters, 1))
    newest = 0
    for token in query.tokens:
        first, constant = token.text[0], None
        if first == "?":
            newest = int(token.text[1:] or newest + 1)
            constant = given.get(newest)
        elif first in ":@$":
            constant = given.get(token.written[1:])
        elif first == "'":
            constant = token.written[1:-1].replace("''", "'")
        elif _NUMBER.fullmatch(token.text):
            constant = int(token.text)
        # SQLite folds ASCII letters alone; here the Kelvin sign would be a k.
        yield Piece(token.text, token.name if token.written.isascii() else None, constant)


def _groups(pieces: Iterable[Piece]) -> list[Group]:
    """Return what stands within each pair of parentheses, the whole first."""
    whole: Group = []
    found, around = [whole], [whole]
    for piece in pieces:
        if piece.word == "(":
            group: Group = []
            around[-1].append(group)
            found.append(group)
            around.append(group)
        elif piece.word == ")":
            around.pop()
        else:
            around[-1].append(piece)
    return found


def _is_query(element: Piece | Group) -> bool:
    begun = inside(element)
    return bool(begun) and word(begun[0]) in ("select", "with", "values")


# ---- the clauses

_BEHIND = frozenset({"group", "having", "union", "intersect", "except", "order", "limit"})
"""What may follow a WHERE, or a FROM without one."""
_JOINING = frozenset({"natural", "left", "outer", "inner", "cross"})
# These show rows of their right side that no condition between the two is true of.
_UNREAD = frozenset({"right", "full"})


def _selects(group: Group) -> Iterator[Group]:
    """Yield what stands behind each SELECT of a group, up to the next."""
    starts = [place for place, each in enumerate(group) if word(each) == "select"]
    for start, end in pairwise([*starts, len(group)]):
        yield group[start + 1 : end]


def _clauses(select: Group) -> Clauses | None:
    words = [word(each) for each in select]
    # `is distinct from` begins no clause; `select distinct` has something before its own.
    start = next((place for place, each in enumerate(words) if each == "from" and words[place - 1] != "distinct"), None)
    if start is None or not _UNREAD.isdisjoint(words):
        return None
    end = next((place for place in range(start, len(words)) if words[place] in _BEHIND), len(words))
    where = next((place for place in range(start, end) if words[place] == "where"), end)
    items = [_item(part, outer) for part, outer in _joined(select[start + 1 : where])]
    read = [item for item in items if item is not None]
    named = [item.called for item in read if item.called]
    certain = len(read) == len(items) and len({*named}) == len(named)
    return Clauses(read, select[where + 1 : end]) if certain else None


def _joined(clause: Group) -> Iterator[tuple[Group, bool]]:
    """Yield what stands between the joins of a FROM, and whether it is the right side of a LEFT JOIN."""
    part: Group = []
    outer = False
    for each in clause:
        if word(each) not in (",", "join"):
            part.append(each)
            continue
        joining = set()
        while part and word(part[-1]) in _JOINING:
            joining.add(word(part.pop()))
        yield part, outer
        part, outer = [], "left" in joining
    yield part, outer


def _item(part: Group, outer: bool) -> Item | None:
    """Return an item of a FROM, None for one of which it is not certain what it is called."""
    words = [word(each) for each in part]
    end = next((place for place, each in enumerate(words) if each in ("on", "using")), len(part))
    on = part[end + 1 :] if "on" in words[end:] else []
    using = tuple(map(_name, inside(part[-1]))) if "using" in words[end:] else ()
    table, called = part[:end], ""
    if len(table) > 1 and isinstance(table[-1], Piece) and words[end - 2] != ".":
        called = _name(table[-1])
        table = table[: -2 if words[end - 2] == "as" else -1]
        if not called:
            return None
    if not table or (not isinstance(table[0], Piece) and not _is_query(table[0])):
        return None  # tables in parentheses are meant by their own names
    if words[: len(table) - 1] in ([], ["temp", "."]) and (name := _name(table[-1])):
        return Item(name, called or name, outer, on, using)
    return Item("", called or _name(table[0]), outer, on, using)


def _name(element: Piece | Group) -> str:
    return (element.name if isinstance(element, Piece) else None) or ""


def _between_ands(clause: Group) -> list[Group]:
    words = [word(each) for each in clause]
    if "or" in words or "case" in words:
        return []
    parts: list[Group] = [[]]
    betweens = 0
    for each, of in zip(clause, words, strict=True):
        betweens += of == "between"
        if of == "and" and not betweens:
            parts.append([])
            continue
        betweens -= of == "and"
        parts[-1].append(each)
    return parts
