"""The text of a query, looked at before SQLite sees it: what SQLite itself would not refuse, or not in time."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from statedb.errors import InvalidValue, QueryRefused

MAX_BYTES = 100_000
"""The longest query, in bytes of UTF-8."""

MAX_EXPANDED = 5_000
"""How often the WITH clauses of a query may be used, each use within each use counted.

SQLite copies a WITH clause wherever it is named, before anything can interrupt it: thirty clauses, each naming the one
before twice, fit into one kilobyte and come to a thousand million copies. 16,000 took 0.2 s; below this it is 0.1 s.
"""

MAX_PARSED = 4
"""How often json_each and json_tree may stand in a query: each keeps a parse of its own, ten times what it is given."""
_PARSING = frozenset({"json_each", "json_tree"})
_MAX_COPIED = 16
"""The same as MAX_EXPANDED where these stand in the query, since they may stand in what is copied."""

_TOKEN = re.compile(
    r"""(?P<space> [ \t\n\f\r\ufeff]+ | --[^\n]* | /\*.*?(?:\*/|\Z) )
      | (?P<name>  '(?:[^']|'')*' | "(?:[^"]|"")*" | `(?:[^`]|``)*` | \[[^\]]*\]
                 | [A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]* )
      | (?P<tcl>   [:@\#$] (?: [A-Za-z0-9_$\u0080-\U0010ffff]* :: | [A-Za-z0-9_$\u0080-\U0010ffff]+ \( ) )
      | (?P<bound> [:@\#$][A-Za-z0-9_$\u0080-\U0010ffff]+ )
      | (?P<other> \?[0-9]* | \.?[0-9][A-Za-z0-9_.]* | [().,;+\-*/%<>=!&|~] )
      | (?P<alien> . )""",
    re.VERBOSE | re.DOTALL,
)
# After these SQLite takes a name for a table. A text counts as a name as well: `from 'x'` reads the table x.
_BEFORE_A_TABLE = frozenset({"from", "join", "in", ",", "("})


class Token(NamedTuple):
    """A piece of SQL that is no space: `name` is what it would name, in lower case, None where it cannot be one."""

    text: str
    name: str | None
    written: str
    """As it stands in the query: a text keeps its letters, and what is quoted its quotes."""


class Query(NamedTuple):
    """A query as a caller wrote it."""

    sql: str
    named: bool
    """It holds parameters such as :name, so that these are given by a mapping."""
    clauses: frozenset[str]
    """The names of its WITH clauses, in lower case."""
    tokens: list[Token]


def checked(sql: str) -> Query:
    """Return a text that may be tried as a query. Raises InvalidValue for no text, QueryRefused for no query."""
    if not isinstance(sql, str):
        raise InvalidValue(f"a query is SQL text, not {type(sql).__name__}")
    try:
        size = len(sql.encode())
    except UnicodeEncodeError:
        raise InvalidValue("the query holds a lone surrogate, which UTF-8 cannot carry") from None
    if size > MAX_BYTES:
        raise QueryRefused(
            f"the query has {size:,} bytes, and {MAX_BYTES:,} is the most; give long lists as one JSON parameter, "
            "and read them with json_each(?)"
        )
    if "\0" in sql:
        raise QueryRefused("the query holds a NUL character, behind which SQLite reads nothing")
    # SQLite's own tables cannot be hidden from a query, which could read them by USING; a text may name a table, too.
    if "sqlite_" in sql.lower():
        raise QueryRefused("a query names nothing that begins with sqlite_; give such a text as a parameter")
    found = [match for match in _TOKEN.finditer(sql) if match.lastgroup != "space"]
    tokens = [_token(match) for match in found]
    if not tokens or tokens[0].text not in ("select", "with", "values"):
        begins = f"{found[0][0]:.40}" if found else "nothing"
        raise QueryRefused(f"a query begins with SELECT, WITH or VALUES, this one with {begins}; it can only read")
    alien = next((match for match in found if match.lastgroup in ("alien", "tcl")), None)
    if alien is not None:  # what is read here in another way than by SQLite would be looked at in vain
        raise QueryRefused(f"the query holds {alien[0]!r:.40}, which stands for nothing in SQL")
    if sum(token.name in _PARSING for token in tokens) > MAX_PARSED:
        raise QueryRefused(
            f"a query takes {MAX_PARSED} of {', '.join(sorted(_PARSING))} at most, for the memory's sake"
        )
    clauses = _clauses(tokens)
    _check_expansion(tokens, clauses)
    return Query(sql, any(match.lastgroup == "bound" for match in found), frozenset(clauses), tokens)


def _token(match: re.Match[str]) -> Token:
    written = match[0]
    return Token(written.lower(), _name(written) if match.lastgroup == "name" else None, written)


def _name(text: str) -> str:
    if text[0] in "'\"`[":
        text = text[1:-1].replace(text[0] * 2, text[0])
    return text.lower()


def _check_expansion(tokens: list[Token], bodies: dict[str, list[range]]) -> None:
    """Refuse a query whose WITH clauses would be copied too often."""
    inside = {place for spans in bodies.values() for span in spans for place in span}
    uses = {name: [place for span in spans for place in span] for name, spans in bodies.items()}
    mentions = {name: [used for used in _tables(tokens, places) if used in bodies] for name, places in uses.items()}
    try:
        order = list(TopologicalSorter({name: {*used} - {name} for name, used in mentions.items()}).static_order())
    except CycleError:
        raise QueryRefused("the query's WITH clauses refer to one another in a circle") from None
    copies: dict[str, int] = {}
    for name in order:
        copies[name] = 1 + sum(copies[used] for used in mentions[name] if used != name)
    outside = [place for place in range(len(tokens)) if place not in inside]
    most = _MAX_COPIED if any(token.name in _PARSING for token in tokens) else MAX_EXPANDED
    if sum(copies[used] for used in _tables(tokens, outside) if used in copies) > most:
        raise QueryRefused(
            f"the query's WITH clauses use one another more than {most:,} times over; name each less often"
        )


def _clauses(tokens: list[Token]) -> dict[str, list[range]]:
    """Return where the body of each WITH clause stands, by name: `name [(columns)] as [not materialized] ( … )`."""
    pairs = _parentheses(tokens)
    opened = {close: open_ for open_, close in pairs.items()}
    found: dict[str, list[range]] = {}
    for place, token in enumerate(tokens):
        if token.text != "as":
            continue
        body = place + 1
        while body < len(tokens) and tokens[body].text in ("not", "materialized"):
            body += 1
        named = opened.get(place - 1, place) - 1
        if body in pairs and named >= 0 and (name := tokens[named].name) is not None:
            found.setdefault(name, []).append(range(body, pairs[body]))
    return found


def _parentheses(tokens: list[Token]) -> dict[int, int]:
    """Return where each opening parenthesis is closed; at the end of the text where it is not."""
    pairs: dict[int, int] = {}
    waiting: list[int] = []
    for place, token in enumerate(tokens):
        if token.text == "(":
            waiting.append(place)
        elif token.text == ")" and waiting:
            pairs[waiting.pop()] = place
    return pairs | {place: len(tokens) for place in waiting}


def _tables(tokens: list[Token], places: list[int]) -> list[str]:
    """Return the names that stand where tables do, which the columns of a list may as well."""
    return [
        name
        for place in places
        if (name := tokens[place].name) is not None and place and tokens[place - 1].text in _BEFORE_A_TABLE
    ]
