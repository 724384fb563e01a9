"""How a shell reaches the server and waits: one port each, over which everything else is written once."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from statedb.db.postgres.failures import Lost, Overtaken
from statedb.db.postgres.site import Driver, Site
from statedb.errors import StoreBusy

# The driver's pool tells the log of each connection it loses, which is said on standard error by programs without one.
logging.getLogger("psycopg").addHandler(logging.NullHandler())

T = TypeVar("T")

RECONNECT = (0.02, 0.2)
"""Seconds between two tries to reach a server that is gone, at random."""


class Port(Protocol):
    """How a shell reaches the server and waits."""

    site: Site
    ring: Callable[[], None]
    """Called after each commit."""

    def borrow(self) -> Driver:
        """Return a connection of the pool. Raises StoreBusy where none can be had in time."""
        ...

    def give_back(self, driver: Driver) -> None: ...

    def purge(self) -> None:
        """Have the pool throw away connections that are gone."""
        ...

    def pause(self, seconds: float) -> None: ...


def persistently(port: Port, work: Callable[[], T]) -> T:
    """Do what changes nothing; where a connection turns out to be gone again, until the server is back.

    Raises StoreBusy where it is not within `Settings.busy_timeout`.
    """
    end = time.monotonic() + port.site.settings.busy_timeout
    while True:
        try:
            return work()
        except Lost as lost:
            if time.monotonic() > end:
                raise StoreBusy(f"the server cannot be reached: {lost}") from lost
            port.purge()
        except Overtaken as overtaken:  # by what a standby has to replay, say
            if time.monotonic() > end:
                raise StoreBusy("the server stops what is read, over and over") from overtaken
        port.pause(random.uniform(*RECONNECT))
