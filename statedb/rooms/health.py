"""Health: whether the store is what it says."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import and_, bindparam, func, literal_column, null, or_, select

from statedb.db.chain import CommitRow, Line, seal
from statedb.db.statements import Row, Statement
from statedb.db.tables import (
    agent_states,
    agents,
    session_touches,
    sessions,
    state_commits,
    state_touches,
    state_versions,
)
from statedb.db.tx import NEWEST, Tx
from statedb.errors import Corrupted
from statedb.models import Health
from statedb.values import codec
from statedb.values.codec import Encoded, Stored

_PAGE = 500
_SHOWN = 100


def check(tx: Tx) -> Health:
    """Compare the store with itself, and return what does not agree.

    The file as SQLite sees it, every value against its digest, the chain of hashes, every head against its newest
    version, version numbers without a gap, times that never go back. Cost follows the size of the whole history.
    """
    newest = tx.db.one(NEWEST, {})
    last = newest[0] if newest else 0
    problems = list(tx.db.faults())
    if not problems:
        for found in (_chain(tx, last), _values(tx, last), _heads(tx), _numbers(tx)):
            problems += found
    [[versions]] = tx.db.all(_COUNT, {})
    return Health(tuple(problems[:_SHOWN]), last, versions)


def _chain(tx: Tx, last: int) -> Iterator[str]:
    previous, before, expected = b"", 0, 1
    for first in range(1, last + 1, _PAGE):
        given = {"first": first, "last": first + _PAGE - 1}
        lines, clocks = _by_revision(tx.db.all(_LINES, given)), _by_revision(tx.db.all(_CLOCKS, given))
        for touch in tx.db.all(_TOUCHES, given):
            lines.setdefault(touch[0], []).append(touch)
        for *row, stored in tx.db.all(_COMMITS, given):
            commit = CommitRow(*row)
            if commit.revision != expected:
                yield f"revision {expected} is missing from the log"
            if commit.at < before:
                yield f"revision {commit.revision} is older than the one before it"
            said = lines.get(commit.revision, [])
            link = seal(previous, commit, _in_order(said), [row[1:] for row in clocks.get(commit.revision, [])])
            if link != stored:
                yield f"revision {commit.revision} is not what was written: its hash differs"
            previous, before, expected = stored, commit.at, commit.revision + 1


def _in_order(rows: list[Row]) -> list[Line]:
    """Return a commit's lines as they were hashed: versions, then touches, each in the order of their keys."""
    made = [Line._make((*row[1:7], None if row[7] is None else row[7].hex(), *row[8:])) for row in rows]
    return sorted(made, key=lambda line: (line.change == "touch", line[:3]))


def _by_revision(rows: list[Row]) -> dict[int, list[Row]]:
    return {revision: list(group) for revision, group in groupby(rows, itemgetter(0))}


def _values(tx: Tx, last: int) -> Iterator[str]:
    for first in range(1, last + 1, _PAGE):
        for revision, key, version, salt, digest, size, *row in tx.db.all(
            _VALUES, {"first": first, "last": first + _PAGE - 1}
        ):
            stored = Stored(*row)
            try:
                plain = codec.plain(stored)
            except Corrupted as error:
                yield f"{key} version {version} (revision {revision}): {error}"
                continue
            if codec.digest(salt, Encoded(stored, plain)) != digest or len(plain) != size:
                yield f"{key} version {version} (revision {revision}) is not what was written: its digest differs"


def _heads(tx: Tx) -> Iterator[str]:
    for key, version in tx.db.all(_WRONG_HEADS, {}):
        yield f"{key} shows version {version}, which is not its newest as history has it"


def _numbers(tx: Tx) -> Iterator[str]:
    for key, found, newest in tx.db.all(_GAPS, {}):
        yield f"{key} has {found} versions in its history and is at {newest}"


_c, _v, _s, _a = state_commits.c, state_versions.c, agent_states.c, agents.c
_t, _st, _w = state_touches.c, session_touches.c, sessions.c
_x = state_versions.alias("x").c


def _within(column: Any) -> Any:
    return and_(column >= bindparam("first"), column <= bindparam("last"))


_of_key = (_a.name, _s.state_type, _s.state_key)
_COUNT = Statement(select(func.count()).select_from(state_versions))
_COMMITS = Statement(
    select(*(_c[name] for name in CommitRow._fields), _c.hash).where(_within(_c.revision)).order_by(_c.revision)
)
_LINES = Statement(
    select(
        _v.revision, *_of_key, _v.version, _v.source_version, _v.change, _v.digest, _v.metadata, _v.expires_at
    )
    .select_from(state_versions.join(agent_states, _s.id == _v.state_id).join(agents, _a.id == _s.agent_id))
    .where(_within(_v.revision))
    .order_by(_v.revision)
)  # fmt: skip
# The version a touch was for: the newest at or before its revision.
_touched = select(func.max(_x.version)).where(_x.state_id == _t.state_id, _x.revision <= _t.revision).scalar_subquery()
_TOUCHES = Statement(
    select(
        _t.revision, *_of_key, _touched, null(), literal_column("'touch'"), null(), null(), _t.expires_at
    )
    .select_from(state_touches.join(agent_states, _s.id == _t.state_id).join(agents, _a.id == _s.agent_id))
    .where(_within(_t.revision))
)  # fmt: skip
_CLOCKS = Statement(
    select(_st.revision, _a.name, _w.name, _st.ttl, _st.expires_at)
    .select_from(session_touches.join(sessions, _w.id == _st.session_id).join(agents, _a.id == _w.agent_id))
    .where(_within(_st.revision))
    .order_by(_st.revision, _a.name, _w.name)
)
_VALUES = Statement(
    select(
        _v.revision, _s.state_key, _v.version, _s.salt, _v.digest, _v.size, _v.codec, _v.value, _v.data
    )
    .select_from(state_versions.join(agent_states, _s.id == _v.state_id))
    .where(_within(_v.revision), _v.codec.is_not(None))
)  # fmt: skip
_newest = select(func.max(_x.revision)).where(_x.state_id == _s.id).scalar_subquery()
_WRONG_HEADS = Statement(
    select(_s.state_key, _s.version)
    .select_from(
        agent_states.outerjoin(state_versions, and_(_v.state_id == _s.id, _v.revision == _newest)),
    )
    .where(
        or_(
            _v.revision.is_(None),
            _v.revision != _s.revision,
            _v.version != _s.version,
            _v.created_revision != _s.created_revision,
            *(
                column.is_distinct_from(_s[column.name])
                for column in (_v.digest, _v.metadata, _v.codec, _v.value, _v.data)
            ),
        )
    )
)
_GAPS = Statement(
    select(_s.state_key, func.count(_v.version), _s.version)
    .select_from(agent_states.outerjoin(state_versions, _v.state_id == _s.id))
    .where(_s.floor == 0)
    .group_by(_s.id, _s.state_key, _s.version)
    .having(func.count(_v.version) != _s.version)
)
