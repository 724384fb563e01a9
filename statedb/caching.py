"""Write-behind: writes kept in memory for a while, for those who accept that a crash loses them.

    set ──▶ buffer, the newest value of each key ──(interval · flush · close)──▶ one transaction per agent and tier
    get ──▶ buffer ──▶ store

What a store promises of a write that returned does not hold of a buffered one: it is lost with the process, other
processes do not see it, and of several values of a key between two flushes only the last becomes a version. A write
that checks something, such as `expected_version`, is never buffered.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import threading
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextvars import Context
from types import TracebackType
from typing import Any, Self

from statedb import times
from statedb.aio import AsyncStore
from statedb.errors import DiskFull, InvalidValue, StoreBusy, StoreClosed
from statedb.live.buffer import Buffer, Failure, Which, Write
from statedb.models import Address, Entry
from statedb.rooms.states import Lifetime
from statedb.store import Store
from statedb.transaction import Joined
from statedb.values import arguments, codec
from statedb.values.content import Content
from statedb.values.names import address
from statedb.values.typed import as_json

FlushError = Callable[[Exception, Address, Any], object]
"""Called with the error, the key's address and the value that could not be written."""

_log = logging.getLogger("statedb.caching")
_HOPELESS = (StoreBusy, StoreClosed, DiskFull)
"""Errors that would meet every other write of the flush as well."""


class _Behind:
    """What both shells share: the buffer, how long a write may stay there, and who hears of errors."""

    def __init__(self, store: Store | AsyncStore, shell: type[Store] | type[AsyncStore], interval: float) -> None:
        if not isinstance(store, shell):
            kind = type(store).__name__
            raise InvalidValue(f"WriteBehind is for a Store, AsyncWriteBehind for an AsyncStore; this is {kind}")
        store._context.check_writable()
        self._max_value_bytes = store.settings.max_value_bytes
        self._interval = _seconds(interval)
        self._buffer = Buffer()
        self._handlers: list[FlushError] = []

    @property
    def pending(self) -> int:
        """How many keys have a value that is not known to be committed."""
        return len(self._buffer)

    def on_flush_error(self, handler: FlushError) -> FlushError:
        """Call a function with (error, address, value) of each write that a flush cannot make; return the function.

        The write stays buffered, for the next flush. Without a handler errors are logged.
        """
        arguments.handler(handler, "on_flush_error")
        self._handlers.append(handler)
        return handler

    def _write(
        self, at: Address, value: Any, ttl: Lifetime, message: str | None, metadata: Mapping[str, Any] | None
    ) -> Write:
        """Return a write, checked now: of what is wrong with it the caller wants to hear, not a thread of ours."""
        encoded = codec.encode(as_json(value), self._max_value_bytes)
        if ttl is not None:
            times.span(ttl)
        kept = None
        if metadata is not None:
            if not isinstance(metadata, Mapping):
                raise InvalidValue(f"metadata is {type(metadata).__name__}; it is a dict")
            kept = Content(codec.json_text(dict(metadata), self._max_value_bytes), is_json=True).own()
        content = Content(encoded.plain, is_json=codec.is_json(encoded.stored))
        return Write(at, content, ttl, arguments.said(message, "message"), kept)

    def _tell(self, failures: Iterable[Failure]) -> None:
        for write, error in failures:
            if not self._handlers:
                _log.error("a buffered write of %s was not made, and is kept: %s", write.at, error)
            for handler in self._handlers:
                try:
                    handler(error, write.at, write.content.own())
                except Exception:
                    _log.exception("a handler of flush errors failed")


