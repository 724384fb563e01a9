"""The turn to write: one lock for each store, held from before a revision is assigned until its commit can be seen.

So revisions become visible in their order, and a reader that has seen one has missed none below it. A sequence alone
lets readers skip a tenth of the commits of 8 writers; (xid, sequence) under pg_snapshot_xmin skips none, but turns the
order of a key around.
"""

from __future__ import annotations

from functools import lru_cache

from statedb.db.postgres.site import Query, Site

_SPACE = 0x73746462
"""""stdb": the advisory locks of stores, one for each schema."""


LOCK = f"pg_advisory_xact_lock({_SPACE}, hashtext($1))"
"""What waits for the turn of the store in a schema, its one parameter, and keeps it until the transaction ends."""


_EARS = 0x73746465
"""The advisory lock that whoever listens for a store's commits shares."""


def listening(schema: str) -> tuple[str, str]:
    """Return what a session says to hear of a store's commits, which are told of while anybody listens.

    A server has those who notify commit one after the other, whatever store or database they write; so a store of which
    nobody wants to hear does not.
    """
    return f"select pg_advisory_lock_shared({_EARS}, hashtext('{schema}'))", f'listen "{schema}"'


def notified(quoted: str) -> str:
    """Return what passes the word on, once the commit can be seen: not of what is refused, nor if nobody listens."""
    schema = quoted.strip('"')
    deaf = f"pg_try_advisory_xact_lock({_EARS}, hashtext('{schema}'))"
    return f"case when refused is not null then null when {deaf} then null else pg_notify('{schema}', '') end"


def take(site: Site, *, idle: float) -> Query:
    """Return what takes the turn to write until the transaction ends, and says how long that may last.

    `idle` is for how many seconds the transaction may do nothing before the server ends it.
    """
    return _taking(site.settings.busy_timeout, idle, site.settings.durability), (site.schema,)


@lru_cache(maxsize=64)
def _taking(wait: float, idle: float, durability: str) -> str:
    local = {
        "lock_timeout": _millis(wait),
        "statement_timeout": _millis(wait + 60),
        _IDLE: _millis(idle),
        "synchronous_commit": "on" if durability == "full" else "off",
    } | _BY_INDEX
    # Evaluated in this order, so that the lock is waited for no longer than it says.
    said = ", ".join(_local(name, value) for name, value in local.items())
    return f"select {said}, {LOCK}"


def patience(seconds: float) -> Query:
    """Return what has the server end the transaction where it does nothing for some seconds."""
    local = {_IDLE: _millis(seconds)} | _BY_INDEX
    return f"select {', '.join(_local(name, value) for name, value in local.items())}", ()


_IDLE = "idle_in_transaction_session_timeout"

# Planned once: the rows of a transaction are few, and each is found by an index, whatever the server would guess.
_BY_INDEX = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


def _local(name: str, value: str) -> str:
    return f"set_config('{name}', '{value}', true)"


def _millis(seconds: float) -> str:
    return f"{min(max(1, int(seconds * 1000)), 2**31 - 1)}ms"
