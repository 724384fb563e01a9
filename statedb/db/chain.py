"""The hash that links each commit to the one before it.

    hash = BLAKE2b-128( hash of the commit before · what this commit says, as compact JSON )

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


def link(
    previous: bytes, commit: CommitRow, changed: Iterable[tuple[Address, Staged]], clocks: Iterable[Session]
) -> bytes:
    """Return a new commit's hash, 16 bytes, of what it changed: versions, then touches, each in the order of names."""
    lines = [_line(at, staged) for at, staged in changed]
    return seal(previous, commit, lines, [(*clock.name, clock.ttl, clock.expires_at) for clock in clocks])


def seal(previous: bytes, commit: CommitRow, lines: list[Line], clocks: Iterable[tuple[Any, ...]]) -> bytes:
    """Return the hash of a commit's content after the previous hash. Lines and clocks come sorted by name."""
    # The revision is left out: another store may number the same commit otherwise, and the chain holds the order.
    content = to_json([commit[1:], lines, list(clocks)])
    return hashlib.blake2b(previous + content, digest_size=16).digest()


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
