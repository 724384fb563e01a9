"""What time does while nobody writes: a store that is open makes the checkpoints that fall due by then.

    a write ──▶ schedule.alarm(when it falls due) ──▶ a timer ──▶ checkpoints.run_due, a transaction like any other

Several processes may wait for the same: each looks, and the first transaction makes it. Whatever goes wrong here is no
loss: the next write makes what is due, for the instant at which it was.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from datetime import datetime
from typing import Any

from statedb.errors import StateDBError, StoreClosed
from statedb.times import micros

REST = 1.0
"""Seconds between two looks at least: a server's clock may be behind, and say that nothing is due yet."""
AGAIN = 60.0
"""Seconds until the next look after one that failed."""
LONGEST = 3600.0
"""Seconds of the longest wait: the wall clock may be set forward meanwhile."""

Clock = Callable[[], float | datetime]


class Alarm:
    """Calls `look` when something falls due. Its thread starts with the first alarm and ends with `stop`."""

    def __init__(self, clock: Clock, look: Callable[[], object]) -> None:
        self._clock, self._look = clock, look
        self._changed = threading.Condition()
        self._due: int | None = None
        self._rested = 0.0
        self._thread: threading.Thread | None = None
        self._stopped = False

    def set(self, due: int) -> None:
        """Look at a time, in microseconds, or before."""
        with self._changed:
            if self._stopped or (self._due is not None and self._due <= due):
                return
            self._due = due
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="statedb-alarm", daemon=True)
                self._thread.start()
            self._changed.notify()

    def stop(self) -> None:
        """End the thread, once it has done what it is at."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while self._wait():
            try:
                self._look()
                rest = REST
            except StoreClosed:
                return
            except StateDBError:
                rest = AGAIN
                self.set(micros(self._clock()))
            with self._changed:
                self._rested = time.monotonic() + rest

    def _wait(self) -> bool:
        """Wait until something is due; False where there is nothing to wait for any more."""
        with self._changed:
            while not self._stopped:
                left = LONGEST if self._due is None else seconds_to(self._due, self._clock)
                left = max(left, self._rested - time.monotonic())
                if self._due is not None and left <= 0:
                    self._due = None
                    return True
                self._changed.wait(min(left, LONGEST))
            return False


class AsyncAlarm:
    """The same on an event loop: a timer, and the task it starts."""

    def __init__(self, clock: Clock, look: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self._clock, self._look = clock, look
        self._loop = asyncio.get_running_loop()
        self._due: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._rested = 0.0
        self._stopped = False

    def set(self, due: int) -> None:
        """Look at a time, in microseconds, or before. Any thread may call this."""
        with suppress(RuntimeError):  # the loop is closed, and nobody waits for anything any more
            self._loop.call_soon_threadsafe(self._set_on_loop, due, context=Context())

    async def stop(self) -> None:
        """Wait for what is under way, and start nothing more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None:
            await asyncio.wait([self._task])

    def _set_on_loop(self, due: int) -> None:
        if not self._stopped and (self._due is None or due < self._due):
            self._due = due
            self._start()

    def _start(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._due is not None and not self._stopped:
            left = max(seconds_to(self._due, self._clock), self._rested - time.monotonic(), 0)
            # In a context of its own: the alarm may come from within somebody's transaction.
            self._timer = self._loop.call_later(min(left, LONGEST), self._ring, context=Context())

    def _ring(self) -> None:
        if self._task is not None:
            return  # it starts the timer anew at its end; until then every turn of the loop would ring
        if self._due is None or seconds_to(self._due, self._clock) > 0:
            self._start()
            return
        self._due = None
        self._task = self._loop.create_task(self._run(), context=Context())

    async def _run(self) -> None:
        rest = REST
        try:
            await self._look()
        except StoreClosed:
            self._stopped = True
        except StateDBError:
            rest = AGAIN
            self._due = micros(self._clock())
        finally:
            self._rested, self._task = time.monotonic() + rest, None
            self._start()


def seconds_to(due: int, clock: Clock) -> float:
    """Return how long it is until a time in microseconds, by a clock."""
    return (due - micros(clock())) / 1_000_000
