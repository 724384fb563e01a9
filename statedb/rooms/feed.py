"""The feed: every change of the store, in the order it happened; read, watched, or told to a handler."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

from statedb.db import feed as log
from statedb.db.tx import Tx
from statedb.errors import InTransaction, InvalidValue, ReadOnly
from statedb.live.watch import AsyncWatch, Delivery, Watch
from statedb.models import Change
from statedb.values.arguments import natural
from statedb.values.changefilter import StateChangeFilter
from statedb.values.cursor import Cursor, Page, started

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


def page(tx: Tx, since: int, wanted: StateChangeFilter) -> Page[Change]:
    """Return the page of changes after a revision."""
    return log.page(tx, since, PAGE, wanted)


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
    _check(shell, timeout)
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
    _check(shell, timeout)
    wanted = StateChangeFilter(agent_id, state_type, pattern, kinds)
    feed = shell.feed

    async def begin() -> Delivery[Change]:
        return Delivery(await feed._start(since), _revision, bookmarks=bookmarks)

    begun = asyncio.ensure_future(begin())
    return AsyncWatch(shell.hub, lambda read: feed._page(read, wanted), begun, timeout=timeout)


def _revision(change: Change) -> int:
    return change.revision


def _check(shell: Any, timeout: float | None) -> None:
    if shell.hub is None:
        raise InTransaction("a watch outlasts a transaction; watch the store itself")
    if shell._context.asked is not None:
        raise ReadOnly("this store shows the past, in which nothing happens any more; watch the store itself")
    if timeout is not None and (isinstance(timeout, bool) or not isinstance(timeout, int | float) or not timeout >= 0):
        raise InvalidValue(f"timeout is {timeout!r:.80}; it is seconds, 0 or more, or None for ever")
