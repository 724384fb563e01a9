"""What commits changed, read from the log in its order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, literal_column, select

from statedb.db.contents import Kept, kept
from statedb.db.context import Point
from statedb.db.entries import TIER_OF, json_object, shown
from statedb.db.lineage import line_by_id
from statedb.db.spans import Side, standing
from statedb.db.statements import Row, Statement
from statedb.db.tables import MAIN, agent_states, agents, branches, state_commits, state_versions, store_info
from statedb.db.tx import Tx
from statedb.models import Address, Change
from statedb.times import moment
from statedb.values.arguments import LARGEST
from statedb.values.codec import NOTHING, Stored

_v, _s, _a, _c, _i = state_versions.c, agent_states.c, agents.c, state_commits.c, store_info.c
_old = state_versions.alias("old").c
_x = state_versions.alias("x").c

COMMIT_COLUMNS = (
    _c.revision, _c.kind, _c.at, _c.origin_at, _c.actor, _c.message, _c.context, branches.c.name, _c.merge_parent,
)  # fmt: skip

# A commit's changes in the order of their names, which is the same wherever the commit goes.
_name = (_a.name, _s.state_type, _s.state_key)

_WHAT = (
    _v.revision, _i.id, _c.origin, _c.origin_revision, _a.name, _s.state_type, _s.state_key, _v.change, _v.version,
    _c.at, _c.actor, _v.metadata, _s.branch_id, _v.parent_version,
)  # fmt: skip

_joined = (
    state_versions.join(state_commits, _c.revision == _v.revision)
    .join(agent_states, _s.id == _v.state_id)
    .join(agents, _a.id == _s.agent_id)
    .join(store_info, _i.id.is_not(None))
)
_before = and_(
    _old.state_id == _v.state_id,
    _old.revision
    == select(_x.revision).where(_x.state_id == _v.state_id, _x.revision < _v.revision)
    .order_by(_x.revision.desc()).limit(1).scalar_subquery(),
)  # fmt: skip
_within = and_(_v.revision >= bindparam("first"), _v.revision <= bindparam("last"))

_HELD = len(kept())
_BRANCH, _PARENT, _AT = len(_WHAT) - 2, len(_WHAT) - 1, 9
_NAME = slice(4, 8)
"""Agent, tier, key, and the kind of change."""
_changed = (
    select(*_WHAT, *kept(_v), *kept(_old))
    .select_from(_joined.outerjoin(_old.revision.table, _before))
    .where(_within)
    .order_by(_v.revision, *_name)
)
_CHANGES = Statement(_changed)
_CHANGES_OF_BRANCH = Statement(_changed.where(_s.branch_id + literal_column("0") == bindparam("branch")))
_CHANGES_BARE = Statement(select(*_WHAT).select_from(_joined).where(_within).order_by(_v.revision, *_name))


Taken = Callable[[str, str, str, str], bool]
"""Whether a change is asked for: of which agent, tier and key, and of which kind."""


def between(
    tx: Tx, first: int, last: int, *, values: bool = True, branch: int | None = None, taken: Taken | None = None
) -> list[Change]:
    """Return what the commits from `first` to `last`, of one branch or all, changed, as far as it is asked for.

    Without values they are None.
    """
    given = {"first": first, "last": last, "branch": branch}
    if not values:
        bare = _numbered(tx.db.all(_CHANGES_BARE, given))
        return [_change(row, place, when, None, None) for row, place, when in bare]
    found = _numbered(tx.db.all(_CHANGES if branch is None else _CHANGES_OF_BRANCH, given))
    if taken is not None:
        # Before a value is put together and held against its digest, which is most of the work.
        found = [each for each in found if taken(*each[0][_NAME])]
    new = [Kept(*row[-2 * _HELD : -_HELD]) for row, _, _ in found]
    old = [Kept(*row[-_HELD:]) for row, _, _ in found]
    tx.contents.prepare([*old, *new])
    whole = tx.contents.whole
    beneath = _beneath(tx, [row for row, _, _ in found], old)
    return [
        _change(
            row,
            place,
            when,
            shown(whole(n)),
            shown(beneath[row[_BRANCH], Address(*row[4:7])] if _is_first(row, o) else whole(o)),
        )
        for (row, place, when), n, o in zip(found, new, old, strict=True)
    ]


def _is_first(row: Row, old: Kept) -> bool:
    """Tell whether a version is a branch's first of a key that it has inherited."""
    absent: Any = old.state  # NULL, where the join found no row
    return absent is None and row[_PARENT] is not None and row[_BRANCH] != MAIN


def _beneath(tx: Tx, rows: list[Row], old: list[Kept]) -> dict[tuple[int, Address], Stored]:
    """Return what branches had inherited where they wrote for the first time."""
    wanted: dict[int, set[Address]] = defaultdict(set)
    for row, before in zip(rows, old, strict=True):
        if _is_first(row, before):
            wanted[row[_BRANCH]].add(Address(*row[4:7]))
    found: dict[tuple[int, Address], Stored] = {}
    for branch, keys in wanted.items():
        side = Side(line_by_id(tx.db, branch)[1:], Point(LARGEST, 0))
        there = standing(tx, side, sorted(keys))
        found |= {(branch, at): there[at].head.stored if at in there else NOTHING for at in keys}
    return found


def _numbered(rows: list[Row]) -> list[tuple[Row, int, datetime]]:
    """Return rows with their places in their commits, and the commits' times."""
    found: list[tuple[Row, int, datetime]] = []
    revision, place, when = 0, 0, moment(0)
    for row in rows:
        place += 1
        if row[0] != revision:
            revision, place, when = row[0], 0, moment(row[_AT])
        found.append((row, place, when))
    return found


def _change(row: Row, place: int, when: datetime, new: Any, old: Any) -> Change:
    _, store, origin, origin_revision, agent, state_type, key, change, version, _, actor, metadata, *_ = row
    revision = row[0]
    # By position, and with a table for the tier: whoever replays a store makes one for each of its versions. Where a
    # commit was first made names its changes on every copy of the store.
    return Change(
        f"{origin or store}/{origin_revision or revision}/{place}",
        agent,
        TIER_OF[state_type],
        key,
        change,
        old,
        new,
        version,
        revision,
        when,
        actor,
        None if metadata is None else json_object(metadata),
    )
