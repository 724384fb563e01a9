"""A watch over the one transaction a store may have open: one that its owner forgot must not hold everybody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls back when what it watches takes too long. Its thread starts with the first watch and ends with `stop`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._watched: tuple[float, Callable[[], None]] | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def watch(self, give_up: Callable[[], None]) -> None:
        """Call `give_up` after the time, unless `forget(give_up)` comes first."""
        with self._changed:
            self._watched = (time.monotonic() + self._seconds, give_up)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="statedb-watchdog", daemon=True)
                self._thread.start()
        # No notify: every watch lasts equally long, so the thread, which never sleeps longer than that, wakes in time.

    def forget(self, give_up: Callable[[], None]) -> None:
        """Stop watching what would be given up by this; whoever came after it is watched on."""
        with self._changed:
            if self._watched is not None and self._watched[1] == give_up:
                self._watched = None

    def stop(self) -> None:
        """End the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._stopped:
                    return
                left = self._watched[0] - time.monotonic() if self._watched else self._seconds
                if left > 0:
                    self._changed.wait(left)
                    continue
                _, give_up = self._watched or (0, lambda: None)
                self._watched = None
            give_up()
