"""Merge: what a branch has done becomes part of another, in one commit that knows of both."""

from __future__ import annotations

from collections.abc import Sequence

from statedb.db import branches, journal
from statedb.db.deeds import Deed
from statedb.db.lineage import line_of, name_of
from statedb.db.merging import Meeting, Merging
from statedb.db.rewrite import take
from statedb.db.tx import Tx
from statedb.errors import InTransaction, InvalidValue, VersionConflict
from statedb.values.conflict import Conflict, MergeOutcome, Resolution
from statedb.values.names import name as checked_name
from statedb.values.strategy import Strategy, check


def merge(
    tx: Tx,
    source: str,
    into: str | None = None,
    strategy: Strategy = "merge",
    *,
    preview: bool = False,
    message: str | None = None,
) -> MergeOutcome:
    """Take what a branch has done since both parted, or last met, into this one or `into`, in one commit.

    It is a three-way merge by JSON path: what only one side changed is kept in any case, and the strategy is for the
    places that both did: `ours` (the branch merged into) or `theirs` wins there, a function fn(base, ours, theirs)
    returns the key's value, `manual` leaves the key as it stands and records a conflict, and with `merge` any such key
    stops the merge: nothing is committed, and `conflicts` names them (`raise` raises VersionConflict). A dict of globs
    picks by key. With `preview` nothing is done, and what would be is returned. A transaction merges once. Raises
    NoSuchBranch.
    """
    check(strategy, "strategy")
    if tx.merge_parent is not None:
        raise InTransaction("this transaction merges a branch already, and a commit knows of one; merge in another")
    name = checked_name(source, "the name of a branch")
    line = line_of(tx.db, name)
    _stand_on(tx, into)
    if line[0].branch == tx.branch:
        raise InvalidValue(f"{name} cannot be merged into itself")
    merging = Merging(tx, name, line)
    found = _settled(tx, merging, strategy, preview=preview)
    if preview or (found.conflicts and not found.recorded) or not merging.is_news:
        return found
    tx.kind, tx.merge_parent = "merge", merging.theirs.revision if merging.theirs else None
    journal.do(tx, Deed("merge", {"do": "merge", "branch": name}, lambda tx: None))
    tx.writing.say(message or f"merge {name}")
    tx.outcomes.append(found)
    return found


def detect(tx: Tx, branch: str | None = None, *, agent_id: str | None = None, key: str | None = None) -> list[Conflict]:
    """Return what a merge of a branch into this one, or of each there is, would find in conflict; nothing is recorded.

    `agent_id` and `key`, an exact name, narrow it. Raises NoSuchBranch.
    """
    named = [branch] if branch is not None else [each.name for each in branches.listed(tx)]
    found: list[Conflict] = []
    for name in named:
        line = line_of(tx.db, checked_name(name, "the name of a branch"))
        if line[0].branch != tx.branch:
            merging = Merging(tx, name, line)
            met = (each for each in merging.meetings("merge") if each.settled.clashes)
            found += [
                merging.conflict(each)
                for each in met
                if agent_id in (None, each.at.agent_id) and key in (None, each.at.key)
            ]
    return found


# ---- inside


def _stand_on(tx: Tx, into: str | None) -> None:
    if into is None or line_of(tx.db, checked_name(into, "the name of a branch"))[0].branch == tx.branch:
        return
    if tx.joined:
        raise InTransaction("this transaction makes a commit of another branch; merge on that itself")
    tx.stand_on(into)


def _settled(tx: Tx, merging: Merging, strategy: Strategy, *, preview: bool) -> MergeOutcome:
    """Return what comes of a merge, staged unless it is only shown or something is left open."""
    met = list(merging.meetings(strategy))
    clashing = [each for each in met if each.settled.method != "merge" or each.settled.clashes]
    open_ = [each for each in clashing if each.settled.clashes]
    refused = [each for each in open_ if each.settled.method != "manual"]
    if any(each.raises for each in refused) and not preview:
        raise _refusal([merging.conflict(each) for each in refused])
    wanted = merging.steps(met)
    does = not (preview or refused)
    return MergeOutcome(
        revision=None,
        source=merging.source,
        into=name_of(tx.connection, tx.branch),
        base=tuple(tip.revision for tip in merging.bases),
        changes=merging.take(wanted) if does else take(tx, wanted, only_show=True).changes,
        conflicts=tuple(merging.record(each) if does else merging.conflict(each) for each in open_),
        resolutions=tuple(_resolution(each, merging.conflict(each)) for each in clashing),
        recorded=does and bool(open_),
    )


def _resolution(met: Meeting, conflict: Conflict) -> Resolution:
    settled = met.settled
    return Resolution((conflict,), settled.value, settled.method, settled.requires_manual_review, 0)


def _refusal(refused: Sequence[Conflict]) -> VersionConflict:
    first = refused[0]
    more = f" and {len(refused) - 1:,} more keys" if len(refused) > 1 else ""
    return VersionConflict(
        f"both branches changed {first.key} ({first.state_type} of {first.agent_id}){more}; nothing was merged. Say "
        "how to settle it, by strategy",
        agent_id=first.agent_id,
        state_type=first.state_type.value,
        key=first.key,
        expected_version=first.base_version or 0,
        version=first.ours_version or 0,
        base=first.base,
        ours=first.ours,
        theirs=first.theirs,
        conflicts=first.clashes,
    )
