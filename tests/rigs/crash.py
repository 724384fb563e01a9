"""A crash rig: what serves a store is killed under load, again and again; nothing acknowledged may be lost or doubled.

On PostgreSQL that is the server, all of its processes at once, and it is started again while the writers go on. On
SQLite it is the writers, all at once, in whose place others begin.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from statedb import Store
from tests.rigs.crew import Crew, Ledger
from tests.rigs.server import Server

WRITERS = 8
EVERY = 3.0
"""Seconds from one kill to the next: long enough for writers to be at work again."""


@dataclass
class Crashes:
    """What became of the writes, in figures."""

    seconds: float
    commits: int
    acknowledged: int
    kills: int
    failed: dict[str, int]
    in_doubt: int
    down: float

    def __str__(self) -> str:
        return (
            f"{self.kills} kills in {self.seconds:.0f} s, {self.down:.1f} s down; {self.commits:,} commits "
            f"({self.commits / self.seconds:,.0f}/s), {self.acknowledged:,} acknowledged and each there once; "
            f"{sum(self.failed.values())} writes ended in an error, {self.in_doubt} of which were made"
            + "".join(f"; {count} {error}" for error, count in self.failed.items())
        )


def crash(where: str, folder: Path, seconds: float, server: Server | None = None) -> Crashes:
    """Crash under load for so many seconds; AssertionError where a write is lost or doubled."""
    down = 0.0
    kills = max(1, round(seconds / EVERY))
    with Crew(where, folder, durability="full" if server else "normal") as crew:
        Store(where).close()
        crew.add_writers(WRITERS)
        crew.wait_for_writers()
        begun = time.monotonic()
        for _ in range(kills):
            time.sleep(seconds / (kills + 1))
            if server is None:
                crew.kill_writers()
                crew.wait_for_writers()
            else:
                server.kill()
                dead = time.monotonic()
                server.start()
                down += time.monotonic() - dead
        time.sleep(seconds / (kills + 1))
        taken = time.monotonic() - begun
        crew.finish()
    with Store(where) as store:
        ledger = Ledger(store, crew.board)
        ledger.check()
        assert store.health.check().problems == ()
    said = ledger.said
    failed = dict(Counter(error[:200] for error in said["failed"].values()))
    return Crashes(taken, ledger.commits, len(said["ok"]), kills, failed, ledger.in_doubt, down)
