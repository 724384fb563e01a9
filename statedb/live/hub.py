"""Where those wait who want to know that something was committed, and what wakes them.

    this store's commits ───────┐
                                ├──▶ ring ──▶ whoever waits ──▶ reads the log from where he stands
    a listener, while anybody ──┘
    attends: other processes'

A ring carries nothing. Who is woken reads the log from his own cursor, so a ring too many costs a look, two that fall
together lose nothing, and nobody who is slow holds anybody up.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Protocol

from statedb.errors import StoreClosed

FORKED = "the store was opened before this process was forked; open it again in the child"


class Listener(Protocol):
    """What hears of other processes' commits."""

    def start(self, ring: Callable[[], None]) -> None:
        """Call `ring`, on any thread, after each commit from now on, and once as soon as that holds."""
        ...

    def stop(self) -> None:
        """Call it no more. It may be started again."""
        ...


class Follower(Protocol):
    """Who follows the log, on a thread of his own."""

    def close(self) -> object:
        """End, and wait for the end, but not for ever."""
        ...


class AsyncFollower(Protocol):
    """Who follows the log, by a task of his own."""

    async def close(self) -> object:
        """End, and wait for the end, but not for ever."""
        ...


class Attendance:
    """How many want to hear of other processes' commits: the listener works while there is anybody."""

    def __init__(self, listener: Listener | None, ring: Callable[[], None]) -> None:
        self._listener, self._ring = listener, ring
        self._count = 0
        # Again by who has it: a watch may be closed by a signal's handler, or by a collection of garbage.
        self._lock = threading.RLock()
        self.closed = ""

    def check(self) -> None:
        """Raise StoreClosed if it is."""
        if self.closed:
            raise StoreClosed(self.closed)

    def attend(self) -> None:
        """Begin to hear of other processes' commits. Raises StoreClosed."""
        with self._lock:
            self.check()
            if self._count == 0 and self._listener is not None:
                self._listener.start(self._ring)
            self._count += 1

    def leave(self) -> None:
        """Hear of them no more; every `attend` is followed by one."""
        with self._lock:
            self._count -= 1
            if self._count == 0 and self._listener is not None and not self.closed:
                self._listener.stop()

    def close(self, why: str) -> None:
        """Let nobody attend any more."""
        with self._lock:
            if self.closed:
                return
            self.closed = why
            if self._count and self._listener is not None:
                self._listener.stop()

    def forsake(self) -> None:
        """Become closed in a child process, in which a thread that holds the lock is not there to let go of it."""
        self.closed, self._lock = FORKED, threading.RLock()


class Hub:
    """Wakes threads. Any thread may call it.

    `rings` is another number after each ring. To miss nothing, take it, then look, then wait with it.
    """

    def __init__(self, listener: Listener | None = None) -> None:
        self.rings = 0
        self._next = count(1)
        self._waiting = 0
        self._changed = threading.Condition()
        self.followers: weakref.WeakSet[Follower] = weakref.WeakSet()
        """Who is told of commits on threads of their own, and is ended with the store."""
        self._attendance = Attendance(listener, self.ring)

    def ring(self) -> None:
        """Wake everybody who waits: 0.1 µs where nobody does."""
        # Of a counter, not `+= 1`: of two threads that ring at once, one could set it back to what somebody has seen.
        self.rings = next(self._next)
        if self._waiting:
            with self._changed:
                self._changed.notify_all()

    def wait(self, seen: int, timeout: float | None = None) -> int:
        """Wait until `rings` is not `seen`, for `timeout` seconds at most, and return it. Raises StoreClosed."""
        timeout = None if timeout is None else min(timeout, threading.TIMEOUT_MAX)
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self.rings != seen or self._attendance.closed, timeout)
            finally:
                self._waiting -= 1
        self._attendance.check()
        return self.rings

    def attend(self) -> None:
        """Have other processes' commits ring too, until `leave`. Raises StoreClosed."""
        self._attendance.attend()

    def leave(self) -> None:
        """End what `attend` began."""
        self._attendance.leave()

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Have other processes' commits ring too, inside the block. Raises StoreClosed."""
        self.attend()
        try:
            yield
        finally:
            self.leave()

    def close(self, why: str) -> None:
        """Stop listening and wake everybody: who waits, now or later, gets StoreClosed."""
        self._attendance.close(why)
        self.ring()
        for each in list(self.followers):
            each.close()

    def forsake(self) -> object:
        """Become closed in a child process."""
        self._attendance.forsake()
        self._changed, self._waiting = threading.Condition(), 0
        return None


class AsyncHub:
    """Wakes the tasks of one event loop, on whose thread it is called; its listener may ring on any."""

    def __init__(self, listener: Listener | None = None) -> None:
        self.rings = 0
        self._waiting: set[asyncio.Future[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.beginning: set[asyncio.Future[Any]] = set()
        """Watches that look where to begin. What is written after they were asked for waits for them."""
        self.followers: weakref.WeakSet[AsyncFollower] = weakref.WeakSet()
        """Who is told of commits by tasks of their own, and is ended with the store."""
        self._attendance = Attendance(listener, self._ring_soon)

    def ring(self) -> None:
        """Wake everybody who waits."""
        self.rings += 1
        if self._waiting:
            waiting, self._waiting = self._waiting, set()
            for each in waiting:
                _settle(each)

    async def wait(self, seen: int, timeout: float | None = None) -> int:
        """Wait until `rings` is not `seen`, for `timeout` seconds at most, and return it. Raises StoreClosed."""
        self._attendance.check()
        if self.rings == seen:
            loop = asyncio.get_running_loop()
            woken: asyncio.Future[None] = loop.create_future()
            timer = None if timeout is None else loop.call_later(max(0.0, timeout), _settle, woken)
            self._waiting.add(woken)
            try:
                await woken
            finally:
                self._waiting.discard(woken)
                if timer is not None:
                    timer.cancel()
            self._attendance.check()
        return self.rings

    def attend(self) -> None:
        """Have other processes' commits ring too, until `leave`. Raises StoreClosed."""
        self._loop = asyncio.get_running_loop()
        self._attendance.attend()

    def leave(self) -> None:
        """End what `attend` began."""
        self._attendance.leave()

    @contextmanager
    def attended(self) -> Iterator[None]:
        """Have other processes' commits ring too, inside the block: a plain `with`. Raises StoreClosed."""
        self.attend()
        try:
            yield
        finally:
            self.leave()

    def close(self, why: str) -> None:
        """Stop listening and wake everybody: who waits, now or later, gets StoreClosed."""
        self._attendance.close(why)
        self.ring()

    async def end(self) -> None:
        """Wait until nobody follows any more, but not for ever, once it is closed."""
        for each in list(self.followers):
            await each.close()

    def began(self, watch: asyncio.Future[Any]) -> None:
        """Hear that a watch has begun, or failed to."""
        self.beginning.discard(watch)
        if not watch.cancelled():
            watch.exception()  # looked at, so that asyncio does not report it where nobody iterates

    def forsake(self) -> object:
        """Become closed in a child process."""
        self._attendance.forsake()
        kept, self._waiting = self._waiting, set()
        return kept

    def _ring_soon(self) -> None:
        assert self._loop is not None, "somebody attends"
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            self._loop.call_soon_threadsafe(self.ring)


def _settle(woken: asyncio.Future[None]) -> None:
    if not woken.done() and not woken.get_loop().is_closed():
        woken.set_result(None)
