"""The turn to write: taking it, and the check that what a transaction has read still stands.

    begin ─▶ LOCK ─▶ claim ─▶ rows … ─▶ commit        one journey, whatever the distance

The lock is the store's, and held from before a revision is assigned until the commit can be seen: so revisions become
visible in their order, and a reader that has seen one has missed none below it. A sequence alone lets readers skip a
tenth of the commits of 8 writers; (xid, sequence) under pg_snapshot_xmin skips none, but turns the order of a key
around.
"""

from __future__ import annotations

from pydantic_core import to_json

from statedb.db.footprint import Footprint
from statedb.db.landing import SHIFT
from statedb.db.postgres.site import Query, Site

_SPACE = 0x73746462
"""""stdb": the advisory locks of stores, one for each schema."""

CONFLICT = "statedb: changed meanwhile: "
"""What the server says, and what comes after it, where something that was read has changed."""


def lock(site: Site, *, idle: float) -> Query:
    """Return what takes the turn to write until the transaction ends, and says how long it may last.

    `idle` is for how many seconds the transaction may do nothing before the server ends it.
    """
    settings = site.settings
    wait = max(1, int(settings.busy_timeout * 1000))
    local = {
        "lock_timeout": f"{wait}ms",
        "statement_timeout": f"{wait + 60_000}ms",
        "idle_in_transaction_session_timeout": f"{max(1, int(idle * 1000))}ms",
        "synchronous_commit": "on" if settings.durability == "full" else "off",
        SHIFT: "0",
    }
    # Evaluated in this order, so that the lock is waited for no longer than it says.
    said = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in local.items())
    return f"select {said}, pg_advisory_xact_lock({_SPACE}, hashtext(%(schema)s))", {"schema": site.schema}


def claim(site: Site, seen: int, now: int, footprint: Footprint) -> Query:
    """Return what says where the log stands (revision, time), or fails where a footprint has been trodden on since.

    `seen` is the revision the transaction has read at, `now` its time. A query has no way to fail on purpose; making a
    number of a text that is none does it, and the text may say why.
    """
    given = {
        "seen": seen,
        "now": now,
        "until": footprint.until,
        "whole": footprint.whole,
        "ranges": to_json(footprint.ranges()).decode(),
        "why": CONFLICT,
    }
    return _CLAIM.replace("{schema}", site.quoted), given


_CLAIM = f"""
with newest as (
    select coalesce(max(revision), 0) as revision,
           (select c.at from {{schema}}.state_commits c order by revision desc limit 1) as at
    from {{schema}}.state_commits
)
select revision,
       at,
       set_config('{SHIFT}', (revision - %(seen)s::bigint)::text, true),
       case when greatest(at, %(now)s::bigint) >= %(until)s::bigint
            then (%(why)s::text || 'an expiry before ' || %(until)s::text)::bigint end,
       case when revision <= %(seen)s::bigint then 0
            when %(whole)s::boolean then (%(why)s::text || 'the log')::bigint
            else (
                select count((%(why)s::text || changed.low)::bigint)
                from json_array_elements(%(ranges)s::json) as read(range)
                join (
                    select a.name as agent, s.state_type as tier, s.state_key as low, s.state_key as high
                    from (
                        select state_id from {{schema}}.state_versions where revision > %(seen)s::bigint
                        union
                        select state_id from {{schema}}.state_touches where revision > %(seen)s::bigint
                    ) as written
                    join {{schema}}.agent_states s on s.id = written.state_id
                    join {{schema}}.agents a on a.id = s.agent_id
                    union all
                    select a.name, 'session', w.name || '/', w.name || '0'
                    from {{schema}}.session_touches t
                    join {{schema}}.sessions w on w.id = t.session_id
                    join {{schema}}.agents a on a.id = w.agent_id
                    where t.revision > %(seen)s::bigint
                ) as changed
                on changed.agent = read.range ->> 0 and changed.tier = read.range ->> 1
                and changed.low < read.range ->> 3 and changed.high >= read.range ->> 2
            ) end
from newest
"""
