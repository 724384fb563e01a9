"""The process that doltlite has to itself: it answers lines of JSON, and counts no microsecond of reading them."""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import Any

_UPSERT = "insert into states values (?, ?) on conflict (key) do update set value = excluded.value"
_COMMIT = "select dolt_commit('-A', '-m', 'set')"


def main(path: str, durability: str) -> None:
    """Answer until there are no more lines."""
    importlib.import_module("doltlite")  # before sqlite3, whose place it takes
    import sqlite3

    from pydantic_core import from_json, to_json

    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"pragma synchronous = {durability}")
    db.execute("create table if not exists states (key text primary key, value text)")

    def set_(write: list[Any]) -> None:
        # In one transaction, which dolt_commit ends: apart, the upsert would be a commit of its own to wait for.
        db.execute("begin immediate")
        db.execute(_UPSERT, (write[0], to_json(write[1]).decode()))
        db.execute(_COMMIT).fetchall()
        if db.in_transaction:
            db.execute("commit")

    def get(key: str) -> Any:
        return from_json(db.execute("select value from states where key = ?", (key,)).fetchall()[0][0])

    for line in sys.stdin:
        what, of = json.loads(line)
        if what == "value":
            print(json.dumps(get(of)), flush=True)
            continue
        work = set_ if what == "write" else get
        begun = time.perf_counter()
        for each in of:
            work(each)
        print((time.perf_counter() - begun) / max(1, len(of)) * 1e6, flush=True)
    db.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
