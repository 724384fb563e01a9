"""A thread that listens for other processes' commits, for as long as anybody of this store waits for one.

Where the store is a file it hears the file's bell, where it is on a server the server's word. Both may fail to reach
it, so that it also looks by itself, now and then. Tasks are served by the same thread: what a server is asked must not
hold up an event loop, and the way from the thread to the loop takes 0.05 ms.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

from statedb.db.fork import remember

REST = 0.001
"""Seconds after a ring until the next: others may commit thousands a second, and one look finds all of them."""
_AGAIN = 1.0
"""Seconds until a source that failed is opened again."""


class Source(Protocol):
    """What can be heard, and what is looked at in case that was not all. It is used by one thread."""

    failures: tuple[type[Exception], ...]
    """What tells that it has to be opened again."""

    def open(self) -> int | None:
        """Begin; return a descriptor that can be read when there is something to hear, None where there is none."""
        ...

    def heard(self) -> bool:
        """Take in what there is to hear, and tell whether anybody may have committed."""
        ...

    def patience(self) -> float:
        """Return how many seconds to wait for something to hear."""
        ...

    def look(self) -> bool:
        """Tell whether anybody may have committed since the last look, without having been heard."""
        ...

    def close(self) -> None:
        """End; opened again it may be."""
        ...

    def abandon(self) -> object:
        """Give up what is open in a child process, and return what must be kept from being closed."""
        ...


class Listening:
    """Listens between `start` and `stop`, which come in turns."""

    def __init__(self, make: Callable[[], Source]) -> None:
        self._make = make
        self._turn: _Turn | None = None
        remember(self)

    def start(self, ring: Callable[[], None]) -> None:
        """Call `ring`, on a thread, after each commit from now on, and once as soon as that holds."""
        self._turn = _Turn(self._make(), ring)

    def stop(self) -> None:
        """Call it no more."""
        turn, self._turn = self._turn, None
        if turn is not None:
            turn.stop()

    def forsake(self) -> object:
        """Give up what is open in a child process, which has not the thread."""
        turn, self._turn = self._turn, None
        return None if turn is None else (turn, turn.source.abandon())


class _Turn:
    """The thread, from one start to the next stop."""

    def __init__(self, source: Source, ring: Callable[[], None]) -> None:
        self.source, self._ring = source, ring
        self._mine, self._theirs = socket.socketpair()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="statedb-listener", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped = True
        with suppress(OSError):  # it has ended by itself
            self._theirs.send(b"!")
        if self._thread is not threading.current_thread():
            # A server that does not answer is not waited for: the thread ends by itself once it does.
            self._thread.join(_AGAIN)

    def _run(self) -> None:
        try:
            while not self._stopped:
                # Made anew each time: a descriptor that was closed must not stay in it.
                with selectors.DefaultSelector() as selector:
                    selector.register(self._mine, selectors.EVENT_READ)
                    try:
                        if (heard := self.source.open()) is not None:
                            selector.register(heard, selectors.EVENT_READ)
                        self._ring()
                        self._follow(selector)
                    except self.source.failures:
                        self._pause()
                    finally:
                        self.source.close()
        finally:
            self._mine.close()
            self._theirs.close()

    def _follow(self, selector: selectors.BaseSelector) -> None:
        while not self._stopped:
            ready = selector.select(self.source.patience())
            if not self._stopped and (self.source.heard() if ready else self.source.look()):
                self._ring()
                time.sleep(REST)

    def _pause(self) -> None:
        """Wait before it is opened again, or until `stop`."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._mine, selectors.EVENT_READ)
            selector.select(_AGAIN)
