"""The functions a query may call, and the four of SQLite's own that are put another way here.

One call of a function is one step to SQLite, and nothing can interrupt it: so whatever takes more than linear time in
its arguments cannot be called. `replace`, `printf`, `json_patch` and the two-argument `trim` are left out for that (or
for making much of little); LIKE, GLOB and instr are written anew, since no query gets along without them. SQLite's own
LIKE takes n**k steps for k percent signs, and its instr n*m.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from statedb.errors import QueryRefused

GATHERING = frozenset({"group_concat", "string_agg", "json_group_array", "json_group_object"})
"""Aggregates that hold all they are given: a query may have a few of them, for the memory's sake."""

FORMATTING = frozenset({"strftime"})
"""What takes 0.1 s for a megabyte, in one step that nothing interrupts."""

_LISTED = """
    count sum avg total min max
    row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
    abs round sign ceil ceiling floor trunc mod sqrt pow power exp ln log log2 log10 pi random
    coalesce ifnull nullif iif if typeof likely unlikely likelihood
    length octet_length lower upper substr substring trim ltrim rtrim unicode char hex unhex quote concat concat_ws
    like glob instr
    json -> ->> json_extract json_array json_object json_array_length json_type json_valid json_quote
    date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp
"""
ALLOWED = GATHERING | frozenset(_LISTED.split())

_LONGEST_PATTERN = 50_000
"""In characters; SQLite's own limit."""
_MOST_STEPS = 100_000_000
"""For a stretch of a pattern that holds wildcards of one character; a second, about. Any other takes linear time."""

Value = str | bytes | int | float | None
Piece = str | re.Pattern[str]


class Pattern:
    """A pattern made ready: pieces of a fixed length each, with any run of characters between two of them."""

    def __init__(self, pieces: list[tuple[Piece, int]]) -> None:
        self.first, *self.middle = pieces
        self.last = self.middle.pop() if self.middle else None

    def matches(self, text: str) -> bool:
        """Tell whether the pieces stand in the text in order, the first at its start and the last at its end."""
        size = self.first[1]
        if self.last is None:
            return len(text) == size and _at(self.first[0], text, 0)
        end = len(text) - self.last[1]
        if end < size or not _at(self.first[0], text, 0) or not _at(self.last[0], text, end):
            return False
        place = size
        for piece, size in self.middle:  # each at the first place it fits, which leaves the most room to those behind
            place = _find(piece, size, text, place, end)
            if place < 0:
                return False
            place += size
        return True


def _at(piece: Piece, text: str, place: int) -> bool:
    return text.startswith(piece, place) if isinstance(piece, str) else piece.match(text, place) is not None


def _find(piece: Piece, size: int, text: str, start: int, end: int) -> int:
    if isinstance(piece, str):
        return text.find(piece, start, end)  # linear, by CPython's two-way search
    # By the length of the expression, for a set of characters is gone through one by one.
    if len(piece.pattern) * (end - start) > _MOST_STEPS:
        raise QueryRefused(f"a pattern of {size:,} characters with wildcards is too much for a text of {len(text):,}")
    found = piece.search(text, start, end)
    return found.start() if found else -1


# ---- LIKE


def like(pattern: Value, text: Value, escape: Value = "") -> int | None:
    """Tell whether a text is LIKE a pattern, as SQLite does: ASCII letters in either case, bytes never."""
    if pattern is None or text is None or escape is None:
        return None
    if isinstance(pattern, bytes) or isinstance(text, bytes):
        return 0
    if escape != "" and len(escape := _text(escape)) != 1:
        raise QueryRefused("ESCAPE takes a single character")
    made = _like(_bounded(pattern), str(escape))
    return int(made is not None and made.matches(_folded(_text(text))))


def _folded(text: str) -> str:
    """Return a text with its ASCII letters, and no others, in lower case."""
    return (
        text.lower() if text.isascii() else text.encode(errors="surrogatepass").lower().decode(errors="surrogatepass")
    )


@lru_cache(maxsize=64)
def _like(pattern: str, escape: str) -> Pattern | None:
    """Return a LIKE pattern made ready, None for one that matches nothing."""
    pieces: list[list[str | None]] = [[]]  # of characters, None for any one
    characters = iter(pattern)
    for each in characters:
        if each == escape:
            if (escaped := next(characters, None)) is None:
                return None
            pieces[-1].append(_folded(escaped))
        elif each == "%":
            pieces.append([])
        else:
            pieces[-1].append(None if each == "_" else _folded(each))
    return Pattern([_piece([each if each is None else re.escape(each) for each in piece], piece) for piece in pieces])


