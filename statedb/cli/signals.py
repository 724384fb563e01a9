"""Signals that ask a program to end, heeded by who has something to do first."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

import typer

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""All there are: Windows has no terminal that hangs up."""


@contextmanager
def heeded(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call a handler for each request to end that comes while the block runs."""
    # What is ignored stays so: nohup, and a shell for its background jobs, have said that nobody may ask.
    before = {number: signal.getsignal(number) for number in ENDING}
    heard = [number for number, how in before.items() if how is not signal.SIG_IGN]
    try:
        for number in heard:
            signal.signal(number, handler)
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])


class Asked(BaseException):
    """Somebody asks this program to end."""

    def __init__(self, number: int, _: FrameType | None = None) -> None:
        super().__init__(number)
        self.number = number


def ending(number: int, _: FrameType | None = None) -> None:
    """Raise Asked, as a handler of signals."""
    raise Asked(number)


@contextmanager
def until_asked() -> Iterator[None]:
    """Have a signal end what the block does in order, and the program with the status that tells of it."""
    # Not left to the signal itself: a watch that is killed leaves the file behind by which it is woken, and who waits
    # for a lock a place in the line.
    try:
        with heeded(ending):
            yield
    except Asked as asked:
        raise typer.Exit(128 + asked.number) from None
