"""Undo: a commit that takes back what others did, and keeps what came after them.

Key by key it is a three-way merge by JSON path: the base is what the commit made, one side is what stands now, the
other what was before it. So what only the commit changed goes back, and what only later writes changed stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select

from statedb.db import changes, cuts
from statedb.db.rewrite import Content, content_now, content_of, steps, take
from statedb.db.statements import Statement
from statedb.db.tables import agents, commit_agents, state_commits
from statedb.db.tx import Tx
from statedb.db.versions import Key, Window, merged, strands
from statedb.errors import InvalidValue, NoSuchRevision, VersionConflict
from statedb.models import MISSING, Address, Outcome, Version
from statedb.values.arguments import natural
from statedb.values.merge import Merge, merge
from statedb.values.same import alike, same


def undo(tx: Tx, revision: int | Iterable[int], *, message: str | None = None) -> Outcome:
    """Take back what a commit did, or several did, in a new commit; return what that changes.

    Of each key the places that the commit changed go back to what they were, and what was written elsewhere since
    stays; so it is with metadata and ttl, each as a whole. Where a later write overlaps, raises VersionConflict that
    names it, and nothing is changed. Several are taken back newest first, whatever order they are given in. An undo is
    a commit, and can be undone. Raises NoSuchRevision, and Compacted where what was before is no longer kept.
    """
    wanted = _checked(revision)
    plan: dict[Address, Content] = {}
    for each in wanted:
        _take_back(tx, each, plan, frozenset(wanted))
    changed = steps(tx, sorted(plan.items()))
    if not changed:
        return Outcome(None, ())
    tx.writing.say(message or _message(tx, wanted))
    return take(tx, changed)


class _Clash(NamedTuple):
    """A key that cannot go back as it is."""

    at: Address
    before: Content
    after: Content
    now: Content
    found: Merge


def _checked(revision: int | Iterable[int]) -> list[int]:
    """Return the revisions to take back, newest first, each once."""
    # Bytes are a row of numbers to Python, and no list of revisions to anybody.
    several = isinstance(revision, Iterable) and not isinstance(revision, bytes | bytearray)
    given: Any = revision if several else [revision]
    found = sorted({natural(each, "revision", 1) for each in given}, reverse=True)
    if not found:
        raise InvalidValue("no revision is named; give one or several")
    return found


def _message(tx: Tx, wanted: list[int]) -> str:
    if len(wanted) > 1:
        return f"undo revisions {', '.join(map(str, wanted))}"
    row = tx.db.one(_COMMIT, {"revision": wanted[0]})
    said = row[0] if row else None
    # Of an undo only that: an undo of an undo of an undo would say no more than its revision does.
    return f"undo revision {wanted[0]}" + (f": {said}" if said and not said.startswith("undo revision") else "")


def _take_back(tx: Tx, revision: int, plan: dict[Address, Content], wanted: frozenset[int]) -> None:
    """Add to the plan what each key that a commit changed is to hold."""
    clashes: list[_Clash] = []
    for at in _done_by(tx, revision):
        before, after = _as_of(tx, at, revision - 1), _as_of(tx, at, revision)
        now = plan[at] if at in plan else content_now(tx, at)
        found = _merged(before, after, now)
        if found.conflicts or _only_metadata_clashes(before, after, now):
            clashes.append(_Clash(at, before, after, now, found))
        else:
            plan[at] = _result(found.value, before, after, now)
    if clashes:
        raise _conflict(tx, revision, clashes, wanted)


def _done_by(tx: Tx, revision: int) -> list[Address]:
    """Return the keys a commit made versions of."""
    # Of what retention has cut nothing tells which commits it belonged to: half of one must not pass for the whole.
    cut = [each for each in cuts.below(tx.db, tx.line, revision) if _touches(tx, revision, each.at.agent_id)]
    cuts.settle(cut, revision, partial=False)
    found = changes.between(tx, revision, revision, values=False)
    row = tx.db.one(_COMMIT, {"revision": revision})
    if row is None:
        raise NoSuchRevision(f"there is no revision {revision}")
    if not any(level.branch == row[1] and revision <= level.top for level in tx.line):
        raise InvalidValue(f"revision {revision} is a commit of another branch; undo it there")
    if not found:
        raise InvalidValue(
            f"revision {revision} only moved expiries or names, locked keys or appended events; it changed no value "
            "that could be taken back"
        )
    return [Address(each.agent_id, each.state_type.value, each.key) for each in found]


def _touches(tx: Tx, revision: int, agent_id: str) -> bool:
    return tx.db.one(_TOUCHES, {"revision": revision, "agent": agent_id}) is not None


def _as_of(tx: Tx, at: Address, revision: int) -> Content:
    return content_of(tx.as_of(at, revision))


def _merged(before: Content, after: Content, now: Content) -> Merge:
    """Return what is left when the step from before to after is taken out of what stands now."""
    # The order of members and elements stays as it stands. That members stand in another is no later change: an undo
    # before may have put one back at the end.
    standing = after.value if alike(after.value, now.value) else now.value
    return merge(after.value, standing, before.value, prefer="ours")


def _only_metadata_clashes(before: Content, after: Content, now: Content) -> bool:
    """Tell whether the commit changed nothing but metadata, and that has been changed again.

    Beside a change of value it does not count: metadata often tells of the write it came with, and is new each time.
    """
    return (
        now.value is not MISSING
        and same(before.value, after.value)
        and before.metadata != after.metadata
        and now.metadata not in (before.metadata, after.metadata)
    )


def _result(value: Any, before: Content, after: Content, now: Content) -> Content:
    """Return what a key is to hold. What came of the commit goes back with the value; what came later stays."""
    if value is MISSING:
        return Content(MISSING)
    gone = now.value is MISSING
    untouched = after.value is not MISSING
    return Content(
        value,
        before.metadata if gone or (untouched and now.metadata == after.metadata) else now.metadata,
        before.ttl if gone or (untouched and now.ttl == after.ttl) else now.ttl,
        before.version if same(value, before.value) else None,
    )


# ---- conflicts


def _conflict(tx: Tx, revision: int, clashes: list[_Clash], wanted: frozenset[int]) -> VersionConflict:
    """Return the refusal, of the first key in full and of the others by number."""
    at, before, after, now, found = clashes[0]
    head = tx.head(at)
    places = ", ".join(each.path or "the whole value" for each in found.conflicts[:5]) or "metadata"
    # What the same call takes back is not in its way.
    later = tuple(each for each in _overlapping(tx, at, revision, before, after) if each.revision not in wanted)
    more = f". So it is with {len(clashes) - 1:,} more of its keys" if len(clashes) > 1 else ""
    return VersionConflict(
        f"revision {revision} cannot be taken back: of {at.key} ({at.state_type} of {at.agent_id}) "
        f"{places} {_blamed(later)}; take that back first, or write what it should be{more}",
        agent_id=at.agent_id,
        state_type=at.state_type,
        key=at.key,
        expected_version=after.version or 0,
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


def _overlapping(tx: Tx, at: Address, revision: int, before: Content, after: Content) -> tuple[Version, ...]:
    """Return the later versions of a key that changed the places in conflict, oldest first.

    Goes back from the newest to the one with which the conflict began; what was settled before that is no matter.
    """
    head = tx.committed(at)
    if head is None or not (lines := strands(tx, at, head)):
        return ()
    found: list[Version] = []
    newer: tuple[Version, dict[str, Any]] | None = None
    for version in merged(tx, [Key(at, lines)], Window(since=revision)):
        stands = _clashing(before, after, _as_of(tx, at, version.revision))
        if newer is not None and not same(stands, newer[1]):
            found.append(newer[0])
        if not stands:
            return tuple(reversed(found))
        newer = version, stands
    return tuple(reversed([*found, newer[0]] if newer else found))


def _clashing(before: Content, after: Content, then: Content) -> dict[str, Any]:
    """Return what stood at the places that could not have gone back."""
    if _only_metadata_clashes(before, after, then):
        return {"metadata": then.metadata}
    return {each.path: each.ours for each in _merged(before, after, then).conflicts}


_c, _a, _ca = state_commits.c, agents.c, commit_agents.c
_COMMIT = Statement(select(_c.message, _c.branch_id).where(_c.revision == bindparam("revision")))
_TOUCHES = Statement(
    select(_ca.revision)
    .select_from(agents.join(commit_agents, _a.id == _ca.agent_id))
    .where(_a.name == bindparam("agent"), _ca.revision == bindparam("revision"))
)
