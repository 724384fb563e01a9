"""When a session ends, as a caller asks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session that stands: when it ends (None: never), and by which ttl, in seconds, each write puts that off.

    One that is not `sliding` has no ttl: it ends when it was to end.
    """

    agent_id: str
    name: str
    ttl: float | None
    expires_at: datetime | None
    sliding: bool
