"""Futures given what became of them, unless somebody cancelled them."""

from __future__ import annotations

import asyncio
from typing import Any


def settle_result(future: asyncio.Future[Any], result: Any) -> None:
    """Give a future its result, unless somebody cancelled it."""
    if not future.done():
        future.set_result(result)


def settle_error(future: asyncio.Future[Any], error: BaseException) -> None:
    """Give a future its error, unless somebody cancelled it."""
    if future.done():
        return
    if isinstance(error, StopIteration):  # which no future takes, since awaiting it would look like its end
        stopped = RuntimeError("the function raised StopIteration")
        stopped.__cause__ = error
        error = stopped
    future.set_exception(error)
