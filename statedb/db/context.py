"""What a shell stands for: which branch, which moment, and what a store keeps beside its database."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from statedb.config import Settings
from statedb.db.lineage import TRUNK
from statedb.errors import ReadOnly
from statedb.live.cache import Cache
from statedb.live.schedule import Schedule
from statedb.values.names import name as checked_name


class Point(NamedTuple):
    """A place in the log and the instant it is looked at: expiry changes what is visible without a commit."""

    revision: int
    instant: int


Asked = int | str | datetime | timedelta
"""A point before it is looked up: a revision, a time, how long ago, or a checkpoint's name."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a shell stands for: the same operations over another context show another branch, moment or actor."""

    settings: Settings
    asked: Asked | None = None
    branch: str | None = None
    """The name of a branch; None for the trunk."""
    cache: Cache | None = None
    """What the store keeps in memory of the trunk as it stands; None for any other branch or moment."""
    schedule: Schedule | None = None
    """What the store knows of automatic checkpoints."""

    @property
    def is_plain(self) -> bool:
        """Whether it shows the trunk as it stands, of which one statement may read all that is asked for."""
        return self.asked is None and self.branch is None

    def check_writable(self) -> None:
        """Raise ReadOnly where the shell shows the past."""
        if self.asked is not None:
            raise ReadOnly(f"this store shows {self.asked!s}, and the past is not written; use the store itself")


def on_branch(context: Context, name: str, cache: Cache | None) -> Context:
    """Return a context that shows a branch, with the trunk's cache if it is the trunk as it stands."""
    branch = None if checked_name(name, "the name of a branch") == TRUNK else name
    return replace(context, branch=branch, cache=cache if branch is None and context.asked is None else None)
