"""The feed: every change of the store, in the order it happened; read, watched, or told to a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from statedb.db import consumers as consumer_rows
from statedb.db import feed as log
from statedb.db.tx import Tx
from statedb.errors import InvalidValue
from statedb.live.consumer import AsyncConsumer, Consumer
from statedb.live.subscription import AsyncSubscription, OnError, Subscription
from statedb.live.watch import AsyncWatch, Delivery, Watch, check_watchable
from statedb.models import Change
from statedb.times import LONGEST, span
from statedb.values.arguments import handler as plain_handler
from statedb.values.arguments import natural
from statedb.values.changefilter import ConsumerState, StateChangeFilter
from statedb.values.cursor import Cursor, Page, started
from statedb.values.names import name as checked_name

Subscribed = Subscription[Any] | AsyncSubscription[Any]

_WEEK = timedelta(days=7)

PAGE = 256
"""Changes a watch reads at a time."""


def changes(
    tx: Tx,
    since: int = 0,
    limit: int = 100,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    kinds: Iterable[str] | None = None,
) -> list[Change]:
    """Return what happened after revision `since`, on this branch and before that on what it was made from.

    Oldest first, in whole commits: one is never split, and reading stops at the first with which `limit` changes are
    reached. Pass the revision of the last change to go on; an empty list means that nothing has happened since. The
    keywords are those of `StateChangeFilter`. Raises NoSuchRevision for a revision the store has not reached, and
    Compacted where retention has cut versions younger than `since`: a gap is never silent. An erased value reads
    UNAVAILABLE.
    """
    since, limit = natural(since, "since"), natural(limit, "limit", 1)
    wanted = StateChangeFilter(agent_id, state_type, pattern, kinds)
    found: list[Change] = []
    more = True
    while more and len(found) < limit:
        page = log.page(tx, since, limit - len(found), wanted)
        found += page.found
        since, more = page.upto, page.more
    return found


def start(tx: Tx, since: int | Cursor | None) -> Cursor:
    """Return where to read from: a place that was reached, or where the store stands now."""
    return started(since, log.standing(tx))


def page(tx: Tx, since: int, wanted: StateChangeFilter, limit: int = PAGE) -> Page[Change]:
    """Return the page of changes after a revision."""
    return log.page(tx, since, limit, wanted)


def make_consumer(
    tx: Tx, name: str, wanted: StateChangeFilter | None, since: int | Cursor | None, keep: float | timedelta
) -> tuple[StateChangeFilter, Cursor]:
    """Return what a consumer asks for and where it stands; it is made if need be."""
    standing = log.standing(tx)
    begin = started(since, standing)
    pins_for = None if keep == 0 else span(keep) or LONGEST * 1_000_000
    found = consumer_rows.make(tx, checked_name(name, "name"), wanted, begin.revision, pins_for)
    return found.wanted, Cursor(standing.incarnation, found.position)


def acknowledge(tx: Tx, name: str, revision: int) -> int:
    """Note that a consumer has dealt with everything up to a revision."""
    return consumer_rows.acknowledge(tx, name, revision)


def end_consumer(tx: Tx, name: str) -> bool:
    """Forget a consumer."""
    return consumer_rows.end(tx, name)


def consumer_lag(tx: Tx, name: str) -> int:
    """Return how many revisions the store is ahead of a consumer."""
    return tx.revision - consumer_rows.require(tx, name).position


def consumers(tx: Tx) -> list[ConsumerState]:
    """Return the durable consumers of this branch by name, with how far each has acknowledged and its lag."""
    return consumer_rows.every(tx)


# ---- as it happens


def watch(
    shell: Any,
    agent_id: str | None = None,
    *,
    pattern: str = "*",
    state_type: str | None = None,
    kinds: Iterable[str] | None = None,
    since: int | Cursor | None = None,
    bookmarks: bool = False,
    timeout: float | None = None,
) -> Watch[Change]:
    """Watch what happens on this branch: iterate over the changes, which come as they are committed, by whomever.

    Each comes once, in the order of revisions, whole commits; from now on, or from those after `since`, a revision or a
    Cursor. It ends with `close`, or after `timeout` seconds without a change. With `bookmarks` it also yields a
    Bookmark where the log has moved on without one. The other keywords are those of `StateChangeFilter`. Raises
    NoSuchRevision, StaleCursor for a cursor of another incarnation, and Compacted where retention has cut what comes
    after `since`.
    """
    check_watchable(shell, timeout)
    wanted = StateChangeFilter(agent_id, state_type, pattern, kinds)
    feed = shell.feed
    delivery = Delivery(feed._start(since), _revision, bookmarks=bookmarks)
    return Watch(shell.hub, lambda read: feed._page(read, wanted), delivery, timeout=timeout)


def async_watch(
    shell: Any,
    agent_id: str | None = None,
    *,
    pattern: str = "*",
    state_type: str | None = None,
    kinds: Iterable[str] | None = None,
    since: int | Cursor | None = None,
    bookmarks: bool = False,
    timeout: float | None = None,
) -> AsyncWatch[Change]:
    """Watch what happens on this branch: `async for` over the changes, which come as they are committed, by whomever.

    Each comes once, in the order of revisions, whole commits; from now on, or from those after `since`, a revision or a
    Cursor. It ends with `close`, or after `timeout` seconds without a change. With `bookmarks` it also yields a
    Bookmark where the log has moved on without one. The other keywords are those of `StateChangeFilter`. The first
    change asked for raises NoSuchRevision, StaleCursor for a cursor of another incarnation, and Compacted where
    retention has cut what comes after `since`.
    """
    check_watchable(shell, timeout)
    wanted = StateChangeFilter(agent_id, state_type, pattern, kinds)
    feed = shell.feed

    async def begin() -> Delivery[Change]:
        return Delivery(await feed._start(since), _revision, bookmarks=bookmarks)

    begun = asyncio.ensure_future(begin())
    return AsyncWatch(shell.hub, lambda read: feed._page(read, wanted), begun, timeout=timeout)


def subscribe(
    shell: Any,
    handler: Callable[[Change], object],
    filter: StateChangeFilter | None = None,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    kinds: Iterable[str] | None = None,
    since: int | Cursor | None = None,
    on_error: OnError | None = None,
) -> Subscription[Change]:
    """Have a handler told of each change after its commit, one after the other, on a thread of its own.

    What it is told of a filter says, or the keywords of one; from now on, or from those after `since`. One that fails
    is reported to the log `statedb` and to `on_error(error, change)`, and the next change comes all the same. Where the
    log cannot be read any more (Compacted, say) the change is None, and the subscription over. Raises InvalidValue, and
    what `watch` raises.
    """
    plain_handler(handler, "subscribe", " (on AsyncStore an asynchronous one as well)")
    wanted = _wanted(filter, agent_id, state_type, pattern, kinds)
    subscription = Subscription(watch(shell, **wanted.as_json(), since=since), handler, on_error)
    shell.hub.followers.add(subscription)
    return subscription


async def async_subscribe(
    shell: Any,
    handler: Callable[[Change], object],
    filter: StateChangeFilter | None = None,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    kinds: Iterable[str] | None = None,
    since: int | Cursor | None = None,
    on_error: OnError | None = None,
) -> AsyncSubscription[Change]:
    """Have a handler told of each change after its commit, one after the other, by a task of its own.

    It may be asynchronous. What it is told of a filter says, or the keywords of one; from now on, or from those after
    `since`. One that fails is reported to the log `statedb` and to `on_error(error, change)`, and the next change comes
    all the same. Where the log cannot be read any more (Compacted, say) the change is None, and the subscription over.
    Raises InvalidValue, and what `watch` raises.
    """
    if not callable(handler):
        raise InvalidValue(f"subscribe takes a function, and not {handler!r:.80}")
    wanted = _wanted(filter, agent_id, state_type, pattern, kinds)
    watching = async_watch(shell, **wanted.as_json(), since=since)
    await watching.begun()
    subscription = AsyncSubscription(watching, handler, on_error)
    shell.hub.followers.add(subscription)
    return subscription


def unsubscribe(_shell: Any, subscription: Subscribed) -> None:
    """Tell a handler of nothing more, and wait until it is done with what it is at, for 5 s at most. InvalidValue."""
    _of(subscription).close()


async def async_unsubscribe(_shell: Any, subscription: Subscribed) -> None:
    """Tell a handler of nothing more, and wait until it is done with what it is at, for 5 s at most. InvalidValue."""
    if (ending := _of(subscription).close()) is not None:
        await ending


def consumer(
    shell: Any,
    name: str,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    kinds: Iterable[str] | None = None,
    since: int | Cursor | None = 0,
    keep: float | timedelta = _WEEK,
) -> Consumer:
    """Return a durable reader of the feed, made at its first use: `fetch`, deal with it, `ack`, in whatever process.

    It begins after `since`, with the beginning unless told, None for now. Later the filter may be left out, and must be
    the same where it is not. For `keep`, seconds or a timedelta, what it has not acknowledged is kept from retention;
    0: it is not. Raises InvalidKey, InvalidValue, NoSuchRevision and StaleCursor.
    """
    check_watchable(shell, None)
    told = StateChangeFilter(agent_id, state_type, pattern, kinds)
    wanted, start = shell.feed._make_consumer(name, None if told == StateChangeFilter() else told, since, keep)
    return Consumer(shell.hub, shell.feed, name, wanted, start)


async def async_consumer(
    shell: Any,
    name: str,
    *,
    agent_id: str | None = None,
    state_type: str | None = None,
    pattern: str = "*",
    kinds: Iterable[str] | None = None,
    since: int | Cursor | None = 0,
    keep: float | timedelta = _WEEK,
) -> AsyncConsumer:
    """Return a durable reader of the feed, made at its first use: `fetch`, deal with it, `ack`, in whatever process.

    It begins after `since`, with the beginning unless told, None for now. Later the filter may be left out, and must be
    the same where it is not. For `keep`, seconds or a timedelta, what it has not acknowledged is kept from retention;
    0: it is not. Raises InvalidKey, InvalidValue, NoSuchRevision and StaleCursor.
    """
    check_watchable(shell, None)
    told = StateChangeFilter(agent_id, state_type, pattern, kinds)
    wanted, start = await shell.feed._make_consumer(name, None if told == StateChangeFilter() else told, since, keep)
    return AsyncConsumer(shell.hub, shell.feed, name, wanted, start)


def _wanted(
    filter: StateChangeFilter | None,
    agent_id: str | None,
    state_type: str | None,
    pattern: str,
    kinds: Iterable[str] | None,
) -> StateChangeFilter:
    told = StateChangeFilter(agent_id, state_type, pattern, kinds)
    if filter is None:
        return told
    if not isinstance(filter, StateChangeFilter) or told != StateChangeFilter():
        raise InvalidValue("what is asked for is said by a StateChangeFilter, or by the keywords of one")
    return filter


def _of(subscription: Any) -> Any:
    if not isinstance(subscription, Subscription | AsyncSubscription):
        raise InvalidValue(f"unsubscribe takes what subscribe has returned, and not {subscription!r:.80}")
    return subscription


def _revision(change: Change) -> int:
    return change.revision
