"""What a process does on a store of either shell, written once: a generator that yields what may have to be awaited."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from typing import Any

Doing = Generator[Any, Any, None]
"""What it yields it is sent back, awaited where that is needed; what goes wrong with it is raised where it yielded."""


def drive(doing: Doing) -> None:
    """Do it on a synchronous store."""
    answer = None
    while True:
        try:
            answer = doing.send(answer)
        except StopIteration:
            return


async def drive_async(doing: Doing) -> None:
    """Do it on an asynchronous store."""
    go_on: Callable[[Any], Any] = doing.send
    given: Any = None
    while True:
        try:
            asked = go_on(given)
        except StopIteration:
            return
        try:
            given = await asked if inspect.isawaitable(asked) else asked
            go_on = doing.send
        except Exception as error:
            go_on, given = doing.throw, error


def enter(block: Any) -> Any:
    return block.__aenter__() if hasattr(block, "__aenter__") else block.__enter__()


def leave(block: Any) -> Any:
    return (block.__aexit__ if hasattr(block, "__aexit__") else block.__exit__)(None, None, None)


def next_of(items: Any) -> Any:
    """Return the next of what does not end, or what will be."""
    return items.__anext__() if hasattr(items, "__anext__") else next(items)
