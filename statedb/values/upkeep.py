"""What a keeper has done, and when there is something to do again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What had fallen due by `at` and was done: keys whose expiry was recorded, leases that lapsed, checkpoints made.

    `at` is the store's time. `due` is when something falls due next, by what is known then; None: nothing ever will.
    """

    at: datetime
    due: datetime | None = None
    expired: int = 0
    lapsed: int = 0
    checkpoints: int = 0

    @property
    def done(self) -> int:
        """How much was done in all."""
        return self.expired + self.lapsed + self.checkpoints

    @property
    def left(self) -> float | None:
        """How many seconds it is until something falls due, 0 where it has already; None: nothing ever will."""
        return None if self.due is None else max(0.0, (self.due - self.at).total_seconds())
