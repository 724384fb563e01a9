"""The versions of a key: how one is found among a million, and how they are listed, a page at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

from sqlalchemy import Select, bindparam, func, literal_column, select

from statedb.db.entries import TIER_OF, json_object
from statedb.db.heads import Head
from statedb.db.lineage import upto
from statedb.db.statements import Row, Statement
from statedb.db.tables import agent_states, agents, branches, state_commits, state_versions
from statedb.db.tx import Tx
from statedb.models import Address, StateBranch, Version
from statedb.times import maybe, moment
from statedb.values.arguments import LARGEST

_v, _s = state_versions.c, agent_states.c
_x = state_versions.alias("x").c
_made, _born = state_commits.alias("made").c, state_commits.alias("born").c

# The columns of a Head, as they were when the version was made, and the base of what it holds.
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
    _v.base,
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
    branches.c.name,
)
_PAGE = 8
"""Versions of a key read at once where many keys are listed: some 30 are shown, of several keys."""


def listed(*columns: Any) -> Select[*tuple[Any, ...]]:
    """Return the select of a key's versions in a window, newest first; `limit` of them."""
    return (
        select(*columns)
        .select_from(
            state_versions.join(_made.revision.table, _made.revision == _v.revision).join(
                branches, branches.c.id == _made.branch_id
            )
        )
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
    select(
        _s.state_key,
        _s.id,
        select(func.max(_x.revision)).where(_x.state_id == _s.id, _x.revision <= bindparam("top")).scalar_subquery(),
        _s.floor,
    )
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
_STRAND = Statement(
    select(_s.id, _v.revision, _v.version, _s.floor)
    .select_from(agents.join(agent_states, _s.agent_id == agents.c.id).join(state_versions, _v.state_id == _s.id))
    .where(
        agents.c.name == bindparam("agent"),
        _s.branch_id == bindparam("branch"),
        _s.state_type == bindparam("state_type"),
        _s.state_key == bindparam("key"),
        _v.revision
        == select(func.max(_x.revision))
        .where(_x.state_id == _s.id, _x.revision <= bindparam("revision"))
        .scalar_subquery(),
    )
)
_BRANCHES = Statement(
    select(branches.c.name, func.min(_v.version) - literal_column("1"), func.max(_v.version), _born.at)
    .select_from(
        agents.join(agent_states, _s.agent_id == agents.c.id)
        .join(state_versions, _v.state_id == _s.id)
        .join(branches, branches.c.id == _s.branch_id)
        .join(_born.revision.table, _born.revision == branches.c.created_revision)
    )
    .where(
        agents.c.name == bindparam("agent"),
        _s.branch_id != bindparam("branch"),
        _s.state_type == bindparam("state_type"),
        _s.state_key == bindparam("key"),
        _v.revision <= bindparam("top"),
        branches.c.ended_revision.is_(None),
    )
    .group_by(branches.c.id, branches.c.name, _born.at)
    .order_by(branches.c.id)
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


def find_by_number(tx: Tx, at: Address, head: Head, version: int) -> Head | None:
    """Return a version of a key as it was made, None where the key never had it.

    Numbers rise with revisions, so this is a search over the index that as-of reads use, and needs no index of its own
    that every write would pay for. Every other step guesses in proportion, which finds a version among evenly spread
    ones at once; the steps between halve what is left, so that there are 2 log2(n) of them at worst.
    """
    found = strands(tx, at, head)
    for place, strand in enumerate(found, 1):
        least = found[place].version if place < len(found) else 0
        if version > least:
            return _search(tx, strand, least, version)
    return None


def _search(tx: Tx, strand: Strand, least: int, version: int) -> Head | None:
    low, high = _Edge(0, least), _Edge(strand.revision + 1, strand.version + 1)
    in_proportion = True
    while (span := high.revision - low.revision) > 1:
        share = span * (version - low.version) // max(1, high.version - low.version) if in_proportion else span // 2
        middle = low.revision + min(max(share, 1), span - 1)
        row = tx.db.one(_NEAREST, {"state": strand.state, "revision": middle})
        if row is None or row[1] < version:
            low = _Edge(middle, row[1] if row else low.version)
        elif row[1] > version:
            high = _Edge(*row)
        else:
            return _read(tx, strand.state, row[0])
        in_proportion = not in_proportion
    return None


class _Edge(NamedTuple):
    """A revision and the version that stood there, above or below the one that is looked for."""

    revision: int
    version: int


class Window(NamedTuple):
    """Which versions are asked for: those after revision `since`, up to `top`, and of one author or all (None)."""

    since: int = 0
    top: int = LARGEST
    by: str | None = None


class Strand(NamedTuple):
    """What a line sees of a key's versions on one branch: the newest of them, and the first the key can be read at."""

    state: int
    revision: int
    version: int
    floor: int


class Key(NamedTuple):
    """A key whose versions are listed, those of each branch of a line, nearest first."""

    at: Address
    strands: tuple[Strand, ...]

    @property
    def revision(self) -> int:
        """The revision of its newest version; 0: none."""
        return self.strands[0].revision if self.strands else 0

    @property
    def floor(self) -> int:
        """The first revision as of which it can be read."""
        return max((strand.floor for strand in self.strands), default=0)


def strands(tx: Tx, at: Address, head: Head) -> tuple[Strand, ...]:
    """Return the strands of a key, of which a head was read."""
    if not tx.ancestors:
        # A head that a running transaction has changed has no revision yet; what it stood on is at the newest or below.
        return () if head.id is None else (Strand(head.id, head.revision or tx.revision, head.version, head.floor),)
    top = LARGEST if tx.point is None else tx.point.revision
    rows = (
        tx.db.one(_STRAND, {**tx.where(at), "branch": branch, "revision": seen}) for branch, seen in upto(tx.line, top)
    )
    return tuple(Strand(*row) for row in rows if row is not None)


def newest_first(tx: Tx, key: Key, window: Window, limit: int) -> list[Version]:
    """Return a key's versions, newest first, at most `limit` of them."""
    found: list[Version] = []
    for strand in key.strands:
        top, left = min(window.top, strand.revision), limit - len(found)
        if left > 0 and top > window.since:
            given = {"state": strand.state, "since": window.since, "top": top, "by": window.by, "limit": left}
            rows = tx.db.all(_LISTED if window.by is None else _LISTED_BY, given)
            found += [version_of(key.at, row) for row in rows]
    return found


def merged(tx: Tx, keys: Iterable[Key], window: Window) -> Iterator[Version]:
    """Yield the versions of many keys, newest first, and in order of keys where one commit made several.

    A merge of sorted lists by a heap, each read in small pages as it comes up: the cost follows the number of keys and
    of versions taken, not of those there are.
    """
    pages: list[tuple[int, str, Key, list[Version]]] = [
        (-min(k.revision, window.top), k.at.key, k, []) for k in keys if k.revision > window.since
    ]
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


def keys_in_range(tx: Tx, first: Address, high: str, top: int) -> list[Key]:
    """Return the keys from the first up to but not including `high`, in order, with their newest up to a revision."""
    given = {"agent": first.agent_id, "state_type": first.state_type, "low": first.key, "high": high}
    found: dict[str, list[Strand]] = defaultdict(list)
    for branch, seen in upto(tx.line, top):
        for key, state, revision, floor in tx.db.all(_KEYS, {**given, "branch": branch, "top": seen}):
            if revision is not None or branch == tx.branch:
                found[key].append(Strand(state, revision or 0, 0, floor))
    return [Key(first._replace(key=key), tuple(found[key])) for key in sorted(found)]


def branches_of(tx: Tx, at: Address) -> list[StateBranch]:
    """Return the other branches that have versions of a key of their own, in the order in which they were made."""
    top = LARGEST if tx.point is None else tx.point.revision
    rows = tx.db.all(_BRANCHES, {**tx.where(at), "top": top})
    return [StateBranch(name, base, head, moment(made)) for name, base, head, made in rows]


def version_of(at: Address, row: Row) -> Version:
    """Return the version of a row of the columns `LISTED`."""
    # By position, and with a time made once where both are the same: a page is many of these.
    version, parent, source, revision, made, origin, actor, message, change, size, expires, metadata, branch = row
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
        branch,
    )


def oldest_kept(tx: Tx, key: Key) -> int:
    """Return the number of the oldest version of a key from which on all are still there."""
    for strand in key.strands:
        if strand.floor:
            row = tx.db.one(_OLDEST, {"state": strand.state})
            assert row is not None, "every key has a version"
            return int(row[0])
    return 1


def _read(tx: Tx, state: int, revision: int) -> Head:
    row = tx.db.one(_AT_REVISION, {"state": state, "revision": revision})
    assert row is not None
    return tx.contents.heads([row])[0]
