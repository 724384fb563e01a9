"""The schema as SQL text: what `schema.sql` holds. Run as a module, it prints that."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from sqlalchemy import create_engine
from sqlalchemy.pool import StaticPool

from statedb.db.views import metadata

_HEADER = """\
-- The schema of a store, as SQLite sees it. Generated from statedb/db by `make schema`; do not edit.
-- What each table, row and column means: docs/format.md.
"""


def declared() -> str:
    """Return the schema as `tables.py` and `views.py` declare it."""
    with closing(sqlite3.connect(":memory:")) as raw:
        engine = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool, pool_reset_on_return=None)
        metadata.create_all(engine)
        return text_of(raw)


def text_of(raw: sqlite3.Connection) -> str:
    """Return a database's schema as SQL, in order of type and name, with spacing made even."""
    rows = raw.execute(
        "select sql from sqlite_master where sql is not null and name <> 'alembic_version' "
        "order by case type when 'table' then 0 when 'index' then 1 else 2 end, name"
    ).fetchall()
    return _HEADER + "".join(f"\n{_tidy(sql)};\n" for (sql,) in rows)


def _tidy(sql: str) -> str:
    """Lay a statement out in one way: a column a line for tables, a clause a line for the rest."""
    flat = " ".join(sql.split())
    if not flat.startswith("CREATE TABLE"):
        for clause in (" FROM ", " JOIN ", " LEFT OUTER JOIN ", " WHERE ", " SELECT "):
            flat = flat.replace(clause, "\n" + clause.lstrip())
        return flat.replace("LEFT OUTER\nJOIN", "LEFT OUTER JOIN")
    head, _, rest = flat.partition(" (")
    body, _, tail = rest.rpartition(")")
    return f"{head} (\n    " + ",\n    ".join(_columns(body)) + f"\n){tail}"


def _columns(body: str) -> list[str]:
    """Split a table's body at the commas that are not inside parentheses."""
    parts, depth = [""], 0
    for character in body:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]


if __name__ == "__main__":
    print(declared(), end="")
