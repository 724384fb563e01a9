"""What tests share: a clock that moves when told, an AsyncStore called like a Store, and how to run a coroutine."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Iterator
from contextvars import copy_context
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TypeVar

from statedb import AsyncStore, AsyncTransaction, Store
from statedb.handles import Agent
from statedb.held import AsyncHold, Held
from statedb.operation import Room
from statedb.transaction import Joined

T = TypeVar("T")

HANG = 120.0
"""Seconds after which something that should end by itself is held to hang. Never what a test measures."""


class Clock:
    """A clock that stands still until it is moved; times are whole microseconds inside."""

    def __init__(self, seconds: int = 1_700_000_000) -> None:
        self.micros = seconds * 1_000_000

    def __call__(self) -> float:
        return self.micros / 1_000_000

    @property
    def moment(self) -> datetime:
        return datetime.fromtimestamp(self.micros // 1_000_000, UTC).replace(microsecond=self.micros % 1_000_000)

    def advance(self, seconds: float) -> None:
        self.micros += round(seconds * 1_000_000)

    def back(self, seconds: float) -> None:
        self.advance(-seconds)


class Awaited:
    """Something asynchronous, called as if it were not: each call runs the loop until it is answered.

    All calls share one context, as the steps of one task do.
    """

    def __init__(self, target: Any, wait: Callable[[Any], Any]) -> None:
        self._target, self._wait = target, wait

    def __getattr__(self, name: str) -> Any:
        return self._shown(getattr(self._target, name))

    def _shown(self, found: Any) -> Any:
        if isinstance(found, AsyncStore | AsyncTransaction | Room | Agent | AsyncHold | Held):
            return Awaited(found, self._wait)
        if isinstance(found, Joined) or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            made = found(*args, **kwargs)
            return self._shown(self._wait(made) if inspect.iscoroutine(made) else made)

        return call

    def __enter__(self) -> Any:
        entered = self._wait(self._target.__aenter__())
        return self if entered is self._target else self._shown(entered)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wait(self._target.__aexit__(kind, error, trace))


class Blocking(Awaited):
    """An AsyncStore with a loop of its own."""

    def __init__(self, where: Any, **options: Any) -> None:
        self._loop = asyncio.new_event_loop()
        context = copy_context()

        def wait(coroutine: Coroutine[Any, Any, T]) -> T:
            return self._loop.run_until_complete(self._loop.create_task(coroutine, context=context))

        super().__init__(AsyncStore(where, **options), wait)
        try:
            wait(self._target.open())
        except BaseException:
            self._loop.close()
            raise

    def close(self) -> None:
        if not self._loop.is_closed():
            self._wait(self._target.close())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())  # as asyncio.run does
            self._loop.close()


SHELLS: dict[str, Callable[..., Any]] = {"sync": Store, "async": Blocking}
"""How a store may be driven, by name."""


def calls(*made: Callable[[], Any]) -> tuple[Callable[[], Any], ...]:
    """Return calls to be made one by one, typed as such."""
    return made


def pages(store: Any, size: int = 100) -> Iterator[dict[str, Any]]:
    """Yield every record of a store's export."""
    since = 0
    while page := store.transfer.export(since=since, limit=size):
        yield from page
        since = page[-1]["revision"]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, or fail where it hangs."""

    async def guarded() -> T:
        return await asyncio.wait_for(main, HANG)

    return asyncio.run(guarded())
