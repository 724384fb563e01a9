"""History: what a key was, version by version, and what differs between two points."""

from __future__ import annotations

from collections.abc import Callable
from itertools import dropwhile, islice
from typing import Any

from statedb.db import cuts, differences, journal
from statedb.db.entries import entry_of, held
from statedb.db.heads import Head
from statedb.db.journal import Ttl
from statedb.db.points import Named, checked, resolve, span
from statedb.db.tx import Tx
from statedb.db.versions import (
    Key,
    Window,
    find_by_number,
    keys_in_range,
    merged,
    newest_first,
    oldest_kept,
    strands,
)
from statedb.errors import Compacted, InvalidValue, NoSuchVersion
from statedb.models import MISSING, Address, Difference, Entry, Listing, StateWithHistory, Version
from statedb.values import codec
from statedb.values.arguments import natural, natural_or_all, said
from statedb.values.diff import StateDiff
from statedb.values.diff import diff as diff_of
from statedb.values.glob import glob, is_pattern
from statedb.values.names import address, name


def versions(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    *,
    limit: int | None = None,
    before: int | Version | None = None,
    by: str | None = None,
    since: Named | None = None,
    until: Named | None = None,
) -> Listing[Version]:
    """Return the versions of a key, or of all keys that match a glob, newest first; at most `limit` of them.

    To go on, pass the last one as `before` (or, for one key, its number). `by` picks those of one actor, `since` and
    `until` those after one point and up to another. A key of exactly this name comes before a pattern. Where retention
    has cut some, what is left is returned, and `missing` names the key.
    """
    at = address(agent_id, state_type, key)
    window = Window(*span(tx, since, until, at.agent_id), said(by, "by"))
    most = natural_or_all(limit, "limit")
    head = tx.committed(at)
    if head is not None and (found := strands(tx, at, head)):
        return _of_key(tx, Key(at, found), head, window, before, most)
    return _of_pattern(tx, at, window, before, most) if is_pattern(key) else Listing()


def get(tx: Tx, agent_id: str, state_type: str, key: str, version: int) -> Entry:
    """Return a version as it was made; its value is None where it is a deletion.

    Raises NoSuchVersion where there is none, Compacted where retention has cut it, and Erased.
    """
    at = address(agent_id, state_type, key)
    return entry_of(tx, at, _as_made(tx, at, version))


def get_with_history(
    tx: Tx, agent_id: str, state_type: str, key: str, max_versions: int | None = 10
) -> StateWithHistory:
    """Return a key as it stands together with its newest versions, both of one moment."""
    at = address(agent_id, state_type, key)
    head = tx.find(at)
    found = versions(tx, agent_id, state_type, key, limit=max_versions)
    return StateWithHistory(None if head is None else entry_of(tx, at, head), tuple(found))


def diff(tx: Tx, agent_id: str, state_type: str, key: str, old: int, new: int) -> StateDiff:
    """Return what differs between two versions of a key, by JSON Pointer; a deletion has no value (MISSING)."""
    at = address(agent_id, state_type, key)
    return diff_of(held(_as_made(tx, at, old).stored), held(_as_made(tx, at, new).stored))


def changes(
    tx: Tx, first: Named, second: Named, *, agent_id: str | None = None, partial: bool = False
) -> Listing[Difference]:
    """Return the keys that hold something else at the second point than at the first, in order of their names.

    A point is a revision, an ISO 8601 time, a datetime, a timedelta ago, or a checkpoint's name; the second may be the
    earlier one. Keys whose time merely passed in between are included. Raises Compacted where retention has cut keys
    since, or with `partial` names those in `missing`. The cost follows what changed.
    """
    of = None if agent_id is None else name(agent_id, "agent_id")
    a, b = resolve(tx, checked(first), of), resolve(tx, checked(second), of)
    return differences.listed(tx, a, b, of, partial=partial)


