"""keeper: what falls due with time, done in time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TYPE_CHECKING, Annotated

import typer

from statedb.cli.exits import note
from statedb.cli.signals import Asked, ending, heeded
from statedb.cli.stores import opened, trunk_only
from statedb.cli.terminal import output
from statedb.cli.terminal.texts import counted

if TYPE_CHECKING:
    from statedb.store import Store
    from statedb.values.upkeep import Upkeep

Once = Annotated[bool, typer.Option("--once", help="Do what is due, and end.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing of what was done.")]

Tell = Callable[[str, "Upkeep"], object]


def keeper(context: typer.Context, once: Once = False, quiet: Quiet = False) -> None:
    """Do what falls due with time, on all branches, until interrupted or asked to end.

    It records what has expired and the leases that have ended, and makes the automatic checkpoints that are due, with a
    line for each time. It sleeps until the next of them is due. Any number of processes may run it: one works, and
    another takes over where that one ends.
    """
    trunk_only(context, "keeper")
    tell: Tell = _nothing if quiet else _tell
    with opened(context) as store:
        if once:
            _due(store, tell)
        else:
            _keep(store, tell)


# ---- inside


def _due(store: Store, tell: Tell) -> None:
    for branch in store.branches.list():
        there = store.branch(branch.name)
        while (found := there.upkeep.run()).done:
            tell(branch.name, found)


def _keep(store: Store, tell: Tell) -> None:
    """Keep a store on a thread of its own, and tell on this one what is done, until a signal."""
    news: SimpleQueue[tuple[str, Upkeep] | BaseException] = SimpleQueue()
    keeper = store.keep(told=lambda *found: news.put(found))

    def work() -> None:
        try:
            keeper.run()
        except BaseException as error:
            news.put(error)

    thread = threading.Thread(target=work, name="statedb-keeper")
    with suppress(Asked), _noted("statedb"), heeded(ending):
        thread.start()
        try:
            while not isinstance(found := news.get(), BaseException):
                tell(*found)
            raise found
        finally:
            keeper.stop()
            thread.join()


def _tell(branch: str, found: Upkeep) -> None:
    parts = (
        (found.expired, "key", "expired"),
        (found.lapsed, "lease", "ended"),
        (found.checkpoints, "checkpoint", "made"),
    )
    said = ", ".join(f"{counted(number, noun)} {what}" for number, noun, what in parts if number)
    output.line(f"{output.when(found.at)}  {branch}: {said}")


def _nothing(branch: str, found: Upkeep) -> None:
    pass


class _noted(logging.Handler):
    """Has what the library logs said in one line each, inside a block."""

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._logger = logging.getLogger(name)

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        note(f"{record.getMessage()}: {error}" if error else record.getMessage())

    def __enter__(self) -> None:
        self._logger.addHandler(self)

    def __exit__(self, *_: object) -> None:
        self._logger.removeHandler(self)
