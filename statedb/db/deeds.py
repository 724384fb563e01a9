"""What a commit does to things with a name: it makes a checkpoint, ends a branch, settles a conflict.

The log keeps it as JSON beside the commit, under the commit's hash; the rows by which such a thing is found are made
with it. So checkpoints, branches and conflicts have a history like everything else, and go wherever the log goes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, insert

from statedb.db.statements import Statement
from statedb.db.tables import commit_deeds
from statedb.models import Address

if TYPE_CHECKING:
    from statedb.db.tx import Tx


@dataclass(frozen=True, slots=True)
class Deed:
    """One thing a commit does. `kind` is the commit's where it does nothing else, `said` what the log keeps of it.

    `write` makes and changes the rows, at the commit's revision (`tx.revision`). What the deed relies on was read
    through `tx.db`, so that no other commit comes in between: revisions among its rows stay as they are. One that is
    not `whole` relies on no more than its transaction's footprint says.
    """

    kind: str
    said: dict[str, Any]
    write: Callable[[Tx], None]
    concerns: frozenset[Address] = field(default=frozenset(), kw_only=True)
    """Keys of which what others have read, or decided, may be otherwise now."""
    whole: bool = field(default=True, kw_only=True)
    agent: str | None = field(default=None, kw_only=True)
    """Whose log has it, though no key of his may change."""


def do(tx: Tx, deed: Deed) -> None:
    """Stage what is done to something with a name."""
    assert tx.note is not None, "a transaction that only reads cannot write"
    if tx.footprint is not None and deed.whole:
        tx.footprint.whole = True
    tx.deeds.append(deed)


def aside(tx: Tx, write: Callable[[Tx], None]) -> None:
    """Stage what is no history and makes no commit: a lease's renewal, a place in a line, how far somebody has read.

    It is committed with the transaction, and lost with it. On a server others may do the same at the same time: what
    must not be done twice is written by who holds the turn (`tx.connection.insist`).
    """
    assert tx.note is not None, "a transaction that only reads cannot write"
    tx.asides.append(write)


def parted(deeds: list[Deed]) -> tuple[list[Deed], list[Deed]]:
    """Return what time has done, which is nobody's deed, and what the transaction does."""
    if not deeds:
        return [], []
    return [each for each in deeds if each.kind == LAPSE], [each for each in deeds if each.kind != LAPSE]


LAPSE = "lapse"
"""The kind of a deed that is time's: a lease has ended."""

INSERT_DEEDS = Statement(insert(commit_deeds).values(revision=bindparam("revision"), said=bindparam("said")))
