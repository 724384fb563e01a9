"""A subscription: a handler that is told of what a watch finds, one by one, on a thread or by a task of its own.

    commit ──▶ hub ──▶ watch ──▶ handler(change) ──▶ the next
                                   └─▶ it fails: on_error, the log `statedb`, and the next all the same

A handler runs after the commit, and whatever it does changes nothing for who committed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from statedb.errors import StateDBError, StoreBusy, StoreClosed
from statedb.live.watch import AsyncWatch, Watch
from statedb.values.cursor import Cursor

T = TypeVar("T")

OnError = Callable[[Exception, Any], object]
"""Told of an error, and of what was being handled; None where it was the reading that failed."""

PATIENCE = 5.0
"""Seconds that who ends a subscription waits for its handler to be done with what it is at."""
_AGAIN = 1.0
"""Seconds until it is read again where the store cannot be read at the moment."""

_log = logging.getLogger("statedb")


class _Told(Generic[T]):
    """Who is told, and whom failures are reported to."""

    def __init__(self, handler: Callable[[T], Any], on_error: OnError | None) -> None:
        self.handler, self._on_error = handler, on_error

    def failed(self, error: Exception, item: T | None) -> None:
        what = "what was committed could not be read" if item is None else f"a handler failed at {item!r:.200}"
        _log.error(what, exc_info=error)
        if self._on_error is not None:
            try:
                self._on_error(error, item)
            except Exception as second:
                _log.error("on_error failed", exc_info=second)


class Subscription(Generic[T]):
    """A handler that is told on a thread of its own, until `close` or the end of the store."""

    def __init__(self, watch: Watch[T], handler: Callable[[T], object], on_error: OnError | None) -> None:
        self._watch, self._told = watch, _Told(handler, on_error)
        self._thread = threading.Thread(target=self._run, name="statedb-subscription", daemon=True)
        self._thread.start()

    @property
    def active(self) -> bool:
        """Whether the handler may still be told of anything."""
        return self._thread.is_alive()

    @property
    def cursor(self) -> Cursor:
        """Up to where everything was handed to the handler."""
        return self._watch.cursor

    def close(self) -> None:
        """Tell the handler of nothing more, and wait until it is done with what it is at, for 5 s at most."""
        self._watch.close()
        if self._thread is not threading.current_thread():
            self._thread.join(PATIENCE)

    def _run(self) -> None:
        try:
            self._tell()
        finally:
            self._watch.close()  # where the handler has ended its thread, say, by sys.exit()

    def _tell(self) -> None:
        while True:
            try:
                item = next(self._watch)
            except (StopIteration, StoreClosed):
                return
            except StateDBError as error:
                self._told.failed(error, None)
                if not isinstance(error, StoreBusy):
                    return
                time.sleep(_AGAIN)
                continue
            try:
                self._told.handler(item)
            except Exception as error:
                self._told.failed(error, item)


class AsyncSubscription(Generic[T]):
    """A handler that is told by a task of its own, until `close` or the end of the store; it may be asynchronous."""

    def __init__(self, watch: AsyncWatch[T], handler: Callable[[T], object], on_error: OnError | None) -> None:
        self._watch, self._told = watch, _Told(handler, on_error)
        self._task = asyncio.get_running_loop().create_task(self._run())

    @property
    def active(self) -> bool:
        """Whether the handler may still be told of anything."""
        return not self._task.done()

    @property
    def cursor(self) -> Cursor | None:
        """Up to where everything was handed to the handler."""
        return self._watch.cursor

    async def close(self) -> None:
        """Tell the handler of nothing more, and wait until it is done with what it is at, for 5 s at most."""
        self._watch.close()
        if self._task is not asyncio.current_task():
            await asyncio.wait([self._task], timeout=PATIENCE)

    async def _run(self) -> None:
        try:
            await self._tell()
        finally:
            self._watch.close()

    async def _tell(self) -> None:
        while True:
            try:
                item = await anext(self._watch)
            except (StopAsyncIteration, StoreClosed):
                return
            except StateDBError as error:
                self._told.failed(error, None)
                if not isinstance(error, StoreBusy):
                    return
                await asyncio.sleep(_AGAIN)
                continue
            try:
                answer = self._told.handler(item)
                if inspect.isawaitable(answer):
                    await answer
            except asyncio.CancelledError as error:
                if self._task.cancelling():
                    raise
                failure = RuntimeError("what the handler waited for was cancelled")
                failure.__cause__ = error
                self._told.failed(failure, item)
            except Exception as error:
                self._told.failed(error, item)
