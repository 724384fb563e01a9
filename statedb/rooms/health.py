"""Health: whether the store is what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from statedb.db import verify
from statedb.db.tx import NEWEST, Tx
from statedb.models import Health

CHECKS: tuple[Callable[[Tx, int], Iterator[str]], ...] = (
    verify.chain,
    verify.versions,
    verify.heads,
    verify.sessions,
    verify.agents_of_commits,
)
"""What is compared, in order; each yields a line for whatever does not agree."""

_SHOWN = 100


def check(tx: Tx) -> Health:
    """Compare the store with itself, and return what does not agree.

    The file as the database sees it, the chain of hashes, every value against its digest, version numbers without a
    gap, every head and session against its history, times that never go back. Cost follows the whole history.
    """
    newest = tx.db.one(NEWEST, {})
    last = newest[0] if newest else 0
    problems = list(tx.db.faults())
    if not problems:
        for compare in CHECKS:
            problems += compare(tx, last)
    return Health(tuple(problems[:_SHOWN]), last, verify.count(tx))
