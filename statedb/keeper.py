"""The keeper: does what falls due with time, for a whole store, in one of any number of processes.

    a commit, anybody's ──▶ hub ─┐
    the next instant due ────────┼─▶ have the lease? ──▶ something due? ──▶ upkeep.run, branch by branch ──▶ wait
    the lease's renewal ─────────┘        │ no: who has it does it; wait until it ends

What it does is right without it: what has expired is gone on read, a lease that ended is over, and a write makes the
checkpoints that are due. The keeper has the log say so in time. Which of several works is decided by a lock like any
other, of an agent of its own; who waits for it asks now and then, and stands in no line.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Generator
from contextlib import suppress
from contextvars import Context
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Self

from statedb.errors import Fenced, LockHeld, NoSuchBranch, StateDBError, StoreClosed
from statedb.times import micros
from statedb.values.upkeep import Upkeep

AGENT, KEY = "statedb", "keeper"
"""What the one who works has locked."""
LEASE = 60.0
"""Seconds after which another takes over from a keeper that was killed."""
REST = 0.05
"""Seconds between two looks at least, however much is written."""
SHARE = 0.1
"""The part of the time it looks at most, where a look takes long: of 100 branches on a server one takes 0.2 s."""
PATIENCE = 1.0
"""Seconds until the next try for the lease, at least, and after what failed: twice as many each time it does again."""
LONGEST = 3600.0
"""Seconds of the longest wait, after which all is looked through anew: an import may bring what ended long ago."""

_log = logging.getLogger("statedb.keeper")

Call = Callable[[], Any]
Told = Callable[[str, Upkeep], object]
"""Hears of what was done: on which branch, and what. Called on the keeper's thread, or loop."""
Look = Generator[Call, Any, float]
"""Calls to make, one after another, each answered; and how many seconds to wait at most."""


@dataclass
class Duty:
    """What a keeper knows between two looks."""

    store: Any
    told: Told | None = None
    expired: int = 0
    lapsed: int = 0
    checkpoints: int = 0
    lock: Any = None
    renew_at: float = 0.0
    whole_at: float = 0.0
    failed: int = 0
    """How often in a row it could not look."""
    rest: float = REST
    """For how many seconds after the last look nobody's commit is a reason to look again."""
    upto: dict[str, datetime] = field(default_factory=dict)
    """Until when, branch by branch, all that ended has been recorded."""

    def look(self) -> Look:
        """Do what is due, if it is ours to do."""
        began, self.rest = time.monotonic(), PATIENCE
        try:
            wait = yield from self._lease()
            if self.lock is None:
                return wait
            if time.monotonic() >= self.whole_at:
                self.whole_at = time.monotonic() + LONGEST
                self.upto.clear()
            for branch in (yield self.store.branches.list):
                with suppress(NoSuchBranch):  # it has been ended since
                    wait = min(wait, (yield from self._branch(branch.name)))
        except StoreClosed:
            raise
        except Exception:
            self.rest = min(PATIENCE * 2 ** min(self.failed, 9), LEASE)
            self.failed += 1
            _log.exception("the keeper could not do what was due, and tries again in %g s", self.rest)
            return self.rest
        self.rest, self.failed = min(max(REST, (time.monotonic() - began) / SHARE), PATIENCE), 0
        return wait

    def leave(self) -> Look:
        """Let another take over."""
        held, self.lock = self.lock, None
        if held is not None:
            with suppress(StateDBError):
                yield partial(self.store.locks.release, held)
        return 0.0

    def _lease(self) -> Look:
        """Have the lease, and return when to look after it again."""
        began = time.monotonic()
        try:
            if self.lock is None:
                self.lock = yield partial(self.store.locks.acquire, AGENT, KEY, ttl=LEASE)
            elif began < self.renew_at:
                return self.renew_at - began
            else:
                self.lock = yield partial(self.store.locks.renew, self.lock)
        except LockHeld as held:
            now = micros(self.store.settings.clock())
            return max([PATIENCE, *((micros(each.expires_at) - now) / 1_000_000 for each in held.holders)])
        except Fenced:
            self.lock = None
            return PATIENCE
        self.renew_at = began + LEASE / 3
        return LEASE / 3

    def _branch(self, name: str) -> Look:
        there = self.store.branch(name)
        found: Upkeep = yield partial(there.upkeep.look, after=self.upto.get(name))
        if found.left == 0.0:
            while (found := (yield partial(there.upkeep.run, after=self.upto.get(name)))).done:
                self._count(name, found)
            self.upto[name] = found.at
        return LONGEST if found.left is None else found.left

    def _count(self, name: str, found: Upkeep) -> None:
        self.expired += found.expired
        self.lapsed += found.lapsed
        self.checkpoints += found.checkpoints
        if self.told is not None:
            try:
                self.told(name, found)
            except Exception:
                _log.exception("the keeper told of what it did on %s, and that failed", name)


