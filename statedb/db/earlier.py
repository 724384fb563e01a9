"""What has been written before a transaction and cannot be read in the database yet, since its rows are kept back."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from statedb.db.contents import Link
from statedb.db.heads import Head
from statedb.db.sessions import Session, SessionName
from statedb.models import Address


@dataclass(slots=True)
class Left:
    """What is left behind on one branch."""

    heads: dict[Address, Head] = field(default_factory=dict)
    sessions: dict[SessionName, Session] = field(default_factory=dict)


@dataclass(slots=True)
class Earlier:
    """What the transactions committed together with one, and before it, leave behind."""

    branches: dict[int, Left] = field(default_factory=lambda: defaultdict(Left))
    agents: dict[str, int] = field(default_factory=dict)
    links: dict[tuple[int, int], Link] = field(default_factory=dict)
    """Versions by (state id, revision), for those that are made on them."""
    streams: dict[str, Any] = field(default_factory=dict)
    position: int = 0
    """The last event's, 0 for what the database has."""

    def on(self, branch: int) -> Left:
        """Return what is left behind on a branch."""
        return self.branches[branch]

    def add(self, branch: int, left: Left, agents: dict[str, int]) -> None:
        """Note what one more of them leaves behind."""
        mine = self.branches[branch]
        mine.heads |= left.heads
        mine.sessions |= left.sessions
        self.agents |= agents

    def append(self, streams: dict[str, Any]) -> None:
        """Note the streams that one more of them appends to."""
        self.streams |= streams
        self.position = max([self.position, *(stream.reached for stream in streams.values())])

    def clear(self) -> None:
        """Forget it: the rows are there to be read."""
        self.branches.clear()
        self.links.clear()
        self.streams.clear()
        self.position = 0
