"""What a key holds, and how it is made to hold something else: the one step of undo, restore and merge.

what it held at a point ─┐
                         ├─▶ Content it is to hold ─▶ Step ─▶ Difference, staged or only shown
what stands now ─────────┘
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from statedb.db import guard, journal
from statedb.db.entries import held
from statedb.db.heads import Head
from statedb.db.journal import Expiry, Ttl
from statedb.db.tx import Tx
from statedb.models import MISSING, Address, ChangeKind, Difference, Outcome, StateType
from statedb.times import moment
from statedb.values import codec
from statedb.values.codec import Encoded
from statedb.values.same import same


class Content(NamedTuple):
    """What a key holds: its value (MISSING: none), metadata, ttl in microseconds, and the version it is from."""

    value: Any
    metadata: str | None = None
    ttl: int | None = None
    version: int | None = None


class Step(NamedTuple):
    """What a key holds now, and what it is to hold."""

    at: Address
    now: Content
    content: Content
    encoded: Encoded | None


def content_of(head: Head | None) -> Content:
    """Return what a head holds. Raises Erased."""
    if head is None or head.codec is None:
        return Content(MISSING)
    return Content(held(head.stored), head.metadata, head.ttl, head.version)


def content_now(tx: Tx, at: Address) -> Content:
    """Return what a key holds now; what has expired it holds no longer."""
    return content_of(tx.find(at))


def steps(tx: Tx, plan: Iterable[tuple[Address, Content]]) -> list[Step]:
    """Return the steps that bring keys to what they are to hold, in the order given; those that hold it need none."""
    found = (Step(at, content_now(tx, at), content, _encoded(tx, content)) for at, content in plan)
    return [step for step in found if not _is_done(step)]


def take(tx: Tx, wanted: list[Step], *, only_show: bool = False, missing: tuple[Address, ...] = ()) -> Outcome:
    """Stage steps and return what they change; all or nothing, or with `only_show` nothing.

    `missing` goes with what is returned: keys for which there is no step, since nobody knows what they held. Raises
    LockHeld where somebody holds any of them to write it.
    """
    if not only_show:
        guard.check_all(tx, [step.at for step in wanted])
    changes = tuple(_shown(tx, step) if only_show else _stage(tx, step) for step in wanted)
    outcome = Outcome(None, changes, missing)
    if not only_show:
        tx.outcomes += [outcome, *changes]
    return outcome


def _encoded(tx: Tx, content: Content) -> Encoded | None:
    return None if content.value is MISSING else codec.encode(content.value, tx.settings.max_value_bytes)


def _is_done(step: Step) -> bool:
    return same(step.now.value, step.content.value) and step.now.metadata == step.content.metadata


def _stage(tx: Tx, step: Step) -> Difference:
    at, _, content, encoded = step
    if encoded is None:
        staged = journal.put(tx, at, None)
    else:
        # In a session the clock is the session's, which a write restarts, or begins where a merge opens it.
        in_session = tx.opening is not None or journal.session_of(tx, at) is not None
        expiry = Ttl.KEEP if in_session else Expiry.after(tx.now, content.ttl)
        staged = journal.put(tx, at, encoded, metadata=content.metadata, expiry=expiry, source_version=content.version)
    return _difference(tx, step, staged.head.version if staged else 0)


def _shown(tx: Tx, step: Step) -> Difference:
    return _difference(tx, step, _version_made(tx, step))


def _version_made(tx: Tx, step: Step) -> int:
    """Return the version a step would leave, as staging it tells: 0 for none, where nothing was there to begin with."""
    head = tx.committed(step.at)
    if head is None:
        return 0 if step.encoded is None else 1
    lives = tx.alive(head)
    # That its time has passed unnoticed is recorded first, as a version of its own.
    version = head.version + (head.codec is not None and not lives)
    if step.encoded is None:
        return version + 1 if lives else 0
    was = lives and (codec.digest(head.salt, step.encoded), step.content.metadata) == (head.digest, head.metadata)
    return version if was else version + 1


def _difference(tx: Tx, step: Step, version: int) -> Difference:
    at, now, content, encoded = step
    change: ChangeKind = "delete" if encoded is None else "create" if now.value is MISSING else "update"
    return Difference(
        agent_id=at.agent_id,
        state_type=StateType(at.state_type),
        key=at.key,
        change=change,
        old_value=None if now.value is MISSING else now.value,
        new_value=None if encoded is None else content.value,
        version=version,
        revision=0,
        at=moment(tx.now),
        by=tx.writing.actor,
    )
