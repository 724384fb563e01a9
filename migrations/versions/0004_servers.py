"""The chain of hashes anew, by a formula that a server can finish: SHA-256, with a commit's time outside its content.
And a table of the writes that were given up when their answer was lost.

Where many machines write, only the server knows a commit's time and the hash before it, at the moment it lands; what
the commit says is digested before. The formula is written out here once more, since a migration does for ever what it
did when it was new.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op
from pydantic_core import to_json

revision = "0004"
down_revision = "0003"

_PAGE = 500

_COMMITS = """
SELECT revision, branch_id, merge_parent, kind, at, origin_at, origin, origin_revision, actor, message, context
FROM state_commits WHERE revision BETWEEN :first AND :last ORDER BY revision
"""
_VERSIONS = """
SELECT v.revision, a.name, s.state_type, s.state_key, v.version, v.parent_version, v.source_version, v.change, v.digest,
       v.metadata, NULL, v.expires_at
FROM state_versions v JOIN agent_states s ON s.id = v.state_id JOIN agents a ON a.id = s.agent_id
WHERE v.revision BETWEEN :first AND :last
"""
_TOUCHES = """
SELECT t.revision, a.name, s.state_type, s.state_key,
       (SELECT max(x.version) FROM state_versions x WHERE x.state_id = t.state_id AND x.revision <= t.revision),
       NULL, NULL, 'touch', NULL, NULL, t.ttl, t.expires_at
FROM state_touches t JOIN agent_states s ON s.id = t.state_id JOIN agents a ON a.id = s.agent_id
WHERE t.revision BETWEEN :first AND :last
"""
_CLOCKS = """
SELECT t.revision, a.name, w.name, t.ttl, t.expires_at
FROM session_touches t JOIN sessions w ON w.id = t.session_id JOIN agents a ON a.id = w.agent_id
WHERE t.revision BETWEEN :first AND :last
"""


def upgrade() -> None:
    op.create_table(
        "aborted_writes",
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_aborted_writes"),
    )
    _link_anew()


def _link_anew() -> None:
    bind = op.get_bind()
    last = bind.scalar(sa.text("SELECT max(revision) FROM state_commits")) or 0
    previous = b""
    for first in range(1, last + 1, _PAGE):
        page = {"first": first, "last": first + _PAGE - 1}
        lines, clocks = _lines(bind, page), _grouped(bind, _CLOCKS, page)
        for commit in bind.execute(sa.text(_COMMITS), page).all():
            number, branch, merge_parent, kind, at, origin_at, *said = commit
            made = at if origin_at is None else origin_at
            content = [branch, merge_parent, kind, made, *said, lines[number], sorted(clocks[number])]
            digest = hashlib.sha256(to_json(content)).digest()
            previous = hashlib.sha256(previous + at.to_bytes(8, "big", signed=True) + digest).digest()[:16]
            bind.execute(
                sa.text("UPDATE state_commits SET hash = :hash WHERE revision = :revision"),
                {"hash": previous, "revision": number},
            )


def _lines(bind: sa.Connection, page: dict[str, int]) -> dict[int, list[Any]]:
    """Return what each commit says of keys: versions, then touches, each in the order of names."""
    found: dict[int, list[Any]] = defaultdict(list)
    for text in (_VERSIONS, _TOUCHES):
        for number, lines in _grouped(bind, text, page).items():
            found[number] += sorted(lines, key=lambda line: line[:3])
    return found


def _grouped(bind: sa.Connection, text: str, page: dict[str, int]) -> dict[int, list[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for number, *row in bind.execute(sa.text(text), page):
        found[number].append([each.hex() if isinstance(each, bytes | memoryview) else each for each in row])
    return found
