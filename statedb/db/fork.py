"""What a forked child must not touch: its parent's connections.

They are kept, unclosed, for ever: closing one would drop file locks or, worse, fold a log the parent still writes to.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from statedb.live.hub import FORKED as REASON

__all__ = ["REASON", "Forsaken", "remember"]


class Forsaken(Protocol):
    """What holds connections, and gives them up in a child."""

    def forsake(self) -> object:
        """Become closed, and return what must be kept from being closed."""
        ...


_every: weakref.WeakSet[Forsaken] = weakref.WeakSet()
_leaked: list[object] = []


def remember(holder: Forsaken) -> None:
    """Have a holder of connections give them up in every child forked from now on."""
    _every.add(holder)


def _after_fork() -> None:
    _leaked.extend(holder.forsake() for holder in list(_every))


os.register_at_fork(after_in_child=_after_fork)
