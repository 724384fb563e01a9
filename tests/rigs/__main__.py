"""Run a rig for long, on both databases: `python -m tests.rigs RIG [SECONDS] [SEED]`; of `torn` it is how many kills.

A failing run of a rig that draws from a seed says which it was; what its processes said stays where the failure says.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.rigs.crash import crash
from tests.rigs.delay import Distance, measure
from tests.rigs.exclusion import exclude
from tests.rigs.gaps import hunt
from tests.rigs.linear import line_up
from tests.rigs.server import Server
from tests.rigs.torn import KILLS_OF_A_STORE, LARGE, NEW, OLD, tear
from tests.rigs.watchers import keep_watch

HELD = 10.0


def gaps(seconds: float, folder: Path, _seed: int | None) -> None:
    with Server() as server:
        for name, place in (("SQLite", lambda n: str(folder / f"{n}.db")), ("PostgreSQL", server.create)):
            print(f"{name}: {hunt(place('quiet'), folder / f'{name} quiet', seconds)}", flush=True)
            killed = hunt(place("killed"), folder / f"{name} killed", seconds, kill=True, held=min(HELD, seconds / 3))
            print(f"{name}: {killed}", flush=True)


def crashes(seconds: float, folder: Path, _seed: int | None) -> None:
    print(f"SQLite: {crash(str(folder / 'crash.db'), folder / 'file', seconds)}", flush=True)
    with Server() as server:
        where = server.create("crash")
        print(f"PostgreSQL, the writers: {crash(where, folder / 'writers', seconds)}", flush=True)
        where = server.create("server")
        print(f"PostgreSQL, the server: {crash(where, folder / 'server', seconds, server)}", flush=True)


def delays(seconds: float, _folder: Path, _seed: int | None) -> None:
    with Server() as server:
        print(Distance.HEAD, *measure(server, seconds), sep="\n", flush=True)


def tears(kills: float, folder: Path, _seed: int | None) -> None:
    with Server() as server:
        for database, place in (("SQLite", lambda n: str(folder / f"{n}.db")), ("PostgreSQL", server.create)):
            for name in LARGE:
                torn = tear(name, int(kills), place)
                print(f"{database}, {torn}", flush=True)
                assert {OLD, NEW} <= torn.found.keys() or kills < KILLS_OF_A_STORE, "it was never killed in between"


Drawn = Callable[[str, Path, float, int | None], object]


def on_both(rig: Drawn) -> Callable[[float, Path, int | None], None]:
    """Return what runs a rig on an empty store of each database."""

    def runs(seconds: float, folder: Path, seed: int | None) -> None:
        print(f"SQLite: {rig(str(folder / 'store.db'), folder / 'file', seconds, seed)}", flush=True)
        with Server() as server:
            print(f"PostgreSQL: {rig(server.create('store'), folder / 'server', seconds, seed)}", flush=True)

    return runs


RIGS: dict[str, tuple[Callable[[float, Path, int | None], None], float]] = {
    "gaps": (gaps, 30.0),
    "crash": (crashes, 60.0),
    "delay": (delays, 5.0),
    "torn": (tears, 200),
    "linear": (on_both(line_up), 30.0),
    "exclusion": (on_both(exclude), 20.0),
    "watchers": (on_both(keep_watch), 60.0),
}

if __name__ == "__main__":
    rig, much = RIGS[sys.argv[1]]
    made = Path(tempfile.mkdtemp())
    told = sys.argv[2:]
    rig(float(told[0]) if told else much, made, int(told[1]) if len(told) > 1 else None)
    shutil.rmtree(made)  # a failure leaves what was said
