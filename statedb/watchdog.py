"""A watch over the transactions a store has open: one that its owner forgot must not hold everybody up."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Watchdog:
    """Calls back when what it watches takes too long. Its thread starts with the first watch and ends with `stop`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = threading.Condition()
        self._watched: dict[Callable[[], None], float] = {}  # until when; in order, since each lasts equally long
        self._thread: threading.Thread | None = None
        self._stopped = False

    def watch(self, give_up: Callable[[], None]) -> None:
        """Call `give_up` after the time, unless `forget(give_up)` comes first."""
        with self._changed:
            self._watched[give_up] = time.monotonic() + self._seconds
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="statedb-watchdog", daemon=True)
                self._thread.start()
        # No notify: every watch lasts equally long, so the thread, which never sleeps longer than that, wakes in time.

    def forget(self, give_up: Callable[[], None]) -> None:
        """Stop watching what would be given up by this; the others are watched on."""
        with self._changed:
            self._watched.pop(give_up, None)

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
                give_up, until = next(iter(self._watched.items()), (None, 0.0))
                left = self._seconds if give_up is None else until - time.monotonic()
                if give_up is None or left > 0:
                    self._changed.wait(left)
                    continue
                del self._watched[give_up]
            give_up()
