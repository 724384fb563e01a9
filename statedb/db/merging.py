"""A merge of branches: what one has done since both parted, made part of the other, key by key and place by place.

    commits taken in since ─▶ keys that may differ ─▶ base, ours, theirs of each ─▶ steps and conflicts

Ours is the branch merged into, theirs the one merged. The cost follows what theirs did since the last merge.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from statedb.db import conflicts, guard, journal
from statedb.db.ancestry import Ancestry, Tip
from statedb.db.conflicts import Held
from statedb.db.context import Point
from statedb.db.inherited import session
from statedb.db.lineage import Line
from statedb.db.points import newest_point
from statedb.db.rewrite import Content, Step, content_now, content_of, steps, take
from statedb.db.sessions import Opening, session_name
from statedb.db.spans import Seen, Side, candidates, standing
from statedb.db.tx import Tx
from statedb.models import MISSING, Address, Difference, StateType
from statedb.values.conflict import Conflict
from statedb.values.merge import merge
from statedb.values.same import same
from statedb.values.strategy import Settled, Strategy, of_key, settle

_NOTHING = Content(MISSING)


class Meeting(NamedTuple):
    """A key that theirs has changed since the base, otherwise than ours, and how that is settled."""

    at: Address
    base: Content
    ours: Content
    theirs: Content
    settled: Settled
    raises: bool


class Merging:
    """The merge of a branch into the one a transaction is on."""

    def __init__(self, tx: Tx, source: str, line: Line) -> None:
        self._tx, self.source, self._line = tx, source, line
        self._ancestry = Ancestry(tx)
        self._now = newest_point(tx)
        self.theirs = self._ancestry.tip(line)
        self.ours = self._ancestry.tip(tx.line)

    @property
    def bases(self) -> list[Tip]:
        """The newest commits that both have taken in, as a rule one."""
        if self.ours is None or self.theirs is None:
            return []
        return self._ancestry.bases(self.ours, self.theirs)

    @property
    def is_news(self) -> bool:
        """Whether theirs has any commit that ours has not taken in."""
        if self.ours is None or self.theirs is None:
            return self.theirs is not None
        taken = self._ancestry.vector(self.ours)
        return any(taken.get(branch, 0) < top for branch, top in self._ancestry.vector(self.theirs).items())

    def meetings(self, strategy: Strategy) -> Iterator[Meeting]:
        """Yield the keys whose content on either side may have to change, in order, and how each is settled."""
        if self.theirs is None:
            return
        instant = self._now.instant
        within = self._ancestry.since_parted(self.theirs, self.ours)
        keys = candidates(self._tx, within, (instant, instant))
        bases = self._contents_of(self.bases, keys)
        theirs = self._contents(self._line, self._now.revision, keys)
        for at in keys:
            base, mine, other = bases.get(at, _NOTHING), content_now(self._tx, at), theirs.get(at, _NOTHING)
            if _alike(other, base) or _alike(other, mine):
                continue
            how = of_key(strategy, at.key, stands="ours", default="merge")
            # To raise is for whoever asked for the merge, once all of what clashes is known.
            rule = "merge" if how == "raise" else how
            settled = settle(rule, base.value, mine.value, other.value, stands="ours", whole=False)
            yield Meeting(at, base, mine, other, settled, raises=how == "raise")

    def steps(self, met: list[Meeting]) -> list[Step]:
        """Return the steps that make ours what was settled."""
        return steps(self._tx, [(each.at, _result(each)) for each in met if not each.settled.clashes])

    def take(self, wanted: list[Step]) -> tuple[Difference, ...]:
        """Stage steps, with the sessions that only theirs has begun; return what they change."""
        guard.check_all(self._tx, [step.at for step in wanted])
        found: tuple[Difference, ...] = ()
        for step in wanted:
            name = session_name(step.at.agent_id, step.at.key) if step.at.state_type == StateType.SESSION else None
            begun = None if name is None else session(self._tx, name, self._line)
            if name is None or begun is None:
                found += take(self._tx, [step]).changes
                continue
            ends = begun.expires_at if begun.is_absolute else None
            with journal.opening(self._tx, Opening(name, begun.ttl, told=False, ends=ends)):
                found += take(self._tx, [step]).changes
        return found

    def conflict(self, met: Meeting) -> Conflict:
        """Return what both sides made of a key."""
        return conflicts.found(self._tx, met.at, *self._sides(met), self.source)

    def record(self, met: Meeting) -> Conflict:
        """Stage a conflict for somebody to settle."""
        return conflicts.record(self._tx, met.at, *self._sides(met), self.source)

    # ---- inside

    def _sides(self, met: Meeting) -> tuple[Held, Held, Held]:
        base_on = self.bases[0].branch if len(self.bases) == 1 else None
        return (
            _held(met.base, base_on),
            _held(met.ours, self._tx.branch),
            _held(met.theirs, self._line[0].branch),
        )

    def _contents_of(self, tips: list[Tip], keys: list[Address]) -> dict[Address, Content]:
        """Return what keys held at a base; of several, what their own merge makes of them."""
        if not tips:
            return {}
        first, *more = tips
        found = self._contents(self._ancestry.line(first.branch), first.revision, keys)
        for tip in more:
            beneath = self._contents_of(self._ancestry.bases(first, tip), keys)
            other = self._contents(self._ancestry.line(tip.branch), tip.revision, keys)
            for at in keys:
                sides = (each.get(at, _NOTHING) for each in (beneath, found, other))
                found[at] = _joined(*sides)
        return found

    def _contents(self, line: Line, revision: int, keys: list[Address]) -> dict[Address, Content]:
        # Whatever had a time is looked at now: what has expired on both sides nobody deleted.
        seen = standing(self._tx, Side(line, Point(revision, self._now.instant)), keys)
        return {at: _content(each) for at, each in seen.items()}


def _held(side: Content, branch: int | None) -> Held:
    return Held(side.value) if side.version is None or branch is None else Held(side.value, side.version, branch)


def _content(seen: Seen) -> Content:
    return content_of(seen.head) if seen.visible else _NOTHING


def _alike(one: Content, other: Content) -> bool:
    return same(one.value, other.value) and one.metadata == other.metadata


def _joined(base: Content, one: Content, other: Content) -> Content:
    """Return what two bases make together; where they contradict each other nothing is taken for granted."""
    merged = merge(base.value, one.value, other.value)
    return _NOTHING if merged.conflicts else Content(merged.value, one.metadata, one.ttl)


def _result(met: Meeting) -> Content:
    """Return what a key is to hold; metadata and ttl are theirs where only theirs has another, each as a whole."""
    value, base, ours, theirs = met.settled.value, met.base, met.ours, met.theirs
    if value is MISSING:
        return _NOTHING
    if ours.value is MISSING or (same(value, theirs.value) and same(ours.value, base.value)):
        return Content(value, theirs.metadata, theirs.ttl)
    if met.settled.method == "theirs" and theirs.value is not MISSING:
        return Content(value, theirs.metadata, theirs.ttl)
    return Content(
        value,
        theirs.metadata if ours.metadata == base.metadata else ours.metadata,
        theirs.ttl if ours.ttl == base.ttl else ours.ttl,
    )
