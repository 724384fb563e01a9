"""What locks promise, held against the log: a function of what was done to locks and written to keys to violations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from statedb import Change, LockChange

SHARE = {("read", "read"), ("read", "write"), ("write", "read")}
"""Which locks may stand on a key together: those that name each other here."""


@dataclass(frozen=True)
class Stay:
    """That a holder was inside, by its own clock: from when it had a lock to when it gave back what it still held."""

    key: str
    type: str
    fence: int
    since: int
    until: int


@dataclass(frozen=True)
class Wait:
    """Somebody who asked for a lock: from when to when it waited, and the fence it got, None where it gave up."""

    key: str
    type: str
    since: int
    until: int
    fence: int | None
    by: str


def deeds_right(deeds: Sequence[LockChange], ttl: float) -> list[str]:
    """Fences only rise; none that exclude each other stand together; what ends has stood, and lapses after its time."""
    found: list[str] = []
    highest = 0
    standing: dict[int, LockChange] = {}
    for deed in deeds:
        if deed.change == "lock":
            if deed.fence <= highest:
                found.append(f"fence {deed.fence} was given after {highest}")
            others = [each.fence for each in standing.values() if _exclude(each, deed)]
            if others:
                found.append(f"fence {deed.fence} was given while {others} stood")
            highest = max(highest, deed.fence)
            standing[deed.fence] = deed
        elif (was := standing.pop(deed.fence, None)) is None:
            found.append(f"fence {deed.fence} ended at {deed.revision}, which did not stand")
        elif deed.change == "lapse" and deed.at < was.at + timedelta(seconds=ttl):
            found.append(f"fence {deed.fence} lapsed {deed.at - was.at} after it was given")
    return found


def _exclude(one: LockChange, other: LockChange) -> bool:
    return (one.agent_id, one.key) == (other.agent_id, other.key) and (one.type.value, other.type.value) not in SHARE


def writes_right(deeds: Sequence[LockChange], writes: Sequence[Change], ttl: float) -> list[str]:
    """A write carries the fence of a lock that stands; one without, to a key on which none that excludes it stands.

    A lease may have ended that nobody has noticed: of a write without a fence, only the first `ttl` seconds count.
    """
    found: list[str] = []
    standing: dict[int, LockChange] = {}
    both: list[LockChange | Change] = [*deeds, *writes]
    for each in sorted(both, key=lambda each: (each.revision, isinstance(each, Change))):
        if isinstance(each, LockChange):
            if each.change == "lock":
                standing[each.fence] = each
            else:
                standing.pop(each.fence, None)
            continue
        fence = (each.new_value or {}).get("fence")
        holders = [lock for lock in standing.values() if lock.key == each.key and lock.type.value != "read"]
        if fence is None:
            fresh = [lock.fence for lock in holders if each.at < lock.at + timedelta(seconds=ttl)]
            found += [f"{each.key} was written at {each.revision} without fence {other}" for other in fresh]
        elif all(lock.fence != fence for lock in holders):
            there = [lock.fence for lock in holders]
            found.append(f"{each.key} was written at {each.revision} with fence {fence} while {there} stood")
    return found


def none_lost(writes: Sequence[Change]) -> list[str]:
    """Each write of a key counts on from the one before it."""
    found: list[str] = []
    counts: dict[str, int] = {}
    for each in writes:
        count, before = each.new_value["count"], counts.get(each.key, 0)
        if count != before + 1:
            found.append(f"{each.key} went from {before} to {count} at {each.revision}")
        counts[each.key] = count
    return found


def one_inside(stays: Iterable[Stay]) -> list[str]:
    """No two were inside at a time that exclude each other, by the clock of the machine they ran on."""
    found: list[str] = []
    inside: list[Stay] = []
    for stay in sorted(stays, key=lambda each: each.since):
        inside = [each for each in inside if each.until > stay.since]
        found += [
            f"fences {each.fence} and {stay.fence} were both inside {stay.key}"
            for each in inside
            if each.key == stay.key and (each.type, stay.type) not in SHARE
        ]
        inside.append(stay)
    return found


def overtaken(waits: Iterable[Wait]) -> Iterator[tuple[Wait, list[Wait]]]:
    """Yield each wait that ended with a lock while somebody else waited for the key, and who of those came before."""
    by_key: dict[str, list[Wait]] = {}
    for wait in waits:
        by_key.setdefault(wait.key, []).append(wait)
    for each in by_key.values():
        for wait in each:
            others = [other for other in each if other is not wait and other.since < wait.until < other.until]
            if wait.fence is not None and others:
                yield wait, [other for other in others if other.since < wait.since]
