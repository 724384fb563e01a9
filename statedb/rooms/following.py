"""Following events: of a stream, or of all of them, as they are appended; watched, or told to a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from statedb.db import events, feed
from statedb.db.events import Wanted
from statedb.db.streams import last_position
from statedb.db.tx import Tx
from statedb.errors import InvalidValue
from statedb.live.subscription import AsyncSubscription, OnError, Subscription
from statedb.live.watch import AsyncWatch, Delivery, Watch, check_watchable
from statedb.values.arguments import LARGEST
from statedb.values.arguments import handler as plain_handler
from statedb.values.cursor import Cursor, Page, started
from statedb.values.event import RecordedEvent

PAGE = 256
"""Events a watch reads at a time."""


def start(tx: Tx, since: int | Cursor | None) -> Cursor:
    """Return where to read from: a position that was reached, or that of the newest event."""
    return started(since, replace(feed.standing(tx), revision=last_position(tx)), "position")


def page(tx: Tx, read: int, wanted: Wanted) -> Page[RecordedEvent]:
    """Return the page of events after a position."""
    found = events.everything(tx, read + 1, LARGEST, PAGE, wanted)
    more = len(found) == PAGE
    return Page(found, found[-1].position if more else last_position(tx), more, tx.now)


def watch(
    shell: Any,
    stream: str | None = None,
    *,
    agent_id: str | None = None,
    types: str | Iterable[str] | None = None,
    pattern: str = "*",
    since: int | Cursor | None = None,
    bookmarks: bool = False,
    timeout: float | None = None,
) -> Watch[RecordedEvent]:
    """Watch a stream, or all of them: iterate over the events, which come as they are appended, by whomever.

    Each comes once, in the order of positions; from now on, or from those after `since`, a position or the Cursor of
    another such watch, whose `revision` is one. It ends with `close`, or after `timeout` seconds without an event. With
    `bookmarks` it also yields a Bookmark where there were only others. The other keywords are those of `read_all`.
    Raises NoSuchRevision for a position not reached, and StaleCursor for a cursor of another incarnation.
    """
    check_watchable(shell, timeout)
    wanted, streams = Wanted.of(agent_id, stream, types, pattern), shell.streams
    delivery = Delivery(streams._start(since), _position, bookmarks=bookmarks)
    return Watch(shell.hub, lambda read: streams._page(read, wanted), delivery, timeout=timeout)


def async_watch(
    shell: Any,
    stream: str | None = None,
    *,
    agent_id: str | None = None,
    types: str | Iterable[str] | None = None,
    pattern: str = "*",
    since: int | Cursor | None = None,
    bookmarks: bool = False,
    timeout: float | None = None,
) -> AsyncWatch[RecordedEvent]:
    """Watch a stream, or all of them: `async for` over the events, which come as they are appended, by whomever.

    Each comes once, in the order of positions; from now on, or from those after `since`, a position or the Cursor of
    another such watch, whose `revision` is one. It ends with `close`, or after `timeout` seconds without an event. With
    `bookmarks` it also yields a Bookmark where there were only others. The other keywords are those of `read_all`. The
    first event asked for raises NoSuchRevision for a position not reached, and StaleCursor for a cursor of another
    incarnation.
    """
    check_watchable(shell, timeout)
    wanted, streams = Wanted.of(agent_id, stream, types, pattern), shell.streams

    async def begin() -> Delivery[RecordedEvent]:
        return Delivery(await streams._start(since), _position, bookmarks=bookmarks)

    begun = asyncio.ensure_future(begin())
    return AsyncWatch(shell.hub, lambda read: streams._page(read, wanted), begun, timeout=timeout)


def subscribe(
    shell: Any,
    handler: Callable[[RecordedEvent], object],
    stream: str | None = None,
    *,
    agent_id: str | None = None,
    types: str | Iterable[str] | None = None,
    pattern: str = "*",
    since: int | Cursor | None = None,
    on_error: OnError | None = None,
) -> Subscription[RecordedEvent]:
    """Have a handler told of each event after its commit, one after the other, on a thread of its own.

    The keywords are those of `watch`. One that fails is reported to the log `statedb` and to `on_error(error, event)`,
    and the next event comes all the same. Raises InvalidValue, and what `watch` raises.
    """
    plain_handler(handler, "subscribe", " (on AsyncStore an asynchronous one as well)")
    watching = watch(shell, stream, agent_id=agent_id, types=types, pattern=pattern, since=since)
    subscription = Subscription(watching, handler, on_error)
    shell.hub.followers.add(subscription)
    return subscription


async def async_subscribe(
    shell: Any,
    handler: Callable[[RecordedEvent], object],
    stream: str | None = None,
    *,
    agent_id: str | None = None,
    types: str | Iterable[str] | None = None,
    pattern: str = "*",
    since: int | Cursor | None = None,
    on_error: OnError | None = None,
) -> AsyncSubscription[RecordedEvent]:
    """Have a handler told of each event after its commit, one after the other, by a task of its own.

    It may be asynchronous. The keywords are those of `watch`. One that fails is reported to the log `statedb` and to
    `on_error(error, event)`, and the next event comes all the same. Raises InvalidValue, and what `watch` raises.
    """
    if not callable(handler):
        raise InvalidValue(f"subscribe takes a function, and not {handler!r:.80}")
    watching = async_watch(shell, stream, agent_id=agent_id, types=types, pattern=pattern, since=since)
    await watching.begun()
    subscription = AsyncSubscription(watching, handler, on_error)
    shell.hub.followers.add(subscription)
    return subscription


def _position(event: RecordedEvent) -> int:
    return event.position
