"""A crew of processes that write to a store and read its feed, any of which may be killed."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from statedb import AsyncStore, Change, StateDBError, Store, TransactionAborted
from tests.rigs.processes import Board, Log, Processes, until

TASKS = 4

logging.getLogger("psycopg").addHandler(logging.NullHandler())  # that a killed server is gone is no news here
COUNTER = ("all", "shared", "counter")
HELD = "held"
"""The key that is written by the transaction that is left open."""


class Abandoned(Exception):
    """What a writer takes a transaction back with."""


# ---- writers


def write(where: str, folder: Path, name: str, options: dict[str, Any]) -> None:
    """Write until told to stop, one thing after another. For `Process`."""
    board = Board(folder)
    with Store(where, **options) as store:
        log, number = board.log(name), 0
        while board.told("stop") is None:
            number += 1
            op = f"{name}:{number}"
            try:
                made = _block(store, name, op) if number % 8 == 4 else _ask(store, name, number, op)
            except Abandoned:
                log.say("back", op)
            except (StateDBError, OSError) as error:
                log.say("failed", op, repr(error))
            else:
                log.say("ok", op, made.revision)


def write_tasks(where: str, folder: Path, name: str, options: dict[str, Any]) -> None:
    """Write until told to stop, several things at a time. For `Process`."""
    board = Board(folder)

    async def work(store: AsyncStore, log: Log, number: int) -> None:
        while board.told("stop") is None:
            number += TASKS
            op = f"{name}:{number}"
            try:
                made = await _ask(store, name, number, op)
            except Abandoned:
                log.say("back", op)
            except (StateDBError, OSError) as error:
                log.say("failed", op, repr(error))
            else:
                log.say("ok", op, made.revision)

    async def main() -> None:
        async with AsyncStore(where, **options) as store:
            log = board.log(name)
            await asyncio.gather(*(work(store, log, number) for number in range(TASKS)))

    asyncio.run(main())


def hold(where: str, folder: Path, name: str, options: dict[str, Any], seconds: float) -> None:
    """Write in a transaction and leave it open for a while. For `Process`."""
    board, op = Board(folder), f"{name}:0"
    with Store(where, **options) as store:
        with store.transaction() as tx:
            tx.states.set(name, "shared", HELD, _said(op))
            board.tell("held")
            time.sleep(seconds)
        board.log(name).say("ok", op, tx.revision)


def _ask(store: Any, name: str, number: int, op: str) -> Any:
    """Write something through a store, or begin to through an asynchronous one."""
    kind = number % 8
    if kind == 0:
        return store.states.update(*COUNTER, lambda was: {**_said(op), "count": was["count"] + 1}, default={"count": 0})
    if kind in (1, 2):
        return store.run(_three, name, op)
    if kind == 3:
        return store.run(_abandon, name, op)
    if kind == 5:
        return store.run(_three, "all", op)
    return store.states.set(name, "shared", f"k{number % 5}", _said(op))


def _block(store: Store, name: str, op: str) -> Any:
    while True:
        try:
            with store.transaction() as tx:
                return _three(tx, name, op)
        except TransactionAborted:
            continue


def _three(tx: Any, agent: str, op: str) -> Any:
    """Write three keys, all of which a reader must find in one commit."""
    for key in ("left", "middle"):
        tx.states.set(agent, "shared", key, _said(op))
    return tx.states.set(agent, "shared", "right", _said(op))


def _abandon(tx: Any, name: str, op: str) -> Any:
    _three(tx, name, op)
    raise Abandoned


def _said(op: str) -> dict[str, Any]:
    return {"op": op, "at": time.time()}


# ---- readers


def read(where: str, folder: Path, name: str, options: dict[str, Any]) -> None:
    """Follow the feed until told where it ends, then tell what was seen. For `Process`."""
    board = Board(folder)
    seen: list[tuple[int, str]] = []
    lags: list[float] = []
    with Store(where, **options) as store:
        since, limit = 0, random.Random(name)
        while True:
            end = board.told("end")
            page = store.feed.changes(since=since, limit=limit.choice([1, 10, 100, 1000]))
            now = time.time()
            for change in page:
                seen.append((change.revision, change.event_id))
                if change.key != HELD:  # that one took its time on purpose
                    lags.append(now - change.new_value["at"])
            if page:
                since = page[-1].revision
            elif end is not None and since >= end:
                break
            else:
                time.sleep(0.001)  # there is nothing to read; the writers need the processor
    board.tell(name, {"seen": seen, "lags": lags})


# ---- all of them


class Crew:
    """Processes on one store. Leaving the block kills whoever is left."""

    def __init__(self, where: str, folder: Path, **options: Any) -> None:
        self.board = Board(folder)
        self.killed = 0
        self._where, self._folder, self._options = where, folder, options
        self._processes = Processes()
        self._writers: list[str] = []
        self._readers: list[str] = []
        self._names = 0

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self._processes.kill_all()

    def add_writers(self, count: int) -> None:
        """Every other one is asynchronous."""
        for _ in range(count):
            self._names += 1
            work = write if self._names % 2 else write_tasks
            self._writers.append(self._start(work, f"w{self._names}"))

    def add_readers(self, count: int) -> None:
        for _ in range(count):
            self._readers.append(self._start(read, f"r{len(self._readers)}"))

    def wait_for_writers(self) -> None:
        """Return once all writers are at work."""
        until(lambda: len(self.board.names()) >= self._names, "the writers are at work")

    def hold(self, seconds: float) -> None:
        """Leave a transaction open for a while, from now on."""
        self._writers.append(self._start(hold, "holder", seconds))
        until(lambda: self.board.told("held"), "the transaction is held")

    def kill_writer(self) -> None:
        """Kill a writer in the middle of whatever it does, and put another in its place."""
        self._kill(1)

    def kill_writers(self) -> None:
        """Kill all writers at once, and begin with others."""
        self._kill(len(self._writers))

    def _kill(self, count: int) -> None:
        self._processes.kill(*self._writers[:count])
        del self._writers[:count]
        self.killed += count
        self.add_writers(count)

    def finish(self) -> dict[str, Any]:
        """Have the writers stop, and the readers read to the end; return what each reader saw."""
        self.board.tell("stop")
        self._processes.join(*self._writers)
        with Store(self._where, **self._options) as store:
            self.board.tell("end", store.transfer.head())
        self._processes.join(*self._readers)
        return {name: self.board.told(name) for name in self._readers}

    def _start(self, work: Any, name: str, *more: Any) -> str:
        return self._processes.start(name, work, self._where, self._folder, name, self._options, *more)


# ---- what came of it


class Ledger:
    """What the store holds, beside what the writers say they wrote."""

    def __init__(self, store: Store, board: Board) -> None:
        self.changes = list(_all(store))
        self.said: dict[str, dict[str, str]] = {"ok": {}, "failed": {}, "back": {}}
        for how, op, *more in board.logs():
            self.said[how][op] = more[0] if more else ""
        self.commits = len({change.revision for change in self.changes})
        self.landed = {change.new_value["op"] for change in self.changes}

    @property
    def in_doubt(self) -> int:
        """How many writes ended in an error and were made all the same."""
        return len(self.landed & self.said["failed"].keys())

    def check(self) -> None:
        """Assert that what was acknowledged is there once, where it was said to be, and nothing that was taken back."""
        found: dict[str, set[int]] = {}
        for change in self.changes:
            found.setdefault(change.new_value["op"], set()).add(change.revision)
        twice = {op: revisions for op, revisions in found.items() if len(revisions) > 1}
        assert not twice, f"applied twice: {twice}"
        lost = {op: revision for op, revision in self.said["ok"].items() if found.get(op) != {int(revision)}}
        assert not lost, f"acknowledged and lost, or elsewhere: {lost}"
        assert not self.said["back"].keys() & found.keys(), "what was taken back is there"
        counts = [
            change.new_value["count"]
            for change in self.changes
            if (change.agent_id, change.state_type, change.key) == COUNTER
        ]
        assert counts == list(range(1, len(counts) + 1)), "an update of the counter was lost"
        revisions = [change.revision for change in self.changes]
        assert revisions == sorted(revisions)
        assert len({change.event_id for change in self.changes}) == len(self.changes)


def _all(store: Store) -> Iterator[Change]:
    since = 0
    while page := store.feed.changes(since=since, limit=10_000):
        yield from page
        since = page[-1].revision
