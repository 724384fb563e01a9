"""One validator for each guarantee of a watch.

Each is a function of what a watcher received, over all its lives, the log as the store tells it afterwards, and what
the watcher asked for, to a list of violations. None of them looks at a store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, pairwise
from typing import Any

from statedb import Change, StateType
from tests.guarantees.recording import Filter, Life, Log, Marked, Noted, at

Validator = Callable[[Sequence[Life], Log, Filter], list[str]]


def ordered(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """Changes come in the order of the log, within a life."""
    places = {change.event_id: place for place, change in enumerate(log.changes)}
    return [
        f"life {number}: {_name(after)} came after {_name(before)}"
        for number, life in enumerate(lives)
        for before, after in pairwise(each for each in life.changes if each.event_id in places)
        if places[after.event_id] < places[before.event_id]
    ]


def unique(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """No change comes twice in a life, and none that lies before its start."""
    found: list[str] = []
    for number, life in enumerate(lives):
        counts = Counter(change.event_id for change in life.changes)
        found += [f"life {number}: {event} came {count} times" for event, count in counts.items() if count > 1]
        again = [change for change in life.changes if change.revision <= life.since]
        found += [f"life {number}: {_name(change)} came again, it began after {life.since}" for change in again]
    return found


def atomic(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """Commits come whole and in one piece. Of the last before it was killed, a watcher may have seen a beginning."""
    found: list[str] = []
    for number, life in enumerate(lives):
        pieces = [(revision, [*each]) for revision, each in groupby(life.changes, lambda change: change.revision)]
        twice = [revision for revision, count in Counter(revision for revision, _ in pieces).items() if count > 1]
        found += [f"life {number}: revision {revision} came in pieces" for revision in twice]
        for place, (revision, piece) in enumerate(pieces):
            whole = [each.event_id for each in log.between(revision - 1, revision + 1, wanted)]
            seen = [each.event_id for each in piece]
            cut_short = place == len(pieces) - 1 and life.until is None and seen == whole[: len(seen)]
            if set(seen) < set(whole) and not cut_short:
                found.append(f"life {number}: of revision {revision} came {len(seen)} changes of {len(whole)}")
    return found


def reliable(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """All that was asked for comes, up to where a life has got to; and nothing comes that the log does not hold."""
    found: list[str] = []
    there = {change.event_id for change in log.changes}
    for number, life in enumerate(lives):
        seen = {change.event_id for change in life.changes}
        missed = [each for each in log.between(life.since, life.reached, wanted) if each.event_id not in seen]
        found += [f"life {number}: {_name(change)} never came" for change in missed]
        made_up = [each for each in life.changes if each.event_id not in there]
        found += [f"life {number}: {_name(change)} came, which the log does not hold" for change in made_up]
    return found


def resumable(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """A life goes on where the one before it was, and a place that was noted has all before it seen, nothing after."""
    found: list[str] = []
    for number, (before, after) in enumerate(pairwise(lives), 1):
        if before.floor is None and after.since != before.cursor:
            found.append(f"life {number} began after {after.since}, the one before it was at {before.cursor}")
    for number, life in enumerate(lives):
        found += [f"life {number}: {violation}" for violation in _places(life, Noted, log, wanted)]
        if life.until is not None and life.cursor > life.until:
            found.append(f"life {number} is at {life.cursor}, beyond {life.until}, where it ended")
    return found


def bookmarkable(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """A bookmark has all before it seen, nothing after; and who follows to the end gets there, however quiet it is."""
    found: list[str] = []
    for number, life in enumerate(lives):
        found += [f"life {number}: {violation}" for violation in _places(life, Marked, log, wanted)]
        if life.until is not None and life.cursor < life.until:
            found.append(f"life {number} never learned that it had got to {life.until}; it is at {life.cursor}")
    return found


def _places(life: Life, kind: type[Noted] | type[Marked], log: Log, wanted: Filter) -> Iterator[str]:
    """Yield what is wrong with the places that a life was told to be at, or noted."""
    last, seen = life.since, set[str]()
    what = kind.__name__.lower()
    for item in life.items:
        if isinstance(item, Change):
            seen.add(item.event_id)
            if item.revision <= last and last > life.since:
                yield f"{_name(item)} came after {last} was {what}"
        elif isinstance(item, kind):
            if item.revision < last:
                yield f"{item.revision} was {what} after {last}"
            if item.revision > log.head:
                yield f"{item.revision} was {what}, which is not there yet"
            missing = [each for each in log.between(last, item.revision + 1, wanted) if each.event_id not in seen]
            for change in missing:
                yield f"{item.revision} was {what} before {_name(change)} came"
            last = item.revision


def filtered(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """Nothing comes that was not asked for. That all comes that was is for `reliable` to say."""
    return [
        f"life {number}: {_name(change)} came, which nobody asked for"
        for number, life in enumerate(lives)
        for change in life.changes
        if not wanted.picks(change)
    ]


def old_value_right(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """A change says what was there before it, what is there after, and is called what it is."""
    told: dict[str, Any] = {}
    for change, values in log.replay():
        there = at(change) in values
        kind = change.change if change.change in ("delete", "expire") else "update" if there else "create"
        told[change.event_id] = kind, values.get(at(change)), None if kind in ("delete", "expire") else change.new_value
    found: list[str] = []
    for number, life in enumerate(lives):
        for change in life.changes:
            says = change.change, change.old_value, change.new_value
            if says != told.get(change.event_id, says):
                found.append(f"life {number}: {_name(change)} says {says}, and it was {told[change.event_id]}")
    return found


def compacted(lives: Sequence[Life], log: Log, wanted: Filter) -> list[str]:
    """Who is refused was below the floor, and begins anew from all that stood at the point it goes on from."""
    found: list[str] = []
    for number, life in enumerate(lives):
        before = lives[number - 1] if number else None
        refused = before is not None and before.floor is not None
        if life.floor is not None and not life.cursor < life.floor <= log.floor:
            found.append(f"life {number} was refused at {life.cursor}: floor {life.floor}, the highest is {log.floor}")
        if refused != (life.listing is not None):
            found.append(f"life {number} began {'without' if refused else 'with'} a listing")
        if refused and before is not None and life.since < before.cursor:
            found.append(f"life {number} went back to {life.since}")
        if life.listing is not None:
            stood = _picked(log, life.since, wanted)
            wrong = sorted(key for key in stood.keys() | life.listing.keys() if stood.get(key) != life.listing.get(key))
            found += [
                f"life {number} was told that {key.key} of {key.agent_id} ({key.state_type}) was "
                f"{life.listing.get(key)} at {life.since}, where it was {stood.get(key)}"
                for key in wrong
            ]
    return found


def _picked(log: Log, revision: int, wanted: Filter) -> dict[Any, Any]:
    """Return what a listing is to hold, sessions aside: what of them has expired, the log says later, or never."""
    stood = log.values(revision).items()
    return {at: value for at, value in stood if wanted.covers(at) and at.state_type != StateType.SESSION}


GUARANTEES: dict[str, Validator] = {
    "ordered": ordered,
    "unique": unique,
    "atomic": atomic,
    "reliable": reliable,
    "resumable": resumable,
    "bookmarkable": bookmarkable,
    "filtered exactly": filtered,
    "old_value right": old_value_right,
    "compacted": compacted,
}


def violations(lives: Sequence[Life], log: Log, wanted: Filter) -> dict[str, list[str]]:
    """Return what is wrong with a recording, by guarantee; nothing where all of them hold."""
    found = {name: validator(lives, log, wanted) for name, validator in GUARANTEES.items()}
    return {name: each for name, each in found.items() if each}


def _name(change: Change) -> str:
    return f"{change.change} of {change.key} at {change.revision}"
