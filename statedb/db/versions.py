"""The versions of a key: how one is found among a million, and how they are listed, a page at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, select

from statedb.db.entries import TIER_OF, json_object
from statedb.db.heads import Head
from statedb.db.statements import Row, Statement
from statedb.db.tables import agent_states, agents, state_commits, state_versions
from statedb.db.tx import Tx
from statedb.errors import Corrupted
from statedb.models import Address, Version
from statedb.times import maybe, moment
from statedb.values import codec
from statedb.values.arguments import LARGEST
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


# The columns of a line of history.
LISTED = (
    _v.version,
    _v.parent_version,
    _v.source_version,
    _v.revision,
    _made.at,
    _made.origin_at,
    _made.actor,
    _made.message,
    _v.change,
    _v.size,
    _v.expires_at,
    _v.metadata,
)
_PAGE = 8
"""Versions of a key read at once where many keys are listed: some 30 are shown, of several keys."""


def listed(*columns: Any) -> Select[*tuple[Any, ...]]:
    """Return the select of a key's versions in a window, newest first; `limit` of them."""
    return (
        select(*columns)
        .select_from(state_versions.join(_made.revision.table, _made.revision == _v.revision))
        .where(
            _v.state_id == bindparam("state"),
            _v.revision > bindparam("since"),
            _v.revision <= bindparam("top"),
        )
        .order_by(_v.revision.desc())
        .limit(bindparam("limit"))
    )


_LISTED = Statement(listed(*LISTED))
_LISTED_BY = Statement(listed(*LISTED).where(_made.actor == bindparam("by")))
_KEYS = Statement(
    select(_s.state_key, _s.id, _s.revision, _s.floor)
    .select_from(agents.join(agent_states, _s.agent_id == agents.c.id))
    .where(
        agents.c.name == bindparam("agent"),
        _s.branch_id == bindparam("branch"),
        _s.state_type == bindparam("state_type"),
        _s.state_key >= bindparam("low"),
        _s.state_key < bindparam("high"),
    )
    .order_by(_s.state_key)
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
_OLDEST = Statement(
    select(_v.version).where(
        _v.state_id == bindparam("state"),
        _v.revision == select(func.min(_x.revision)).where(_x.state_id == bindparam("state")).scalar_subquery(),
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


class Window(NamedTuple):
    """Which versions are asked for: those after revision `since`, up to `top`, and of one author or all (None)."""

    since: int = 0
    top: int = LARGEST
    by: str | None = None


class Key(NamedTuple):
    """A key whose versions are listed, the revision of its newest, and the first it can be read at."""

    at: Address
    id: int
    revision: int
    floor: int = 0


def newest_first(tx: Tx, key: Key, window: Window, limit: int) -> list[Version]:
    """Return a key's versions, newest first, at most `limit` of them."""
    given = {"state": key.id, "since": window.since, "top": window.top, "by": window.by, "limit": limit}
    rows = tx.db.all(_LISTED if window.by is None else _LISTED_BY, given)
    return [version_of(key.at, row) for row in rows]


def merged(tx: Tx, keys: Iterable[Key], window: Window) -> Iterator[Version]:
    """Yield the versions of many keys, newest first, and in order of keys where one commit made several.

    A merge of sorted lists by a heap, each read in small pages as it comes up: the cost follows the number of keys and
    of versions taken, not of those there are.
    """
    pages: list[tuple[int, str, Key, list[Version]]] = [(-min(k.revision, window.top), k.at.key, k, []) for k in keys]
    heapify(pages)
    while pages:
        newest, name, key, page = heappop(pages)
        if page:
            version = page.pop()
            yield version
            newest = -page[-1].revision if page else 1 - version.revision
        elif page := newest_first(tx, key, window._replace(top=-newest), _PAGE)[::-1]:
            newest = -page[-1].revision  # until it was read this was a bound
        else:
            continue
        heappush(pages, (newest, name, key, page))


def keys_in_range(tx: Tx, first: Address, high: str) -> list[Key]:
    """Return every key there ever was from the first up to but not including `high`, in order."""
    given = {
        "branch": tx.branch,
        "agent": first.agent_id,
        "state_type": first.state_type,
        "low": first.key,
        "high": high,
    }
    return [Key(first._replace(key=key), *rest) for key, *rest in tx.db.all(_KEYS, given)]


def version_of(at: Address, row: Row) -> Version:
    """Return the version of a row of the columns `LISTED`."""
    # By position, and with a time made once where both are the same: a page is many of these.
    version, parent, source, revision, made, origin, actor, message, change, size, expires, metadata = row
    at_, origin_at = moment(made), None if origin is None else moment(origin)
    return Version(
        at.agent_id,
        TIER_OF[at.state_type],
        at.key,
        version,
        parent,
        source,
        revision,
        at_,
        origin_at or at_,
        actor,
        message,
        change,
        size,
        maybe(expires),
        json_object(metadata),
    )


def oldest_kept(tx: Tx, state: int) -> int:
    """Return the number of the oldest version of a key that is still there."""
    row = tx.db.one(_OLDEST, {"state": state})
    assert row is not None, "every key has a version"
    return int(row[0])


def check_digest(head: Head) -> Head:
    """Return a head whose value is what was written, or raise Corrupted."""
    if head.codec in (None, codec.ERASED):
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
