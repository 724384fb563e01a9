"""The versions of a key, and how one is found among a million."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, bindparam, func, select

from statedb.db.heads import Head
from statedb.db.statements import Statement
from statedb.db.tables import agent_states, state_commits, state_versions
from statedb.db.tx import Tx
from statedb.errors import Corrupted
from statedb.values import codec
from statedb.values.codec import Encoded, Stored

_v, _s = state_versions.c, agent_states.c
_x = state_versions.alias("x").c
_made, _born = state_commits.alias("made").c, state_commits.alias("born").c

# The columns of a Head, as they were when the version was made.
_AS_MADE = (
    _s.state_key,
    _s.id,
    _s.agent_id,
    _v.version,
    _v.parent_version,
    _v.revision,
    _v.created_revision,
    _born.at,
    _born.actor,
    _made.at,
    _s.ttl,
    _v.expires_at,
    _s.session_id,
    _s.floor,
    _s.salt,
    _v.digest,
    _v.metadata,
    _v.codec,
    _v.value,
    _v.data,
    _made.at,
)


def _versions(*columns: Any) -> Select[*tuple[Any, ...]]:
    return select(*columns).select_from(
        state_versions.join(agent_states, _s.id == _v.state_id)
        .join(_made.revision.table, _made.revision == _v.revision)
        .join(_born.revision.table, _born.revision == _v.created_revision)
    )


_NEAREST = Statement(
    select(_v.revision, _v.version).where(
        _v.state_id == bindparam("state"),
        _v.revision
        == select(func.max(_x.revision))
        .where(_x.state_id == bindparam("state"), _x.revision <= bindparam("revision"))
        .scalar_subquery(),
    )
)
_AT_REVISION = Statement(
    _versions(*_AS_MADE).where(_v.revision == bindparam("revision"), _v.state_id == bindparam("state"))
)


def find_by_number(tx: Tx, head: Head, version: int) -> Head | None:
    """Return a version of a key as it was made, None where the key never had it.

    Numbers rise with revisions, so this is a binary search over the index that as-of reads use: 20 to 30 seeks at
    most, and no index of its own that every write would pay for.
    """
    # A head that a running transaction has changed has no revision yet; what it stood on lies at the newest or below.
    low, high = 0, head.revision or tx.revision
    while low <= high and head.id is not None:
        middle = high if version == head.version else (low + high) // 2
        row = tx.db.one(_NEAREST, {"state": head.id, "revision": middle})
        if row is None or row[1] < version:
            low = middle + 1
        elif row[1] > version:
            high = row[0] - 1
        else:
            return _read(tx, head.id, row[0])
    return None


def check_digest(head: Head) -> Head:
    """Return a head whose value is what was written, or raise Corrupted."""
    if head.codec is None:
        return head
    stored = Stored(head.codec, head.text, head.data)
    if codec.digest(head.salt, Encoded(stored, codec.plain(stored))) != head.digest:
        raise Corrupted(
            f"the value of {head.key} version {head.version} is not what was written (its digest differs); "
            "run a check of the store and restore a backup"
        )
    return head


def _read(tx: Tx, state: int, revision: int) -> Head:
    row = tx.db.one(_AT_REVISION, {"state": state, "revision": revision})
    assert row is not None
    return check_digest(Head(*row))
