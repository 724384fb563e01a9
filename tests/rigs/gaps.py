"""A gap hunt: readers follow the feed of a store under many writers, and must miss nothing, see nothing twice or early.

What a reader could miss is a commit that becomes visible after a later one was read: the numbers of sequences and of
transactions rise in the order in which they are begun. So writers are slow and quick, fail, and are killed, and one
transaction is left open throughout.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from statedb import Store
from tests.places import is_url
from tests.rigs.crew import Crew, Ledger

WRITERS, READERS = 8, 4
KILLS = 5


@dataclass
class Hunt:
    """What a hunt came upon, in figures."""

    seconds: float
    commits: int
    changes: int
    lags: list[float]
    rolled_back: int
    killed: int
    held: float

    def __str__(self) -> str:
        lags = sorted(self.lags)
        p50, p99, most = (lags[int(len(lags) * part)] * 1000 for part in (0.5, 0.99, 0.999999))
        return (
            f"{self.commits:,} commits in {self.seconds:.0f} s ({self.commits / self.seconds:,.0f}/s), "
            f"{self.changes:,} changes, each seen once and in order by {READERS} readers; from write to reader "
            f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, at most {most:.0f} ms; {self.rolled_back:,} rolled back, "
            f"{self.killed} writers killed, a transaction left open for {self.held:.0f} s"
        )


def hunt(
    where: str,
    folder: Path,
    seconds: float,
    *,
    kill: bool = False,
    held: float = 0.0,
    **options: Any,
) -> Hunt:
    """Hunt for gaps in the store at `where`, which holds nothing yet; AssertionError where there is one.

    `kill` has writers be killed, `held` a transaction be left open for so many seconds. On PostgreSQL another's, older
    than all of them, is open all the while.
    """
    with Crew(where, folder, durability="normal", **options) as crew:
        Store(where, **options).close()
        crew.add_readers(READERS)
        crew.add_writers(WRITERS)
        crew.wait_for_writers()
        begun = time.monotonic()
        with _older(where):
            if held:
                crew.hold(held)
            for _ in range(KILLS if kill else 1):
                time.sleep(seconds / (KILLS if kill else 1))
                if kill:
                    crew.kill_writer()
        taken = time.monotonic() - begun
        saw = crew.finish()
    with Store(where, **options) as store:
        ledger = Ledger(store, crew.board)
        ledger.check()
        assert store.health.check().problems == ()
    truth = [[change.revision, change.event_id] for change in ledger.changes]
    for name, each in saw.items():
        assert each["seen"] == truth, f"{name} {_difference(each['seen'], truth)}"
    lags = [lag for each in saw.values() for lag in each["lags"]]
    return Hunt(taken, ledger.commits, len(truth), lags, len(ledger.said["back"]), crew.killed, held)


@contextmanager
def _older(where: str) -> Iterator[None]:
    """Have a transaction that is no store's be open, with a number and a snapshot of its own."""
    if not is_url(where):
        yield
        return
    with psycopg.connect(where.replace("+psycopg", "")) as raw:
        raw.execute("select pg_current_xact_id()")
        yield


def _difference(seen: list[list[object]], truth: list[list[object]]) -> str:
    place = next((at for at, (one, other) in enumerate(zip(seen, truth, strict=False)) if one != other), len(seen))
    here = slice(place, place + 3)
    return f"saw {len(seen)} changes of {len(truth)}; from the {place}th on {seen[here]}, not {truth[here]}"
