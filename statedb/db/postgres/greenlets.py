"""Plain functions on an event loop: what one waits for is awaited for it, and no thread is needed.

A function runs in a greenlet; where it asks the server something it is set aside, the loop does the waiting, and it
goes on with the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from typing import Any, TypeVar

from greenlet import getcurrent, greenlet

T = TypeVar("T")
Wish = Callable[[], Awaitable[Any]]
"""Something to be awaited, once it is called on the loop."""


def wait_for(wish: Wish) -> Any:
    """Have something awaited, from within a function that `run` or `Running` runs, and return what it gives."""
    loop = getcurrent().parent
    assert loop is not None, "nobody runs this function on an event loop"
    return loop.switch(wish)


class Running:
    """A plain function under way: it has ended, or it wishes something of the loop."""

    def __init__(self, fn: Callable[[], Any], context: Context | None = None) -> None:
        self._greenlet = greenlet(fn)
        self._greenlet.gr_context = context or copy_context()
        self.result: Any = None
        self.error: BaseException | None = None
        self.wish: Any = None
        self._step(self._greenlet.switch)

    @property
    def ended(self) -> bool:
        return bool(self._greenlet.dead)

    def answer(self, got: Any) -> None:
        """Go on with what was wished for."""
        self._step(self._greenlet.switch, got)

    def fail(self, error: BaseException) -> None:
        """Go on with an error in its stead."""
        self._step(self._greenlet.throw, error)

    def _step(self, switch: Callable[..., Any], *with_: Any) -> None:
        try:
            came = switch(*with_)
        except BaseException as error:
            self.error = error
            return
        if self.ended:
            self.result = came
        else:
            self.wish = came


async def run(fn: Callable[[], T], context: Context | None = None) -> T:
    """Run a plain function on the loop, awaiting what it waits for, and return what it returns."""
    running = Running(fn, context)
    while not running.ended:
        try:
            got = await running.wish()
        except BaseException as error:
            running.fail(error)
        else:
            running.answer(got)
    if running.error is not None:
        raise running.error
    result: T = running.result
    return result
