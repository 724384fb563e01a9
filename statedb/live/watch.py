"""A watch: it reads a log page by page, gives out what it finds, and sleeps on the hub while there is nothing.

    hub.rings ─▶ fetch a page after what was read ─▶ give out, whole commits ─▶ nothing more? ─▶ hub.wait
        ▲                                                                                        │
        └────────────────────────────────────────────────────────────────────────────────────────┘

The log may be the changes of the states, the events of the streams, or what happens to locks: all a watch needs is a
function that reads a page, and the place of an item. It holds no more than a page, so that one who is slow costs
nobody anything, and loses nothing.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

from statedb.errors import InTransaction, ReadOnly, StoreBusy
from statedb.live.hub import AsyncHub, Hub
from statedb.times import moment
from statedb.values.arguments import patience
from statedb.values.cursor import Bookmark, Cursor, Page

T = TypeVar("T")


class Delivery(Generic[T]):
    """What was read and is to be given out, and how far that is: pages in, items out."""

    def __init__(self, start: Cursor, place: Callable[[T], int], *, bookmarks: bool = False) -> None:
        self.read = start.revision
        """Up to where pages were read."""
        self._incarnation, self._place, self._bookmarks = start.incarnation, place, bookmarks
        self._given = start.revision
        self._pending: deque[T] = deque()
        self._bookmark: Bookmark | None = None

    @property
    def cursor(self) -> Cursor:
        """Where to go on from, with nothing lost: the last commit all of which was given out."""
        return Cursor(self._incarnation, self._given)

    def take(self, page: Page[T]) -> bool:
        """Take in the page after what was read; False where it was the last, and empty."""
        quiet = page.upto > self.read and not page.found
        self.read = page.upto
        self._pending.extend(page.found)
        if not self._pending:
            self._given = self.read
        if quiet and self._bookmarks and not page.more:
            self._bookmark = Bookmark(self.cursor, moment(page.at))
        return bool(page.found) or page.more or self._bookmark is not None

    def next(self) -> T | Bookmark | None:
        """Give out what comes next, None where another page has to be read first."""
        if not self._pending:
            bookmark, self._bookmark = self._bookmark, None
            return bookmark
        item = self._pending.popleft()
        if not self._pending:
            self._given = self.read
        elif self._place(self._pending[0]) != (place := self._place(item)):
            self._given = place
        return item


class _Ears:
    """What a watch attends to, from its first wait until its end."""

    def __init__(self, hub: Hub | AsyncHub) -> None:
        self._hub = hub
        self._attends = False
        self._lock = threading.RLock()  # closed by a signal's handler while it begins to attend
        self.closed = False

    def attend(self) -> bool:
        """Hear of other processes' commits from now on; False where that was so already."""
        with self._lock:
            if self._attends or self.closed:
                return False
            self._hub.attend()
            self._attends = True
            return True

    def close(self) -> None:
        with self._lock:
            self.closed = True
            attended, self._attends = self._attends, False
        if attended:
            self._hub.leave()


class Watch(Generic[T]):
    """What happens from some place in the log on, one by one, as it happens; for one thread.

    It ends with `close`, and after `timeout` seconds without anything; then and after an error it is over. `cursor` is
    where to go on from.
    """

    def __init__(
        self, hub: Hub, fetch: Callable[[int], Page[T]], delivery: Delivery[T], *, timeout: float | None = None
    ) -> None:
        self._hub, self._fetch, self._delivery, self._timeout = hub, fetch, delivery, timeout
        self._ears = _Ears(hub)

    @property
    def cursor(self) -> Cursor:
        """Where to go on from, with nothing lost: the last commit all of which was given out."""
        return self._delivery.cursor

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        end = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            while not self._ears.closed:
                if (item := self._delivery.next()) is not None:
                    return cast(T, item)  # a Bookmark only where it was asked for
                seen = self._hub.rings
                if self._delivery.take(self._fetch(self._delivery.read)):
                    continue
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    break
                if not self._ears.attend():
                    self._hub.wait(seen, left)
        except StoreBusy:
            raise  # the next goes on where this was
        except BaseException:
            self._ears.close()
            raise
        self._ears.close()
        raise StopIteration

    def close(self) -> None:
        """End it; whoever waits in another thread for what comes next hears of it."""
        self._ears.close()
        self._hub.ring()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if "_ears" in self.__dict__:
            self._ears.close()


class AsyncWatch(Generic[T]):
    """What happens from some place in the log on, one by one, as it happens; for one task.

    It ends with `close`, and after `timeout` seconds without anything; then and after an error it is over. `cursor` is
    where to go on from, None until it has begun.
    """

    def __init__(
        self,
        hub: AsyncHub,
        fetch: Callable[[int], Awaitable[Page[T]]],
        begun: Awaitable[Delivery[T]],
        *,
        timeout: float | None = None,
    ) -> None:
        self._hub, self._fetch, self._timeout = hub, fetch, timeout
        self._begun: asyncio.Future[Delivery[T]] = asyncio.ensure_future(begun)
        self._delivery: Delivery[T] | None = None
        self._ears = _Ears(hub)
        hub.beginning.add(self._begun)
        self._begun.add_done_callback(hub.began)

    @property
    def cursor(self) -> Cursor | None:
        """Where to go on from, with nothing lost: the last commit all of which was given out."""
        begun = self._begun
        if self._delivery is None and begun.done() and not begun.cancelled() and begun.exception() is None:
            self._delivery = self._begun.result()
        return None if self._delivery is None else self._delivery.cursor

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        end = None if self._timeout is None else time.monotonic() + self._timeout
        try:
            delivery = await self.begun()
            while not self._ears.closed:
                if (item := delivery.next()) is not None:
                    return cast(T, item)  # a Bookmark only where it was asked for
                seen, read = self._hub.rings, delivery.read
                page = await self._fetch(read)
                if delivery.read != read or delivery.take(page):  # another task has taken that page in, or this one
                    continue
                left = None if end is None else end - time.monotonic()
                if left is not None and left <= 0:
                    break
                if not self._ears.attend():
                    await self._hub.wait(seen, left)
        except (StoreBusy, asyncio.CancelledError):
            raise  # of one wait, by a timeout of the caller's, say: the next goes on where this was
        except BaseException:
            self._ears.close()
            raise
        self._ears.close()
        raise StopAsyncIteration

    def close(self) -> None:
        """End it; whoever waits in another task for what comes next hears of it."""
        self._ears.close()
        self._hub.ring()

    async def begun(self) -> Delivery[T]:
        """Wait until it has begun. Raises what is wrong with where it was to begin."""
        found: Delivery[T] = await asyncio.shield(self._begun)
        self._delivery = found
        return found

    async def __aenter__(self) -> Self:
        await self.begun()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if "_ears" in self.__dict__:
            self._ears.close()


def check_watchable(shell: Any, timeout: float | None) -> None:
    """Raise InTransaction, ReadOnly and InvalidValue where a watch of a shell would make no sense."""
    if shell.hub is None:
        raise InTransaction("a watch outlasts a transaction; watch the store itself")
    if shell._context.asked is not None:
        raise ReadOnly("this store shows the past, in which nothing happens any more; watch the store itself")
    patience(timeout)
