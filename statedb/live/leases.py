"""Leases that renew themselves while somebody holds them, and the waits that end before a store does.

    keep ──▶ due after a third of the lease ──▶ renew ──▶ due again
                                                  ├─▶ not now (busy, server away) ──▶ again soon, until it has ended
                                                  └─▶ it has ended ──▶ lose

One thread, or task, for all the leases of a store, as long as there are any.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from statedb.errors import Fenced, StateDBError, StoreClosed
from statedb.times import micros

LOOK = 1.0
"""Seconds between two looks at a clock at most: it need not go as a timer does."""
AGAIN = 10
"""After what part of a lease a renewal that failed is tried again."""
PATIENCE = 5.0
"""Seconds that a store which is closed waits for those who wait for locks to leave their lines."""

T = TypeVar("T")
Clock = Callable[[], float | datetime]


@dataclass(eq=False)
class Lease:
    """A lease to be renewed. `renew` raises Fenced where it has ended, and `lose` is told; microseconds."""

    ttl: int
    renew: Callable[[], Any]
    lose: Callable[[], object]
    due: int = 0
    ends: int = 0

    def begin(self, now: int) -> None:
        """Note that it has begun, or begun anew."""
        self.due, self.ends = now + self.ttl // 3, now + self.ttl

    def left(self, now: int) -> int:
        """Return how long until it is due. A clock that went back puts that off no further: a server's has not."""
        if self.due - now > self.ttl // 3:
            self.begin(now)
        return self.due - now

    def failed(self, error: Exception, now: int) -> bool:
        """Take in that it was not renewed; False where it is lost."""
        if isinstance(error, Fenced | StoreClosed) or now >= self.ends:
            return False
        self.due = now + max(1, self.ttl // AGAIN)
        return True


class Leases:
    """Renews on a thread, which starts with the first lease."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._leases: set[Lease] = set()
        self._waiting: list[int] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self.stopped = False

    def keep(self, lease: Lease) -> None:
        """Renew a lease from now on, when a third of it is over."""
        lease.begin(micros(self._clock()))
        with self._changed:
            self._leases.add(lease)
            if self._thread is None and not self.stopped:
                self._thread = threading.Thread(target=self._run, name="statedb-leases", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def drop(self, lease: Lease) -> None:
        """Renew a lease no more."""
        with self._changed:
            self._leases.discard(lease)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Be somebody who waits for a lock, inside the block; `stop` waits until he has left the line."""
        me = threading.get_ident()
        with self._changed:
            self._waiting.append(me)
        try:
            yield
        finally:
            with self._changed:
                self._waiting.remove(me)
                self._changed.notify_all()

    def stop(self) -> None:
        """Have those who wait leave their lines, and end the thread once it has done what it is at."""
        me = threading.get_ident()
        with self._changed:
            self.stopped = True
            self._changed.notify_all()
            if any(each != me for each in self._waiting):
                self._ring()
                self._changed.wait_for(lambda: all(each == me for each in self._waiting), PATIENCE)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while (due := self._wait()) is not None:
            for lease in due:
                self._renew(lease)

    def _wait(self) -> list[Lease] | None:
        """Wait until leases are due; None where there is nothing to wait for any more."""
        with self._changed:
            while not self.stopped:
                now = micros(self._clock())
                if due := [lease for lease in self._leases if lease.left(now) <= 0]:
                    return due
                left = min((lease.left(now) for lease in self._leases), default=None)
                self._changed.wait(None if left is None else min(left / 1_000_000, LOOK))
            return None

    def _renew(self, lease: Lease) -> None:
        begun = micros(self._clock())
        try:
            lease.renew()
        except Exception as error:
            with self._changed:
                lost = lease in self._leases and not lease.failed(error, micros(self._clock()))
                if lost:
                    self._leases.discard(lease)
            if lost:
                lease.lose()
            elif not isinstance(error, StateDBError):
                time.sleep(LOOK)  # whatever it is, it is no reason to try again at once
        else:
            lease.begin(begun)


class AsyncLeases:
    """The same on an event loop: a task, which ends where there is nothing to renew. `renew` is awaited."""

    def __init__(self, clock: Clock, ring: Callable[[], None]) -> None:
        self._clock, self._ring = clock, ring
        self._leases: set[Lease] = set()
        self._waiting: list[asyncio.Task[Any] | None] = []
        self._left: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self.stopped = False

    def keep(self, lease: Lease) -> None:
        """Renew a lease from now on, when a third of it is over."""
        lease.begin(micros(self._clock()))
        self._leases.add(lease)
        self._changed.set()
        if self._task is None or self._task.done():
            # In a context of its own: begun inside a transaction of the caller's, it would count as a part of that.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=Context())

    def drop(self, lease: Lease) -> None:
        """Renew a lease no more."""
        self._leases.discard(lease)
        self._changed.set()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Be somebody who waits for a lock, inside the block; `stop` waits until he has left the line."""
        me = asyncio.current_task()
        self._waiting.append(me)
        try:
            yield
        finally:
            self._waiting.remove(me)
            if self._left is not None and not self._left.done():
                self._left.set_result(None)

    async def stop(self) -> None:
        """Have those who wait leave their lines, and end the task once it has done what it is at."""
        self.stopped = True
        end = time.monotonic() + PATIENCE
        while any(each is not asyncio.current_task() for each in self._waiting) and time.monotonic() < end:
            self._ring()
            self._left = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._left], timeout=PATIENCE)
        self._changed.set()
        if self._task is not None and self._task is not asyncio.current_task():
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while self._leases and not self.stopped:
            now = micros(self._clock())
            due = [lease for lease in self._leases if lease.left(now) <= 0]
            for lease in due:
                await self._renew(lease)
            if not due:
                left = min(lease.left(now) for lease in self._leases)
                self._changed.clear()
                await _passed(self._changed.wait(), min(left / 1_000_000, LOOK))

    async def _renew(self, lease: Lease) -> None:
        begun = micros(self._clock())
        try:
            await lease.renew()
        except Exception as error:
            if lease in self._leases and not lease.failed(error, micros(self._clock())):
                self._leases.discard(lease)
                lease.lose()
            elif not isinstance(error, StateDBError):
                await asyncio.sleep(LOOK)
        else:
            lease.begin(begun)


async def to_the_end(made: Coroutine[Any, Any, T]) -> T:
    """Await something that is not to be broken off; who is cancelled meanwhile, and be it twice, hears of it after."""
    task, told = asyncio.ensure_future(made), None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            told = error
    if told is None or task.cancelled():
        return task.result()
    task.exception()  # which nobody will ask for
    raise told


async def _passed(waited: Awaitable[object], seconds: float) -> None:
    try:
        await asyncio.wait_for(waited, seconds)
    except TimeoutError:
        return