# ---- GLOB


def glob(pattern: Value, text: Value) -> int | None:
    """Tell whether a text matches a GLOB pattern, as SQLite does: `*`, `?`, `[a-z]`, `[^a]`; bytes never."""
    if pattern is None or text is None:
        return None
    if isinstance(pattern, bytes) or isinstance(text, bytes):
        return 0
    made = _glob(_bounded(pattern))
    return int(made is not None and made.matches(_text(text)))


@lru_cache(maxsize=64)
def _glob(pattern: str) -> Pattern | None:
    """Return a GLOB pattern made ready, None for one that matches nothing."""
    pieces: list[list[tuple[str | None, str | None]]] = [[]]  # of (expression, character), None for not just one
    place = 0
    while place < len(pattern):
        each = pattern[place]
        place += 1
        if each == "*":
            pieces.append([])
        elif each == "[":
            expression, place = _set(pattern, place)
            if expression is None:
                return None
            pieces[-1].append((expression, None))
        else:
            pieces[-1].append((None, None) if each == "?" else (re.escape(each), each))
    return Pattern([_piece([each[0] for each in piece], [each[1] for each in piece]) for piece in pieces])


def _set(pattern: str, place: int) -> tuple[str | None, int]:
    """Return the regular expression of a set that was opened before `place`, and where the pattern goes on.

    A first `]` stands for itself, and so does a `-` that has not a character of its own on both sides.
    """
    inverted = pattern.startswith("^", place)
    place += inverted
    parts: list[str] = []
    if pattern.startswith("]", place):
        parts, place = ["\\]"], place + 1
    prior = ""
    while place < len(pattern) and (each := pattern[place]) != "]":
        following = pattern[place + 1 : place + 2]
        if each == "-" and prior and following not in ("", "]"):
            if prior <= following:
                parts.append(f"{re.escape(prior)}-{re.escape(following)}")
            prior, place = "", place + 2
        else:
            parts.append(re.escape(each))
            prior, place = each, place + 1
    closed = place < len(pattern)
    return f"[{'^' * inverted}{''.join(parts)}]" if closed else None, place + 1


# ---- the others


def instr(text: Value, sought: Value) -> int | None:
    """Return where one text stands within another, from 1 on; 0 where it does not. Of bytes within bytes likewise."""
    if text is None or sought is None:
        return None
    if isinstance(text, bytes) and isinstance(sought, bytes):
        return text.find(sought) + 1
    return _whole(text).find(_whole(sought)) + 1


def trim_set(text: Value, characters: Value) -> Value:
    """Refuse to trim a set of characters, which takes SQLite n*m steps."""
    raise QueryRefused("trim, ltrim and rtrim take one argument in a query: they trim spaces")


OVERRIDDEN: tuple[tuple[str, int, Callable[..., Any]], ...] = (
    ("like", 2, like),
    ("like", 3, like),
    ("glob", 2, glob),
    ("instr", 2, instr),
    ("trim", 2, trim_set),
    ("ltrim", 2, trim_set),
    ("rtrim", 2, trim_set),
)
"""The functions that stand in the place of SQLite's: name, number of arguments, what is called."""


# ---- inside


def _piece(expressions: list[str | None], characters: list[str | None]) -> tuple[Piece, int]:
    """Return a piece: plain text where every place holds a character, otherwise a regular expression."""
    plain = [each for each in characters if each is not None]
    if len(plain) == len(characters):
        return "".join(plain), len(plain)
    return re.compile("".join(each or "." for each in expressions), re.DOTALL), len(characters)


def _bounded(pattern: Value) -> str:
    text = _text(pattern)
    if len(text) > _LONGEST_PATTERN:
        raise QueryRefused(f"a pattern of LIKE and GLOB has {_LONGEST_PATTERN:,} characters at most")
    return text


def _text(value: Value) -> str:
    """Return a value as LIKE and GLOB see it: text up to its first NUL."""
    return _whole(value).partition("\0")[0]


def _whole(value: Value) -> str:
    """Return a value as the text SQLite makes of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if not isinstance(value, float):
        return str(value)
    shown = f"{value:.15g}"
    if "." in shown or not shown[-1].isdigit():
        return shown.replace("inf", "Inf")
    whole, e, exponent = shown.partition("e")
    return f"{whole}.0{e}{exponent}".removeprefix("-" if not value else "")
