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
from itertools import groupby
from types import TracebackType
from typing import Any, NamedTuple, Self

from statedb import times
from statedb.aio import AsyncStore
from statedb.errors import DiskFull, InvalidValue, StateDBError, StoreBusy, StoreClosed
from statedb.models import Address, Entry
from statedb.rooms.states import Lifetime
from statedb.store import Store
from statedb.transaction import Joined
from statedb.values import codec
from statedb.values.arguments import said
from statedb.values.content import Content
from statedb.values.names import address
from statedb.values.typed import as_json

FlushError = Callable[[Exception, Address, Any], object]
"""Called with the error, the key's address and the value that could not be written."""

Which = str | tuple[str, str, str] | None
"""What to flush: a key of one agent and tier as (agent_id, state_type, key), a key of whatever agent, or everything."""

_log = logging.getLogger("statedb.caching")
_HOPELESS = (StoreBusy, StoreClosed, DiskFull)
"""Errors that would meet every other write of the flush as well."""


class Write(NamedTuple):
    """A buffered write. Its value is what `set` was given then, whatever has been done to that object since."""

    at: Address
    content: Content
    ttl: Lifetime
    message: str | None
    metadata: dict[str, Any] | None


class Failure(NamedTuple):
    """A write that could not be made, and why."""

    write: Write
    error: Exception


class Buffer:
    """The newest write of each key, and those that are being written. It does no input or output, and no waiting."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[Address, Write] = {}
        self._leaving: dict[Address, Write] = {}

    def __len__(self) -> int:
        with self._lock:
            return len(self._waiting | self._leaving)

    def put(self, write: Write) -> None:
        """Buffer a write in place of an earlier one of its key."""
        with self._lock:
            self._waiting[write.at] = write

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

    def left(self, failures: Iterable[Failure]) -> None:
        """Forget what was taken and is committed; what failed waits again, unless a newer value of its key does."""
        with self._lock:
            for write, _ in failures:
                self._waiting.setdefault(write.at, write)
            self._leaving = {}


class _Behind:
    """What both shells share: the buffer, how long a write may stay there, and who hears of errors."""

    def __init__(self, settings: Any, interval: float) -> None:
        self._max_value_bytes: int = settings.max_value_bytes
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
        return Write(at, content, ttl, said(message, "message"), kept)

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
        super().__init__(store.settings, interval)
        self._store, self._ticker = store, ticker
        self._turn = threading.RLock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False

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
        self._open()
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
        if self._closed:
            return
        self.flush()
        self._closed = True
        self._changed.set()
        atexit.unregister(self._at_exit)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _open(self) -> None:
        if self._closed:
            raise StoreClosed("the write-behind cache is closed; make another")
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
                self._buffer.left(Failure(write, StateDBError()) for group in groups for write in group)
                raise
            self._buffer.left(failures)
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
        while not self._closed:
            changed = self._ticker(self._changed, self._interval)
            self._changed.clear()
            if not self._closed and not changed:
                self._flush(None)

    def _at_exit(self) -> None:
        if not self._closed and not self._store._engine.closed:
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
        super().__init__(store.settings, interval)
        self._store, self._ticker = store, ticker
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._closed = False

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
        self._open()
        self._buffer.put(self._write(at, value, ttl, message, metadata))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._tick())
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
        written, failures = await self._flush(key)
        if failures:
            raise failures[0].error
        return written

    def set_flush_interval(self, seconds: float) -> None:
        """Have what is buffered written every so many seconds, counted from now."""
        self._interval = _seconds(seconds)
        if self._task is not None:
            self._task.cancel()
            self._task = asyncio.get_running_loop().create_task(self._tick())

    async def close(self) -> None:
        """Write what is buffered, and stop. Raises the first error, and stays open for another try."""
        if self._closed:
            return
        await self.flush()
        self._closed = True
        if self._task is not None:
            self._task.cancel()

    def _open(self) -> None:
        if self._closed:
            raise StoreClosed("the write-behind cache is closed; make another")
        self._store._opened()

    async def _flush(self, key: Which) -> tuple[int, list[Failure]]:
        async with self._turn:  # one after the other, or an older value of a key could be written after a newer one
            # Shielded: of a flush that is cancelled half way nobody would know what was written.
            return await asyncio.shield(asyncio.ensure_future(self._write_out(self._buffer.take(key))))

    async def _write_out(self, groups: list[list[Write]]) -> tuple[int, list[Failure]]:
        failures = [failure for group in groups for failure in await self._write_group(group)]
        self._buffer.left(failures)
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

    async def _tick(self) -> None:
        while not self._closed:
            await self._ticker(self._interval)
            await self._flush(None)


def write_all(tx: Joined, group: list[Write]) -> None:
    """Write a group in a transaction."""
    for at, content, ttl, message, metadata in group:
        tx.states.set(*at, content.own(), ttl=ttl, message=message, metadata=metadata)


def _is_meant(at: Address, which: Which) -> bool:
    return which is None or at == which or at.key == which


def _seconds(interval: float) -> float:
    if isinstance(interval, bool) or not isinstance(interval, int | float) or not 0 < interval <= times.LONGEST:
        raise InvalidValue(f"the interval is {interval!r:.80}; it is seconds above zero")
    return float(interval)
