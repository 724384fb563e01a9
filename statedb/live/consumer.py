"""A consumer: one who reads the feed and acknowledges, and goes on behind that after a crash, in whatever process.

fetch ─▶ deal with it ─▶ ack ─▶ fetch …        a crash before ack: it comes again
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

from statedb.errors import InvalidValue, StaleCursor
from statedb.live.hub import AsyncHub, Hub
from statedb.models import Change
from statedb.values.arguments import natural, patience
from statedb.values.changefilter import StateChangeFilter
from statedb.values.cursor import Cursor, Page

_BATCH = 100


class Fetched:
    """How far a consumer has read, and what of it makes whole commits."""

    def __init__(self, start: Cursor) -> None:
        self.acknowledged, self.read = start, start.revision
        self._last: dict[int, str] = {}
        """Which change was the last of its commit, for those that were fetched and not acknowledged."""

    def take(self, page: Page[Change]) -> list[Change]:
        self.read = page.upto
        for change in page.found:
            self._last[change.revision] = change.event_id
        return page.found

    def meant(self, upto: Change | Cursor | int | None) -> int:
        """Return up to which revision is acknowledged: a commit of which only a part was dealt with is not yet."""
        if upto is None:
            return self.read
        if isinstance(upto, Change):
            return upto.revision - (self._last.get(upto.revision) != upto.event_id)
        if isinstance(upto, Cursor):
            if upto.incarnation != self.acknowledged.incarnation:
                raise StaleCursor(f"the cursor at revision {upto.revision} is of another incarnation of the store")
            return natural(upto.revision, "the revision of the cursor")
        if type(upto) is not int:
            raise InvalidValue(f"what is acknowledged is {upto!r:.80}; it is a change, a revision, a Cursor or None")
        return natural(upto, "what is acknowledged")

    def acked(self, revision: int) -> None:
        self.acknowledged = Cursor(self.acknowledged.incarnation, revision)
        self.read = max(self.read, revision)
        for each in [each for each in self._last if each <= revision]:
            del self._last[each]


class Consumer:
    """A durable reader of the feed, for one thread. What was fetched and not acknowledged comes again after a crash."""

    def __init__(self, hub: Hub, feed: Any, name: str, wanted: StateChangeFilter, start: Cursor) -> None:
        self._hub, self._feed = hub, feed
        self.name, self.filter = name, wanted
        self._fetched = Fetched(start)

    @property
    def cursor(self) -> Cursor:
        """Up to where it has acknowledged, as this object knows."""
        return self._fetched.acknowledged

    @property
    def lag(self) -> int:
        """How many revisions the store is ahead of what was acknowledged, by whichever process."""
        return int(self._feed._consumer_lag(self.name))

    def fetch(self, limit: int = _BATCH, timeout: float | None = 0) -> list[Change]:
        """Return what comes after what was fetched before: whole commits, until `limit` changes are reached.

        Where there is nothing it waits for `timeout` seconds, None for ever. Raises Compacted where retention has cut
        what comes next; `ack` of the floor it names, or of anything later, goes on behind that.
        """
        limit, timeout = natural(limit, "limit", 1), patience(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        with ExitStack() as attended:
            waiting = False
            while True:
                seen = self._hub.rings
                page = self._feed._page(self._fetched.read, self.filter, limit)
                if found := self._fetched.take(page):
                    return found
                left = None if end is None else end - time.monotonic()
                if page.more:
                    continue
                if left is not None and left <= 0:
                    return []
                if waiting:
                    self._hub.wait(seen, left)
                else:
                    attended.enter_context(self._hub.attended())
                    waiting = True

    def __iter__(self) -> Iterator[Change]:
        while True:
            yield from self.fetch(_BATCH, None)

    def ack(self, upto: Change | Cursor | int | None = None) -> None:
        """Acknowledge what was dealt with: up to a change, a revision or a Cursor, or all that was fetched.

        A commit of which only a part was dealt with comes again as a whole. What was acknowledged stays so.
        """
        self._fetched.acked(self._feed._acknowledge(self.name, self._fetched.meant(upto)))

    def delete(self) -> bool:
        """Forget the consumer; False where somebody has done so already."""
        return bool(self._feed._end_consumer(self.name))


class AsyncConsumer:
    """A durable reader of the feed, for one task. What was fetched and not acknowledged comes again after a crash."""

    def __init__(self, hub: AsyncHub, feed: Any, name: str, wanted: StateChangeFilter, start: Cursor) -> None:
        self._hub, self._feed = hub, feed
        self.name, self.filter = name, wanted
        self._fetched = Fetched(start)

    @property
    def cursor(self) -> Cursor:
        """Up to where it has acknowledged, as this object knows."""
        return self._fetched.acknowledged

    async def lag(self) -> int:
        """Return how many revisions the store is ahead of what was acknowledged, by whichever process."""
        return int(await self._feed._consumer_lag(self.name))

    async def fetch(self, limit: int = _BATCH, timeout: float | None = 0) -> list[Change]:
        """Return what comes after what was fetched before: whole commits, until `limit` changes are reached.

        Where there is nothing it waits for `timeout` seconds, None for ever. Raises Compacted where retention has cut
        what comes next; `ack` of the floor it names, or of anything later, goes on behind that.
        """
        limit, timeout = natural(limit, "limit", 1), patience(timeout)
        end = None if timeout is None else time.monotonic() + timeout
        with ExitStack() as attended:
            waiting = False
            while True:
                seen = self._hub.rings
                page = await self._feed._page(self._fetched.read, self.filter, limit)
                if found := self._fetched.take(page):
                    return found
                left = None if end is None else end - time.monotonic()
                if page.more:
                    continue
                if left is not None and left <= 0:
                    return []
                if waiting:
                    await self._hub.wait(seen, left)
                else:
                    attended.enter_context(self._hub.attended())
                    waiting = True

    async def __aiter__(self) -> AsyncIterator[Change]:
        while True:
            for change in await self.fetch(_BATCH, None):
                yield change

    async def ack(self, upto: Change | Cursor | int | None = None) -> None:
        """Acknowledge what was dealt with: up to a change, a revision or a Cursor, or all that was fetched.

        A commit of which only a part was dealt with comes again as a whole. What was acknowledged stays so.
        """
        self._fetched.acked(await self._feed._acknowledge(self.name, self._fetched.meant(upto)))

    async def delete(self) -> bool:
        """Forget the consumer; False where somebody has done so already."""
        return bool(await self._feed._end_consumer(self.name))
