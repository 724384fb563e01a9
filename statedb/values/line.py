"""The line before a key: who holds it, who waits for it, and when whose turn comes.

    holders ──(their leases end)──▶ waiters in the order they arrived ──▶ called ──(within a grace)──▶ holder
                                                                            └─(does not come)──▶ passed by

All of it follows from what the rows say, for any moment to come: nobody has to be told when a lease ends by time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from statedb.times import EARLIEST, LATEST
from statedb.values.lock import LockType, compatible

GRACE = 2_000_000
"""Microseconds within which somebody comes whose turn it is; who does not, was killed or stopped, and is passed by."""


@dataclass(slots=True)
class Party:
    """Somebody who holds a key (`fence`), or waits for it: until his lease ends, or his patience. Microseconds."""

    id: int
    type: LockType
    owner: str | None
    at: int
    expires_at: int
    ttl: int
    metadata: str | None
    arrived: int
    called_at: int | None
    fence: int | None
    is_new: bool = False
    is_over: bool = False


class Turn(NamedTuple):
    """When nobody stands in a waiter's way any more, as things are, and when he will be passed by."""

    party: Party
    free_at: int
    gone_at: int


def turns(line: Iterable[Party]) -> Iterator[Turn]:
    """Yield the turns of those who wait, in the order in which they arrived."""
    there = list(line)
    ahead: list[Turn] = []
    for party in sorted((each for each in there if each.fence is None), key=lambda each: each.arrived):
        free_at = _free_at(party.type, there, ahead)
        called = max(free_at, party.at if party.called_at is None else party.called_at)
        turn = Turn(party, free_at, min(party.expires_at, called + GRACE, LATEST))
        ahead.append(turn)
        yield turn


def free_at(line: Iterable[Party], type: LockType, mine: Party | None = None) -> int:
    """Return when nobody stands any more in the way of one who waits, or of one who arrives just now."""
    there = list(line)
    found = list(turns(there))
    if mine is not None:
        return next(turn.free_at for turn in found if turn.party is mine)
    return _free_at(type, there, found)


def call(line: Iterable[Party], before: Iterable[Turn], now: int) -> list[Party]:
    """Call those whose turn has come since others left the line, and return them.

    `before` are the turns as they were with those others, which tell who was called already.
    """
    was = {turn.party.id: turn.free_at for turn in before}
    called = []
    for party in line:
        if party.fence is None:
            since = min(now, was[party.id])
            if since > (party.at if party.called_at is None else party.called_at):
                party.called_at = since
                called.append(party)
    return called


def _free_at(type: LockType, line: Iterable[Party], ahead: Iterable[Turn]) -> int:
    ends = [each.expires_at for each in line if each.fence is not None and not compatible(each.type, type)]
    ends += [turn.gone_at for turn in ahead if not compatible(turn.party.type, type)]
    return max(ends, default=EARLIEST)
