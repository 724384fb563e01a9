"""The statement by which a transaction lands: one, which finds its place in the log and writes all its rows there.

    claim ──▶ where the log stands, and whether anything that was read has changed since
      └─▶ chain ──▶ each commit's time and hash, from those of the one before
            └─▶ the rows, their revisions moved on by as many commits as came in between

A transaction numbers its commits as if nobody else wrote. The server, which decides the order, moves them on; and where
the claim is refused no row is written, and the answer says why. That is no error: an error would have the driver forget
every statement it has prepared. Rows come as JSON, a text for each table: one statement for any number of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from pydantic_core import to_json
from sqlalchemy import BigInteger, LargeBinary

from statedb.db.footprint import Footprint
from statedb.db.postgres.site import Query, Site
from statedb.db.postgres.turn import notified
from statedb.db.postgres.writeset import Record, WriteSet
from statedb.db.tables import metadata
from statedb.errors import ValueTooLarge
from statedb.times import EARLIEST

REFUSED = "statedb.refused"
"""The server's setting that tells, for the rest of a transaction, why its rows were refused; empty: they were not."""


class Group(NamedTuple):
    """Rows of a table that are alike in their columns, to be made or to be changed."""

    kind: str
    table: str
    columns: tuple[str, ...]


def landing(site: Site, rows: WriteSet, base: int, now: int, footprint: Footprint) -> Query:
    """Return the query that writes rows where they land, if a footprint still stands.

    `base` is the revision that was seen, `now` the transaction's time, in microseconds. Its answer is one row: the
    revision and time of the newest commit before it, and what has changed that was read (None: nothing, and the rows
    are written).
    """
    groups = _groups(rows)
    texts = [to_json(records, bytes_mode="hex").decode() for _, records in groups]
    if sum(map(len, texts)) > _LARGEST:
        raise ValueTooLarge("what this transaction writes is more than a server takes at once; write it in parts")
    relied, leases = to_json(footprint.ranges()).decode(), to_json(list(footprint.leases.items())).decode()
    given = (base, now, footprint.until, footprint.whole, relied, rows.token, leases, footprint.streams, *texts)
    return _text(site.quoted, tuple(group for group, _ in groups)), given


_LARGEST = 1_000_000_000
"""Characters of a message, of which a server takes a little more."""

_FIRST = 9
"""The parameter that holds the first group's rows: those before it are named in `_CLAIM`."""


def _groups(rows: WriteSet) -> list[tuple[Group, list[Record]]]:
    """Return the rows in groups, commits first."""
    found = []
    if rows.makes_commits:
        commits = [{"n": row["revision"] - rows.base, **row} for row in rows.made["state_commits"]]
        found.append(_group("make", "state_commits", commits))
    found += [_group("make", table, records) for table, records in rows.made.items() if table != "state_commits"]
    for table, changed in rows.changed.items():
        alike: dict[tuple[str, ...], list[Record]] = {}
        for record in changed.values():
            alike.setdefault(tuple(sorted(record)), []).append(record)
        found += [_group("change", table, records) for _, records in sorted(alike.items())]
    return found


def _group(kind: str, table: str, records: list[Record]) -> tuple[Group, list[Record]]:
    return Group(kind, table, tuple(records[0])), records


# ---- the text


@lru_cache(maxsize=512)
def _text(schema: str, groups: tuple[Group, ...]) -> str:
    parts = [_CLAIM]
    for number, group in enumerate(groups, _FIRST):
        if group.table == "state_commits":
            parts.append(_commits(group))
        else:
            parts.append(f"w{number} as ({_made(group, number) if group.kind == 'make' else _changed(group, number)})")
    told = f"set_config('{REFUSED}', coalesce(refused, ''), true)"
    text = f"with recursive {', '.join(parts)} select revision, at, refused, {told}, {notified(schema)} from claim"
    return text.replace("{schema}", schema)


def _commits(group: Group) -> str:
    kept = [column for column in group.columns if column not in ("n", "content", "revision", "at", "origin_at", "hash")]
    return f"""
given as (select * from {_recordset(group, _FIRST)}),
chain(n, at, hash) as (
    select 0::bigint, at, hash from claim
    union all
    select g.n, later.at, substr(sha256(chain.hash || int8send(later.at) || decode(g.content, 'hex')), 1, 16)
    from chain join given g on g.n = chain.n + 1
    cross join lateral (select greatest(g.at, chain.at) as at) as later
),
commits as (
    insert into {{schema}}.state_commits ({_listed(kept)}, revision, at, origin_at, hash)
    select {_listed(kept, "g.")}, g.revision + claim.shift, chain.at,
           coalesce(g.origin_at, case when chain.at > g.at then g.at end), chain.hash
    from given g join chain on chain.n = g.n cross join claim
    where claim.refused is null
)"""


def _made(group: Group, number: int) -> str:
    values = ", ".join(_landed(group.table, column) for column in group.columns)
    return (
        f"insert into {{schema}}.{group.table} ({_listed(group.columns)}) select {values} "
        f"from {_recordset(group, number)} {_beside(group)} where claim.refused is null"
    )


