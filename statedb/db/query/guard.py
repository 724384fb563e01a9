"""What a query may read and call: the answers SQLite's authorizer gives, and the names they hang on."""

from __future__ import annotations

import sqlite3
from secrets import token_hex

from statedb.db.query.functions import ALLOWED, FORMATTING, GATHERING
from statedb.db.views import VIEWS

RATIONS = {GATHERING: 16, FORMATTING: 4}
"""The most calls of some functions in one query: of those that hold as much as the longest text, and of the slowest."""

HIDDEN = "statedb_hidden"
"""A function that nobody may call: what stands in the place of a table calls it."""

SEES = "it sees the views states, history and commits, json_each and json_tree"

_READABLE = frozenset({"json_each", "json_tree"})


class Names:
    """The names in a sandbox that a query cannot know: of the store, and of two views beneath each that it sees."""

    def __init__(self) -> None:
        self.store = f"s_{token_hex(8)}"
        self.stored = {f"r_{token_hex(8)}": view for view in VIEWS}
        self.shown = {f"v_{token_hex(8)}": view for view in VIEWS}

    def unveil(self, message: str) -> str:
        """Return a message of SQLite's with plain names in the place of these."""
        for name, plain in {**self.stored, **self.shown, self.store: "store"}.items():
            message = message.replace(name, plain)
        return message.replace(f"no such function: {HIDDEN}", "it reads a table of the store's own")


class Guard:
    """Decides, while a query is compiled, what of it is allowed.

    `taken` are the names of all tables there are, in lower case; `clauses` those of the query's WITH clauses. `refusal`
    says why something was not allowed, `named` which views the query reads, `valued` those whose values it names.
    """

    def __init__(self, names: Names, taken: frozenset[str]) -> None:
        self._names, self._taken = names, taken
        self._calls = dict.fromkeys(RATIONS, 0)
        self.clauses: frozenset[str] = frozenset()
        self.named: set[str] = set()
        self.valued: set[str] = set()
        self.refusal = ""

    def may(self, action: int, what: str, which: str, home: str | None, via: str) -> bool:
        """Tell whether SQLite may go on, given what its authorizer is asked."""
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return True
        if action == sqlite3.SQLITE_READ:
            return self._may_read(what.lower(), which, home, via) or self._refuse(f"a query cannot read {what}; {SEES}")
        if action == sqlite3.SQLITE_FUNCTION:
            if which == HIDDEN:
                return self._refuse(f"a query cannot read {via}; {SEES}")
            return self._may_call(which.lower(), via) or self._refuse(f"a query cannot call {which}")
        return self._refuse(f"a query can only read; {SEES}")  # virtual tables end here as well: a first use makes one

    def _may_read(self, name: str, column: str, home: str | None, via: str) -> bool:
        if name in self._names.shown:
            self.named.add(self._names.shown[name])
            return True
        if name in self._names.stored or name in _READABLE:
            return True
        if name in VIEWS:
            if column == "value":
                self.valued.add(name)
            return home in (None, "temp")
        if home == self._names.store:
            return via in self._names.stored or column == ""
        # A WITH clause of which no column is read comes under the name the query has for it, with no database; a table
        # would come like that as well, so the clause must not be called like one.
        free = name not in self._taken and not name.startswith(("sqlite_", "pragma_"))
        return column == "" and home is None and name in self.clauses and free

    def _may_call(self, name: str, via: str) -> bool:
        for rationed, most in RATIONS.items():
            self._calls[rationed] += name in rationed
            if self._calls[rationed] > most:
                return self._refuse(f"a query takes {most} of {', '.join(sorted(rationed))} at most")
        return name in ALLOWED or (name.startswith("statedb_") and via in self._names.shown)

    def _refuse(self, why: str) -> bool:
        self.refusal = self.refusal or why
        return False