class WriteBehind(_Behind):
    """A store whose `set` returns before anything is written. Any thread may use it; close it before the store.

    What is buffered is written every `interval` seconds by a thread, by `flush`, and by `close`.
    """

    def __init__(
        self,
        store: Store,
        *,
        interval: float = 1.0,
        ticker: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        super().__init__(store, Store, interval)
        self._store, self._ticker = store, ticker
        self._turn = threading.RLock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def set(
        self,
        agent_id: str,
        state_type: str,
        key: str,
        value: Any,
        *,
        ttl: Lifetime = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **checked: Any,
    ) -> Entry | None:
        """Buffer a write and return None; with any other argument of `states.set`, write through and return its entry.

        Such as `expected_version`: what is buffered of the key is flushed first. A ttl counts from the flush.
        """
        at = address(agent_id, state_type, key)
        if checked:
            self.flush(at)
            return self._store.states.set(*at, value, ttl=ttl, message=message, metadata=metadata, **checked)
        self._check_open()
        self._buffer.put(self._write(at, value, ttl, message, metadata))
        self._start()
        return None

    def get(
        self,
        agent_id: str,
        state_type: str,
        key: str,
        default: Any = None,
        *,
        as_type: type[Any] | None = None,
        copy: bool = True,
    ) -> Any:
        """Return the value, be it buffered or in the store."""
        write = self._buffer.find(address(agent_id, state_type, key))
        if write is not None:
            return write.content.shown(as_type, copy)
        return self._store.states.get(agent_id, state_type, key, default, as_type=as_type, copy=copy)

    def delete(self, agent_id: str, state_type: str, key: str, **checked: Any) -> bool:
        """Flush what is buffered of a key, then delete it in the store."""
        at = address(agent_id, state_type, key)
        self.flush(at)
        return self._store.states.delete(*at, **checked)

    def flush(self, key: Which = None) -> int:
        """Write what is buffered, of one key or of all, and return how many values that were.

        Each agent's values of a tier in one transaction; where that fails, one by one, so that none fails for another.
        Raises the first error after everything was tried; what failed stays buffered.
        """
        self._store._engine.refuse_inside()  # before the turn is waited for: who has it may wait for this transaction
        written, failures = self._flush(key)
        if failures:
            raise failures[0].error
        return written

    def set_flush_interval(self, seconds: float) -> None:
        """Have what is buffered written every so many seconds, counted from now."""
        self._interval = _seconds(seconds)
        self._changed.set()

    def close(self) -> None:
        """Write what is buffered, and stop. Raises the first error, and stays open for another try."""
        while not self._buffer.close():
            self.flush()
        self._changed.set()
        atexit.unregister(self._at_exit)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _check_open(self) -> None:
        self._store._engine.check()

    def _flush(self, key: Which) -> tuple[int, list[Failure]]:
        with self._turn:  # one after the other, or an older value of a key could be written after a newer one
            groups = self._buffer.take(key)
            failures: list[Failure] = []
            try:
                for group in groups:
                    failures += self._write_group(group)
            except BaseException:
                # Broken off, by Ctrl-C say: all of it waits again, for to write the same value again changes nothing.
                self._buffer.left(write for group in groups for write in group)
                raise
            self._buffer.left(failure.write for failure in failures)
        self._tell(failures)
        return sum(map(len, groups)) - len(failures), failures

    def _write_group(self, group: list[Write]) -> list[Failure]:
        try:
            self._store.run(write_all, group)
        except _HOPELESS as error:
            return [Failure(write, error) for write in group]
        except Exception as error:
            if len(group) == 1:
                return [Failure(group[0], error)]
            return [failure for write in group for failure in self._write_group([write])]
        return []

    def _start(self) -> None:
        if self._thread is None:
            with self._turn:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._tick, name="statedb write-behind", daemon=True)
                    self._thread.start()
                    atexit.register(self._at_exit)  # after the store's own ending, and so run before it

    def _tick(self) -> None:
        while not self._buffer.shut:
            changed = self._ticker(self._changed, self._interval)
            self._changed.clear()
            if not self._buffer.shut and not changed:
                self._flush(None)

    def _at_exit(self) -> None:
        if not self._buffer.shut and not self._store._engine.closed:
            self._flush(None)


