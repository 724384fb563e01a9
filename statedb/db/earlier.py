"""What has been written before a transaction and cannot be read in the database yet, since its rows are kept back."""

from __future__ import annotations

from dataclasses import dataclass, field

from statedb.db.contents import Link
from statedb.db.heads import Head
from statedb.db.sessions import Session, SessionName
from statedb.models import Address


@dataclass(slots=True)
class Earlier:
    """What the transactions committed together with one, and before it, leave behind."""

    heads: dict[Address, Head] = field(default_factory=dict)
    sessions: dict[SessionName, Session] = field(default_factory=dict)
    agents: dict[str, int] = field(default_factory=dict)
    links: dict[tuple[int, int], Link] = field(default_factory=dict)
    """Versions by (state id, revision), for those that are made on them."""

    def add(self, heads: dict[Address, Head], sessions: dict[SessionName, Session], agents: dict[str, int]) -> None:
        """Note what one more of them leaves behind."""
        self.heads |= heads
        self.sessions |= sessions
        self.agents |= agents

    def clear(self) -> None:
        """Forget it: the rows are there to be read."""
        self.heads.clear()
        self.sessions.clear()
        self.links.clear()