def _changed(group: Group, number: int) -> str:
    columns = [column for column in group.columns if column != "id"]
    values = ", ".join(f"{column} = {_landed(group.table, column)}" for column in columns)
    return (
        f"update {{schema}}.{group.table} as t set {values} "
        f"from {_recordset(group, number)} {_beside(group)} where t.id = g.id and claim.refused is null"
    )


def _recordset(group: Group, number: int) -> str:
    types = ", ".join(f"{column} {_type(group.table, column)}" for column in group.columns)
    return f"json_to_recordset(${number}::json) as g({types})"


def _type(table: str, column: str) -> str:
    # Bytes come as hexadecimal text; `n` counts commits.
    found = metadata.tables[table].c.get(column)
    return "bigint" if column == "n" or (found is not None and isinstance(found.type, BigInteger)) else "text"


def _beside(group: Group) -> str:
    """Return what a row needs beside itself to land: the claim, its commit, and the commit its key was made by."""
    found = "cross join claim"
    if group.table != "agent_states":
        return found
    if "updated_at" in group.columns:
        found += " join chain as landed on landed.n = g.revision - claim.seen"
    if "created_at" in group.columns:
        found += " left join chain as born on born.n = g.created_revision - claim.seen and born.n > 0"
    return found


def _landed(table: str, column: str) -> str:
    """Return the value of a column where the row lands."""
    if column == "revision":
        return "g.revision + claim.shift"
    if column == "created_revision":
        return "g.created_revision + case when g.created_revision > claim.seen then claim.shift else 0 end"
    if column == "base":
        return "g.base + case when g.base > claim.seen then claim.shift else 0 end"
    if column == "updated_at":
        return "landed.at"
    if column == "created_at" and table == "agent_states":
        return "coalesce(born.at, g.created_at)"
    if isinstance(metadata.tables[table].c[column].type, LargeBinary):
        return f"decode(g.{column}, 'hex')"
    return f"g.{column}"


def _listed(columns: Iterable[Any], of: str = "") -> str:
    return ", ".join(f"{of}{column}" for column in columns)


# $1 the revision that was seen, $2 the transaction's time, $3 when the first thing it saw alive expires, $4 whether it
# relies on the whole log, $5 on which ranges, $6 its token, $7 which leases it took to have ended, and when, $8 whether
# it relies on where the streams stand. What was written since is little, mostly nothing.
_CLAIM = f"""
newest as (select revision, at, hash from {{schema}}.state_commits order by revision desc limit 1),
stands as (
    select coalesce(max(revision), 0) as revision, coalesce(max(at), {EARLIEST}) as at,
           coalesce((select hash from newest), ''::bytea) as hash
    from newest
),
claim as materialized (
    select $1::bigint as seen, revision, at, hash, revision - $1::bigint as shift,
           case when exists (select from {{schema}}.aborted_writes where token = $6::text) then 'too much to wait for'
                when greatest(at, $2::bigint) >= $3::bigint then 'what expires'
                when revision < $1::bigint then 'the log, which has become shorter,'
                when exists (
                    select from json_array_elements($7::json) as read(lease)
                    join {{schema}}.state_locks l on l.id = (read.lease ->> 0)::bigint
                    where l.expires_at > (read.lease ->> 1)::bigint
                ) then 'a lease'
                when revision = $1::bigint then null
                when $4::boolean then 'the log'
                when $8::boolean and $1::bigint < (
                    select e.revision from {{schema}}.stream_events e order by e.position desc limit 1
                ) then 'the streams'
                else (
                    select min(changed.low)
                    from json_array_elements($5::json) as read(range)
                    join (
                        select a.name as agent, s.state_type as tier, s.state_key as low, s.state_key as high
                        from (
                            select state_id from {{schema}}.state_versions where revision > $1::bigint
                            union
                            select state_id from {{schema}}.state_touches where revision > $1::bigint
                        ) as written
                        join {{schema}}.agent_states s on s.id = written.state_id
                        join {{schema}}.agents a on a.id = s.agent_id
                        union all
                        select a.name, 'session', w.name || '/', w.name || '0'
                        from {{schema}}.session_touches t
                        join {{schema}}.sessions w on w.id = t.session_id
                        join {{schema}}.agents a on a.id = w.agent_id
                        where t.revision > $1::bigint
                        union all
                        select a.name, tiers.name, l.state_key, l.state_key
                        from {{schema}}.state_locks l
                        join {{schema}}.agents a on a.id = l.agent_id
                        cross join (values ('local'), ('persistent'), ('session'), ('shared')) as tiers(name)
                        where l.changed_revision > $1::bigint
                        union all
                        select '', 'branch', name, name from {{schema}}.branches where ended_revision > $1::bigint
                    ) as changed
                    on changed.agent = read.range ->> 0 and changed.tier = read.range ->> 1
                    and changed.low < read.range ->> 3 and changed.high >= read.range ->> 2
                ) end as refused
    from stands
)"""
