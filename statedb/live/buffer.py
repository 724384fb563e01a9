"""Writes that wait: the newest of each key, and those that are being written. No input or output, and no waiting."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import timedelta
from itertools import groupby
from typing import Any, NamedTuple

from statedb.errors import StoreClosed
from statedb.models import Address
from statedb.values.content import Content

Which = str | tuple[str, str, str] | None
"""What to flush: a key of one agent and tier as (agent_id, state_type, key), a key of whatever agent, or everything."""


class Write(NamedTuple):
    """A buffered write. Its value is what `set` was given then, whatever has been done to that object since."""

    at: Address
    content: Content
    ttl: float | timedelta | None
    message: str | None
    metadata: dict[str, Any] | None


class Failure(NamedTuple):
    """A write that could not be made, and why."""

    write: Write
    error: Exception


class Buffer:
    """The newest write of each key, and those that are being written."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Address, Write] = {}
        self._leaving: dict[Address, Write] = {}
        self.shut = False

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting | self._leaving)

    def put(self, write: Write) -> None:
        """Buffer a write in place of an earlier one of its key. Raises StoreClosed."""
        with self._lock:
            if self.shut:
                raise StoreClosed("the write-behind cache is closed; make another")
            self._waiting[write.at] = write

    def close(self) -> bool:
        """Take no more writes; False where some are left, and nothing is done."""
        with self._lock:
            self.shut = self.shut or not (self._waiting or self._leaving)
            return self.shut

    def find(self, at: Address) -> Write | None:
        """Return the newest write of a key that is not known to be committed."""
        with self._lock:
            return self._waiting.get(at) or self._leaving.get(at)

    def take(self, which: Which) -> list[list[Write]]:
        """Return what is to be flushed, in groups of an agent and tier; each write stays to be read until `left`."""
        with self._lock:
            meant = [at for at in self._waiting if _is_meant(at, which)]
            self._leaving = {at: self._waiting.pop(at) for at in meant}
            ordered = sorted(self._leaving.values(), key=lambda write: write.at)
        return [list(group) for _, group in groupby(ordered, key=lambda write: write.at[:2])]

    def left(self, failed: Iterable[Write]) -> None:
        """Forget what was taken and is committed; what failed waits again, unless a newer value of its key does."""
        with self._lock:
            for write in failed:
                self._waiting.setdefault(write.at, write)
            self._leaving = {}


def _is_meant(at: Address, which: Which) -> bool:
    return which is None or at == which or at.key == which