class _Keeper:
    """What both keepers share: `expired`, `lapsed` and `checkpoints` count what this one has done."""

    def __init__(self, store: Any, told: Told | None = None) -> None:
        self._hub = store.hub
        self._duty = Duty(store, told)
        self._stopped = False

    @property
    def expired(self) -> int:
        return self._duty.expired

    @property
    def lapsed(self) -> int:
        return self._duty.lapsed

    @property
    def checkpoints(self) -> int:
        return self._duty.checkpoints


class Keeper(_Keeper):
    """Keeps a store on a thread of its own, between `start` and `stop` or inside a `with` block."""

    def __init__(self, store: Any, told: Told | None = None) -> None:
        super().__init__(store, told)
        self._thread: threading.Thread | None = None
        self._rest = threading.Event()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> Self:
        """Begin to keep the store, or begin anew after `stop`."""
        if self._thread is None or not self._thread.is_alive():
            self._stopped = False
            self._rest.clear()
            self._thread = threading.Thread(target=self.run, name="statedb-keeper", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Finish what it is at, and let another take over."""
        self._stopped = True
        self._rest.set()
        self._hub.ring()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def run(self) -> None:
        """Keep the store on this thread, until `stop` or until the store is closed."""
        with suppress(StoreClosed), self._hub.attended():
            while not self._stopped:
                seen = self._hub.rings
                wait = _made(self._duty.look())
                rest = min(wait, self._duty.rest)
                self._rest.wait(rest)
                if not self._stopped:
                    self._hub.wait(seen, wait - rest)
            _made(self._duty.leave())


def _made(calls: Look) -> float:
    """Make calls, and return what comes of them."""
    try:
        call = next(calls)
        while True:
            try:
                found = call()
            except Exception as error:
                call = calls.throw(error)
            else:
                call = calls.send(found)
    except StopIteration as end:
        return float(end.value)


class AsyncKeeper(_Keeper):
    """Keeps a store by a task, between `start` and `stop` or inside an `async with` block."""

    def __init__(self, store: Any, told: Told | None = None) -> None:
        super().__init__(store, told)
        self._task: asyncio.Task[None] | None = None
        self._rest = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def start(self) -> Self:
        """Begin to keep the store, or begin anew after `stop`."""
        if self._task is None or self._task.done():
            self._stopped = False
            self._rest.clear()
            self._task = asyncio.get_running_loop().create_task(self.run(), context=Context())
        return self

    async def stop(self) -> None:
        """Finish what it is at, and let another take over."""
        self._stopped = True
        self._rest.set()
        self._hub.ring()
        if self._task is not None:
            await asyncio.wait([self._task])

    async def run(self) -> None:
        """Keep the store in this task, until `stop` or until the store is closed."""
        with suppress(StoreClosed), self._hub.attended():
            while not self._stopped:
                seen = self._hub.rings
                wait = await _awaited(self._duty.look())
                rest = min(wait, self._duty.rest)
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._rest.wait(), rest)
                if not self._stopped:
                    await self._hub.wait(seen, wait - rest)
            await _awaited(self._duty.leave())


async def _awaited(calls: Look) -> float:
    """Make calls that are awaited, and return what comes of them."""
    try:
        call = next(calls)
        while True:
            try:
                found = await call()
            except Exception as error:
                call = calls.throw(error)
            else:
                call = calls.send(found)
    except StopIteration as end:
        return float(end.value)
