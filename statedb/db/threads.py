"""Threads: which one is running, and a lock that goes to each in turn."""

from __future__ import annotations

import threading
from collections import deque


class _Me(threading.local):
    def __init__(self) -> None:
        # An ident would not do: a new thread may have that of one that died.
        self.token = object()


_me = _Me()


def me() -> object:
    """Return what stands for the running thread, and for no other, ever."""
    return _me.token


class FairLock:
    """A lock that goes to whoever has waited longest.

    A `threading.Lock` goes to whoever happens to run, which is mostly the thread that has just let go of it: of 8 that
    write as fast as they can the slowest made half of what the fastest did, here as many. To wake another each time
    costs 15 % of their rate at NORMAL, and nothing to speak of at FULL.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._held = False
        self._waiting: deque[threading.Lock] = deque()

    def acquire(self, timeout: float) -> bool:
        """Take the lock; False where that was not to be had within `timeout` seconds."""
        with self._guard:
            if not self._held:
                self._held = True
                return True
            mine = threading.Lock()
            mine.acquire()
            self._waiting.append(mine)
        try:
            given = mine.acquire(timeout=timeout)
        except BaseException:
            if not self._withdraw(mine):
                self.release()
            raise
        return given or not self._withdraw(mine)

    def release(self) -> None:
        """Hand the lock to the one who has waited longest."""
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False

    def _withdraw(self, mine: threading.Lock) -> bool:
        """Wait no longer; False where the lock was handed over at the last moment."""
        with self._guard:
            if mine not in self._waiting:
                return False
            self._waiting.remove(mine)
            return True
