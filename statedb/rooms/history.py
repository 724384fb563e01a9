"""History: what was, version by version and commit by commit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, bindparam, select

from statedb.db import changes, journal
from statedb.db.changes import COMMIT_COLUMNS
from statedb.db.entries import entry_of, json_object
from statedb.db.heads import Head
from statedb.db.journal import Ttl
from statedb.db.statements import Row, Statement
from statedb.db.tables import agents, commit_agents, state_commits, state_versions
from statedb.db.tx import Tx
from statedb.db.versions import find_by_number
from statedb.errors import NoSuchRevision, NoSuchVersion
from statedb.models import Address, Commit, Entry, StateType, Version
from statedb.times import maybe, moment
from statedb.values import codec
from statedb.values.arguments import LARGEST, natural, natural_or_all
from statedb.values.codec import Encoded
from statedb.values.names import address, name


def versions(
    tx: Tx, agent_id: str, state_type: str, key: str, *, limit: int | None = None, before: int | None = None
) -> list[Version]:
    """Return a key's versions, newest first: at most `limit` of them, those below version `before`."""
    at = address(agent_id, state_type, key)
    head = tx.head(at)
    if head is None or head.id is None:
        return []
    top = tx.point.revision if tx.point else LARGEST
    if before is not None:
        before = natural(before, "before")
        edge = find_by_number(tx, head, before)
        top = edge.revision - 1 if edge else (top if before > head.version else 0)
    rows = tx.db.all(_VERSIONS, {"state": head.id, "top": top, "limit": natural_or_all(limit, "limit")})
    return [_version(at, row) for row in rows]


def get(tx: Tx, agent_id: str, state_type: str, key: str, version: int) -> Entry:
    """Return a version as it was made; its value is None where it is a deletion. NoSuchVersion where there is none."""
    at = address(agent_id, state_type, key)
    return entry_of(tx, at, _as_made(tx, at, version))


def revert(tx: Tx, agent_id: str, state_type: str, key: str, version: int, *, message: str | None = None) -> Entry:
    """Write an old version's value again, as a new version that names its source; return the new entry.

    Reverting to a deletion deletes. The metadata comes back with the value; the ttl stays the key's own and restarts.
    """
    at = address(agent_id, state_type, key)
    old = _as_made(tx, at, version)
    encoded = None if old.codec is None else Encoded(old.stored, codec.plain(old.stored))
    if message is not None or tx.writing.message is None:
        tx.writing.say(message or f"revert {key} to version {version}")
    staged = journal.put(tx, at, encoded, metadata=old.metadata, expiry=Ttl.KEEP, source_version=version)
    if staged is None:
        head = tx.head(at)
        assert head is not None
        return entry_of(tx, at, head)
    made = entry_of(tx, at, staged.head)
    staged.entries.append(made)
    return made


def commits(
    tx: Tx, *, agent_id: str | None = None, limit: int | None = 50, before: int | None = None, values: bool = True
) -> list[Commit]:
    """Return commits, newest first: of one agent or all, at most `limit`, those below revision `before`.

    `values=False` leaves the values of their changes out (None), which spares reading them.
    """
    top = LARGEST if before is None else natural(before, "before") - 1
    top = min(top, tx.point.revision) if tx.point else top
    given: dict[str, Any] = {"top": top, "limit": natural_or_all(limit, "limit")}
    if agent_id is None:
        rows = tx.db.all(_COMMITS, given)
    else:
        rows = tx.db.all(_COMMITS_OF, {**given, "agent": name(agent_id, "agent_id")})
    return [_commit(tx, row, agent_id, values) for row in rows]


def commit(tx: Tx, revision: int) -> Commit:
    """Return one commit and all it changed. NoSuchRevision where there is none."""
    row = tx.db.one(_COMMIT, {"revision": natural(revision, "revision")})
    if row is None or (tx.point and revision > tx.point.revision):
        raise NoSuchRevision(f"there is no revision {revision}")
    return _commit(tx, row, None, True)


# ---- inside


def _as_made(tx: Tx, at: Address, version: int) -> Head:
    natural(version, "version")
    head = tx.head(at)
    found = None
    if head is not None and head.id is not None and 1 <= version <= head.version:
        found = find_by_number(tx, head, version)
    if found is None:
        newest = f"its newest is {head.version}" if head else "it has none at all"
        if head is not None and version == head.version:
            newest = "that one is not committed yet"
        raise NoSuchVersion(f"{at.key} ({at.state_type} of {at.agent_id}) has no version {version}; {newest}")
    return found


def _version(at: Address, row: Row) -> Version:
    version, parent, source, revision, made, origin, actor, message, change, size, expires, metadata = row
    return Version(
        agent_id=at.agent_id,
        state_type=StateType(at.state_type),
        key=at.key,
        version=version,
        parent_version=parent,
        source_version=source,
        revision=revision,
        at=moment(made),
        origin_at=moment(made if origin is None else origin),
        by=actor,
        message=message,
        change=change,
        size=size,
        expires_at=maybe(expires),
        metadata=json_object(metadata),
    )


def _commit(tx: Tx, row: Row, agent_id: str | None, values: bool) -> Commit:
    revision, kind, at, origin_at, actor, message, context = row
    return Commit(
        revision=revision,
        kind=kind,
        at=moment(at),
        origin_at=moment(at if origin_at is None else origin_at),
        by=actor,
        message=message,
        context=json_object(context),
        changes=tuple(_of(changes.between(tx, revision, revision, values=values), agent_id)),
    )


def _of(found: Iterable[Any], agent_id: str | None) -> Iterable[Any]:
    return (each for each in found if agent_id is None or each.agent_id == agent_id)


_v, _c, _a, _ca = state_versions.c, state_commits.c, agents.c, commit_agents.c


def _newest_first(found: Select[*tuple[Any, ...]], column: Any) -> Select[*tuple[Any, ...]]:
    return found.where(column <= bindparam("top")).order_by(column.desc()).limit(bindparam("limit"))


_VERSIONS = Statement(
    _newest_first(
        select(
            _v.version,
            _v.parent_version,
            _v.source_version,
            _v.revision,
            _c.at,
            _c.origin_at,
            _c.actor,
            _c.message,
            _v.change,
            _v.size,
            _v.expires_at,
            _v.metadata,
        )
        .select_from(state_versions.join(state_commits, _c.revision == _v.revision))
        .where(_v.state_id == bindparam("state")),
        _v.revision,
    )
)
_COMMITS = Statement(_newest_first(select(*COMMIT_COLUMNS), _c.revision))
_COMMITS_OF = Statement(
    _newest_first(
        select(*COMMIT_COLUMNS)
        .select_from(agents.join(commit_agents, _ca.agent_id == _a.id).join(state_commits, _c.revision == _ca.revision))
        .where(_a.name == bindparam("agent")),
        _ca.revision,
    )
)
_COMMIT = Statement(select(*COMMIT_COLUMNS).where(_c.revision == bindparam("revision")))
