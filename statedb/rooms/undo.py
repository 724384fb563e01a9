"""Undo: a commit that takes back what others did, and keeps what came after them.

Key by key it is a three-way merge by JSON path: the base is what the commit made, one side is what stands now, the
other what was before it. So what only the commit changed goes back, and what only later writes changed stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from statedb.db import changes, cuts, journal
from statedb.db.journal import Expiry, Ttl
from statedb.db.statements import Statement
from statedb.db.tables import agents, commit_agents, state_commits
from statedb.db.tx import Tx
from statedb.db.versions import Key, Window, newest_first
from statedb.errors import InvalidValue, NoSuchRevision, VersionConflict
from statedb.models import MISSING, Address, ChangeKind, Difference, Outcome, StateType, Version
from statedb.times import moment
from statedb.values import codec
from statedb.values.arguments import natural
from statedb.values.merge import Merge, merge
from statedb.values.same import same


def undo(tx: Tx, revision: int | Iterable[int], *, message: str | None = None) -> Outcome:
    """Take back what a commit did, or several did, in a new commit; return what that changes.

    Of each key the places that the commit changed go back to what they were, and what was written elsewhere since
    stays. Where a later write overlaps, raises VersionConflict that names it, and nothing is changed. Several are taken
    back newest first, whatever order they are given in. An undo is a commit, and can be undone. Raises NoSuchRevision,
    and Compacted where what was before is no longer kept.
    """
    wanted = _checked(revision)
    plan: dict[Address, _Content] = {}
    for each in wanted:
        _take_back(tx, each, plan)
    if message is not None or tx.writing.message is None:
        tx.writing.say(message or _message(tx, wanted))
    made = [found for at, content in sorted(plan.items()) if (found := _stage(tx, at, content)) is not None]
    outcome = Outcome(None, tuple(made))
    if made:
        tx.told += [outcome, *made]
    return outcome


class _Content(NamedTuple):
    """What a key holds: its value (MISSING: none) and metadata. `expiry` and `source` are how it comes back."""

    value: Any
    metadata: str | None
    expiry: Expiry | Ttl = Ttl.KEEP
    source: int | None = None


def _checked(revision: int | Iterable[int]) -> list[int]:
    """Return the revisions to take back, newest first, each once."""
    given = revision if isinstance(revision, Iterable) else [revision]
    found = sorted({natural(each, "revision", 1) for each in given}, reverse=True)
    if not found:
        raise InvalidValue("no revision is named; give one or several")
    return found


def _message(tx: Tx, wanted: list[int]) -> str:
    if len(wanted) > 1:
        return f"undo revisions {', '.join(map(str, wanted))}"
    row = tx.db.one(_COMMIT, {"revision": wanted[0]})
    said = row[1] if row else None
    return f"undo revision {wanted[0]}" + (f": {said}" if said else "")


def _take_back(tx: Tx, revision: int, plan: dict[Address, _Content]) -> None:
    """Add to the plan what each key that a commit changed is to hold."""
    done = _done_by(tx, revision)
    clashes: list[VersionConflict] = []
    for at in done:
        before, after = _content(tx, at, revision - 1), _content(tx, at, revision)
        now = plan[at] if at in plan else _now(tx, at)
        found = merge(after.value, now.value, before.value)
        if found.conflicts:
            clashes.append(_conflict(tx, at, revision, (before, after, now), found))
        else:
            plan[at] = _result(found.value, before, after, now)
    if clashes:
        if len(clashes) > 1:
            clashes[0].args = (f"{clashes[0]}. So it is with {len(clashes) - 1:,} more of its keys",)
        raise clashes[0]


def _done_by(tx: Tx, revision: int) -> list[Address]:
    """Return the keys a commit made versions of."""
    found = changes.between(tx, revision, revision, values=False)
    # Of what retention has cut nothing tells which commits it belonged to: half of one must not pass for the whole.
    for (agent,) in tx.db.all(_AGENTS, {"revision": revision}):
        cuts.settle(cuts.below(tx, revision, agent), revision, partial=False)
    if not found:
        if tx.db.one(_COMMIT, {"revision": revision}) is None:
            raise NoSuchRevision(f"there is no revision {revision}")
        raise InvalidValue(f"revision {revision} only moved expiries; it changed no value that could be taken back")
    return [Address(each.agent_id, each.state_type.value, each.key) for each in found]


def _content(tx: Tx, at: Address, revision: int) -> _Content:
    """Return what a key held as of a revision, and how it would come back."""
    head = tx.as_of(at, revision)
    if head is None or head.codec is None:
        return _Content(MISSING, None)
    # In a session the clock is the session's, which a write restarts.
    expiry = Ttl.KEEP if head.session_id is not None else Expiry.after(tx.now, head.ttl)
    return _Content(codec.decode(head.stored), head.metadata, expiry, head.version)


def _now(tx: Tx, at: Address) -> _Content:
    head = tx.find(at)
    return _Content(MISSING, None) if head is None else _Content(codec.decode(head.stored), head.metadata)


def _result(value: Any, before: _Content, after: _Content, now: _Content) -> _Content:
    back = same(value, before.value)
    return _Content(
        value,
        before.metadata if now.value is MISSING or now.metadata == after.metadata else now.metadata,
        before.expiry if now.value is MISSING else Ttl.KEEP,
        before.source if back else None,
    )


def _stage(tx: Tx, at: Address, content: _Content) -> Difference | None:
    """Stage what a key is to hold; return the difference, None where it holds that already."""
    now = _now(tx, at)
    if same(now.value, content.value) and now.metadata == content.metadata:
        return None
    gone = content.value is MISSING
    encoded = None if gone else codec.encode(content.value, tx.settings.max_value_bytes)
    metadata = None if gone else content.metadata
    staged = journal.put(
        tx, at, encoded, metadata=metadata, expiry=content.expiry, source_version=content.source if not gone else None
    )
    if staged is None:
        return None
    change: ChangeKind = "delete" if gone else "create" if now.value is MISSING else "update"
    return Difference(
        agent_id=at.agent_id,
        state_type=StateType(at.state_type),
        key=at.key,
        change=change,
        old_value=None if now.value is MISSING else now.value,
        new_value=None if gone else content.value,
        version=staged.head.version,
        revision=0,
        at=moment(tx.now),
        by=tx.writing.actor,
    )


# ---- conflicts


def _conflict(
    tx: Tx, at: Address, revision: int, sides: tuple[_Content, _Content, _Content], found: Merge
) -> VersionConflict:
    before, after, now = sides
    head = tx.head(at)
    later = _overlapping(tx, at, revision, before.value, after.value)
    places = ", ".join(each.path or "the whole value" for each in found.conflicts[:5])
    return VersionConflict(
        f"revision {revision} cannot be taken back: of {at.key} ({at.state_type} of {at.agent_id}) "
        f"{places} {_blamed(later)}; take that back first, or write what it should be",
        agent_id=at.agent_id,
        state_type=at.state_type,
        key=at.key,
        expected_version=after.source or 0,
        version=head.version if head else 0,
        base=after.value,
        ours=now.value,
        theirs=before.value,
        conflicts=found.conflicts,
        later=later,
    )


def _blamed(later: tuple[Version, ...]) -> str:
    if not later:
        return "has expired since, or was changed in this transaction"
    named = ", ".join(f"{each.revision}{f' by {each.by}' if each.by else ''}" for each in later[:3])
    more = f" and {len(later) - 3:,} more" if len(later) > 3 else ""
    return f"was changed again by revision {named}{more}"


def _overlapping(tx: Tx, at: Address, revision: int, before: Any, after: Any) -> tuple[Version, ...]:
    """Return the later versions of a key that changed the places in conflict, oldest first."""
    head = tx.committed(at)
    if head is None or head.id is None:
        return ()
    later = newest_first(tx, Key(at, head.id, head.revision), Window(since=revision), _LOOKED_AT)
    found: list[Version] = []
    seen: dict[str, Any] = {}
    for version in reversed(later):
        held = _content(tx, at, version.revision).value
        stands = {each.path: each.ours for each in merge(after, held, before).conflicts}
        if stands and not same(stands, seen):
            found.append(version)
        seen = stands
    return tuple(found)


_LOOKED_AT = 1_000
"""The most later versions of a key that are searched for the one that overlaps."""

_c, _a, _ca = state_commits.c, agents.c, commit_agents.c
_COMMIT = Statement(select(_c.revision, _c.message).where(_c.revision == bindparam("revision")))
_AGENTS = Statement(
    select(_a.name)
    .select_from(commit_agents.join(agents, _a.id == _ca.agent_id))
    .where(_ca.revision == bindparam("revision"))
)
