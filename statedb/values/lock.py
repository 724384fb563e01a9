"""A lock: a lease on a key, and a number that only rises."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal


class LockType(StrEnum):
    """What a lock is for: `read` shares with read and write, `write` with read, `exclusive` with none."""

    READ = "read"
    WRITE = "write"
    EXCLUSIVE = "exclusive"


@dataclass(frozen=True, slots=True)
class Lock:
    """Who holds a key, in all four tiers, and until when; `fence` is None of one who waits for it.

    `fence` is greater than that of any lock before it in the store, whatever key that was of.
    """

    id: int
    branch: str
    agent_id: str
    key: str
    type: LockType
    fence: int | None
    owner: str | None
    acquired_at: datetime
    expires_at: datetime
    ttl: float
    metadata: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class LockChange:
    """What happened to a lock: it was taken (`lock`), given back (`unlock`), or its lease ended by time (`lapse`)."""

    change: Literal["lock", "unlock", "lapse"]
    agent_id: str
    key: str
    type: LockType
    fence: int
    owner: str | None
    revision: int
    at: datetime
    by: str | None


def compatible(one: LockType, other: LockType) -> bool:
    """Tell whether two locks may stand on one key at a time."""
    return LockType.EXCLUSIVE not in (one, other) and not one == other == LockType.WRITE
