"""The turn to write: one lock for each store, held from before a revision is assigned until its commit can be seen.

So revisions become visible in their order, and a reader that has seen one has missed none below it. A sequence alone
lets readers skip a tenth of the commits of 8 writers; (xid, sequence) under pg_snapshot_xmin skips none, but turns the
order of a key around.
"""

from __future__ import annotations

from statedb.db.postgres.site import Query, Site

_SPACE = 0x73746462
"""""stdb": the advisory locks of stores, one for each schema."""


def take(site: Site, *, idle: float) -> Query:
    """Return what takes the turn to write until the transaction ends, and says how long that may last.

    `idle` is for how many seconds the transaction may do nothing before the server ends it.
    """
    settings = site.settings
    wait = max(1, int(settings.busy_timeout * 1000))
    local = {
        "lock_timeout": f"{wait}ms",
        "statement_timeout": f"{wait + 60_000}ms",
        "idle_in_transaction_session_timeout": f"{max(1, int(idle * 1000))}ms",
        "synchronous_commit": "on" if settings.durability == "full" else "off",
        # Planned once: the rows of a commit are few, and each is found by an index, whatever the server would guess.
        "plan_cache_mode": "force_generic_plan",
        "enable_seqscan": "off",
        "enable_hashjoin": "off",
        "enable_mergejoin": "off",
    }
    # Evaluated in this order, so that the lock is waited for no longer than it says.
    said = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in local.items())
    return f"select {said}, pg_advisory_xact_lock({_SPACE}, hashtext(%(schema)s))", {"schema": site.schema}
