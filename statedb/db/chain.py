"""The hash that links each commit to the one before it.

    hash = SHA-256( hash of the commit before · its time · SHA-256( what it says, as compact JSON ) ), cut to 16 bytes

Hashed is only what is the same wherever the commit goes: names, version numbers, digests of values keyed by each key's
salt. Never stored bytes, compression or local integer ids, so that re-encoding or erasing a value breaks no link.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic_core import to_json

from statedb.db.sessions import Session
from statedb.db.tx import Staged
from statedb.models import Address


class CommitRow(NamedTuple):
    """A commit's own row, without its hash."""

    revision: int
    branch_id: int
    merge_parent: int | None
    kind: str
    at: int
    origin_at: int | None
    origin: str | None
    origin_revision: int | None
    actor: str | None
    message: str | None
    context: str | None


class Line(NamedTuple):
    """What a commit says of one key: a version made, or (`change` "touch") an expiry moved."""

    agent_id: str
    state_type: str
    key: str
    version: int
    parent_version: int | None
    source_version: int | None
    change: str
    digest: str | None
    metadata: str | None
    ttl: int | None
    expires_at: int | None


def content(
    commit: CommitRow, changed: Iterable[tuple[Address, Staged]], clocks: Iterable[Session], deeds: str | None
) -> bytes:
    """Return the digest of what a new commit says: versions, then touches, each in the order of names; 32 bytes."""
    lines = [_line(at, staged) for at, staged in changed]
    return content_of(commit, lines, [(*clock.name, clock.ttl, clock.expires_at) for clock in clocks], deeds)


def content_of(commit: CommitRow, lines: list[Line], clocks: Iterable[tuple[Any, ...]], deeds: str | None) -> bytes:
    """Return the digest of what a commit says. Lines and clocks come sorted by name, deeds as the text that is kept."""
    # The revision is left out: another store may number the same commit otherwise, and the chain holds the order. The
    # time is `link`'s: it is known only where the commit lands, and what is said here before.
    _, branch, merge_parent, kind, at, origin_at, *said = commit
    made = at if origin_at is None else origin_at
    done = [] if deeds is None else [deeds]
    return hashlib.sha256(to_json([branch, merge_parent, kind, made, *said, lines, list(clocks), *done])).digest()


def link(previous: bytes, at: int, content: bytes) -> bytes:
    """Return a commit's hash, 16 bytes, of the one before it, its time in microseconds and its content."""
    return hashlib.sha256(previous + at.to_bytes(8, "big", signed=True) + content).digest()[:16]


def _line(at: Address, staged: Staged) -> Line:
    head = staged.head
    touch = staged.change is None
    return Line(
        *at,
        head.version,
        None if touch else head.parent_version,
        None if touch else staged.source_version,
        staged.change or "touch",
        None if touch or head.digest is None else head.digest.hex(),
        None if touch else head.metadata,
        head.ttl if touch else None,
        head.expires_at if head.session_id is None else None,
    )
