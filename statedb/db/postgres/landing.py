"""The statement by which a transaction lands: one, which finds its place in the log and writes all its rows there.

    claim ──▶ where the log stands, and whether anything that was read has changed since
      └─▶ chain ──▶ each commit's time and hash, from those of the one before
            └─▶ the rows, their revisions moved on by as many commits as came in between

A transaction numbers its commits as if nobody else wrote. The server, which decides the order, moves them on; and where
the claim is refused no row is written, and the answer says why. That is no error: an error would have the driver forget
every statement it has prepared.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from pydantic_core import to_json
from sqlalchemy import BigInteger, LargeBinary

from statedb.db.footprint import Footprint
from statedb.db.postgres.site import Query, Site
from statedb.db.postgres.writeset import Record, WriteSet
from statedb.db.tables import metadata

REFUSED = "statedb.refused"
"""The server's setting that tells, for the rest of a transaction, why its rows were refused; empty: they were not."""

Shape = tuple[tuple[str, str, tuple[str, ...]], ...]
"""What a statement writes: "make" or "change", a table, the columns."""


def landing(site: Site, rows: WriteSet, now: int, footprint: Footprint) -> Query:
    """Return the query that writes rows where they land, if a footprint still stands.

    `now` is the transaction's time, in microseconds. Its answer is one row: the revision and time of the newest commit
    before it, and what has changed that was read (None: nothing, and the rows are written).
    """
    groups = list(_groups(rows))
    shape = tuple((kind, table, tuple(records[0])) for kind, table, records in groups)
    given: dict[str, Any] = {
        "seen": rows.base,
        "now": now,
        "until": footprint.until,
        "whole": footprint.whole,
        "ranges": to_json(footprint.ranges()).decode(),
    }
    for number, (_, _, records) in enumerate(groups):
        given[f"rows{number}"] = to_json(records, bytes_mode="hex").decode()
    return _text(site.quoted, shape), given


def _groups(rows: WriteSet) -> list[tuple[str, str, list[Record]]]:
    """Return the rows of each kind that have the same columns, commits first."""
    commits = rows.made["state_commits"]
    first = commits[0]["revision"]
    found = [("make", "state_commits", [{"n": row["revision"] - first + 1, **row} for row in commits])]
    found += [("make", table, records) for table, records in rows.made.items() if table != "state_commits"]
    for table, changed in rows.changed.items():
        alike: dict[tuple[str, ...], list[Record]] = {}
        for record in changed.values():
            record = dict(sorted(record.items()))
            alike.setdefault(tuple(record), []).append(record)
        found += [("change", table, records) for records in alike.values()]
    return found


# ---- the text


@lru_cache(maxsize=512)
def _text(schema: str, shape: Shape) -> str:
    (_, _, commit_columns), *rest = shape
    parts = [_CLAIM, _commits(commit_columns)]
    for number, (kind, table, columns) in enumerate(rest, 1):
        write = _make if kind == "make" else _change
        parts.append(f"write{number} as ({write(table, columns, number)})")
    told = f"set_config('{REFUSED}', coalesce(refused, ''), true)"
    text = f"with recursive {', '.join(parts)} select revision, at, refused, {told} from claim"
    return text.replace("{schema}", schema)


def _commits(columns: tuple[str, ...]) -> str:
    kept = [column for column in columns if column not in ("n", "content", "revision", "at", "origin_at", "hash")]
    return f"""
given as (select * from {_recordset("state_commits", columns, 0)}),
chain(n, at, hash) as (
    select 0::bigint, claim.at, claim.hash from claim
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


def _make(table: str, columns: tuple[str, ...], number: int) -> str:
    values = ", ".join(_landed(table, column) for column in columns)
    return (
        f"insert into {{schema}}.{table} ({_listed(columns)}) select {values} "
        f"from {_recordset(table, columns, number)} {_beside(columns)} where claim.refused is null"
    )


def _change(table: str, columns: tuple[str, ...], number: int) -> str:
    values = ", ".join(f'"{column}" = {_landed(table, column)}' for column in columns if column != "id")
    return (
        f"update {{schema}}.{table} as t set {values} "
        f"from {_recordset(table, columns, number)} {_beside(columns)} where t.id = g.id and claim.refused is null"
    )


def _recordset(table: str, columns: tuple[str, ...], number: int) -> str:
    types = ", ".join(f'"{column}" {_type(table, column)}' for column in columns)
    return f"json_to_recordset(%(rows{number})s::json) as g({types})"


def _type(table: str, column: str) -> str:
    # Bytes come as hexadecimal text; `n` counts commits.
    found = metadata.tables[table].c.get(column)
    return "bigint" if column == "n" or (found is not None and isinstance(found.type, BigInteger)) else "text"


def _beside(columns: tuple[str, ...]) -> str:
    """Return what a row needs beside itself to land: the claim, its commit, and the commit its key was made by."""
    found = "cross join claim"
    if "updated_at" in columns:
        found += " join chain as landed on landed.n = g.revision - claim.seen"
    if "created_at" in columns:
        found += " left join chain as born on born.n = g.created_revision - claim.seen and born.n > 0"
    return found


def _landed(table: str, column: str) -> str:
    """Return the value of a column where the row lands."""
    if column == "revision":
        return "g.revision + claim.shift"
    if column == "created_revision":
        return "g.created_revision + case when g.created_revision > claim.seen then claim.shift else 0 end"
    if column == "updated_at":
        return "landed.at"
    if column == "created_at" and table == "agent_states":
        return "coalesce(born.at, g.created_at)"
    if isinstance(metadata.tables[table].c[column].type, LargeBinary):
        return f"decode(g.{column}, 'hex')"
    return f'g."{column}"'


def _listed(columns: Any, of: str = "") -> str:
    return ", ".join(f'{of}"{column}"' for column in columns)


# What the transaction relies on is compared with what was written since: commits are few in between, mostly none.
_CLAIM = """
newest as (
    select revision, at, hash from {schema}.state_commits order by revision desc limit 1
),
stands as (
    select coalesce(max(revision), 0) as revision, max(at) as at, (select hash from newest) as hash from newest
),
claim as materialized (
    select %(seen)s::bigint as seen,
           revision,
           coalesce(at, %(now)s::bigint) as at,
           coalesce(hash, ''::bytea) as hash,
           revision - %(seen)s::bigint as shift,
           case when greatest(at, %(now)s::bigint) >= %(until)s::bigint then 'what expires'
                when revision <= %(seen)s::bigint then null
                when %(whole)s::boolean then 'the log'
                else (
                    select min(changed.low)
                    from json_array_elements(%(ranges)s::json) as read(range)
                    join (
                        select a.name as agent, s.state_type as tier, s.state_key as low, s.state_key as high
                        from (
                            select state_id from {schema}.state_versions where revision > %(seen)s::bigint
                            union
                            select state_id from {schema}.state_touches where revision > %(seen)s::bigint
                        ) as written
                        join {schema}.agent_states s on s.id = written.state_id
                        join {schema}.agents a on a.id = s.agent_id
                        union all
                        select a.name, 'session', w.name || '/', w.name || '0'
                        from {schema}.session_touches t
                        join {schema}.sessions w on w.id = t.session_id
                        join {schema}.agents a on a.id = w.agent_id
                        where t.revision > %(seen)s::bigint
                    ) as changed
                    on changed.agent = read.range ->> 0 and changed.tier = read.range ->> 1
                    and changed.low < read.range ->> 3 and changed.high >= read.range ->> 2
                ) end as refused
    from stands
)"""
