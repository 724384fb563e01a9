"""What distance costs: commits a second to a server that is so many milliseconds away, of many writers and of one."""

from __future__ import annotations

import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

from statedb import Store
from tests.rigs.processes import FORKED
from tests.rigs.proxy import Proxy
from tests.rigs.server import Server

WRITERS = 8
DELAYS = (0.0, 0.001)
"""Seconds each way."""


@dataclass
class Distance:
    """Commits a second at a distance."""

    delay: float
    writers: int
    rate: float
    journey: float

    HEAD = (
        "| there and back | writers | commits/s | ms a commit and writer | journeys a commit |\n|---|---|---|---|---|"
    )

    def __str__(self) -> str:
        each = self.writers / self.rate
        return (
            f"| {self.journey * 1000:.2f} ms | {self.writers} | {self.rate:,.0f} | {each * 1000:.2f} "
            f"| {each / self.journey:.1f} |"
        )


def measure(server: Server, seconds: float) -> list[Distance]:
    """Measure at each distance, through a proxy in a process of its own: all writers on keys of their own, then one."""
    found: list[Distance] = []
    for delay in DELAYS:
        ours, theirs = multiprocessing.Pipe()
        proxy = FORKED.Process(target=_serve, args=((str(server.folder), server.port), delay, theirs))
        proxy.start()
        port = ours.recv()
        try:
            journey = _journey(server, port)
            for writers in (WRITERS, 1):
                where = server.create(f"d{len(found)}")
                Store(where).close()
                rate = _rate(server.url(f"d{len(found)}", port=port), writers, seconds)
                found.append(Distance(delay, writers, rate, journey))
        finally:
            proxy.kill()
            proxy.join()
    return found


def _serve(server: tuple[str, int], delay: float, told: Connection) -> None:
    with Proxy(server, delay=delay) as proxy:
        told.send(proxy.port)
        time.sleep(1_000_000)


def _journey(server: Server, port: int) -> float:
    """Return the seconds a question takes there and back."""
    import psycopg

    with psycopg.connect(server.url(port=port).replace("+psycopg", ""), autocommit=True) as raw:
        begun = time.perf_counter()
        for _ in range(100):
            raw.execute("select 1")
        return (time.perf_counter() - begun) / 100


def _rate(where: str, writers: int, seconds: float) -> float:
    """Return the commits a second of some processes, each on a key of its own."""
    barrier = FORKED.Barrier(writers)
    pipes = [multiprocessing.Pipe(duplex=False) for _ in range(writers)]
    crew = [
        FORKED.Process(target=_write, args=(where, f"w{number}", seconds, barrier, told))
        for number, (_, told) in enumerate(pipes)
    ]
    for process in crew:
        process.start()
    counts = [heard.recv() for heard, _ in pipes]
    for process in crew:
        process.join()
    return float(sum(counts) / seconds)


def _write(where: str, agent: str, seconds: float, barrier: object, told: Connection) -> None:
    with Store(where) as store:
        store.states.set(agent, "shared", "k", 0)
        barrier.wait()  # type: ignore[attr-defined]
        count, ends = 0, time.perf_counter() + seconds
        while time.perf_counter() < ends:
            count += 1
            store.states.set(agent, "shared", "k", count)
    told.send(count)
