"""Events: what happened, in streams of their own, and what somebody made of them up to a point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from statedb.errors import InvalidValue
from statedb.values.arguments import natural

Expected = int | Literal["any", "no_stream", "exists"] | None
"""What an append asks of its stream: to be at a version (0 and "no_stream": not to exist), to exist, or nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened, to be appended to a stream.

    `data` is any value a state may be: JSON, bytes, or a pydantic model. `id` is by what an append that lost its answer
    is known again, right where it would stand: nothing else keeps two events of a stream from having one id. One is
    made where none is given.
    """

    type: str
    data: Any = None
    metadata: Mapping[str, Any] | None = None
    id: str | None = None


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """An event as its stream has it: the `version`-th of the stream, at `position` among all events of the store.

    `revision` is the commit that appended it, 0 until that is made. Data that was erased reads UNAVAILABLE.
    """

    stream_id: str
    version: int
    position: int
    id: str
    type: str
    data: Any
    metadata: dict[str, Any] | None
    revision: int
    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class StreamSnapshot:
    """What somebody made of a stream's events up to `version`. `revision` is 0 until it is committed."""

    stream_id: str
    version: int
    state: Any
    metadata: dict[str, Any] | None
    revision: int
    at: datetime
    by: str | None


@dataclass(frozen=True, slots=True)
class EventStream:
    """A stream: whose it is (None: nobody's), how many events it has, and when the first and the last came to it.

    A revision is 0 where the running transaction makes it.
    """

    stream_id: str
    agent_id: str | None
    version: int
    created_revision: int
    created_at: datetime
    revision: int
    updated_at: datetime


def wanted_version(given: Any) -> int | Literal["exists"] | None:
    """Return the version a stream has to be at, "exists" for any but 0, None for whatever it is. InvalidValue."""
    if given is None or given == "any":
        return None
    if given == "no_stream":
        return 0
    if given == "exists":
        return "exists"
    if isinstance(given, str):
        raise InvalidValue(f'expected_version is {given!r:.80}; it is a version, "any", "no_stream" or "exists"')
    return natural(given, "expected_version")
