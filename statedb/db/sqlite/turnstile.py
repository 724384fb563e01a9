"""The turn to write, among processes: who waits stands in line, and who has the turn may write for a moment.

    begin ──▶ inside my slice? ──yes──▶ the write lock ──▶ write …
                   │ no, or overtaken        ▲ asked for again and again, by one process at a time
                   └──▶ the turnstile ───────┘
                        held by who is next; the others wait behind, and ask for it now and then

Measured with 8 processes on 2 cores that write 465 bytes as fast as they can, at NORMAL: what they write together, to
what one writes alone (8,600 a second), and the slowest to the fastest. SQLite's own busy handler lets one of them make
a single write in 4 s.

    each tries BEGIN IMMEDIATE and pauses at random        0.57    0.8
    a flock for each write, waited for in the kernel       0.76    0.4 to 0.7
    the same on a helper thread, which gives it a timeout  0.72    0.6 to 0.8
    the same without one, asked for again at random        0.82    0.6 to 0.7
    a flock for a slice of 3 ms, of 10 ms                  0.86, 0.93    0.8 to 0.95

What costs is the change of hands: another process has to be woken, and to read again what it had cached. So it happens
once in a slice and not with every write. But a lock that is held for a slice has to be let go of by a timer where its
holder stops writing; here nobody holds one beside SQLite's own, and the slice is a right not to stand in line again. In
30 s, at 5 ms, the slowest made 0.9 of what the fastest did; 10 ms make 14 % more on a busy machine.

The turnstile is a flock on SQLite's own log, `…-wal`: SQLite takes no lock on that file, so that closing it drops none
(on the store's file and its `-shm` it would), and it is one and the same, made and deleted by SQLite, for as long as
anybody has the store open. It holds nobody up for good: a process that is killed lets go of it, one that is stopped
while it stands there is passed by after a while, and who knows nothing of it, such as the shell of SQLite, is waited
for at the lock itself.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable

from statedb.db.fork import remember

try:
    import fcntl
except ImportError:  # Windows: everybody is next, and asks for the lock itself at random
    fcntl = None  # type: ignore[assignment]

SLICE = 0.01
"""Seconds a process may write before it makes way for one that waits."""

_NEXT = (0.0003, 0.0006)
"""Seconds between two tries for the write lock, at random, of the one who is next."""
_BEHIND = (0.0005, 0.002)
"""The same for the turnstile, of those behind: it is free once in a slice, and nothing waits for them meanwhile."""
_PASSED_BY = 1.0
"""Seconds after which who stands behind tries for the lock itself: whoever is next may have been stopped."""


class Turnstile:
    """One connection's way to the write lock. One thread at a time may use it."""

    def __init__(self, path: str | None) -> None:
        self._path = path
        self._file: int | None = None
        self._until = 0.0
        self._passing = False
        """Whether who stands at the turnstile has been passed by, and has not left since: to wait a second for each
        slice would leave a hundredth of the writes, for as long as a process is stopped there."""

    def wait(self, attempt: Callable[[], bool], timeout: float) -> bool:
        """Repeat an attempt to take the write lock until it succeeds; False where it does not within the timeout.

        Who gives up has asked for the lock itself once at least: it may be free, with somebody stopped who is next.
        """
        began = time.monotonic()
        if began < self._until and attempt():
            return True
        held = False
        try:
            while True:
                held = held or self._enter()
                waited = time.monotonic() - began
                self._passing = not held and (self._passing or waited > _PASSED_BY)
                if (held or self._passing or waited > timeout) and attempt():
                    self._until = time.monotonic() + SLICE
                    return True
                if waited > timeout:
                    return False
                time.sleep(random.uniform(*(_NEXT if held else _BEHIND)))
        finally:
            if held:
                self._leave()

    def crowded(self) -> bool:
        """Tell whether somebody else stands at the turnstile."""
        if not self._enter():
            return True
        self._leave()
        return False

    def close(self) -> None:
        """Let go of the log, before SQLite may delete it."""
        file, self._file, self._path = self._file, None, None
        if file is not None:
            os.close(file)

    def __del__(self) -> None:
        self.close()  # a store that nobody closed leaves nothing open either

    def forsake(self) -> object:
        """Close the file in a child process, which would hold what the parent holds of it."""
        self.close()
        return None

    def _enter(self) -> bool:
        if self._file is None and not self._open():
            return True
        assert fcntl is not None
        assert self._file is not None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without locks of this kind
            self.close()
        return True

    def _leave(self) -> None:
        if self._file is not None and fcntl is not None:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _open(self) -> bool:
        """Open the log; False where there is none, or none that could be locked."""
        path, self._path = self._path, None
        if path is None or fcntl is None:
            return False
        try:
            # Links to a store share its log, which SQLite names after the file itself.
            self._file = os.open(f"{os.path.realpath(path)}-wal", os.O_RDWR)
        except OSError:
            return False
        remember(self)
        return True
