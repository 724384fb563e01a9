"""Restore: what differs between a point and now goes back to what it was at the point.

Looked at is only what has changed since, and of that decoded only what is another value now.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

from statedb.db import cuts
from statedb.db.context import Point
from statedb.db.differences import sides
from statedb.db.heads import Head
from statedb.db.points import newest_point
from statedb.db.rewrite import Content, content_of, steps, take
from statedb.db.spans import Seen
from statedb.db.tx import Tx
from statedb.errors import Erased, InvalidValue
from statedb.models import MISSING, Address, Outcome, StateType
from statedb.values.glob import glob, is_pattern
from statedb.values.names import name, tier


class Extent(NamedTuple):
    """What is to go back: of one agent or all, of one tier or all but sessions, of some keys or all.

    A key is a name or a glob; a name with special characters is also itself.
    """

    agent_id: str | None
    state_type: str | None
    keys: tuple[str, ...] | None

    @classmethod
    def of(cls, agent_id: str | None, state_type: str | None, keys: str | Iterable[str] | None) -> Self:
        """Return what a caller asks for. Raises InvalidKey and InvalidValue."""
        return cls(
            None if agent_id is None else name(agent_id, "agent_id"),
            None if state_type is None else tier(state_type),
            None if keys is None else _keys(keys),
        )

    def holds(self, at: Address) -> bool:
        """Tell whether a key is within; sessions are where they are asked for by name."""
        if self.agent_id not in (None, at.agent_id):
            return False
        if at.state_type != self.state_type and (self.state_type or at.state_type == StateType.SESSION):
            return False
        return self.keys is None or any(_matches(each, at.key) for each in self.keys)


def restore(tx: Tx, point: Point, extent: Extent, *, said: str, dry_run: bool, partial: bool) -> Outcome:
    """Stage what brings an extent back to a point, or with `dry_run` only return it. `said` is the commit's message.

    Raises Compacted where what was there is not kept, or with `partial` leaves it and names it.
    """
    missing = list(lost(tx, point, extent, partial=partial))
    plan = _plan(tx, point, extent, missing, partial=partial)
    wanted = steps(tx, sorted(plan.items()))
    outcome = take(tx, wanted, only_show=dry_run, missing=tuple(sorted(missing)))
    if wanted and not dry_run:
        tx.kind = "restore"
        tx.writing.say(said)
    return outcome


def lost(tx: Tx, point: Point, extent: Extent, *, partial: bool) -> tuple[Address, ...]:
    """Return the keys of an extent that cannot be read at a point; raise Compacted where `partial` is not enough."""
    found = cuts.below(tx.db, tx.line, point.revision, extent.agent_id)
    return cuts.settle([each for each in found if extent.holds(each.at)], point.revision, partial=partial)


def _plan(tx: Tx, point: Point, extent: Extent, missing: list[Address], *, partial: bool) -> dict[Address, Content]:
    """Return what each key that holds something else now is to hold."""
    known, plan = set(missing), {}
    for at, then in _changed_since(tx, point, extent.agent_id):
        if at in known or not extent.holds(at) or _is_as_it_was(tx, at, then):
            continue
        try:
            plan[at] = content_of(then.head) if then is not None and then.visible else Content(MISSING)
        except Erased:
            if not partial:
                raise
            missing.append(at)
    return plan


def _changed_since(tx: Tx, point: Point, agent_id: str | None) -> Iterator[tuple[Address, Seen | None]]:
    """Yield the keys that may have changed since a point, each as it was there (None: it had never been written)."""
    before, after = sides(tx, point, newest_point(tx), agent_id)
    yield from ((at, before.get(at)) for at in {**before, **after})
    # What this transaction alone has changed stands in the log as it was at the point.
    for at in [*tx.staged, *tx.expired]:
        if at not in before and at not in after and agent_id in (None, at.agent_id):
            head = tx.as_of(at, point.revision)
            yield at, None if head is None else Seen(head, "", None, _alive_at(head, point.instant))


def _alive_at(head: Head, instant: int) -> bool:
    return head.codec is not None and (head.expires_at is None or head.expires_at > instant)


def _is_as_it_was(tx: Tx, at: Address, then: Seen | None) -> bool:
    """Tell whether a key holds now what it held then, as far as that can be told without reading either value."""
    now = tx.find(at)
    was = then.head if then is not None and then.visible else None
    if now is None or was is None:
        return now is was
    return (now.digest, now.metadata) == (was.digest, was.metadata)


def _keys(keys: Any) -> tuple[str, ...]:
    given = [keys] if isinstance(keys, str) else keys
    if not isinstance(given, Iterable) or isinstance(given, bytes | bytearray):
        raise InvalidValue(f"keys is {type(keys).__name__}; it is a name, a glob, or several of them")
    return tuple(name(each, "key") for each in given)


def _matches(wanted: str, key: str) -> bool:
    if key == wanted or not is_pattern(wanted):
        return key == wanted
    low, high, matches = glob(wanted)
    return low <= key < high and (matches is None or bool(matches(key)))
