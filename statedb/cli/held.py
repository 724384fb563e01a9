"""lock run: a command that runs while a lock is held."""

from __future__ import annotations

import math
import os
import shlex
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from statedb.cli.arguments import Agent
from statedb.cli.exits import Refused
from statedb.cli.locks import TTL, Key, Metadata, Owner, Type
from statedb.cli.signals import Asked, heeded
from statedb.cli.states import given_metadata
from statedb.cli.stores import ENVIRONMENT, opened, url_of
from statedb.values.lock import LockType

if TYPE_CHECKING:
    import subprocess

Ttl = Annotated[
    float, typer.Option("--ttl", metavar="SECONDS", help="The lease: how long the lock outlives a program that dies.")
]
Wait = Annotated[
    float, typer.Option("--wait", metavar="SECONDS", help="Wait in line for so long at most; 0: take it now or not.")
]
Line = Annotated[
    list[str],
    typer.Argument(metavar="COMMAND…", help="What to run; behind --, its options are its own.", show_default=False),
]

FENCE = "STATEDB_FENCE"
_LOOK = 0.25
"""Seconds between two looks at whether the lease was lost."""


def run(
    context: typer.Context,
    agent: Agent,
    key: Key,
    command: Line,
    type: Type = LockType.EXCLUSIVE,
    ttl: Ttl = TTL,
    wait: Wait = math.inf,
    owner: Owner = None,
    metadata: Metadata = None,
) -> None:
    """Run a command while holding a lock on a key, and end with the command's status.

    The lock is waited for in line, renewed while the command runs and given back at its end. The command finds the
    lock's fence in STATEDB_FENCE and the store in STATEDB_URL; a signal that asks this program to end is passed on to
    it. If the lease is lost, since the store could not be reached or this program was stopped for longer, the command
    gets SIGTERM, and the status is 1. A store that does not exist yet is made.
    """
    said = given_metadata(metadata)
    child = _Child(command)
    with opened(context, create=True) as store, heeded(child.ask):
        try:
            with store.locks.hold(agent, key, type.value, ttl=ttl, wait=wait, owner=owner, metadata=said) as lock:
                env = {ENVIRONMENT: url_of(context), FENCE: str(lock.fence)}
                status = child.run(env, lambda: lock.lost)
                if lock.lost:
                    raise Refused(f"the lease of lock {lock.fence} was lost while {shlex.join(command):.200} ran")
        except Asked as asked:
            raise typer.Exit(128 + asked.number) from None
    raise typer.Exit(status)


# ---- inside


class _Child:
    """A command, which is asked to end by whatever asks this program."""

    def __init__(self, line: list[str]) -> None:
        self._line = line
        self._starts = False
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: list[int] = []

    def ask(self, number: int, _: FrameType | None = None) -> None:
        """Pass a signal on."""
        if not self._starts:
            raise Asked(number)
        if number != signal.SIGINT or not _is_in_front():
            self._asked.append(number)
            self._pass_on()

    def run(self, env: dict[str, str], is_lost: Callable[[], bool]) -> int:
        """Run the command to its end, and return its status as a shell has it; it is asked to end if all is lost."""
        import subprocess

        self._starts = True
        self._process = subprocess.Popen(self._line, env={**os.environ, **env})
        self._pass_on()
        told = False
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = self._process.wait(_LOOK)
                return code if code >= 0 else 128 - code
            if is_lost() and not told:
                told = True
                self._process.terminate()

    def _pass_on(self) -> None:
        while self._process is not None and self._asked:
            self._process.send_signal(self._asked.pop(0))


def _is_in_front() -> bool:
    """Tell whether a terminal's interrupts go to this program, and so to the command beside it by themselves."""
    try:
        with open(os.ctermid(), "rb") as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (OSError, AttributeError):  # there is no terminal, or it is Windows
        return False