def bisect(
    tx: Tx,
    agent_id: str,
    state_type: str,
    key: str,
    predicate: Callable[[Any], object],
    *,
    partial: bool = False,
) -> Version | None:
    """Return the first version whose value fulfils a predicate, found by binary search.

    The predicate is taken to have turned true once and stayed so, and is asked of some log2(n) values; None where the
    newest does not fulfil it. Deletions have no value to ask it of and are passed over. Where retention has cut the
    version at which it turned, raises Compacted, or with `partial` returns the oldest one kept.
    """
    at = address(agent_id, state_type, key)
    head = tx.committed(at)
    key_ = None if head is None else Key(at, strands(tx, at, head))
    if head is None or key_ is None or not key_.strands:
        return None
    least = low = oldest_kept(tx, key_)
    high = head.version

    def holds(version: int) -> bool:
        value = held(_as_made(tx, at, version).stored)
        if value is not MISSING:
            return bool(predicate(value))
        # Two deletions never follow each other, so what a deletion ended is right before it.
        return version > least and holds(version - 1)

    if not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    # Of what a deletion ended that is the oldest kept, nobody knows whether it held there.
    unknown = least > 1 and low <= least + (held(_as_made(tx, at, least).stored) is MISSING)
    if unknown and not partial:
        raise _cut(at, key_.floor, f"it holds at version {low} already, and what was before is not kept")
    [found] = newest_first(tx, key_, Window(top=_revision_of(tx, at, low)), 1)
    return found


def revert(tx: Tx, agent_id: str, state_type: str, key: str, version: int, *, message: str | None = None) -> Entry:
    """Write an old version's value again, as a new version that names its source; return the new entry.

    Reverting to a deletion deletes. The metadata comes back with the value; the ttl stays the key's own and restarts.
    """
    at = address(agent_id, state_type, key)
    old = _as_made(tx, at, version)
    encoded = None if old.codec is None else codec.pack(codec.plain(old.stored), json=codec.is_json(old.stored))
    tx.writing.say(message or f"revert {key} to version {version}")
    staged = journal.put(tx, at, encoded, metadata=old.metadata, expiry=Ttl.KEEP, source_version=version)
    if staged is None:
        head = tx.head(at)
        assert head is not None
        return entry_of(tx, at, head)
    made = entry_of(tx, at, staged.head)
    staged.entries.append(made)
    return made


# ---- inside


def _of_key(tx: Tx, key: Key, head: Head, window: Window, before: int | Version | None, limit: int) -> Listing[Version]:
    if isinstance(before, Version):
        window = window._replace(top=min(window.top, before.revision - 1))
    elif before is not None and natural(before, "before") <= head.version:
        edge = find_by_number(tx, key.at, head, before)
        window = window._replace(top=min(window.top, edge.revision - 1 if edge else 0))
    found = newest_first(tx, key, window, limit)
    return Listing(found, [key.at] if len(found) < limit and key.floor > window.since + 1 else [])


def _of_pattern(tx: Tx, at: Address, window: Window, before: int | Version | None, limit: int) -> Listing[Version]:
    if before is not None and not isinstance(before, Version):
        raise InvalidValue(
            "for a pattern `before` is a Version, the last one of the page before: keys number their own"
        )
    wanted = glob(at.key)
    there = keys_in_range(tx, at._replace(key=wanted.low), wanted.high, window.top)
    picked = frozenset(wanted.pick([key.at.key for key in there]))
    there = [key for key in there if key.at.key in picked]
    if tx.point is not None:
        lost = [cuts.Cut(key.at, key.floor) for key in there if key.floor > tx.point.revision]
        cuts.settle(lost, tx.point.revision, partial=False)
    if before is not None:
        window = window._replace(top=min(window.top, before.revision))
    found = merged(tx, there, window)
    if before is not None:
        seen = before
        found = dropwhile(lambda each: each.revision == seen.revision and each.key <= seen.key, found)
    page = list(islice(found, limit))
    return Listing(page, [key.at for key in there if len(page) < limit and key.floor > window.since + 1])


def _as_made(tx: Tx, at: Address, version: int) -> Head:
    natural(version, "version")
    head = tx.head(at)
    found = None
    if head is not None and 1 <= version <= head.version:
        found = find_by_number(tx, at, head, version)
    if found is None:
        if head is not None and head.floor and 1 <= version < head.version:
            raise _cut(at, head.floor, f"version {version} has been cut")
        newest = f"its newest is {head.version}" if head else "it has none at all"
        if head is not None and version == head.version:
            newest = "that one is not committed yet"
        raise NoSuchVersion(f"{at.key} ({at.state_type} of {at.agent_id}) has no version {version}; {newest}")
    return found


def _cut(at: Address, floor: int, why: str) -> Compacted:
    return Compacted(
        f"{at.key} ({at.state_type} of {at.agent_id}): {why}; retention keeps what stood at revision {floor} and later",
        floor=floor,
        missing=(at,),
    )


def _revision_of(tx: Tx, at: Address, version: int) -> int:
    return _as_made(tx, at, version).revision
