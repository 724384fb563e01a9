"""The base of a version: which earlier one of its key it is kept as a delta on.

    1 ◀─ 2 ◀─ 3 ◀─ … ◀─ 7            the version before, which is in hand as the head;
    ▲                                every 8th version begins a run, on the head of an earlier run:
    8 ◀─ 9 ◀─ …      16 ◀─ …         that of the run's number with its lowest set bit cleared (a skip-delta,
    ▲                 ▲              as in Subversion's FSFS)
    └── 24 ◀─ …       └── …

So version n lies at most 4 + log2(n + 1) deltas from a whole one, and seven writes of eight read nothing for it. The
base is named in the row: whatever is cut, copied or made whole later on, nobody computes it again.
"""

from __future__ import annotations

from statedb.db.contents import Base
from statedb.db.heads import Head
from statedb.db.tx import Staged, Tx
from statedb.errors import Corrupted, Erased
from statedb.models import Address
from statedb.values import codec, delta
from statedb.values.codec import NOTHING, Encoded, Stored

RUN = 8
"""Versions of a run. With 4, small documents take 8 % more room and large ones too; with 16 they take 10 % less, and a
version lies twice as many deltas away."""


def far_base(tx: Tx, at: Address, before: Head | None, encoded: Encoded) -> Base | None:
    """Return the base of a version that begins a run, None for any other.

    It is read while the transaction still reads. Where the version before is not on the server yet, nor can its chain
    be: then the new one is kept whole, and the next runs start from there.
    """
    if before is None or before.id is None or before.codec is None or len(encoded.plain) < delta.FROM:
        return None
    run, place = divmod(before.version + 1, RUN)
    if place or (tx.footprint is not None and tx.earlier is not None and at in tx.earlier.on(tx.branch).heads):
        return None
    first = RUN * (run & (run - 1))
    chain = tx.contents.chain(before.id, before.revision)
    revision = min((link.version, revision) for revision, link in chain.items() if link.version >= first)[1]
    link = chain[revision]
    try:
        return _sound(before, Base(revision, tx.contents.plain_at(before.id, revision)), link.stored, link.digest)
    except (Corrupted, Erased):
        return None  # a history that is damaged already must not stop anybody from writing


def keep(staged: Staged) -> tuple[int | None, Stored]:
    """Return how a version's row keeps what it holds: the revision of its base, None for none, and the stored form."""
    if staged.encoded is None:
        return None, NOTHING
    base = staged.base or _near_base(staged)
    made = None if base is None else delta.encode(staged.encoded, base.plain, far=staged.base is not None)
    return (None, staged.encoded.stored) if base is None or made is None else (base.revision, made)


def _near_base(staged: Staged) -> Base | None:
    before, encoded = staged.before, staged.encoded
    if before is None or before.codec in (None, codec.ERASED) or encoded is None or len(encoded.plain) < delta.FROM:
        return None
    if before.id is None:
        return None  # a branch's first version of a key: what it has inherited is another row's
    if staged.head.version % RUN == 0:
        return None
    try:
        return _sound(before, Base(before.revision, codec.plain(before.stored)), before.stored, before.digest)
    except Corrupted:
        return None


def _sound(head: Head, base: Base, stored: Stored, digest: bytes | None) -> Base | None:
    """Return a base if it is what was written: a delta on anything else could never be undone."""
    return base if codec.digest(head.salt, Encoded(stored, base.plain)) == digest else None