class AsyncWriteBehind(_Behind):
    """The same for an AsyncStore, awaited: what is buffered is written every `interval` seconds by a task."""

    def __init__(
        self,
        store: AsyncStore,
        *,
        interval: float = 1.0,
        ticker: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        super().__init__(store, AsyncStore, interval)
        self._store, self._ticker = store, ticker
        self._turn = asyncio.Lock()
        self._flushing: set[asyncio.Task[tuple[int, list[Failure]]]] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def set(
        self,
        agent_id: str,
        state_type: str,
        key: str,
        value: Any,
        *,
        ttl: Lifetime = None,
        message: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **checked: Any,
    ) -> Entry | None:
        """Buffer a write and return None; with any other argument of `states.set`, write through and return its entry.

        Such as `expected_version`: what is buffered of the key is flushed first. A ttl counts from the flush.
        """
        at = address(agent_id, state_type, key)
        if checked:
            await self.flush(at)
            return await self._store.states.set(*at, value, ttl=ttl, message=message, metadata=metadata, **checked)
        self._check_open()
        self._buffer.put(self._write(at, value, ttl, message, metadata))
        if self._task is None:
            self._start()
        return None

    async def get(
        self,
        agent_id: str,
        state_type: str,
        key: str,
        default: Any = None,
        *,
        as_type: type[Any] | None = None,
        copy: bool = True,
    ) -> Any:
        """Return the value, be it buffered or in the store."""
        write = self._buffer.find(address(agent_id, state_type, key))
        if write is not None:
            return write.content.shown(as_type, copy)
        return await self._store.states.get(agent_id, state_type, key, default, as_type=as_type, copy=copy)

    async def delete(self, agent_id: str, state_type: str, key: str, **checked: Any) -> bool:
        """Flush what is buffered of a key, then delete it in the store."""
        at = address(agent_id, state_type, key)
        await self.flush(at)
        return await self._store.states.delete(*at, **checked)

    async def flush(self, key: Which = None) -> int:
        """Write what is buffered, of one key or of all, and return how many values that were.

        Each agent's values of a tier in one transaction; where that fails, one by one, so that none fails for another.
        Raises the first error after everything was tried; what failed stays buffered.
        """
        self._store._refuse_inside()  # before the turn is waited for: who has it may wait for this transaction
        written, failures = await self._flush(key)
        if failures:
            raise failures[0].error
        return written

    def set_flush_interval(self, seconds: float) -> None:
        """Have what is buffered written every so many seconds, counted from now."""
        self._interval = _seconds(seconds)
        if self._task is not None:
            self._task.cancel()
            self._start()

    async def close(self) -> None:
        """Write what is buffered, and stop. Raises the first error, and stays open for another try."""
        while not self._buffer.close():
            await self.flush()
        if self._task is not None:
            self._task.cancel()

    def _check_open(self) -> None:
        self._store._opened()

    async def _flush(self, key: Which) -> tuple[int, list[Failure]]:
        # Shielded: of a flush that is cancelled half way nobody would know what was written.
        flushing = asyncio.get_running_loop().create_task(self._write_out(key))
        self._flushing.add(flushing)
        flushing.add_done_callback(self._flushing.discard)
        return await asyncio.shield(flushing)

    async def _write_out(self, key: Which) -> tuple[int, list[Failure]]:
        async with self._turn:  # one after the other, or an older value of a key could be written after a newer one
            groups = self._buffer.take(key)
            failures = [failure for group in groups for failure in await self._write_group(group)]
            self._buffer.left(failure.write for failure in failures)
        self._tell(failures)
        return sum(map(len, groups)) - len(failures), failures

    async def _write_group(self, group: list[Write]) -> list[Failure]:
        try:
            await self._store.run(write_all, group)
        except _HOPELESS as error:
            return [Failure(write, error) for write in group]
        except Exception as error:
            if len(group) == 1:
                return [Failure(group[0], error)]
            return [failure for write in group for failure in await self._write_group([write])]
        return []

    def _start(self) -> None:
        # In a context of its own: begun inside a transaction of the caller's, it would count as a part of that.
        self._task = asyncio.get_running_loop().create_task(self._tick(), context=Context())

    async def _tick(self) -> None:
        while not self._buffer.shut:
            await self._ticker(self._interval)
            await self._flush(None)


def write_all(tx: Joined, group: list[Write]) -> None:
    """Write a group in a transaction."""
    for at, content, ttl, message, metadata in group:
        tx.states.set(*at, content.own(), ttl=ttl, message=message, metadata=metadata)


def _seconds(interval: float) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval <= times.LONGEST:
        raise InvalidValue(f"the interval is {interval!r:.80}; it is seconds above zero")
    return float(interval)
