"""What is said of locks: accepted where it is right, rejected where it was doctored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from statedb import Change, LockChange, LockType, StateType
from tests.guarantees.exclusion import Stay, Wait, deeds_right, none_lost, one_inside, overtaken, writes_right

TTL = 10.0
BEGUN = datetime(2026, 1, 1, tzinfo=UTC)


def deed(
    what: Any, fence: int, revision: int, *, type: str = "exclusive", after: float = 0, key: str = "x"
) -> LockChange:
    at = BEGUN + timedelta(seconds=revision + after)
    return LockChange(what, "a", key, LockType(type), fence, None, revision, at, None)


def written(revision: int, fence: int | None, count: int = 1, key: str = "x", after: float = 0) -> Change:
    value = {"count": count, "fence": fence}
    at = BEGUN + timedelta(seconds=revision + after)
    return Change("", "a", StateType.SHARED, key, "update", None, value, 1, revision, at, None, None)


DEEDS = [
    deed("lock", 1, 1),
    deed("unlock", 1, 3),
    deed("lock", 2, 4, type="read"),
    deed("lock", 3, 5, type="write"),
    deed("lock", 4, 6, key="y"),
    deed("unlock", 2, 7, type="read"),
    deed("lapse", 3, 20, type="write"),
    deed("lock", 5, 21),
]
WRITES = [written(2, 1), written(8, 3, 2), written(9, 4, key="y"), written(19, None, 3), written(22, 5, 4)]
"""At 19 without a fence, more than the ttl of 10 s after lock 3 was taken: it has ended, though nobody has noticed."""


def test_what_excludes_is_accepted() -> None:
    assert deeds_right(DEEDS, TTL) == []
    assert writes_right(DEEDS, WRITES, TTL) == []
    assert none_lost(WRITES) == []


DOCTORED_DEEDS: dict[str, Callable[[list[LockChange]], list[LockChange]]] = {
    "two exclusive locks at a time": lambda deeds: [*deeds, deed("lock", 6, 22)],
    "a write lock beside a write lock": lambda deeds: [*deeds[:4], deed("lock", 9, 6, type="write")],
    "an exclusive lock beside a read lock": lambda deeds: [*deeds[:3], deed("lock", 9, 6)],
    "a fence that does not rise": lambda deeds: [*deeds[:2], replace(deeds[7], fence=1)],
    "a fence given twice": lambda deeds: [*deeds[:2], deeds[0]],
    "an end of what did not stand": lambda deeds: [*deeds, deed("unlock", 9, 22)],
    "a lock given back twice": lambda deeds: [*deeds[:2], deeds[1]],
    "a lease that lapsed before its time": lambda deeds: [*deeds[:1], deed("lapse", 1, 9)],
}

DOCTORED_WRITES: dict[str, Callable[[list[Change]], list[Change]]] = {
    "a stale fence": lambda writes: [*writes, written(23, 3, 5)],
    "a fence of a lock on another key": lambda writes: [*writes, written(23, 4, 5)],
    "a fence that was never given": lambda writes: [*writes, written(23, 7, 5)],
    "a fence of a lock given back": lambda writes: [written(2, 1), written(3, 1, 2)],
    "the fence of a read lock": lambda writes: [written(5, 2)],
    "no fence while a lock stands": lambda writes: [*writes, written(23, None, 5)],
}


@pytest.mark.parametrize("name", DOCTORED_DEEDS)
def test_what_does_not_exclude_is_rejected(name: str) -> None:
    assert len(deeds_right(DOCTORED_DEEDS[name]([*DEEDS]), TTL)) == 1


@pytest.mark.parametrize("name", DOCTORED_WRITES)
def test_a_write_that_should_have_been_refused_is_rejected(name: str) -> None:
    assert len(writes_right(DEEDS, DOCTORED_WRITES[name]([*WRITES]), TTL)) == 1


def test_a_lost_update_is_rejected() -> None:
    assert none_lost([written(2, 1), written(8, 3, 1)]) == ["x went from 1 to 1 at 8"]


@pytest.mark.parametrize(
    ("types", "accepted"),
    [
        (("exclusive", "exclusive"), False),
        (("exclusive", "read"), False),
        (("write", "write"), False),
        (("write", "read"), True),
        (("read", "read"), True),
    ],
)
def test_two_are_inside_together_only_if_they_share(types: tuple[str, str], accepted: bool) -> None:
    one, other = Stay("x", types[0], 1, 10, 20), Stay("x", types[1], 2, 15, 25)
    long = Stay("x", "read", 3, 0, 5)
    assert (one_inside([long, other, one]) == []) == accepted
    assert one_inside([one, replace(other, key="y")]) == one_inside([one, replace(other, since=20)]) == []


def test_who_came_first_and_still_waits_is_overtaken() -> None:
    first, second = Wait("x", "exclusive", 1, 9, 2, "p"), Wait("x", "exclusive", 2, 5, 1, "q")
    alone, gone = Wait("y", "exclusive", 1, 9, 3, "p"), Wait("x", "exclusive", 1, 4, None, "r")
    assert list(overtaken([first, second, alone, gone])) == [(second, [first])]
    in_order = replace(first, until=4), second
    assert list(overtaken(in_order)) == [(in_order[0], [])]
