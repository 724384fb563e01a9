"""Blame: which version last set each part of a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from statedb.db.contents import Kept, kept
from statedb.db.entries import shown
from statedb.db.statements import Row, Statement
from statedb.db.tables import agent_states, state_versions
from statedb.db.tx import Tx
from statedb.db.versions import LISTED, Strand, listed, strands, version_of
from statedb.errors import Compacted, Erased
from statedb.models import MISSING, UNAVAILABLE, Address, Blame, Version
from statedb.values.leaves import Leaves
from statedb.values.names import address

_FIRST_PAGE, _LARGEST_PAGE = 8, 256
"""Versions read at once: few at first, since often the newest ones account for everything."""
_MOST_BYTES = 32 * 1024 * 1024
"""Bytes of values read at once, going by the largest of the page before."""


def blame(tx: Tx, agent_id: str, state_type: str, key: str, *, partial: bool = False) -> Blame:
    """Return the version that last set each leaf of the value, by JSON Pointer; empty where there is no value.

    A leaf is a scalar or an empty container. It was set by the version since which its place has held it without a
    break: an element that moved within a list was set anew. Reads back as far as the oldest of these versions, no
    further. Where that is cut or erased, raises Compacted or Erased, or with `partial` names the leaves in `missing`.
    """
    at = address(agent_id, state_type, key)
    head = tx.committed(at)
    if head is None or not tx.alive(head) or not (found_on := strands(tx, at, head)):
        return Blame()
    lines = _lines(tx, found_on)
    row, value = next(lines)
    leaves = Leaves(value)
    found = dict.fromkeys(leaves.places, version_of(at, row))
    if value is UNAVAILABLE:
        return _known(_erased(at, row), found, leaves, partial)
    for older_row, older in lines:
        if older is UNAVAILABLE:
            return _known(_erased(at, older_row), found, leaves, partial)
        if taken := leaves.take(older):
            found |= dict.fromkeys(taken, version_of(at, row))
        row = older_row
        if not leaves:
            return Blame(found)
    since = version_of(at, row)
    if since.change != "create":
        cut = Compacted(f"what {key} was before revision {head.floor} has been cut", floor=head.floor, missing=(at,))
        return _known(cut, found, leaves, partial)
    return Blame(found | dict.fromkeys(leaves.take(MISSING), since))


def _lines(tx: Tx, found_on: tuple[Strand, ...]) -> Iterator[tuple[Row, Any]]:
    """Yield the versions of a key as rows, with their values, newest first; MISSING for a deletion."""
    size = _FIRST_PAGE
    for strand in found_on:
        top = strand.revision
        while rows := tx.db.all(_LINES, {"state": strand.state, "since": 0, "top": top, "limit": size}):
            held = [Kept(*row[len(LISTED) :]) for row in rows]
            tx.contents.prepare(held)
            for row, kept_as in zip(rows, held, strict=True):
                stored = tx.contents.whole(kept_as)
                yield row[: len(LISTED)], MISSING if stored.codec is None else shown(stored)
            room = _MOST_BYTES // max(1, *(row[_SIZE] for row in rows))
            top, size = rows[-1][_REVISION] - 1, max(1, min(2 * size, _LARGEST_PAGE, room))


def _known(reason: Compacted, found: dict[str, Version], leaves: Leaves, partial: bool) -> Blame:
    """Return what is known and name the leaves that are not; raise the reason where that is not enough."""
    if not partial:
        raise reason
    missing = leaves.take(MISSING)
    for leaf in missing:
        del found[leaf]
    return Blame(found, missing)


def _erased(at: Address, row: Row) -> Erased:
    return Erased(
        f"version {version_of(at, row).version} of {at.key} was erased, and so who set parts of it", missing=(at,)
    )


_v = state_versions.c
_REVISION, _SIZE = LISTED.index(_v.revision), LISTED.index(_v.size)
_LINES = Statement(listed(*LISTED, *kept()).join(agent_states, agent_states.c.id == _v.state_id))
