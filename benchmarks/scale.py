"""What a PostgreSQL server holds, and how it bears it: the figures of docs/scale.md.

    python -m benchmarks.scale postgresql+psycopg://user@host/db 50000 [fillfactor]

Fills a store of its own (schema `scale`, dropped first) with 20 versions of so many keys, and prints what a row of each
table takes, how long a get, a set and a health check take then, and how many updates touched no index.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

from statedb import Store

SCHEMA = "scale"
AGENT_KEYS = 100
ROUNDS = 20
SINGLE = 2000
"""Calls that are timed one by one."""

_SIZES = """
select c.relname, pg_table_size(c.oid), pg_indexes_size(c.oid)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = %s and c.relkind = 'r' order by 2 desc
"""
_UPDATES = """
select n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count
from pg_stat_user_tables where schemaname = %s and relname = 'agent_states'
"""


def place(key: int) -> tuple[str, str, str]:
    """Return where a key stands."""
    return f"agent-{key // AGENT_KEYS}", "persistent", f"memory/{key}"


def value(key: int, turn: int) -> dict[str, Any]:
    """Return a value of some 200 bytes of JSON that differs from version to version."""
    chance = random.Random(key * 1000 + turn)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(14)]
    return {"turn": turn, "key": key, "words": words, "done": bool(turn % 2)}


def fill(store: Store, keys: int) -> None:
    """Write every key's versions, an agent's hundred keys in a commit."""
    for turn in range(ROUNDS):
        for agent in range(keys // AGENT_KEYS):
            first = agent * AGENT_KEYS
            values = {f"memory/{key}": value(key, turn) for key in range(first, first + AGENT_KEYS)}
            store.states.set_many(f"agent-{agent}", "persistent", values)


def timed(call: Callable[[int], object], keys: int) -> str:
    """Return how long a call takes for keys at random: half of all, and 99 of 100."""
    taken = []
    for _ in range(SINGLE):
        key = random.randrange(keys)
        began = time.perf_counter()
        call(key)
        taken.append((time.perf_counter() - began) * 1e6)
    cuts = statistics.quantiles(taken, n=100)
    return f"p50 {cuts[49]:,.0f} µs, p99 {cuts[98]:,.0f} µs"


def sizes(raw: psycopg.Connection[Any]) -> None:
    """Print what each table takes for a row, its indexes apart."""
    raw.execute("select pg_stat_force_next_flush()")
    total = 0
    for name, table, indexes in raw.execute(_SIZES, [SCHEMA]).fetchall():
        [[rows]] = raw.execute(f"select count(*) from {SCHEMA}.{name}".encode()).fetchall()
        total += table + indexes
        if rows > 1:
            print(f"{name:16} {rows:>9,} rows  {table / rows:7.1f} + {indexes / rows:6.1f} bytes a row")
    print(f"all together {total / 1e6:,.1f} MB")


def hot(raw: psycopg.Connection[Any], before: tuple[int, ...]) -> tuple[int, ...]:
    """Print the share of updates of agent_states since before that left the indexes alone."""
    time.sleep(1.5)  # until the server's processes have told their counts
    [now] = raw.execute(_UPDATES, [SCHEMA]).fetchall()
    updated, light = now[0] - before[0], now[1] - before[1]
    if updated:
        print(f"updates {updated:,}, of them heap-only {light / updated:.1%}; dead {now[2]:,}, autovacuums {now[3]}")
    return tuple(now)


def main(url: str, keys: int, fillfactor: int = 100) -> None:
    """Fill a store and print what it takes."""
    address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute(f"drop schema if exists {SCHEMA} cascade")
        with Store(url, postgres_schema=SCHEMA) as store:
            raw.execute(f"alter table {SCHEMA}.agent_states set (fillfactor = {fillfactor})".encode())
            print(f"fillfactor {fillfactor}")
            began = time.perf_counter()
            fill(store, keys)
            taken = time.perf_counter() - began
            print(f"filled with {keys * ROUNDS:,} versions in {taken:,.0f} s, {keys * ROUNDS / taken:,.0f} a second")
            counts = hot(raw, (0, 0))
            sizes(raw)
            print("get", timed(lambda key: store.states.get(*place(key)), keys))
            turns = iter(range(ROUNDS, ROUNDS + 10 * SINGLE))
            for _ in range(3):
                print("set", timed(lambda key: store.states.set(*place(key), value(key, next(turns))), keys))
                counts = hot(raw, counts)
            sizes(raw)
            began = time.perf_counter()
            found = store.health.check()
            print(f"health.check {time.perf_counter() - began:,.1f} s, problems {len(found.problems)}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *map(int, sys.argv[3:4]))
